package cli

import (
	"context"

	"github.com/spf13/cobra"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/join"
)

// hostFlags lead to the host cluster; nearly every verb has them.
type hostFlags struct {
	kubeconfig, context, namespace string
	dryRun                         dryrun.Mode
}

func (h *hostFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&h.kubeconfig, "kubeconfig", "", "path of the kubeconfig; else that of KUBECONFIG, else ~/.kube/config")
	f.StringVar(&h.context, "host-cluster-context", "", "context of the host cluster; else the current context")
	f.StringVar(&h.namespace, "kubefed-namespace", fedv1.DefaultNamespace, "namespace of the control plane, in the host and in the members")
	f.Var(&h.dryRun, "dry-run", `"client" sends nothing that could write, "server" lets the servers check and keep nothing, "none" does it`)
	f.Lookup("dry-run").NoOptDefVal = string(dryrun.Client)
	complete(c, "host-cluster-context", h.contexts)
	complete(c, "dry-run", words("none", "client", "server"))
}

// connect reaches the host.
func (h *hostFlags) connect(ctx context.Context, s Streams) (join.Cluster, error) {
	return connect(ctx, h.kubeconfig, h.context, s)
}
