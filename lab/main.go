// Command hansa-lab runs real Kubernetes control planes on this machine's loopback, for development and tests.
//
// It is one file that is everything: called by a person it is the command line of command.go; called by itself it is the
// supervisor of a lab, or one component (etcd, kube-apiserver, …) of one cluster.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata" // CronJobs name time zones, and the machine may have no database of them

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics at /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info at /metrics
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// The components of a cluster, in the order in which they start. Each is a name this binary answers to.
const (
	etcd                  = "etcd"
	kubeAPIServer         = "kube-apiserver"
	kubeControllerManager = "kube-controller-manager"
	kubeScheduler         = "kube-scheduler"
	kwok                  = "kwok"

	// Of a real node, see machine.go. Only the first is this binary.
	machine    = "node"
	containerd = "containerd"
	kubelet    = "kubelet"
	kubeProxy  = "kube-proxy"

	// Of a cluster whose Pods on fake nodes answer; one of them in a network has kube-proxy as well, and a DNS server if that is
	// asked for, which is another binary.
	answer = "answer"
	dns    = "dns"
)

// enter is no component, but how one gets into a real node.
const enter = "enter"

// asPod is no component either, but how a command of a fake Pod begins.
const asPod = "as-pod"

// kubectl is no component, but a name that this binary answers to as well.
const kubectl = "kubectl"

func main() {
	if filepath.Base(os.Args[0]) == kubectl { // by a link of that name
		os.Exit(runKubectl())
	}
	if len(os.Args) > 1 {
		if run, ok := components()[os.Args[1]]; ok {
			os.Args = os.Args[1:] // the component reads its flags from there
			os.Exit(run())
		}
	}
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func components() map[string]func() int {
	kubernetes := func(command func() *cobra.Command) func() int {
		return func() int { return cli.Run(command()) }
	}
	return map[string]func() int{
		etcd:                  func() int { etcdmain.Main(os.Args); return 0 },
		kubeAPIServer:         kubernetes(apiserver.NewAPIServerCommand),
		kubeControllerManager: kubernetes(controllermanager.NewControllerManagerCommand),
		// It takes options, and calls each of them: even a nil one would be called.
		kubeScheduler: kubernetes(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		kwok:          kubernetes(newKwokCommand),
		machine:       kubernetes(newMachineCommand),
		enter:         runEnter,
		asPod:         runAsPod,
		answer:        kubernetes(newAnswerCommand),
		kubeProxy:     kubernetes(proxy.NewProxyCommand),
	}
}

// runKubectl is kubectl itself, so that a machine that has nothing but Go can play what a user types.
func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	return 0
}
