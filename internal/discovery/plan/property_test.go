package plan_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"pgregory.net/rapid"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// drawSim draws clusters with and without exports of many kinds.
func drawSim(t *rapid.T) *sim {
	s := newSim()
	s.world.Known, s.world.Now = true, start
	for n := range rapid.IntRange(1, 4).Draw(t, "clusters") {
		s.cluster(t, drawCluster(t, string(rune('a'+n))))
	}
	return s
}

func drawCluster(t *rapid.T, name string) clusterFile {
	f := clusterFile{
		Name:  name,
		Reach: rapid.SampledFrom([]plan.Reach{plan.Flat, plan.Flat, plan.NodePort, plan.LoadBalancer}).Draw(t, "reach"),
		Zones: rapid.SampledFrom([][]string{nil, {"z1"}, {"z1", "z2"}}).Draw(t, "zones"),
		Nodes: []string{"192.168.0.1"}, Drain: rapid.Bool().Draw(t, "drain"), NoNamespace: rapid.IntRange(0, 5).Draw(t, "namespace") == 0,
	}
	if rapid.IntRange(0, 3).Draw(t, "exports") == 0 {
		return f
	}
	f.Export = fmt.Sprintf("%dh%dm", rapid.IntRange(1, 3).Draw(t, "age"), name[0]-'a') // no two of the same second: there, who came first counts
	f.Labels = rapid.SampledFrom([]map[string]string{nil, {"l": "1"}, {"l": "2"}}).Draw(t, "labels")
	spec := corev1.ServiceSpec{
		Type:            rapid.SampledFrom([]corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeExternalName}).Draw(t, "type"),
		ClusterIP:       rapid.SampledFrom([]string{"", "", "None"}).Draw(t, "headless"),
		SessionAffinity: rapid.SampledFrom([]corev1.ServiceAffinity{corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP}).Draw(t, "affinity"),
	}
	if rapid.Bool().Draw(t, "distributes") {
		spec.TrafficDistribution = new("PreferSameZone")
	}
	for range rapid.IntRange(1, 3).Draw(t, "ports") {
		p := corev1.ServicePort{
			Name: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "name"), Port: rapid.Int32Range(80, 82).Draw(t, "number"),
			Protocol: rapid.SampledFrom([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP}).Draw(t, "protocol"),
		}
		p.NodePort = p.Port + 30000
		if !slices.ContainsFunc(spec.Ports, func(o corev1.ServicePort) bool {
			return o.Name == p.Name || o.Name == "" || p.Name == "" || o.Port == p.Port && o.Protocol == p.Protocol
		}) {
			spec.Ports = append(spec.Ports, p)
		}
	}
	f.Service = &spec
	for n := range rapid.IntRange(0, 2).Draw(t, "endpoints") {
		f.Endpoints = append(f.Endpoints, endpointFile{
			Address: fmt.Sprintf("10.%d.0.%d", name[0], n+1), Zone: rapid.SampledFrom([]string{"", "z1"}).Draw(t, "zone"), Unready: rapid.Bool().Draw(t, "unready"),
		})
	}
	return f
}

// settled obeys until nothing is left to be done.
func settled(t *rapid.T, s *sim) {
	for n := 0; s.obey(plan.Make(s.world, settings)); n++ {
		if n == 20 {
			t.Fatalf("it does not come to an end: %s", s.acts())
		}
	}
}

// TestPlansComeToAnEnd: whatever the world, what is planned can be done, and then nothing is left; equal worlds give equal plans, and no
// world is changed.
func TestPlansComeToAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSim(t)
		before := fmt.Sprintf("%+v", s.world)
		if a, b := plan.Make(s.world, settings), plan.Make(s.world, settings); !reflect.DeepEqual(a, b) {
			t.Fatal(gocmp.Diff(a, b))
		}
		if after := fmt.Sprintf("%+v", s.world); after != before {
			t.Fatalf("the world was changed: %s", gocmp.Diff(before, after))
		}
		settled(t, s)
		for _, step := range plan.Make(s.world, settings).Steps {
			if len(step.Acts) > 0 {
				t.Fatalf("%s: %d acts are left", step.Cluster, len(step.Acts))
			}
		}
		checkImports(t, s)
	})
}

// checkImports: what every cluster holds is valid for an API server, alike in all, and leads only to ports that the exporter has.
func checkImports(t *rapid.T, s *sim) {
	var first []string
	for n, held := range s.world.Held {
		if held.Import == nil {
			continue
		}
		names, numbers := map[string]bool{}, map[string]bool{}
		for _, p := range held.Import.Spec.Ports {
			number := fmt.Sprintf("%d/%s", p.Port, p.Protocol)
			if names[p.Name] || numbers[number] || p.Name == "" && len(held.Import.Spec.Ports) > 1 {
				t.Fatalf("ports %+v", held.Import.Spec.Ports)
			}
			names[p.Name], numbers[number] = true, true
		}
		words := slices.DeleteFunc(importWords(held.Import), func(w string) bool { return strings.HasPrefix(w, "ips=") })
		if first == nil {
			first = words
		} else if !slices.Equal(first, words) {
			t.Fatalf("%v and %v", first, words)
		}
		for _, slice := range held.Slices {
			checkSlice(t, s, n, s.slices[n][slice.Name])
		}
	}
}

func checkSlice(t *rapid.T, s *sim, n int, slice *discoveryv1.EndpointSlice) {
	from := slices.IndexFunc(s.world.Clusters, func(c plan.Cluster) bool {
		return c.ID == slice.Labels["multicluster.kubernetes.io/source-cluster"]
	})
	exposed := s.world.Sources[from].Service.Spec.Ports
	for _, p := range slice.Ports {
		in := s.world.Held[n].Import.Spec.Ports
		at := slices.IndexFunc(exposed, func(o corev1.ServicePort) bool { return o.Name == *p.Name })
		is := slices.IndexFunc(in, func(o mcsv1.ServicePort) bool { return o.Name == *p.Name })
		if at < 0 || is < 0 || exposed[at].Port != in[is].Port || exposed[at].Protocol != in[is].Protocol {
			t.Fatalf("port %s leads to cluster %s, which has %+v", *p.Name, s.world.Clusters[from].Name, exposed)
		}
	}
	for _, e := range slice.Endpoints {
		if e.TargetRef != nil || from != n && e.NodeName != nil {
			t.Fatalf("endpoint %+v", e)
		}
	}
}

// TestOrderOfPlay: what comes of it does not depend on which cluster was seen first.
func TestOrderOfPlay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawSim(t)
		late := *all
		late.world.Sources = slices.Clone(all.world.Sources)
		late.world.Held = slices.Clone(all.world.Held)
		late.slices = make([]map[string]*discoveryv1.EndpointSlice, len(all.slices))
		for n := range late.slices {
			late.slices[n] = map[string]*discoveryv1.EndpointSlice{}
		}
		n := rapid.IntRange(0, len(late.world.Sources)-1).Draw(t, "late")
		was := late.world.Sources[n]
		late.world.Sources[n].Export = nil
		settled(t, &late)
		late.world.Sources[n].Export = was.Export
		settled(t, &late)
		settled(t, all)
		for n := range all.world.Held {
			var a, b strings.Builder
			all.print(&a, n)
			late.print(&b, n)
			if a.String() != b.String() {
				t.Fatal(gocmp.Diff(a.String(), b.String()))
			}
		}
	})
}

// TestUnknownNeverRemoves: a cluster that is not known, whatever it may hold, removes nothing of its own anywhere, nor does a list of
// clusters that is not known to be complete remove anything.
func TestUnknownNeverRemoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSim(t)
		settled(t, s)
		n := rapid.IntRange(0, len(s.world.Clusters)-1).Draw(t, "lost")
		id := s.world.Clusters[n].ID
		s.world.Sources[n].Seen, s.world.Held[n].Seen = false, false
		if rapid.Bool().Draw(t, "forgotten") {
			s.world.Sources[n] = plan.Source{Cluster: s.world.Clusters[n].Name}
		}
		s.world.Clusters[n].Presence = rapid.SampledFrom([]plan.Presence{plan.Present, plan.Unmet, plan.Away}).Draw(t, "presence")
		s.world.Clusters[n].Since = start
		s.world.Now = start.Add(settings.Grace - time.Second)
		if rapid.Bool().Draw(t, "unknown") {
			s.world.Known = false
		}
		for m, step := range plan.Make(s.world, settings).Steps {
			for _, a := range step.Acts {
				if a.Verb == plan.Apply && a.Import != nil && s.world.Held[m].Import != nil && len(a.Import.Spec.Ports) < len(s.world.Held[m].Import.Spec.Ports) {
					t.Fatalf("%s loses ports", step.Cluster)
				}
				if a.Verb != plan.Remove && a.Verb != plan.Demote {
					continue
				}
				if a.Slice == nil {
					t.Fatalf("%s: %s %s", step.Cluster, a.Verb, nameOf(a))
				}
				if of := s.slices[m][a.Slice.Name].Labels["multicluster.kubernetes.io/source-cluster"]; of == id || !s.world.Known {
					t.Fatalf("%s: %s of %s", step.Cluster, a.Verb, of)
				}
			}
		}
	})
}

// TestNobodyIsLeftWithNothing: whatever clusters are away, and for how long, no service that had endpoints that serve is left without.
func TestNobodyIsLeftWithNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSim(t)
		settled(t, s)
		before := s.serving()
		for n := range s.world.Clusters {
			if rapid.Bool().Draw(t, "away") {
				s.world.Clusters[n].Presence, s.world.Clusters[n].Since = plan.Away, start
				s.world.Sources[n].Seen, s.world.Held[n].Seen = false, false
			}
		}
		s.world.Now = start.Add(rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Minute, time.Hour}).Draw(t, "for"))
		settled(t, s)
		for n, after := range s.serving() {
			if before[n] > 0 && after == 0 {
				t.Fatalf("cluster %s has lost all endpoints", s.world.Clusters[n].Name)
			}
		}
	})
}

// serving counts, for each cluster, the endpoints that get traffic if nobody else does.
func (s *sim) serving() []int {
	out := make([]int, len(s.world.Held))
	for n, held := range s.world.Held {
		for _, slice := range held.Slices {
			out[n] += slice.Ready
			if held.Import != nil && held.Import.Spec.Type == "ClusterSetIP" {
				out[n] += slice.Last
			}
		}
	}
	return out
}
