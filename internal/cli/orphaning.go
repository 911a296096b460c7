package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type orphaningFlags struct {
	hostFlags
	inNamespace string
}

func orphaningVerb(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "orphaning-deletion",
		Short: "Choose what becomes of the members' objects when a federated object is deleted",
		Args:  subverb,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		orphaningMode(s, "enable", "Leave the members' objects where they are when the federated object is deleted", setOrphan("true")),
		orphaningMode(s, "disable", "Delete the members' objects when the federated object is deleted", setOrphan(nil)),
		orphaningMode(s, "status", "Say whether the members' objects are left", tellOrphan),
	)
	return c
}

// act does something with a federated object.
type act func(c *cobra.Command, f *orphaningFlags, host join.Cluster, o *metav1.PartialObjectMetadata, s Streams) error

func orphaningMode(s Streams, verb, short string, do act) *cobra.Command {
	var f orphaningFlags
	c := &cobra.Command{
		Use:     verb + " TYPE NAME",
		Short:   short,
		Example: "  kubefedctl orphaning-deletion " + verb + " federatedsecrets mysecret -n test",
		Args:    needs("TYPE", "NAME"),
		RunE:    func(c *cobra.Command, args []string) error { return f.run(c, args, do, s) },
	}
	f.add(c)
	c.Flags().StringVarP(&f.inNamespace, "namespace", "n", "", "namespace of the federated object; else that of the context")
	_ = c.Flags().MarkHidden("kubefed-namespace")
	_ = c.Flags().MarkHidden("dry-run")
	completeArgs(c, f.types(isFederated))
	return c
}

func isFederated(r enable.Resource) bool {
	return r.Group == enable.Group && strings.HasPrefix(r.Kind, "Federated")
}

func (f *orphaningFlags) run(c *cobra.Command, args []string, do act, s Streams) error {
	host, err := f.connect(c.Context(), s)
	if err != nil {
		return err
	}
	all, err := discover(host, s)
	if err != nil {
		return err
	}
	r, err := find(all, args[0], s)
	if err != nil {
		return err
	}
	if !isFederated(r) {
		fmt.Fprintf(s.Out, "Warning: %s/%s might not be a federated resource\n", r.PluralName, r.Version)
	}
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(r.GVK())
	o.SetName(args[1])
	if r.Namespaced() {
		o.SetNamespace(f.inNamespace)
		if f.inNamespace == "" {
			o.SetNamespace(host.Namespace)
		}
	}
	key := client.ObjectKeyFromObject(o)
	err = do(c, f, host, o, s)
	if apierrors.IsNotFound(err) {
		return fail.ObjectNotFound.New("%s %q does not exist in %s", r.Kind, title(key), host.At()).
			Try("kubectl --context %s get %s --all-namespaces", host.Context, enable.NameOf(r.APIResource))
	}
	return fail.API(host.At(), c.Name()+" orphaning for "+r.Kind+" "+title(key), err)
}

// setOrphan writes the annotation; nil removes it.
func setOrphan(value any) act {
	return func(c *cobra.Command, f *orphaningFlags, host join.Cluster, o *metav1.PartialObjectMetadata, _ Streams) error {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{fedv1.OrphanAnnotation: value}}})
		if err != nil {
			return err
		}
		return f.dryRun.Writer(host.Client).Patch(c.Context(), o, client.RawPatch(types.MergePatchType, patch))
	}
}

func tellOrphan(c *cobra.Command, _ *orphaningFlags, host join.Cluster, o *metav1.PartialObjectMetadata, s Streams) error {
	if err := host.Client.Get(c.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	switch o.Annotations[fedv1.OrphanAnnotation] {
	case "true":
		fmt.Fprintln(s.Out, "Enabled")
	case "adopted":
		fmt.Fprintln(s.Out, "Enabled for objects that were there before the federation")
	default:
		fmt.Fprintln(s.Out, "Disabled")
	}
	return nil
}
