package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type disableFlags struct {
	hostFlags
	deleteCRD      bool
	group, version string
}

func disableVerb(s Streams) *cobra.Command {
	var f disableFlags
	c := &cobra.Command{
		Use:   "disable NAME",
		Short: "Disable the federation of an API type",
		Long: "Disable the federation of an API type: stops its propagation and removes its FederatedTypeConfig. Federated objects, and what they\n" +
			"made in the members, stay as they are.",
		Example: "  # Stop federating Deployments\n  kubefedctl disable deployments.apps --host-cluster-context global",
		Args:    needs("NAME"),
		RunE:    func(c *cobra.Command, args []string) error { return f.run(c, args[0], s) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.deleteCRD, "delete-crd", false, "remove the CustomResourceDefinition of the federated type too, if there are no objects of it")
	c.Flags().StringVar(&f.group, "federated-group", enable.Group, "with --delete-crd: group of the federated type, if its FederatedTypeConfig is gone already")
	c.Flags().StringVar(&f.version, "version", "", "with --delete-crd: version of the type, if its FederatedTypeConfig is gone already")
	completeArgs(c, f.typeConfigs)
	return c
}

func (f *disableFlags) run(c *cobra.Command, name string, s Streams) error {
	if !f.deleteCRD && (c.Flags().Changed("federated-group") || c.Flags().Changed("version")) {
		return fail.BadUsage.New("--federated-group and --version can only be used with --delete-crd")
	}
	ctx := c.Context()
	host, err := f.connect(ctx, s)
	if err != nil {
		return err
	}
	typed := name
	if !strings.Contains(name, ".") {
		if name, err = f.lookUp(ctx, host, name, s); err != nil {
			return err
		}
	}
	t, err := typeConfig(ctx, host, f.namespace, name)
	if err != nil {
		return err
	}
	said := func(line string) { fmt.Fprintln(s.Out, line+f.dryRun.Suffix()) }
	if t == nil {
		said(fmt.Sprintf("FederatedTypeConfig %q does not exist", f.namespace+"/"+name))
		return f.orphanedCRD(c, host, typed, said, s)
	}
	if n, err := enable.Instances(ctx, host.Client, t.Spec.FederatedType); err == nil && n > 0 && !f.deleteCRD {
		s.say(0, "WARNING: there are %d objects of %s. They and their copies in the members stay as they are;\n"+
			"  if one is deleted before the type is enabled again, its copies stay.", n, enable.NameOf(t.Spec.FederatedType))
	}
	err = enable.Disable(ctx, f.dryRun.Writer(host.Client), t, f.deleteCRD, f.dryRun != dryrun.None, said)
	return fail.API(host.At(), "disable "+name, err)
}

// lookUp finds the name of a type's FederatedTypeConfig. A type that the host no longer has is looked for among those enabled, and
// else taken by the name given.
func (f *disableFlags) lookUp(ctx context.Context, host join.Cluster, name string, s Streams) (string, error) {
	all, err := discover(host, s)
	if err != nil {
		return "", err
	}
	r, err := find(all, name, s)
	var why *fail.Error
	if !errors.As(err, &why) || why.Code != fail.NoSuchType {
		return enable.NameOf(r.APIResource), err
	}
	configs, err := typeConfigs(ctx, host, f.namespace)
	if err != nil {
		return "", err
	}
	var found []string
	for _, t := range configs {
		target := t.Spec.TargetType
		if strings.EqualFold(name, target.PluralName) || strings.EqualFold(name, target.Kind) {
			found = append(found, t.Name)
		}
	}
	switch len(found) {
	case 0:
		return name, nil
	case 1:
		return found[0], nil
	default:
		return "", fail.AmbiguousType.New("%q names more than one API type: %s", name, list(found)).Try("use one of these names, with its group")
	}
}

// orphanedCRD removes the definition of a type whose FederatedTypeConfig is gone already, if asked to.
func (f *disableFlags) orphanedCRD(c *cobra.Command, host join.Cluster, name string, said func(string), s Streams) error {
	if !f.deleteCRD {
		return nil
	}
	all, err := discover(host, s)
	if err != nil {
		return err
	}
	r, err := all.Find(name, f.version)
	if err != nil {
		return err
	}
	federated := enable.Federated(enable.Target{APIResource: r.APIResource}, f.group, enable.Version)
	return fail.API(host.At(), "delete the definition of "+name, f.deleteUnused(c, host, federated, said))
}

func (f *disableFlags) deleteUnused(c *cobra.Command, host join.Cluster, federated fedv1.APIResource, said func(string)) error {
	if err := enable.Unused(c.Context(), host.Client, federated); err != nil {
		return err
	}
	return enable.DeleteCRD(c.Context(), f.dryRun.Writer(host.Client), enable.NameOf(federated), said)
}
