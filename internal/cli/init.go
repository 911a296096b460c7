package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/join"
)

type initFlags struct {
	hostFlags
	scope, output, requester string
}

func initVerb(s Streams) *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "Install what a cluster needs to be the host of a federation",
		Long: "Install the API types, the roles, the settings and the ten types that are federated by default into the host cluster.\n" +
			"Settings and types that are there already stay as they are, and so does what the policies do. Running it again brings everything\n" +
			"else up to date.\n\n" +
			"Who writes a federated object must be allowed to write what it becomes, here in the host: an admission policy asks for that. Where\n" +
			"a federation is in use already when the policy comes, it warns only, until --requester-check=Deny says otherwise.",
		Example: "  # Install into the cluster of the context global\n  kubefedctl init --host-cluster-context global\n\n" +
			"  # Print what would be installed, for GitOps\n  kubefedctl init --dry-run -o yaml > hansa.yaml",
		Args: needs(),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, s) },
	}
	f.add(c)
	c.Flags().StringVar(&f.scope, "scope", string(fedv1.ScopeCluster), `what the control plane serves: "Cluster" or "Namespaced", its own namespace only`)
	c.Flags().StringVarP(&f.output, "output", "o", "", `print the objects as "yaml" or "json" and install nothing`)
	c.Flags().StringVar(&f.requester, "requester-check", "", `what comes of a federated object whose writer may not write its target: "Deny", "Warn" or "Off"; else as it is, or Deny`)
	complete(c, "requester-check", words(string(config.RequesterDeny), string(config.RequesterWarn), string(config.RequesterOff)))
	complete(c, "scope", words(string(fedv1.ScopeCluster), string(fedv1.ScopeNamespaced)))
	complete(c, "output", words("yaml", "json"))
	return c
}

func (f *initFlags) run(c *cobra.Command, s Streams) error {
	scope := fedv1.ResourceScope(f.scope)
	if scope != fedv1.ScopeCluster && scope != fedv1.ScopeNamespaced {
		return fail.BadUsage.New("Invalid value for --scope: %s", f.scope).Try("use Cluster or Namespaced")
	}
	objects, err := config.Objects(f.namespace, scope)
	if err != nil {
		return err
	}
	if err := printable(f.output); err != nil {
		return err
	}
	if err := f.checkMode(); err != nil {
		return err
	}
	if f.output != "" {
		return print(s.Out, f.output, config.WithRequesterCheck(objects, cmp.Or(config.RequesterCheck(f.requester), config.RequesterDeny)))
	}
	host, err := f.connect(c.Context(), s)
	if err != nil {
		return err
	}
	if err := f.install(c.Context(), host, objects, s); err != nil {
		return err
	}
	if f.dryRun == dryrun.None {
		s.say(0, "next: kubefedctl join CLUSTER --cluster-context CONTEXT --host-cluster-context %s", host.Context)
	}
	return nil
}

func (f *initFlags) install(ctx context.Context, host join.Cluster, all []*unstructured.Unstructured, s Streams) error {
	mode, err := f.requesterMode(ctx, host, all, s)
	if err != nil {
		return err
	}
	told := func(o *unstructured.Unstructured, r install.Result) {
		fmt.Fprintf(s.Out, "%s %s%s\n", install.Name(o), r, f.dryRun.Suffix())
	}
	i := install.Installer{Client: host.Client, At: host.At(), DryRun: f.dryRun, Told: told}
	i.Decides = func(o *unstructured.Unstructured) bool { return f.requester != "" && config.IsRequesterBinding(o) }
	if err := i.Install(ctx, config.WithRequesterCheck(all, mode)); err != nil {
		return err
	}
	if mode != config.RequesterOff {
		return nil
	}
	return i.Remove(ctx, slices.DeleteFunc(slices.Clone(all), func(o *unstructured.Unstructured) bool { return !config.IsRequesterBinding(o) }))
}

// printable refuses a form that objects are not printed in; empty is none.
func printable(format string) error {
	switch format {
	case "", "yaml", "json":
		return nil
	default:
		return fail.BadUsage.New("Invalid value for --output: %s", format).Try("use yaml or json")
	}
}

// print writes objects as YAML documents, each after "---", or as one JSON list.
func print(w io.Writer, format string, objects []*unstructured.Unstructured) error {
	if format == "json" {
		list := map[string]any{"apiVersion": "v1", "kind": "List", "items": objects}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	for _, o := range objects {
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			return fmt.Errorf("print %s: %w", install.Name(o), err)
		}
		fmt.Fprintf(w, "---\n%s", data)
	}
	return nil
}
