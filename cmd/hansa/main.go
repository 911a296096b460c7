// Command hansa is the control plane: it reads which clusters and types are federated from the host's API, and keeps what federated
// objects declare true in the members.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hansa-io/hansa/internal/version"
)

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use: "hansa", Short: "Hansa, a federation control plane for Kubernetes",
		SilenceUsage: true, SilenceErrors: true,
	}
	logs := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(logs)
	root.PersistentFlags().AddGoFlagSet(logs)
	root.AddCommand(managerCommand(), haproxyCommand(&balancer{}), crdsCommand(), &cobra.Command{
		Use: "version", Short: "Print the version",
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "hansa version:", version.Current()) },
	})
	return root
}
