package naming_test

import (
	"cmp"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/discovery/plan/naming"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// TestCases makes the plan of every world in testdata. A case file says in its first line what it proves.
func TestCases(t *testing.T) {
	casefile.Answer(t, "testdata/*.txtar", "world", "plan", runCase)
}

func runCase(t *testing.T, a *txtar.Archive) string {
	w := readWorld(t, a.Files[0].Data)
	got := print(w)
	check(t, w)
	return got
}

// worldFile is a world as the case files write it. What they leave out is as it is on a good day.
type worldFile struct {
	// Service or Ingress is the record's spec; the service's domainRef is "fed" by default.
	Service *dnsv1.ServiceDNSRecordSpec `json:"service"`
	Ingress *dnsv1.IngressDNSRecordSpec `json:"ingress"`
	Name    string                      `json:"name"`
	// Domain is the zone of the Domain; "none" is that there is no such Domain.
	Domain string `json:"domain"`
	Apexes []string
	// Unread says that the list of clusters is not known.
	Unread   bool          `json:"unread"`
	Clusters []clusterFile `json:"clusters"`
	// Last is what the status said before, by cluster.
	Last []lastFile `json:"last"`
	// Published are lines "name type target…".
	Published []string `json:"published"`
	// Resolved are addresses by host name; null is a host name that DNS does not tell of.
	Resolved map[string][]string `json:"resolved"`
}

type clusterFile struct {
	Name   string   `json:"name"`
	Region string   `json:"region"`
	Zones  []string `json:"zones"`
	// Points are addresses and host names of the load balancer; "missing" means that the object is not there.
	Points  []string `json:"points"`
	Missing bool     `json:"missing"`
	// Ready endpoints; 1 by default.
	Ready  *int `json:"ready"`
	Weight *int `json:"weight"`
	Drain  bool `json:"drain"`
	// Away is for how many seconds the cluster has been away; Unmet and Unseen say what they say.
	Away   int  `json:"away"`
	Unmet  bool `json:"unmet"`
	Unseen bool `json:"unseen"`
}

type lastFile struct {
	Cluster string   `json:"cluster"`
	Region  string   `json:"region"`
	Zones   []string `json:"zones"`
	Points  []string `json:"points"`
	Reason  string   `json:"reason"`
}

func points(list []string) (out []corev1.LoadBalancerIngress) {
	for _, p := range list {
		if strings.ContainsAny(p, "ghijklmnopqrstuvwxyz") {
			out = append(out, corev1.LoadBalancerIngress{Hostname: p})
		} else {
			out = append(out, corev1.LoadBalancerIngress{IP: p})
		}
	}
	return out
}

func readWorld(t *testing.T, data []byte) naming.World {
	t.Helper()
	f := worldFile{Domain: "example.com", Name: "web"}
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatalf("world: %v", err)
	}
	w := naming.World{World: plan.World{Service: types.NamespacedName{Namespace: "ns", Name: f.Name}, Known: !f.Unread, Now: noon}, Apexes: f.Apexes}
	w.Resolved = map[string]naming.Answer{}
	for host, addresses := range f.Resolved {
		w.Resolved[host] = naming.Answer{Known: addresses != nil, Addresses: addresses}
	}
	m := metav1.ObjectMeta{Namespace: "ns", Name: f.Name, Generation: 1}
	if f.Ingress != nil {
		w.Ingress = &dnsv1.IngressDNSRecord{ObjectMeta: m, Spec: *f.Ingress}
	} else {
		w.Service = &dnsv1.ServiceDNSRecord{ObjectMeta: m}
		if f.Service != nil {
			w.Service.Spec = *f.Service
		}
		w.Service.Spec.DomainRef = cmp.Or(w.Service.Spec.DomainRef, "fed")
		if f.Domain != "none" {
			w.Domain = &dnsv1.Domain{Domain: f.Domain}
		}
	}
	for _, l := range f.Last {
		lb := corev1.LoadBalancerStatus{Ingress: points(l.Points)}
		if w.Service != nil {
			w.Service.Status.DNS = append(w.Service.Status.DNS, dnsv1.ClusterDNS{Cluster: l.Cluster, Region: l.Region, Zones: l.Zones, LoadBalancer: lb, Reason: l.Reason})
		} else {
			w.Ingress.Status.DNS = append(w.Ingress.Status.DNS, dnsv1.ClusterIngressDNS{Cluster: l.Cluster, LoadBalancer: lb, Reason: l.Reason})
		}
	}
	for _, line := range f.Published {
		parts := strings.Fields(line)
		w.Published = append(w.Published, dnsv1.Endpoint{DNSName: parts[0], RecordType: parts[1], Targets: parts[2:], RecordTTL: 180})
	}
	for _, c := range f.Clusters {
		w.Clusters, w.Sources = append(w.Clusters, c.cluster()), append(w.Sources, c.source(w.Ingress != nil))
	}
	return w
}

func (f clusterFile) cluster() plan.Cluster {
	c := plan.Cluster{Name: f.Name, ID: f.Name, Region: f.Region, Zones: f.Zones, Presence: plan.Present, Weight: 100, Drain: f.Drain}
	if f.Weight != nil {
		c.Weight = *f.Weight
	}
	if f.Away > 0 {
		c.Presence, c.Since = plan.Away, noon.Add(-time.Duration(f.Away)*time.Second)
	}
	if f.Unmet {
		c.Presence = plan.Unmet
	}
	return c
}

func (f clusterFile) source(ingress bool) plan.Source {
	s := plan.Source{Cluster: f.Name, Seen: !f.Unmet && !f.Unseen, Namespace: true}
	if f.Missing || !s.Seen {
		return s
	}
	if ingress {
		s.Ingress = &networkingv1.Ingress{}
		for _, p := range points(f.Points) {
			s.Ingress.Status.LoadBalancer.Ingress = append(s.Ingress.Status.LoadBalancer.Ingress, networkingv1.IngressLoadBalancerIngress{IP: p.IP, Hostname: p.Hostname})
		}
		return s
	}
	s.Service = &corev1.Service{Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: points(f.Points)}}}
	up := f.Ready == nil || *f.Ready > 0
	s.Slices = []*discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &up}}}}}
	return s
}

// print is a plan as the case files have it, with what is told of it.
func print(w naming.World) string {
	var b strings.Builder
	p := naming.Make(w)
	if p.Hold {
		b.WriteString("hold\n")
	}
	for _, e := range p.Endpoints {
		fmt.Fprintf(&b, "%s %d %s %s", e.DNSName, e.RecordTTL, e.RecordType, strings.Join(e.Targets, " "))
		for k, v := range e.Labels {
			fmt.Fprintf(&b, " %s=%s", k, v)
		}
		b.WriteString("\n")
	}
	for _, s := range p.Clusters {
		fmt.Fprintf(&b, "- %s %s", s.Cluster, s.Reason)
		for _, pt := range s.Points {
			fmt.Fprintf(&b, " %s%s", pt.IP, pt.Hostname)
		}
		if s.Message != "" {
			fmt.Fprintf(&b, " (%s)", s.Message)
		}
		b.WriteString("\n")
	}
	if len(p.Hosts) > 0 {
		fmt.Fprintf(&b, "resolve %s\n", strings.Join(p.Hosts, " "))
	}
	if !p.Again.IsZero() {
		fmt.Fprintf(&b, "again in %v\n", p.Again.Sub(w.Now))
	}
	s := naming.StatusOf(w, p, nil)
	var conditions []metav1.Condition
	if s.Service != nil {
		conditions = s.Service.Conditions
	} else {
		conditions = s.Ingress.Conditions
	}
	for _, c := range conditions {
		if c.Type == naming.Ready || c.Status == metav1.ConditionTrue {
			fmt.Fprintf(&b, "%s %s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	return b.String()
}

// told is the world after a plan has been carried out and told.
func told(w naming.World) naming.World {
	p := naming.Make(w)
	s := naming.StatusOf(w, p, nil)
	if w.Service != nil {
		record := w.Service.DeepCopy()
		record.Status, w.Service = *s.Service, record
	} else {
		record := w.Ingress.DeepCopy()
		record.Status, w.Ingress = *s.Ingress, record
	}
	if !p.Hold {
		w.Published = p.Endpoints
	}
	return w
}

// check holds what every plan must be.
func check(t interface{ Errorf(string, ...any) }, w naming.World) {
	before := fmt.Sprintf("%+v", w)
	p := naming.Make(w)
	if again := naming.Make(w); gocmp.Diff(p, again) != "" {
		t.Errorf("the same world gives another plan: %s", gocmp.Diff(p, again))
	}
	if after := fmt.Sprintf("%+v", w); after != before {
		t.Errorf("the world was changed")
	}
	next := told(w)
	q := naming.Make(next)
	if diff := gocmp.Diff(p.Endpoints, q.Endpoints); diff != "" {
		t.Errorf("what was carried out is planned otherwise: %s", diff)
	}
	if !naming.Same(next, naming.StatusOf(next, q, nil)) {
		t.Errorf("what was told is told again:\n%s\n%s", print(w), print(next))
	}
	if events := naming.Events(next, q, naming.StatusOf(next, q, nil)); len(events) > 0 {
		t.Errorf("what happened happens again: %+v", events)
	}
	kinds := map[string][]string{}
	for _, e := range p.Endpoints {
		kinds[e.DNSName] = append(kinds[e.DNSName], e.RecordType)
		if len(e.Targets) == 0 || !slices.IsSorted(e.Targets) || e.RecordType == naming.CNAME && (len(e.Targets) != 1 || e.Targets[0] == e.DNSName) {
			t.Errorf("bad records: %+v", e)
		}
	}
	for name, list := range kinds {
		if slices.Contains(list, naming.CNAME) && len(list) > 1 || len(slices.Compact(list)) != len(list) {
			t.Errorf("%s has %v", name, list)
		}
	}
}

// drawn is any world of a service.
func drawn(t *rapid.T) naming.World {
	point := rapid.SampledFrom([]string{"1.1.1.1", "2.2.2.2", "2001:db8::1", "lb.one.net", "lb.two.net"})
	w := naming.World{World: plan.World{Known: true, Now: noon, Service: types.NamespacedName{Namespace: "ns", Name: "web"}}, Domain: &dnsv1.Domain{Domain: "example.com"}}
	w.Service = &dnsv1.ServiceDNSRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}, Spec: dnsv1.ServiceDNSRecordSpec{DomainRef: "fed"}}
	w.Resolved = map[string]naming.Answer{"lb.one.net": {Known: true, Addresses: []string{"9.9.9.9"}}}
	for i := range rapid.IntRange(0, 6).Draw(t, "clusters") {
		c := clusterFile{
			Name: string(rune('a' + i)), Region: rapid.SampledFrom([]string{"", "eu", "us"}).Draw(t, "region"),
			Zones:  rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "2"}), 0, 2, rapid.ID[string]).Draw(t, "zones"),
			Points: rapid.SliceOfNDistinct(point, 0, 2, rapid.ID[string]).Draw(t, "points"),
			Away:   rapid.SampledFrom([]int{0, 0, 0, 5, 60, 120, 7200}).Draw(t, "away"),
			Unmet:  rapid.IntRange(0, 5).Draw(t, "unmet") == 0, Drain: rapid.IntRange(0, 5).Draw(t, "drain") == 0,
			Missing: rapid.IntRange(0, 5).Draw(t, "missing") == 0,
		}
		w.Clusters, w.Sources = append(w.Clusters, c.cluster()), append(w.Sources, c.source(false))
		if rapid.Bool().Draw(t, "had") {
			w.Service.Status.DNS = append(w.Service.Status.DNS, dnsv1.ClusterDNS{
				Cluster: c.Name, Region: c.Region, Zones: c.Zones, Reason: naming.Serving,
				LoadBalancer: corev1.LoadBalancerStatus{Ingress: points(rapid.SliceOfNDistinct(point, 0, 2, rapid.ID[string]).Draw(t, "last"))},
			})
		}
	}
	return w
}

func TestEveryPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { check(t, drawn(t)) })
}

// The order of clusters does not matter.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawn(t)
		want := print(w)
		perm := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Perm(len(w.Clusters))
		clusters, sources := slices.Clone(w.Clusters), slices.Clone(w.Sources)
		for i, j := range perm {
			w.Clusters[i], w.Sources[i] = clusters[j], sources[j]
		}
		if got := print(w); got != want {
			t.Errorf("%s\nis not\n%s", got, want)
		}
	})
}

// Losing clusters, however many, and however it is noticed, empties no name.
func TestLossEmptiesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := told(drawn(t))
		p := naming.Make(w)
		served := slices.ContainsFunc(p.Clusters, func(s naming.Shard) bool { return len(s.Points) > 0 })
		w.Clusters = slices.Clone(w.Clusters)
		for i := range w.Clusters {
			if rapid.Bool().Draw(t, "lost") && w.Clusters[i].Presence == plan.Present {
				w.Clusters[i].Presence = rapid.SampledFrom([]plan.Presence{plan.Away, plan.Unmet}).Draw(t, "how")
				w.Clusters[i].Since = noon.Add(-time.Duration(rapid.IntRange(0, 1000).Draw(t, "since")) * time.Second)
				w.Sources[i].Seen = rapid.Bool().Draw(t, "seen")
			}
		}
		for range 3 {
			q := naming.Make(w)
			if served && !slices.ContainsFunc(q.Clusters, func(s naming.Shard) bool { return len(s.Points) > 0 }) {
				t.Fatalf("emptied:\n%s", print(w))
			}
			w = told(w)
			w.Now = w.Now.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "later")) * time.Second)
		}
	})
}
