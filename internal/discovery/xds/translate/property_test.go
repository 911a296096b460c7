package translate_test

import (
	"fmt"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/xds/translate"
)

// drawService draws a service whose endpoints all have addresses of their own.
func drawService(t *rapid.T, name string) balance.Service {
	s := balance.Service{NamespacedName: types.NamespacedName{Namespace: "prod", Name: name}, Port: 80, Affinity: rapid.Bool().Draw(t, "affinity")}
	for c := range rapid.IntRange(0, 4).Draw(t, "clusters") {
		cluster := balance.Locality{
			Cluster: fmt.Sprint("c", c), Region: rapid.SampledFrom([]string{"", "eu", "us"}).Draw(t, "region"),
			Weight: rapid.SampledFrom([]int{0, 1, 100, 1000}).Draw(t, "weight"), Drain: rapid.Bool().Draw(t, "drain"),
		}
		for z := range rapid.IntRange(1, 2).Draw(t, "zones") {
			l := cluster
			l.Zone = []string{"", "z1"}[z]
			for e := range rapid.IntRange(0, 3).Draw(t, "endpoints") {
				l.Endpoints = append(l.Endpoints, balance.Endpoint{
					Address: fmt.Sprintf("10.%d.%d.%d", c, z, e), Port: 80, Ready: rapid.Bool().Draw(t, "ready"), Serving: rapid.Bool().Draw(t, "serving"),
				})
			}
			s.Localities = append(s.Localities, l)
		}
	}
	return s
}

func drawPlace(t *rapid.T) translate.Place {
	return translate.Place{
		Region: rapid.SampledFrom([]string{"", "eu", "us"}).Draw(t, "place region"), Zone: rapid.SampledFrom([]string{"", "z1", "z2"}).Draw(t, "place zone"),
		Cluster: rapid.SampledFrom([]string{"", "c0", "c1"}).Draw(t, "place cluster"), GRPC: true,
	}
}

// TestEndpoints: from wherever one looks, what is ready is there once and what is not gets nothing new; as long as a cluster that is not
// drained has a ready endpoint, drained ones get nothing new; priorities have no gap.
func TestEndpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawService(t, "web")
		r, problems := translate.Of(balance.Model{Services: []balance.Service{s}}, drawPlace(t))
		if len(problems) > 0 {
			t.Fatalf("problems: %v", problems)
		}
		open, closing := map[string]bool{}, map[string]bool{}
		next := uint32(0)
		for _, l := range r[resource.EndpointType][translate.Name(s)].(*endpointv3.ClusterLoadAssignment).GetEndpoints() {
			if l.GetPriority() != next && l.GetPriority() != next-1 {
				t.Fatalf("priority %d comes before %d", l.GetPriority(), next)
			}
			next = l.GetPriority() + 1
			for _, e := range l.GetLbEndpoints() {
				at := e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress()
				if open[at] || closing[at] {
					t.Fatalf("%s is there twice", at)
				}
				if e.GetHealthStatus() == corev3.HealthStatus_HEALTHY {
					open[at] = true
				} else {
					closing[at] = true
				}
			}
		}
		checkEndpoints(t, s, open, closing)
	})
}

func checkEndpoints(t *rapid.T, s balance.Service, open, closing map[string]bool) {
	undrained := slices.ContainsFunc(s.Localities, func(l balance.Locality) bool {
		return !l.Drain && slices.ContainsFunc(l.Endpoints, func(e balance.Endpoint) bool { return e.Ready })
	})
	for _, l := range s.Localities {
		for _, e := range l.Endpoints {
			wantOpen := e.Ready && (!l.Drain || !undrained)
			wantClosing := !wantOpen && (e.Ready || e.Serving)
			if open[e.Address] != wantOpen || closing[e.Address] != wantClosing {
				t.Fatalf("%+v of %s: open %v, closing %v", e, l.Cluster, open[e.Address], closing[e.Address])
			}
		}
	}
}

// TestOrder: the order of what a model has says nothing.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := balance.Model{Services: []balance.Service{drawService(t, "one"), drawService(t, "two")}}
		p := drawPlace(t)
		shuffled := balance.Model{Services: rapid.Permutation(m.Services).Draw(t, "services")}
		for i := range shuffled.Services {
			shuffled.Services[i].Localities = rapid.Permutation(shuffled.Services[i].Localities).Draw(t, "localities")
		}
		a, _ := translate.Of(m, p)
		b, _ := translate.Of(shuffled, p)
		for _, s := range m.Services {
			one, two := endpoints(a[resource.EndpointType][translate.Name(s)].(*endpointv3.ClusterLoadAssignment)), endpoints(b[resource.EndpointType][translate.Name(s)].(*endpointv3.ClusterLoadAssignment))
			if one != two {
				t.Fatalf("%s: \n%s\nand\n%s", s.Name, one, two)
			}
		}
	})
}

// TestMemory: what a translator remembers changes nothing.
func TestMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlace(t)
		p.GRPC = rapid.Bool().Draw(t, "grpc")
		tr := translate.Translator{Place: p}
		m := balance.Model{Services: []balance.Service{drawService(t, "one"), drawService(t, "two")}}
		for range 4 {
			m.Services = slices.Clone(m.Services)
			m.Services[rapid.IntRange(0, 1).Draw(t, "which")] = drawService(t, rapid.SampledFrom([]string{"one", "two"}).Draw(t, "name"))
			m.Listeners = []balance.Listener{{Name: "l", Port: 80, Protocol: balance.TCP, Routes: []balance.Route{{Backends: []balance.Backend{{NamespacedName: m.Services[0].NamespacedName, Port: 80, Weight: 1}}}}}}
			got, told := tr.Of(m)
			want, wantTold := translate.Of(m, p)
			if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" || !slices.Equal(told, wantTold) {
				t.Fatalf("%s %v, %v", diff, told, wantTold)
			}
		}
	})
}
