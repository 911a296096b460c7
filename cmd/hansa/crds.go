package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
)

func crdsCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "crds",
		Short: "Bring the CustomResourceDefinitions of the host up to date",
		Long: "Write the CustomResourceDefinitions of this release into the host cluster: that of the pod it runs in, or, with --kubeconfig, any.\n" +
			"The Helm chart runs it before each installation and upgrade. kubefedctl init does the same, and more.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return define(c.Context(), f, c.OutOrStdout()) },
	}
	f.addHost(c)
	return c
}

// define writes the definitions and tells what it did to each.
func define(ctx context.Context, f flags, out io.Writer) error {
	_, rest, err := f.complete()
	if err != nil {
		return err
	}
	s := scheme()
	_ = apiextv1.AddToScheme(s)
	c, err := client.New(rest, client.Options{Scheme: s})
	if err != nil {
		return fmt.Errorf("connect to the host %s: %w", rest.Host, err)
	}
	definitions, err := config.Definitions()
	if err != nil {
		return err
	}
	told := func(o *unstructured.Unstructured, r install.Result) { fmt.Fprintf(out, "%s %s\n", install.Name(o), r) }
	return install.Installer{Client: c, At: fail.Place{Context: f.context, Endpoint: rest.Host}, Told: told}.Install(ctx, definitions)
}
