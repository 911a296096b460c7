package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hansa-io/hansa/internal/lab/traffic"
)

// machine is what the demo finds here. Without root, Pods answer on loopback only; without a load balancer nobody balances.
type machine struct {
	networks bool // Pods answer in networks of their clusters' own
	dns      bool // bin/hansa-dns is built
	haproxy  bool
}

// lookAround finds out, and installs HAProxy if that is possible.
func (s *stage) lookAround() {
	s.here.networks = s.command(context.Background(), "hansa-lab check-answer").Run() == nil
	_, err := os.Stat(filepath.Join(s.root, "bin", "hansa-dns"))
	s.here.dns = err == nil
	if s.here.haproxy = s.finds("haproxy"); !s.here.haproxy && os.Geteuid() == 0 {
		fmt.Println("installing HAProxy: test/packages.sh")
		_ = s.command(context.Background(), "test/packages.sh").Run() // what is missing then is told where it is missed
		s.here.haproxy = s.finds("haproxy")
	}
}

func (s *stage) finds(program string) bool {
	return s.command(context.Background(), "command -v "+program).Run() == nil
}

// service of the walkthrough.
const (
	serviceName      = "test-service"
	serviceNamespace = "fed-ns-1"
)

// oneService is the act after the walkthrough: one name and one address for what runs in both clusters.
func (s *stage) oneService() []scene {
	name := scene{
		title: "One name for the service of both clusters",
		lines: []string{
			"kubefedctl discovery enable --host-cluster-context global",
			"kubefedctl expose service test-service -n fed-ns-1 --host-cluster-context global",
		},
		effects: []effect{
			imported("business knows what both clusters have", "business"),
			imported("and so does global", "global"),
		},
		act: s.resolve,
	}
	if !s.here.haproxy && !s.here.networks {
		return []scene{name, {title: "One address, at a load balancer", act: s.nobodyBalances}}
	}
	return []scene{
		name,
		{
			title: "One address, at a load balancer",
			lines: s.balancerLines(),
			act:   s.askTheAddress,
		},
		{
			title: "A cluster without Pods",
			act:   s.stopOneCluster,
		},
	}
}

func imported(what, cluster string) effect {
	return effect{
		what, "kubectl --context " + cluster + " -n fed-ns-1 get serviceimport test-service -o jsonpath={.status.clusters[*].cluster}", "business global",
	}
}

// resolve asks the DNS server of business for the name.
func (s *stage) resolve(ctx context.Context) error {
	name := serviceName + "." + serviceNamespace + ".svc.clusterset.local"
	if !s.here.dns {
		fmt.Printf("\n  %s is not asked for: bin/hansa-dns, which make dns-build makes, is not there\n", name)
		return nil
	}
	if err := s.typed(ctx, "hansa-dns --kubeconfig $KUBECONFIG --context business --listen 127.0.0.1:$DNS_PORT &"); err != nil {
		return err
	}
	want, err := s.until(ctx, effect{command: "kubectl --context business -n fed-ns-1 get serviceimport test-service -o jsonpath={.spec.ips[0]}"})
	if err != nil {
		return err
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+s.ports["DNS_PORT"])
	}}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		got, err := resolver.LookupHost(ctx, name+".")
		if err == nil && slices.Equal(got, []string{want}) {
			fmt.Printf("\n  ✔ %-58s %s\n", "DNS says in business: "+name, want)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("DNS says %v of %s, want %s: %w\n%s", got, name, want, err, s.tail())
		}
		<-time.After(100 * time.Millisecond)
	}
}

// nobodyBalances says why there is no more to see here.
func (s *stage) nobodyBalances(context.Context) error {
	fmt.Println("\n  left out: HAProxy is not installed here, and without root neither can it be nor do the clusters have networks.\n" +
		"  Install the package haproxy, or run make demo as root, to see it")
	return nil
}

// balancerLines make the address, and what answers there.
func (s *stage) balancerLines() []string {
	if !s.here.haproxy {
		return nil
	}
	driver := "hansa haproxy --run --xds 127.0.0.1:$XDS_PORT --insecure --config $HANSA_LAB_DIR/haproxy.cfg --metrics-addr 0 &"
	const expose = "kubefedctl expose service test-service -n fed-ns-1 --balance --host-cluster-context global"
	if s.here.networks {
		return []string{
			"kubectl apply -f $HANSA_LAB_DIR/address.yaml", expose,
			"hansa-lab exec --door $XDS_PORT -- " + driver,
			"hansa-lab forward $WEB_PORT=10.66.0.1:80 &",
		}
	}
	// Nodes on loopback are nothing that other clusters could reach, so nobody waits until they do; the load balancer is on this machine.
	return []string{
		"kubectl -n kube-federation-system annotate kubefedclusters --all discovery.kubefed.io/reachability=nodePort",
		"kubectl apply -f $HANSA_LAB_DIR/address.yaml", expose + " --wait=false", driver,
	}
}

// addressPool is where the load balancer answers: between the clusters' networks, or on a part of loopback that nobody else has.
func (s *stage) addressPool() string {
	address, more := "10.66.0.1", ""
	if !s.here.networks {
		address = fmt.Sprintf("127.66.%d.%d", os.Getpid()>>8&0xff, os.Getpid()&0xff|1)
		more = fmt.Sprintf("  bind: %s\n  reservedPorts: [80] # is root's\n  portRange: {first: %[2]s, last: %[2]s}\n", address, s.ports["WEB_PORT"])
	}
	return fmt.Sprintf(`apiVersion: discovery.kubefed.io/v1alpha1
kind: AddressPool
metadata:
  name: demo
  namespace: kube-federation-system
spec:
  addresses: [{ip: %s}]
%s`, address, more)
}

// askTheAddress sends requests to the one address.
func (s *stage) askTheAddress(ctx context.Context) error {
	if err := s.findAddress(ctx); err != nil {
		return err
	}
	fmt.Println()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		answers := traffic.AskTimes(ctx, traffic.Client(nil), s.address, 40)
		counts := answers.Count()
		if counts[traffic.Lost] == 0 && counts["business"] > 0 && counts["global"] > 0 {
			fmt.Printf("  ✔ %-58s %s\n", "of 40 requests to that address both clusters answered", told(counts))
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("of 40 requests to %s: %s: %s\n%s", s.address, told(counts), answers.Problems(), s.tail())
		}
	}
}

// findAddress says where to send requests. Without HAProxy that is the service's address in business, which kube-proxy serves.
func (s *stage) findAddress(ctx context.Context) error {
	if s.here.haproxy {
		if !s.here.networks {
			fmt.Println("\n  without root the nodes are on loopback: a load balancer on this machine reaches them, other clusters do not, and the exports say so")
		}
		told, err := s.until(ctx, effect{command: "kubectl -n fed-ns-1 get federatedservice test-service -o jsonpath={.status.loadBalancer.ingress[0].ip}:{.status.loadBalancer.ingress[0].ports[0].port}"})
		if err != nil {
			return err
		}
		fmt.Printf("\n  ✔ %-58s %s\n", "the address of test-service, of both clusters", told)
		if s.address = "http://" + told + "/"; s.here.networks {
			s.address = "http://127.0.0.1:" + s.ports["WEB_PORT"] + "/" // which leads there
		}
		return nil
	}
	fmt.Println("\n  HAProxy is not installed here: instead of it, kube-proxy of business serves the service's address there")
	ip, err := s.until(ctx, effect{command: "kubectl --context business -n fed-ns-1 get serviceimport test-service -o jsonpath={.spec.ips[0]}"})
	if err != nil {
		return err
	}
	s.address = "http://127.0.0.1:" + s.ports["WEB_PORT"] + "/"
	return s.typed(ctx, "hansa-lab forward business $WEB_PORT="+ip+":80 &")
}

// stopOneCluster takes all Pods of business away while requests come.
func (s *stage) stopOneCluster(ctx context.Context) error {
	load := traffic.Start(ctx, 4, 5*time.Millisecond, traffic.Client(nil), s.address)
	defer load.Stop()
	fmt.Println("\n  four clients send requests to that address, without a pause")
	began := time.Now()
	err := s.typed(ctx, `kubectl -n fed-ns-1 patch federateddeployment test-deployment --type json -p '[{"op":"replace","path":"/spec/overrides/0/clusterOverrides/0/value","value":0}]'`)
	if err != nil {
		return err
	}
	settle, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := load.Settled(settle, "global", 100); err != nil {
		return fmt.Errorf("%w\n%s", err, s.tail())
	}
	answers := load.Stop()
	counts := answers.Count()
	fmt.Printf("\n  ✔ %-58s %s\n", fmt.Sprintf("of %d requests, before, during and after that", len(answers)), told(counts))
	fmt.Printf("  ✔ %-58s %v\n", "the last answer from business came after", lastFrom(answers, "business", began))
	if counts[traffic.Lost] > 0 {
		fmt.Printf("    lost, as its Pods end at once: %s\n", answers.Problems())
	}
	if lost := counts[traffic.Lost]; lost*20 > len(answers) {
		return fmt.Errorf("%d of %d requests were lost: %s\n%s", lost, len(answers), answers.Problems(), s.tail())
	}
	return s.askInside(ctx)
}

// askInside asks from within business, which has no Pods any more, by the service's address there.
func (s *stage) askInside(ctx context.Context) error {
	if !s.here.networks || !s.finds("curl") {
		return nil
	}
	var out bytes.Buffer
	cmd := s.command(ctx, s.placed(`hansa-lab exec business -- curl -sS http://$(kubectl --context business -n fed-ns-1 get serviceimport test-service -o 'jsonpath={.spec.ips[0]}')`))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "cluster global") {
		return fmt.Errorf("ask from within business: %w: %s\n%s", err, out.String(), s.tail())
	}
	fmt.Printf("  ✔ %-58s %s\n", "from within business, its own address of the service leads to", "global")
	return nil
}

func lastFrom(answers traffic.Answers, cluster string, began time.Time) time.Duration {
	last := time.Duration(0)
	for _, a := range answers {
		if a.Err == nil && a.Cluster == cluster {
			last = max(last, a.Ended.Sub(began))
		}
	}
	return last.Round(time.Millisecond)
}

// told is what came of requests: "business 24, global 16, lost 0".
func told(counts map[string]int) string {
	var words []string
	for _, cluster := range slices.Sorted(maps.Keys(counts)) {
		if cluster != traffic.Lost {
			words = append(words, fmt.Sprintf("%s %d", cluster, counts[cluster]))
		}
	}
	return strings.Join(append(words, fmt.Sprintf("%s %d", traffic.Lost, counts[traffic.Lost])), ", ")
}
