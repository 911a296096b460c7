package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/lab/traffic"
)

// web is a Service with two Pods in a cluster, exported.
type web struct {
	namespace string
	spec      string // more of the Service's
	ports     string // list of YAML
	rash      bool   // Pods end at once, instead of answering for as long as it takes until nobody asks them any more
}

func (w web) manifests() string {
	ports := w.ports
	if ports == "" {
		ports = "[{name: http, port: 80, targetPort: 8080}]"
	}
	container := "{name: web, image: web, lifecycle: {preStop: {sleep: {seconds: 5}}}}"
	if w.rash {
		container = "{name: web, image: web}"
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [%[4]s]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec: {type: NodePort, selector: {app: web}, ports: %[2]s%[3]s}
---
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceExport
metadata: {name: web, namespace: %[1]s}
`, w.namespace, ports, w.spec, container)
}

// export applies it in a cluster, as soon as the cluster knows exports.
func (f *federation) export(t *testing.T, cluster string, w web) {
	t.Helper()
	lab.Eventually(t, patience, cluster+" to take an export", func(ctx context.Context) error {
		_, err := f.tryKubectl(ctx, cluster, w.manifests(), "apply", "-f", "-")
		return err
	})
}

// address waits for the service's address in a cluster, and until the last of its Pods answers there.
func (f *federation) address(t *testing.T, cluster, namespace string, port int) string {
	t.Helper()
	ip := ""
	lab.Eventually(t, patience, "the service to have an address in "+cluster, func(ctx context.Context) error {
		var err error
		ip, err = f.tryKubectl(ctx, cluster, "", "-n", namespace, "get", "serviceimport", "web", "-o", "jsonpath={.spec.ips[0]}")
		if err == nil && ip == "" {
			err = errors.New("none yet")
		}
		return err
	})
	return fmt.Sprintf("http://%s:%d/", ip, port)
}

// reaches waits until requests reach exactly so many Pods of each cluster.
func (f *federation) reaches(t *testing.T, c *http.Client, address string, want map[string]int) {
	t.Helper()
	lab.Eventually(t, patience, address+" to reach its Pods", func(ctx context.Context) error {
		answers := traffic.AskTimes(ctx, c, address, 24)
		if lost := answers.Count()[traffic.Lost]; lost > 0 || !maps.Equal(answers.Pods(), want) {
			return fmt.Errorf("it reaches %v, want %v; %d lost: %s", answers.Pods(), want, lost, answers.Problems())
		}
		return nil
	})
}

// runsInBoth exports it in both clusters and waits until clients in the host reach all Pods. It returns such a client, and the address.
func (f *federation) runsInBoth(t *testing.T, w web) (*http.Client, string) {
	t.Helper()
	f.export(t, host, w)
	f.export(t, other, w)
	inHost, address := traffic.Client(f.Proxy(t, host)), f.address(t, host, w.namespace, 80)
	f.reaches(t, inHost, address, map[string]int{host: 2, other: 2})
	return inHost, address
}

// loadOn is the load of four clients that hardly rest.
func loadOn(t *testing.T, c *http.Client, address string) *traffic.Load {
	return traffic.Start(t.Context(), 4, 2*time.Millisecond, c, address)
}

func settled(t *testing.T, l *traffic.Load, cluster string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := l.Settled(ctx, cluster, 50); err != nil {
		t.Fatal(err)
	}
}

func (f *federation) scale(t *testing.T, cluster, namespace string, replicas int) {
	t.Helper()
	f.kubectl(t, cluster, "-n", namespace, "scale", "deployment/web", fmt.Sprintf("--replicas=%d", replicas))
}

// TestOneAddressForTheServicesOfAllClusters: from each cluster all Pods are reached, and from a cluster that has none of its own, those of
// the other.
func TestOneAddressForTheServicesOfAllClusters(t *testing.T) {
	f, ns := federate(t)
	f.export(t, host, web{namespace: ns})
	inOther := traffic.Client(f.Proxy(t, other))
	f.reaches(t, inOther, f.address(t, other, ns, 80), map[string]int{host: 2})
	f.export(t, other, web{namespace: ns})
	for _, cluster := range []string{host, other} {
		f.reaches(t, traffic.Client(f.Proxy(t, cluster)), f.address(t, cluster, ns, 80), map[string]int{host: 2, other: 2})
	}
	f.kubectl(t, host, "-n", ns, "delete", "serviceexport", "web")
	f.reaches(t, inOther, f.address(t, other, ns, 80), map[string]int{other: 2})
}

// TestAPortIsServedWhereItIs: what only one cluster has is asked only of that one; a port on which clusters disagree goes to those
// that mean the same as the oldest export.
func TestAPortIsServedWhereItIs(t *testing.T) {
	f, ns := federate(t)
	f.export(t, host, web{namespace: ns, ports: "[{name: http, port: 80, targetPort: 8080}, {name: disputed, port: 90, targetPort: 9000}]"})
	inHost := traffic.Client(f.Proxy(t, host))
	f.reaches(t, inHost, f.address(t, host, ns, 80), map[string]int{host: 2}) // it is the older one
	f.export(t, other, web{
		namespace: ns,
		ports:     "[{name: http, port: 80, targetPort: 8080}, {name: disputed, port: 91, targetPort: 9001}, {name: admin, port: 95, targetPort: 9500}]",
	})
	for _, cluster := range []string{host, other} {
		in := traffic.Client(f.Proxy(t, cluster))
		f.reaches(t, in, f.address(t, cluster, ns, 80), map[string]int{host: 2, other: 2})
		f.reaches(t, in, f.address(t, cluster, ns, 95), map[string]int{other: 2})
		f.reaches(t, in, f.address(t, cluster, ns, 90), map[string]int{host: 2})
	}
}

// TestTheSameZoneIsPreferred: requests stay in the cluster as long as it has Pods, and go to the other when it has none. Where Pods end
// as they should, none is lost.
func TestTheSameZoneIsPreferred(t *testing.T) {
	f, ns := federate(t)
	w := web{namespace: ns, spec: ", trafficDistribution: PreferSameZone"}
	f.export(t, host, w)
	f.export(t, other, w)
	in := map[string]*http.Client{}
	for _, cluster := range []string{host, other} {
		in[cluster] = traffic.Client(f.Proxy(t, cluster))
		f.reaches(t, in[cluster], f.address(t, cluster, ns, 80), map[string]int{cluster: 2})
	}
	address := f.address(t, host, ns, 80)
	l := loadOn(t, in[host], address)
	settled(t, l, host)
	began := time.Now()
	f.scale(t, host, ns, 0)
	settled(t, l, other)
	t.Logf("the Pods end as they should: %+v", l.Answers().Moved(began, other))
	f.scale(t, host, ns, 2)
	settled(t, l, host)
	if answers := l.Stop(); answers.Count()[traffic.Lost] > 0 {
		t.Errorf("requests were lost: %v: %s", answers.Count(), answers.Problems())
	}

	w.rash = true
	f.export(t, host, w)
	f.kubectl(t, host, "-n", ns, "rollout", "status", "deployment/web")
	f.reaches(t, in[host], address, map[string]int{host: 2})
	l = loadOn(t, in[host], address)
	settled(t, l, host)
	began = time.Now()
	f.scale(t, host, ns, 0)
	settled(t, l, other)
	answers := l.Stop()
	t.Logf("the Pods end at once: %+v of %d requests", answers.Moved(began, other), len(answers))
}

// TestPodsBehindNodePorts: no way leads to the Pods of a cluster but by its nodes.
func TestPodsBehindNodePorts(t *testing.T) {
	f, ns := federate(t)
	inHost, address := f.runsInBoth(t, web{namespace: ns})
	pod := f.kubectl(t, other, "-n", ns, "get", "pods", "-o", "jsonpath={.items[0].status.podIP}")

	const reach = "discovery.kubefed.io/reachability"
	f.kubectl(t, host, "-n", "kube-federation-system", "annotate", "kubefedcluster", other, reach+"=nodePort")
	t.Cleanup(func() {
		f.kubectl(t, host, "-n", "kube-federation-system", "annotate", "kubefedcluster", other, reach+"-")
		f.Add(t, lab.Options{Nodes: 1, Answer: lab.InNetwork}, other) // it lays the way again
	})
	f.Inside(t, "", "ip", "route", "replace", "unreachable", "10.129.0.0/16")
	if a := traffic.Ask(t.Context(), inHost, "http://"+pod+":8080/"); a.Err == nil {
		t.Fatalf("the way to the Pods of %s is not cut", other)
	}
	f.reaches(t, inHost, address, map[string]int{host: 2, other: 2})
}

// TestAMembersControlPlaneIsAway: its Pods are not, so nothing changes for those who ask them.
func TestAMembersControlPlaneIsAway(t *testing.T) {
	f, ns := federate(t)
	inHost, address := f.runsInBoth(t, web{namespace: ns})
	l := loadOn(t, inHost, address)
	f.Kill(t, other, lab.APIServer)
	t.Cleanup(func() { f.mends(t, other) })
	lab.Eventually(t, patience, other+" not to be ready", func(ctx context.Context) error { return f.isReady(ctx, other, false) })
	known := time.Now()
	for len(l.Answers().Since(known)) < 200 && time.Since(known) < grace/2 {
		<-time.After(20 * time.Millisecond)
	}
	answers := l.Stop()
	late := answers.Since(known)
	if late = late[len(late)/2:]; answers.Count()[traffic.Lost] > 0 || late.Count()[other] == 0 {
		t.Errorf("the answers are %v, the last of them %v: %s", answers.Count(), late.Count(), answers.Problems())
	}
}

// isReady says whether a KubeFedCluster is known to be ready, or not to be.
func (f *federation) isReady(ctx context.Context, cluster string, want bool) error {
	got, err := f.tryKubectl(ctx, host, "", "-n", "kube-federation-system", "get", "kubefedcluster", cluster,
		"-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	if err == nil && (got == "True") != want {
		err = fmt.Errorf("its condition is %q", got)
	}
	return err
}

// mends starts what a test has killed. Controllers of a cluster whose API server was away take their time, so all of it is started anew.
func (f *federation) mends(t *testing.T, cluster string) {
	t.Helper()
	f.Kill(t, cluster)
	f.Start(t, cluster)
}

// TestAMemberIsLost: its Pods are gone, its API server does not say so, and it takes the control plane to tell the others.
func TestAMemberIsLost(t *testing.T) {
	f, ns := federate(t)
	inHost, address := f.runsInBoth(t, web{namespace: ns, rash: true})
	l := loadOn(t, inHost, address)
	began := time.Now()
	f.Kill(t, other)
	t.Cleanup(func() { f.mends(t, other) })
	settled(t, l, host)
	t.Logf("the cluster was lost: %+v of %d requests", l.Answers().Moved(began, host), len(l.Stop()))
	f.Start(t, other)
	f.reaches(t, inHost, address, map[string]int{host: 2, other: 2})
}
