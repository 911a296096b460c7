package discovery

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/lab"
)

// web is a Service with two Pods in a cluster, exported.
type web struct {
	namespace string
	spec      string // more of the Service's
	ports     string // list of YAML
}

func (w web) manifests() string {
	ports := w.ports
	if ports == "" {
		ports = "[{name: http, port: 80, targetPort: 8080}]"
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %[1]s}
spec: {type: NodePort, selector: {app: web}, ports: %[2]s%[3]s}
---
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceExport
metadata: {name: web, namespace: %[1]s}
`, w.namespace, ports, w.spec)
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
			err = fmt.Errorf("none yet")
		}
		return err
	})
	return fmt.Sprintf("http://%s:%d/", ip, port)
}

// reaches waits until requests reach exactly so many Pods of each cluster.
func (f *federation) reaches(t *testing.T, c *http.Client, address string, want map[string]int) {
	t.Helper()
	lab.Eventually(t, patience, address+" to reach its Pods", func(context.Context) error {
		got := map[string]int{}
		answers := requests(t, c, address, 24)
		for _, pod := range pods(answers) {
			cluster, _, _ := strings.Cut(pod, "/")
			got[cluster]++
		}
		if lost := count(answers)["lost"]; lost > 0 || !maps.Equal(got, want) {
			return fmt.Errorf("it reaches %v, want %v; %v", pods(answers), want, problems(answers))
		}
		return nil
	})
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
	inOther := clientIn(f.Proxy(t, other))
	f.reaches(t, inOther, f.address(t, other, ns, 80), map[string]int{host: 2})
	f.export(t, other, web{namespace: ns})
	for _, cluster := range []string{host, other} {
		f.reaches(t, clientIn(f.Proxy(t, cluster)), f.address(t, cluster, ns, 80), map[string]int{host: 2, other: 2})
	}
	f.kubectl(t, host, "-n", ns, "delete", "serviceexport", "web")
	f.reaches(t, inOther, f.address(t, other, ns, 80), map[string]int{other: 2})
}

// TestAPortIsServedWhereItIs: what only one cluster has is asked only of that one; a port on which clusters disagree goes to those
// that mean the same as the oldest export.
func TestAPortIsServedWhereItIs(t *testing.T) {
	f, ns := federate(t)
	f.export(t, host, web{namespace: ns, ports: "[{name: http, port: 80, targetPort: 8080}, {name: disputed, port: 90, targetPort: 9000}]"})
	inHost := clientIn(f.Proxy(t, host))
	f.reaches(t, inHost, f.address(t, host, ns, 80), map[string]int{host: 2}) // it is the older one
	f.export(t, other, web{
		namespace: ns,
		ports:     "[{name: http, port: 80, targetPort: 8080}, {name: disputed, port: 91, targetPort: 9001}, {name: admin, port: 95, targetPort: 9500}]",
	})
	for _, cluster := range []string{host, other} {
		in := clientIn(f.Proxy(t, cluster))
		f.reaches(t, in, f.address(t, cluster, ns, 80), map[string]int{host: 2, other: 2})
		f.reaches(t, in, f.address(t, cluster, ns, 95), map[string]int{other: 2})
		f.reaches(t, in, f.address(t, cluster, ns, 90), map[string]int{host: 2})
	}
}

// TestTheSameZoneIsPreferred: requests stay in the cluster as long as it has Pods, and go to the other when it has none.
func TestTheSameZoneIsPreferred(t *testing.T) {
	f, ns := federate(t)
	w := web{namespace: ns, spec: ", trafficDistribution: PreferSameZone"}
	f.export(t, host, w)
	f.export(t, other, w)
	in := map[string]*http.Client{}
	for _, cluster := range []string{host, other} {
		in[cluster] = clientIn(f.Proxy(t, cluster))
		f.reaches(t, in[cluster], f.address(t, cluster, ns, 80), map[string]int{cluster: 2})
	}
	l := loadOn(t, in[host], f.address(t, host, ns, 80))
	l.settled(t, host, 20)
	began := time.Now()
	f.scale(t, host, ns, 0)
	l.settled(t, other, 50)
	t.Log("the Pods were taken away at once:", moved(l.stop(), began, other))
	back := loadOn(t, in[host], f.address(t, host, ns, 80))
	f.scale(t, host, ns, 2)
	back.settled(t, host, 50)
	if lost := count(back.stop())["lost"]; lost > 0 {
		t.Errorf("%d requests were lost while Pods came back: %v", lost, problems(back.answers))
	}
}

// TestPodsBehindNodePorts: no way leads to the Pods of a cluster but by its nodes.
func TestPodsBehindNodePorts(t *testing.T) {
	f, ns := federate(t)
	w := web{namespace: ns}
	f.export(t, host, w)
	f.export(t, other, w)
	inHost := clientIn(f.Proxy(t, host))
	f.reaches(t, inHost, f.address(t, host, ns, 80), map[string]int{host: 2, other: 2})
	pod := f.kubectl(t, other, "-n", ns, "get", "pods", "-o", "jsonpath={.items[0].status.podIP}")

	const reach = "discovery.kubefed.io/reachability"
	f.kubectl(t, host, "-n", "kube-federation-system", "annotate", "kubefedcluster", other, reach+"=nodePort")
	t.Cleanup(func() {
		f.kubectl(t, host, "-n", "kube-federation-system", "annotate", "kubefedcluster", other, reach+"-")
		f.Add(t, lab.Options{Nodes: 1, Answer: lab.InNetwork}, other) // it lays the way again
	})
	f.Inside(t, "", "ip", "route", "replace", "unreachable", "10.129.0.0/16")
	if a := request(t.Context(), inHost, "http://"+pod+":8080/"); a.err == nil {
		t.Fatalf("the way to the Pods of %s is not cut", other)
	}
	f.reaches(t, inHost, f.address(t, host, ns, 80), map[string]int{host: 2, other: 2})
}

// TestAMemberIsLost: its Pods are gone, its API server does not say so, and it takes the control plane to tell the others.
func TestAMemberIsLost(t *testing.T) {
	f, ns := federate(t)
	w := web{namespace: ns}
	f.export(t, host, w)
	f.export(t, other, w)
	inHost := clientIn(f.Proxy(t, host))
	address := f.address(t, host, ns, 80)
	f.reaches(t, inHost, address, map[string]int{host: 2, other: 2})
	l := loadOn(t, inHost, address)
	began := time.Now()
	f.Kill(t, other)
	t.Cleanup(func() { f.Start(t, other) })
	l.settled(t, host, 50)
	t.Log("the cluster was lost:", moved(l.stop(), began, host))
	f.Start(t, other)
	f.reaches(t, inHost, address, map[string]int{host: 2, other: 2})
}
