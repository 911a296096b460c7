package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type unjoinFlags struct {
	memberFlags
	force bool
}

func unjoinVerb(s Streams) *cobra.Command {
	var f unjoinFlags
	c := &cobra.Command{
		Use:   "unjoin CLUSTER_NAME",
		Short: "End the membership of a cluster",
		Long: "End the membership of a cluster: what the join made is removed from the cluster and from the host. The objects that the\n" +
			"federation has put into the cluster stay there.",
		Example: "  # End the membership of business\n  kubefedctl unjoin business --cluster-context business --host-cluster-context global --v=2\n\n" +
			"  # The cluster is gone for ever\n  kubefedctl unjoin business --host-cluster-context global --force",
		Args: needs("CLUSTER_NAME"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0], s) },
	}
	f.add(c)
	c.Flags().BoolVar(&f.force, "force", false, "go on without the cluster if it cannot be reached; what the join made stays there")
	completeArgs(c, f.members)
	return c
}

func (f *unjoinFlags) run(c *cobra.Command, name string, s Streams) error {
	if f.clusterContext == "" {
		f.clusterContext = name
	}
	s.say(2, "Args and flags: name %s, host: %s, host-system-namespace: %s, kubeconfig: %s, cluster-context: %s, dry-run: %s",
		name, f.context, f.namespace, f.kubeconfig, f.clusterContext, f.dryRun.String())
	ctx := c.Context()
	host, err := f.connect(ctx, s)
	if err != nil {
		return err
	}
	o, err := f.options(name, host)
	if err != nil {
		return err
	}
	o.Force = f.force
	var member *join.Cluster
	reached, err := connect(ctx, f.kubeconfig, f.clusterContext, quiet)
	switch {
	case err == nil:
		member = &reached
	case !f.force:
		return orForce(err)
	default:
		s.say(0, "WARNING: %v", err)
	}
	if err := join.Leave(ctx, host, member, o, s.say); err != nil {
		return err
	}
	if f.dryRun == dryrun.None {
		s.say(0, "cluster %q has left the federation of %q", name, host.Context)
	}
	return nil
}

// orForce adds the other way out to a failure to reach the member.
func orForce(err error) error {
	var e *fail.Error
	if !errors.As(err, &e) {
		return err
	}
	return e.Try("%s\nor, if the cluster is gone for ever: --force", e.Hint)
}
