package federate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/plan"
)

// Only present members and known words become labels: whoever may write a status can put anything there.
func TestStatusesAreCountedByKnownWords(t *testing.T) {
	c := count{members: map[string]*tally{"a": {troubled: map[string]int{}}}}
	c.add(&intent.Intent{Status: intent.Status{
		Conditions: []intent.Condition{{Type: "Ready", Status: "True"}},
		Clusters:   []intent.ClusterStatus{{Name: "a"}, {Name: "stranger"}},
	}})
	c.add(&intent.Intent{Status: intent.Status{
		Conditions: []intent.Condition{{Type: "Ready", Status: "perhaps"}},
		Clusters:   []intent.ClusterStatus{{Name: "a", Status: "UpdateFailed"}},
	}})
	c.add(&intent.Intent{Status: intent.Status{Clusters: []intent.ClusterStatus{{Name: "a", Status: "invented"}}}})
	got := map[string]float64{}
	c.tell("configmaps", []string{"a"}, func(m meter.Metric, v float64, labels ...string) { got[m.Name+fmt.Sprint(labels)] = v })
	want := map[string]float64{
		"kubefed_federated_resources[configmaps true]": 1, "kubefed_federated_resources[configmaps false]": 0, "kubefed_federated_resources[configmaps unknown]": 2,
		"kubefed_propagation_status[configmaps a InSync]": 1, "kubefed_propagation_status[configmaps a UpdateFailed]": 1, "kubefed_propagation_status[configmaps a Other]": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPropagationBeginsWhenTheChangeWasSeen(t *testing.T) {
	seen, now := time.Unix(100, 0), time.Unix(200, 0)
	world := func(generation, told int64) plan.World {
		return plan.World{Now: now, Intent: &intent.Intent{Seen: seen, Generation: generation, Status: intent.Status{ObservedGeneration: told}}}
	}
	if got := since(world(2, 1)); got != seen {
		t.Errorf("a new change began at %v, want %v", got, seen)
	}
	if got := since(world(2, 2)); got != now {
		t.Errorf("what the object did not change began at %v, want the decision's %v", got, now)
	}
	if got := since(plan.World{Now: now}); got != now {
		t.Errorf("without an object it began at %v, want %v", got, now)
	}
}

// BenchmarkScrape counts 10,000 objects in 20 members.
func BenchmarkScrape(b *testing.B) {
	var names []string
	status := intent.Status{Conditions: []intent.Condition{{Type: "Propagation", Status: "True"}, {Type: "Ready", Status: "True"}}}
	for n := range 20 {
		names = append(names, fmt.Sprintf("m%d", n))
		status.Clusters = append(status.Clusters, intent.ClusterStatus{Name: names[n]})
	}
	objects := make([]*intent.Intent, 10_000)
	for n := range objects {
		objects[n] = &intent.Intent{Status: status}
	}
	for b.Loop() {
		c := count{members: map[string]*tally{}}
		for _, name := range names {
			c.members[name] = &tally{troubled: map[string]int{}}
		}
		for _, i := range objects {
			c.add(i)
		}
		c.tell("configmaps", names, func(meter.Metric, float64, ...string) {})
	}
}
