//go:build realnode

// Command hansa-node is what Kubernetes itself runs on a node, in one binary: its first argument is kubelet or kube-proxy. Only real
// nodes need it, so that the build tag keeps it out of `go test ./...`.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics at /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info at /metrics
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	programs := map[string]func() *cobra.Command{
		"kubelet":    func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
		"kube-proxy": proxy.NewProxyCommand,
	}
	if len(os.Args) > 1 {
		if program, ok := programs[os.Args[1]]; ok {
			os.Args = os.Args[1:] // it reads its flags from there
			os.Exit(cli.Run(program()))
		}
	}
	fmt.Fprintln(os.Stderr, "usage: hansa-node kubelet|kube-proxy FLAG...")
	os.Exit(2)
}
