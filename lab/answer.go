package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// answering is how the Pods on fake nodes answer: the component `answer` stands in for their containers.
type answering string

const (
	// inNetwork: by their own addresses, in a network of the cluster's own, with kube-proxy; see wires.go.
	inNetwork answering = "network"
	// onLoopback: behind the node ports of Services only. The nodes' addresses are this machine's loopback, as without root
	// there are no others.
	onLoopback answering = "loopback"
)

// forwardSetting is that of the network of the thread that opens it.
const forwardSetting = "/proc/sys/net/ipv4/ip_forward"

// unreachableSetting is how many milliseconds lie between two messages to the same address that something is unreachable. Under load most
// clients would get none, and wait.
const unreachableSetting = "/proc/sys/net/ipv4/icmp_ratelimit"

// newAnswerCommand is the component `answer`. In a network of its own it is what holds that network.
func newAnswerCommand() *cobra.Command {
	var kubeconfig string
	var a answerer
	var trial bool
	cmd := &cobra.Command{
		Use:  answer,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if trial {
				return tryNetwork()
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			return a.run(ctx, kubeconfig)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the cluster for whose Pods to answer")
	cmd.Flags().StringVar(&a.cluster, "cluster", "", "its name")
	cmd.Flags().StringVar(&a.pki, "pki", "", "the folder with its certificates")
	cmd.Flags().StringVar(&a.dns, "dns", "", "the address of its DNS server, for commands in Pods")
	cmd.Flags().BoolVar(&a.nodePorts, "node-ports", false, "answer at the node ports of Services, on the nodes' addresses, instead of at the Pods' own")
	cmd.Flags().BoolVar(&trial, "trial", false, "only see whether a network works")
	return cmd
}

func (a *answerer) run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	if !a.nodePorts {
		if err := os.WriteFile(forwardSetting, []byte("1"), 0o600); err != nil {
			return fmt.Errorf("let kube-proxy forward: %w", err)
		}
		if err := os.WriteFile(unreachableSetting, []byte("0"), 0o600); err != nil {
			return fmt.Errorf("let all know which addresses are no Pod's: %w", err)
		}
	}
	// The supervisor wires the network when this process is there: nobody could dial before.
	if err := awaitDial(ctx, strings.TrimPrefix(config.Host, "https://")); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	a.open, a.changed = map[place]*echo{}, make(chan struct{}, 1)
	if err := a.watch(ctx, client); err != nil {
		return err
	}
	if !a.nodePorts {
		go func() {
			e := podExec{pod: a.pod, dns: a.dns, dir: filepath.Dir(kubeconfig)}
			fmt.Fprintln(os.Stderr, "error: commands in Pods:", e.serve(ctx, a.pki))
		}()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
			if err := a.adjust(); err != nil {
				fmt.Fprintln(os.Stderr, "error:", err)
				time.AfterFunc(time.Second, a.change)
			}
		}
	}
}

func awaitDial(ctx context.Context, address string) error {
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the network: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answerer answers for the Pods of one cluster.
type answerer struct {
	cluster, pki, dns string
	nodePorts         bool // instead of the Pods' own addresses

	pod     func(namespace, name string) (*corev1.Pod, error)
	wanted  func() (map[place][]voice, error)
	open    map[place]*echo
	changed chan struct{}
}

func (a *answerer) change() {
	select {
	case a.changed <- struct{}{}:
	default: // somebody has said so already
	}
}

func (a *answerer) watch(ctx context.Context, client kubernetes.Interface) error {
	all := informers.NewSharedInformerFactory(client, 0)
	// Only the slices of the cluster itself: those that others have made name Pods of other clusters.
	own := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = discoveryv1.LabelManagedBy + "=endpointslice-controller.k8s.io"
	}))
	pods, services, nodes := all.Core().V1().Pods(), all.Core().V1().Services(), all.Core().V1().Nodes()
	slices := own.Discovery().V1().EndpointSlices()
	watched := []cache.SharedIndexInformer{pods.Informer(), services.Informer(), nodes.Informer(), slices.Informer()}
	for _, informer := range watched {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { a.change() }, UpdateFunc: func(any, any) { a.change() }, DeleteFunc: func(any) { a.change() },
		})
		if err != nil {
			return err
		}
	}
	all.Start(ctx.Done())
	own.Start(ctx.Done())
	for _, informer := range watched {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return errors.New("the Pods and Services could not be read")
		}
	}
	a.pod = func(namespace, name string) (*corev1.Pod, error) { return pods.Lister().Pods(namespace).Get(name) }
	a.wanted = func() (map[place][]voice, error) {
		p, err := pods.Lister().List(labels.Everything())
		s, err2 := services.Lister().List(labels.Everything())
		e, err3 := slices.Lister().List(labels.Everything())
		n, err4 := nodes.Lister().List(labels.Everything())
		err = errors.Join(err, err2, err3, err4)
		if a.nodePorts {
			return nodePortPlaces(a.cluster, addressesOfNodes(n), s, p, e), err
		}
		return podPlaces(a.cluster, p, e), err
	}
	a.change()
	return nil
}

// adjust opens and closes what it takes to answer where it is wanted. One place that cannot be had keeps none of the others.
func (a *answerer) adjust() error {
	wanted, err := a.wanted()
	if err != nil {
		return err
	}
	before, after := addressesOf(a.open), addressesOf(wanted)
	var errs []error
	for p, e := range a.open {
		if wanted[p] == nil {
			errs = append(errs, e.stop())
			delete(a.open, p)
		}
	}
	if !a.nodePorts {
		errs = append(errs, changeAddresses(before, after))
	}
	for p, voices := range wanted {
		if a.open[p] == nil {
			e, err := openEcho(p, voices)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			a.open[p] = e
		}
		a.open[p].speak(voices)
	}
	return errors.Join(errs...)
}

func addressesOf[V any](places map[place]V) map[netip.Addr]bool {
	addresses := map[netip.Addr]bool{}
	for p := range places {
		addresses[p.address.Addr()] = true
	}
	return addresses
}

// changeAddresses gives this network the Pods' addresses, one by one: an address without a Pod should be no address.
func changeAddresses(before, after map[netip.Addr]bool) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback device: %w", err)
	}
	var errs []error
	for ip := range before {
		if !after[ip] {
			if err := netlink.AddrDel(lo, hostAddress(ip.String())); err != nil {
				errs = append(errs, fmt.Errorf("remove address %s: %w", ip, err))
			}
		}
	}
	for ip := range after {
		if err := netlink.AddrReplace(lo, hostAddress(ip.String())); err != nil {
			errs = append(errs, fmt.Errorf("add address %s: %w", ip, err))
		}
	}
	return errors.Join(errs...)
}

// chooseAnswering is how Pods can answer on this machine. If it is not by their own addresses, the reason says why.
func chooseAnswering() (how answering, reason error) {
	if os.Geteuid() != 0 {
		return onLoopback, errors.New("it needs root, for network namespaces")
	}
	cmd := selfCommand(answer, "--trial")
	cmd.Env = append(cmd.Env, pathWithNFT())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if out, err := cmd.CombinedOutput(); err != nil {
		return onLoopback, fmt.Errorf("no network can be made: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return inNetwork, nil
}

// tryNetwork does, in a network of its own, what answering and kube-proxy cannot do without.
func tryNetwork() error {
	wire := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "trial0"}, PeerName: "trial1"}
	if err := netlink.LinkAdd(wire); err != nil {
		return fmt.Errorf("make a pair of veth devices: %w", err)
	}
	if err := os.WriteFile(forwardSetting, []byte("1"), 0o600); err != nil {
		return fmt.Errorf("let it forward: %w", err)
	}
	out, err := exec.Command("nft", "add", "table", "ip", "trial").CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft (package nftables) cannot make a table: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (f clusterFolder) answerArgs(c cluster) []string {
	args := []string{
		"--kubeconfig=" + f.path(answer+".kubeconfig"), "--cluster=" + c.Name, "--pki=" + f.path("pki"), "--dns=" + c.dnsIP(),
	}
	if c.Answer == onLoopback {
		args = append(args, "--node-ports")
	}
	return args
}

// answerFiles are what the components read that make Pods answer.
func (f clusterFolder) answerFiles(c cluster, ca []byte) (map[string][]byte, error) {
	server := c.apiURL()
	if c.Answer == inNetwork {
		server = c.doorURL()
	}
	files := map[string][]byte{
		"egress.yaml":     fmt.Appendf(nil, egressConfig, f.gateSocket()),
		"kube-proxy.yaml": fmt.Appendf(nil, kubeProxyConfig, f.path(kubeProxy+".kubeconfig"), c.podNetwork(), c.nodeNetwork()),
		"Corefile":        fmt.Appendf(nil, corefile, c.nodeIP(0), f.path(dns+".kubeconfig")),
	}
	for component, user := range map[string]string{answer: admin, dns: admin, kubeProxy: kubeProxyUser} {
		var err error
		if files[component+".kubeconfig"], err = componentKubeconfig(c, server, user, ca); err != nil {
			return nil, fmt.Errorf("kubeconfig of %s: %w", component, err)
		}
	}
	return files, nil
}
