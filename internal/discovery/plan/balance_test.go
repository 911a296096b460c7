package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// balanceFile is a world as the cases of testdata/balance write it. What they leave out is as it is on a good day.
type balanceFile struct {
	// Copies asks for the copies of a federated Service, not for exports.
	Copies   bool `json:"copies"`
	Clusters []struct {
		Name, Region string
		Zones, Nodes []string
		Reach        plan.Reach
		Weight       *int
		Drain        bool
		Presence     plan.Presence
		Away         string // for how long
		Leaving      string // "service" or "export": what is being deleted
		Export       string // its creation; "none" for no export
		Service      *corev1.ServiceSpec
		Labels       map[string]string
		Ingress      []corev1.LoadBalancerIngress
		Slices       []*discoveryv1.EndpointSlice
	} `json:"clusters"`
}

func readBalance(t *testing.T, data []byte) (plan.World, bool) {
	t.Helper()
	var f balanceFile
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	w := plan.World{Service: types.NamespacedName{Namespace: "prod", Name: "web"}, Known: true, Now: now}
	for _, c := range f.Clusters {
		cluster := plan.Cluster{
			Name: c.Name, ID: c.Name, Region: c.Region, Zones: c.Zones, Nodes: c.Nodes, Reach: c.Reach, Weight: 100, Drain: c.Drain,
			Presence: plan.Present, Since: now.Add(-time.Hour),
		}
		if c.Weight != nil {
			cluster.Weight = *c.Weight
		}
		if c.Presence != "" {
			cluster.Presence = c.Presence
		}
		if c.Away != "" {
			d, err := time.ParseDuration(c.Away)
			if err != nil {
				t.Fatal(err)
			}
			cluster.Presence, cluster.Since = plan.Away, now.Add(-d)
		}
		s := plan.Source{Cluster: c.Name, Seen: cluster.Presence == plan.Present, Namespace: true, Slices: c.Slices}
		if c.Export != "none" {
			created, err := time.Parse(time.RFC3339, cmpOr(c.Export, "2026-01-01T00:00:00Z"))
			if err != nil {
				t.Fatal(err)
			}
			s.Export = &mcsv1.ServiceExport{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(created)}}
		}
		if c.Service != nil {
			s.Service = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: c.Labels}, Spec: *c.Service}
			s.Service.Status.LoadBalancer.Ingress = c.Ingress
		}
		switch c.Leaving {
		case "service":
			s.Service.DeletionTimestamp = &metav1.Time{Time: now}
		case "export":
			s.Export.DeletionTimestamp = &metav1.Time{Time: now}
		}
		w.Clusters, w.Sources = append(w.Clusters, cluster), append(w.Sources, s)
	}
	return w, f.Copies
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func printBalance(list []balance.Service) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%s:%d", s.NamespacedName, s.Port)
		for _, word := range []string{s.PortName, s.AppProtocol} {
			if word != "" {
				b.WriteString(" " + word)
			}
		}
		if s.Affinity {
			b.WriteString(" affinity")
		}
		b.WriteString("\n")
		for _, l := range s.Localities {
			fmt.Fprintf(&b, "  %s region=%s zone=%s weight=%d", l.Cluster, l.Region, l.Zone, l.Weight)
			if l.Drain {
				b.WriteString(" drain")
			}
			b.WriteString("\n")
			for _, e := range l.Endpoints {
				state := "serving"
				if e.Ready {
					state = "ready"
				}
				fmt.Fprintf(&b, "    %s:%d %s\n", e.Address, e.Port, state)
			}
		}
	}
	return b.String()
}

// TestBalanceCases makes what is balanced of every world in testdata/balance.
func TestBalanceCases(t *testing.T) {
	casefile.Answer(t, "testdata/balance/*.txtar", "world", "balance", func(t *testing.T, a *txtar.Archive) string {
		w, copies := readBalance(t, a.Files[0].Data)
		of := plan.Balance
		if copies {
			of = plan.BalanceCopies
		}
		got := printBalance(of(w))
		if again := printBalance(of(w)); again != got {
			t.Errorf("the same world gives another answer: %s", gocmp.Diff(got, again))
		}
		return got
	})
}

// TestBalanceDue: time alone changes the answer once the endpoints of a lost cluster stop counting, and then not again.
func TestBalanceDue(t *testing.T) {
	a, err := txtar.ParseFile("testdata/balance/away-short.txtar")
	if err != nil {
		t.Fatal(err)
	}
	w, _ := readBalance(t, a.Files[0].Data)
	due, ok := plan.BalanceDue(w)
	if !ok {
		t.Fatal("nothing is due")
	}
	before := printBalance(plan.Balance(w))
	w.Now = due.Add(-time.Millisecond)
	if got := printBalance(plan.Balance(w)); got != before {
		t.Errorf("the answer changes before it is due: %s", gocmp.Diff(before, got))
	}
	w.Now = due
	if got := printBalance(plan.Balance(w)); got == before {
		t.Error("nothing has changed when it was due")
	}
	if at, ok := plan.BalanceDue(w); ok {
		t.Errorf("more is due at %v", at)
	}
	if slices.ContainsFunc(plan.Balance(w)[0].Localities, func(l balance.Locality) bool { return l.Cluster == "b" }) {
		t.Error("the lost cluster still counts")
	}
}
