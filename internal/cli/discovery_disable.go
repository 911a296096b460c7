package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/coredns"
	"github.com/hansa-io/hansa/internal/discovery/hansadns"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/join"
)

func discoveryDisable(s Streams) *cobra.Command {
	var f discoveryFlags
	c := &cobra.Command{
		Use:   "disable",
		Short: "Take back what discovery enable did",
		Long: "Take back what discovery enable did: the configuration of the members' DNS servers, the federated type and the feature gates. What\n" +
			"others have changed meanwhile stays, and so do the kinds of the Multi-Cluster Services API, which others may use.\n\n" +
			"With --clusters, only the DNS servers of these members are changed back, and services go on to span clusters.",
		Example: "  # Services do not span clusters any more\n  kubefedctl discovery disable --host-cluster-context global\n\n" +
			"  # One member's CoreDNS is as it was\n  kubefedctl discovery disable --clusters business",
		Args: needs(),
		RunE: func(c *cobra.Command, _ []string) error { return f.disable(c.Context(), s) },
	}
	f.add(c)
	f.addDNS(c)
	return c
}

func (f *discoveryFlags) disable(ctx context.Context, s Streams) error {
	in, err := f.find(ctx, s)
	if err != nil {
		return err
	}
	// Names go before what they stand for.
	undone := inMembers(ctx, in.host, in.members, f.dryRun, func(ctx context.Context, m join.Cluster) ([]string, error) { return f.undo(ctx, m, in.coredns) }, s)
	if len(f.clusters) > 0 {
		return undone
	}
	if err := f.switchGates(ctx, in.host, fedv1.Disabled, s); err != nil {
		return err
	}
	if err := f.unfederate(ctx, in.host, s); err != nil {
		return err
	}
	s.say(0, "The kinds of the Multi-Cluster Services API stay, in the host and in the members, with the ServiceExports that users have made.")
	return undone
}

// undo takes back what enable did in a member. A member without CoreDNS has none that was configured.
func (f *discoveryFlags) undo(ctx context.Context, m join.Cluster, name types.NamespacedName) ([]string, error) {
	lines, err := f.uninstall(ctx, m)
	if err != nil {
		return lines, err
	}
	found, err := coredns.Find(ctx, m.Client, name)
	var why *fail.Error
	switch {
	case errors.As(err, &why) && why.Code == fail.NoCoreDNS:
		return lines, nil
	case err != nil:
		return lines, fail.API(m.At(), "look for CoreDNS", err)
	case !found.Ours():
		return append(lines, notOurs(found)...), nil
	}
	change, err := found.Undo()
	if err != nil {
		return lines, err
	}
	if err := change.Write(ctx, f.dryRun.Writer(m.Client)); err != nil {
		return lines, fail.API(m.At(), "configure CoreDNS", err)
	}
	return append(lines, f.told(change, "does not answer for "+coredns.Zone)...), nil
}

// notOurs tells of a zone that somebody else has added.
func notOurs(found coredns.Server) []string {
	if !found.Answers() {
		return nil
	}
	return []string{fmt.Sprintf("CoreDNS answers for %s still: ConfigMap %s was not changed by this command", coredns.Zone, found.ConfigName())}
}

// uninstall removes hansa-dns, if it is there. The namespace stays.
func (f *discoveryFlags) uninstall(ctx context.Context, m join.Cluster) ([]string, error) {
	objects, err := hansadns.Objects(f.namespace, "")
	if err != nil {
		return nil, err
	}
	var lines []string
	i := install.Installer{Client: m.Client, At: m.At(), DryRun: f.dryRun, Told: func(o *unstructured.Unstructured, r install.Result) {
		lines = append(lines, fmt.Sprintf("%s %s", install.Name(o), r))
	}}
	if err := i.Remove(ctx, objects[1:]); err != nil {
		return lines, err
	}
	if len(lines) > 0 {
		lines = append(lines, "take the block for "+coredns.Zone+" out of the cluster's own Corefile, if it was put there: nobody answers it any more")
	}
	return lines, nil
}

// unfederate ends the propagation of ServiceExports.
func (f *discoveryFlags) unfederate(ctx context.Context, host join.Cluster, s Streams) error {
	name := exportType().Name()
	t, err := typeConfig(ctx, host, f.namespace, name)
	if err != nil || t == nil {
		return err
	}
	if n, err := enable.Instances(ctx, host.Client, t.Spec.FederatedType); err == nil && n > 0 {
		s.say(0, "WARNING: there are %d objects of %s. They and their copies in the members stay as they are;\n"+
			"  if one is deleted before discovery is enabled again, its copies stay.", n, enable.NameOf(t.Spec.FederatedType))
	}
	err = enable.Disable(ctx, f.dryRun.Writer(host.Client), t, false, f.dryRun != dryrun.None, func(line string) { fmt.Fprintln(s.Out, line+f.dryRun.Suffix()) })
	return fail.API(host.At(), "disable "+name, err)
}
