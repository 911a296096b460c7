package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type enableFlags struct {
	hostFlags
	request      enable.Request
	file, output string
	collect      bool
}

func enableVerb(s Streams) *cobra.Command {
	var f enableFlags
	c := &cobra.Command{
		Use:   "enable (NAME | -f FILENAME)",
		Short: "Enable the federation of an API type",
		Long:  "Enable the federation of an API type: makes the CustomResourceDefinition of the federated type and its FederatedTypeConfig in the host.",
		Example: "  # Federate Deployments\n  kubefedctl enable deployments.apps --host-cluster-context global\n\n" +
			"  # Print what would be made\n  kubefedctl enable deployments.apps -o yaml",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args, s) },
	}
	f.add(c)
	c.Flags().StringVar(&f.request.TargetVersion, "version", "", "version of the type; else the one that the host prefers")
	c.Flags().StringVar(&f.request.Group, "federated-group", enable.Group, "group of the federated type")
	c.Flags().StringVar(&f.request.Version, "federated-version", enable.Version, "version of the federated type")
	c.Flags().BoolVar(&f.collect, "status-collection", false, "collect the status of the objects in the members, or, with =false, do not; left out, a type keeps what it has, and a new one is collected if it is a workload")
	c.Flags().StringVarP(&f.output, "output", "o", "", `print as "yaml" or "json" and write nothing`)
	c.Flags().StringVarP(&f.file, "filename", "f", "", "file with an EnableTypeDirective, or - for stdin; the other flags on the type are then ignored")
	complete(c, "output", words("yaml", "json"))
	completeArgs(c, f.types(func(r enable.Resource) bool { _, err := enable.TargetOf(r, false); return err == nil }))
	return c
}

func (f *enableFlags) run(c *cobra.Command, args []string, s Streams) error {
	q, err := f.ask(args, s)
	if err != nil {
		return err
	}
	if c.Flags().Changed("status-collection") {
		q.StatusCollection = mode(f.collect)
	}
	if err := printable(f.output); err != nil {
		return err
	}
	ctx := c.Context()
	host, err := f.connect(ctx, s)
	if err != nil {
		return err
	}
	all, err := discover(host, s)
	if err != nil {
		return err
	}
	p, err := resolve(ctx, host, all, q, f.namespace)
	if err != nil {
		return err
	}
	if f.output != "" {
		return printPair(s.Out, f.output, p)
	}
	if err := systemNamespace(ctx, host, f.namespace); err != nil {
		return err
	}
	if err := apply(ctx, host, p, f.dryRun, s); err != nil {
		return err
	}
	if group := p.CRD.Spec.Group; group != enable.Group {
		s.say(0, "WARNING: the requester check is about the group %s only: give rights on %s as if they were the rights on %s in all members", enable.Group, p.CRD.Name, p.Config.Name)
	}
	return f.warnMissing(ctx, host, p, s)
}

func mode(on bool) *fedv1.ConfigurationMode {
	if on {
		return ptr.To(fedv1.Enabled)
	}
	return ptr.To(fedv1.Disabled)
}

// ask is what the user asks for: on the command line, or in a file.
func (f *enableFlags) ask(args []string, s Streams) (enable.Request, error) {
	q := f.request
	switch {
	case f.file != "":
		return readDirective(f.file, s)
	case len(args) == 0:
		return q, fail.BadUsage.New("NAME of the API type is required").Try("kubefedctl enable deployments.apps")
	}
	q.Type = args[0]
	return q, nil
}

// readDirective reads an EnableTypeDirective; unknown keys are ignored.
func readDirective(path string, s Streams) (enable.Request, error) {
	q := enable.Request{Group: enable.Group, Version: enable.Version}
	data, err := readFile(path, s)
	if err != nil {
		return q, err
	}
	var d struct {
		Metadata struct{ Name string }
		Spec     struct{ TargetVersion, FederatedGroup, FederatedVersion string }
	}
	if err := yaml.Unmarshal(data, &d); err != nil {
		return q, fail.BadFile.New("file %s is no EnableTypeDirective", path).Because(err)
	}
	if d.Metadata.Name == "" {
		return q, fail.BadFile.New("file %s is no EnableTypeDirective", path).Because(fmt.Errorf("metadata.name must name the API type"))
	}
	q.Type, q.TargetVersion = d.Metadata.Name, d.Spec.TargetVersion
	if d.Spec.FederatedGroup != "" {
		q.Group = d.Spec.FederatedGroup
	}
	if d.Spec.FederatedVersion != "" {
		q.Version = d.Spec.FederatedVersion
	}
	return q, nil
}

// maxFile is the size of a file that a command reads at most.
const maxFile = 16 << 20

// readFile reads a file, or stdin for "-".
func readFile(path string, s Streams) ([]byte, error) {
	in := s.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fail.BadFile.New("cannot read file %s", path).Because(err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, fail.BadFile.New("cannot read file %s", path).Because(err)
	case len(data) > maxFile:
		return nil, fail.BadFile.New("file %s is larger than %d MiB", path, maxFile>>20).Try("split it")
	case len(data) == 0:
		return nil, fail.BadFile.New("file %s is empty", path)
	}
	return data, nil
}

// resolve finds a type in the host and makes what federates it.
func resolve(ctx context.Context, host join.Cluster, all enable.Catalogue, q enable.Request, namespace string) (enable.Pair, error) {
	d, err := discovery.NewDiscoveryClientForConfig(host.Config)
	if err != nil {
		return enable.Pair{}, fmt.Errorf("make a discovery client: %w", err)
	}
	p, err := enable.Resolve(ctx, host.Client, d, all, q, namespace)
	return p, fail.API(host.At(), "look up the API type "+q.Type, err)
}

// apply writes what federates a type, and prints a line for each object.
func apply(ctx context.Context, host join.Cluster, p enable.Pair, mode dryrun.Mode, s Streams) error {
	told := func(o client.Object, r enable.Result) {
		switch o.GetNamespace() {
		case "":
			fmt.Fprintf(s.Out, "customresourcedefinition.apiextensions.k8s.io/%s %s\n", o.GetName(), r)
		default:
			fmt.Fprintf(s.Out, "federatedtypeconfig.core.kubefed.io/%s %s in namespace %s\n", o.GetName(), r, o.GetNamespace())
		}
	}
	err := enable.Apply(ctx, mode.Writer(host.Client), p, told)
	return fail.API(host.At(), "enable "+p.Config.Name, err)
}

// systemNamespace refuses to go on where no control plane can be.
func systemNamespace(ctx context.Context, host join.Cluster, namespace string) error {
	err := host.Client.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{})
	if apierrors.IsNotFound(err) {
		return fail.NotInstalled.New("KubeFed system namespace %q does not exist", namespace).
			Because(fmt.Errorf("looked in %s", host.At())).
			Try("kubefedctl init --host-cluster-context %s --kubefed-namespace %s", host.Context, namespace)
	}
	return fail.API(host.At(), "read Namespace "+namespace, err)
}

// printPair prints what federates a type: the FederatedTypeConfig, which names no namespace, and the definition.
func printPair(w io.Writer, format string, p enable.Pair) error {
	config := p.Config.DeepCopy()
	config.Namespace = ""
	var objects []*unstructured.Unstructured
	for _, o := range []any{config, p.CRD} {
		m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return fmt.Errorf("print %s: %w", p.Config.Name, err)
		}
		delete(m, "status")
		unstructured.RemoveNestedField(m, "metadata", "creationTimestamp")
		objects = append(objects, &unstructured.Unstructured{Object: m})
	}
	return print(w, format, objects)
}
