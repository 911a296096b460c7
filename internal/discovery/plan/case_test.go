package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// TestServices: each file is a world, one that may follow it, and what every cluster holds when nothing is left to be done.
func TestServices(t *testing.T) {
	casefile.Each(t, "testdata/services/*.txtar", func(t *testing.T, a *txtar.Archive) *txtar.Archive {
		sim, out := newSim(), &txtar.Archive{Comment: a.Comment}
		for _, f := range a.Files {
			switch f.Name {
			case "world", "then":
				sim.take(t, f.Data)
			case "acts":
				f.Data = []byte(sim.acts())
			case "holds":
				sim.acts()
				f.Data = []byte(sim.holds(t))
			default:
				t.Fatalf("what is %s?", f.Name)
			}
			out.Files = append(out.Files, f)
		}
		return out
	})
}

// take reads a world. What it leaves out is as it is on a good day, or as it was before.
func (s *sim) take(t *testing.T, data []byte) {
	t.Helper()
	var f worldFile
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatal(err)
	}
	s.world.Known = !f.Unknown
	s.world.Now = start.Add(f.After.Duration)
	for _, c := range f.Clusters {
		s.cluster(t, c)
	}
	for _, name := range f.Left {
		n := slices.IndexFunc(s.world.Clusters, func(c plan.Cluster) bool { return c.Name == name })
		s.world.Clusters = slices.Delete(s.world.Clusters, n, n+1)
		s.world.Sources = slices.Delete(s.world.Sources, n, n+1)
		s.world.Held = slices.Delete(s.world.Held, n, n+1)
	}
}

// acts are those of the first plan: what is written first.
func (s *sim) acts() string {
	p := plan.Make(s.world, settings)
	var out strings.Builder
	for _, step := range p.Steps {
		fmt.Fprintf(&out, "%s: %s %s\n", step.Cluster, step.Verdict, step.Reason)
		for _, a := range step.Acts {
			fmt.Fprintf(&out, "  %s %s %s\n", a.Verb, nameOf(a), a.Reason)
		}
	}
	if !p.Again.IsZero() {
		fmt.Fprintf(&out, "again after %v\n", p.Again.Sub(start))
	}
	return out.String()
}

func nameOf(a plan.Act) string {
	switch {
	case a.Import != nil:
		return "import"
	case a.Derived != nil:
		return "derived"
	case a.Export != nil:
		return "export"
	default:
		return "slice"
	}
}

// holds obeys until nothing is left to be done, and tells what there is then.
func (s *sim) holds(t *testing.T) string {
	t.Helper()
	for n := 0; s.obey(plan.Make(s.world, settings)); n++ {
		if n == 20 {
			t.Fatalf("it does not come to an end: %s", s.acts())
		}
	}
	var out strings.Builder
	for n, c := range s.world.Clusters {
		fmt.Fprintf(&out, "%s:\n", c.Name)
		s.print(&out, n)
	}
	return out.String()
}

func (s *sim) print(out *strings.Builder, n int) {
	held, source := s.world.Held[n], s.world.Sources[n]
	if i := held.Import; i != nil {
		fmt.Fprintf(out, "  import %s %s\n", i.Spec.Type, strings.Join(importWords(i), " "))
		var from []string
		for _, c := range i.Status.Clusters {
			from = append(from, c.Cluster)
		}
		fmt.Fprintf(out, "    from %s\n", strings.Join(from, " "))
		for _, c := range i.Status.Conditions {
			fmt.Fprintf(out, "    %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	if d := held.Derived; d != nil {
		fmt.Fprintf(out, "  derived %s\n", strings.Join(derivedWords(d), " "))
	}
	var slices []string
	for _, w := range held.Slices {
		slices = append(slices, sliceWords(s.slices[n][w.Name]))
	}
	for _, words := range sortedWords(slices) {
		fmt.Fprintf(out, "  %s\n", words)
	}
	if e := source.Export; e != nil {
		for _, c := range e.Status.Conditions {
			fmt.Fprintf(out, "  export %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
}

func sortedWords(in []string) []string {
	slices.Sort(in)
	return in
}

var (
	start    = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	settings = plan.Settings{ControlPlane: "cp", Grace: time.Minute, Expiry: 10 * time.Minute}
	service  = types.NamespacedName{Namespace: "shop", Name: "web"}
)
