package fault

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hansa-io/hansa/internal/lab"
)

// TestAMemberIsAway [F01, F02, F07, F08]: whichever way a member goes away, the other is not delayed, nothing in it is touched, and when
// it is back it comes to hold the last intent: without a restart, and without that a name that was taken again is deleted.
func TestAMemberIsAway(t *testing.T) {
	for _, c := range []struct {
		name     string
		away     func(*federation)
		back     func(*federation)
		readable bool // by those who go past the link
		long     bool
	}{
		{
			name: "its link is cut", readable: true,
			away: func(f *federation) { f.m1.link.Cut() },
			back: func(f *federation) { f.m1.link.Heal() },
		},
		{
			name: "its link swallows all", readable: true, long: true,
			away: func(f *federation) { f.m1.link.Stall() },
			back: func(f *federation) { f.m1.link.Heal() },
		},
		{
			name: "it is paused",
			away: func(f *federation) { clusters.Pause(f, "m1", lab.APIServer) },
			back: func(f *federation) { clusters.Resume(f, "m1", lab.APIServer) },
		},
		{
			name: "it is killed",
			away: func(f *federation) { clusters.Kill(f, "m1", lab.APIServer) },
			back: func(f *federation) { clusters.Start(f, "m1", lab.APIServer) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && !*long {
				t.Skip("it is long: -long")
			}
			f := federate(t, "--deletion-deadline", "3s")
			pid := f.cmd.Process.Pid
			for _, name := range []string{"updated", "deleted", "deselected", "recreated", "again"} {
				f.createsMap(name, "old", "m1", "m2")
			}
			before := map[string]*unstructured.Unstructured{}
			for _, name := range []string{"updated", "deleted", "deselected", "recreated", "again"} {
				before[name] = f.holds(soon, f.m1, name, "old")
				f.holds(soon, f.m2, name, "old")
			}
			healthy := f.latencies("healthy", "m2", 8)
			removed := record(t, "m1", within(f.namespace, removals))

			c.away(f)
			f.createsMap("created", "new", "m1", "m2")
			f.setsValue("updated", "new")
			f.removes("ConfigMap", "deleted")
			f.places("deselected", "m2")
			f.places("again", "m2")
			f.removes("ConfigMap", "recreated")
			f.holds(soon, f.m2, "created", "new")
			f.holds(soon, f.m2, "updated", "new")
			f.lacks(soon, f.m2, "ConfigMap", "deleted")
			f.lacks(soon, f.m2, "ConfigMap", "recreated")
			f.undelayed(healthy, f.latencies("meanwhile", "m1 m2", 8))
			f.places("again", "m1", "m2")
			f.isReady(f.m1, false)
			f.says(soon, "ConfigMap", "updated", "m1", "ClusterNotReady")
			f.isGone(soon, "ConfigMap", "recreated") // what m1 still holds of it is on record
			f.createsMap("recreated", "new", "m1", "m2")
			f.holds(soon, f.m2, "recreated", "new")
			if c.readable {
				removed.none("while it was away")
				for _, o := range before {
					f.keeps(f.m1, o)
				}
			}

			c.back(f)
			for _, name := range []string{"created", "updated", "recreated"} {
				f.holds(patiently, f.m1, name, "new")
				f.says(patiently, "ConfigMap", name, "m1", "")
			}
			f.lacks(patiently, f.m1, "ConfigMap", "deleted")
			f.lacks(patiently, f.m1, "ConfigMap", "deselected")
			f.isGone(patiently, "ConfigMap", "deleted")
			for _, name := range []string{"updated", "recreated", "again"} {
				f.keeps(f.m1, before[name])
			}
			f.owes(soon, 0)
			if f.cmd.Process.Pid != pid || !f.runs() {
				t.Error("the manager is not the same process")
			}
			for _, r := range removed.since() {
				if !slices.Contains([]string{"deleted", "deselected"}, r.Name) {
					t.Errorf("there was %s", line(r))
				}
			}
		})
	}
}

// latencies are the times from the creation of a federated object to its copy in m2, sorted.
func (f *federation) latencies(prefix, members string, rounds int) []time.Duration {
	f.Helper()
	var out []time.Duration
	for n := range rounds {
		name := fmt.Sprintf("%s-%d", prefix, n)
		start := time.Now()
		f.createsMap(name, "x", words(members)...)
		for deadline := start.Add(soon); ; {
			o, err := f.copyIn(f.Context(), f.m2, "ConfigMap", name)
			f.must(err)
			if o != nil {
				break
			}
			if time.Now().After(deadline) {
				f.Fatalf("%s is not in m2 within %v", name, soon)
			}
			<-time.After(5 * time.Millisecond)
		}
		out = append(out, time.Since(start))
	}
	slices.Sort(out)
	return out
}

// undelayed compares two sets of latencies by their medians and their worst, generously: the machine may be busy.
func (f *federation) undelayed(healthy, meanwhile []time.Duration) {
	f.Helper()
	f.Logf("healthy %v, meanwhile %v", healthy, meanwhile)
	for name, at := range map[string]int{"median": len(healthy) / 2, "worst": len(healthy) - 1} {
		if limit := 3*healthy[at] + time.Second; meanwhile[at] > limit {
			f.Errorf("the %s latency of the healthy member is %v, was %v: the member that is away delays it", name, meanwhile[at], healthy[at])
		}
	}
}

// TestAMemberFlaps [F06] is long: a link that breaks and heals again and again costs few writes on the host, and none in the members
// beyond what was asked for.
func TestAMemberFlaps(t *testing.T) {
	if !*long {
		t.Skip("it is long: -long")
	}
	f := federate(t)
	for n := range 20 {
		f.createsMap(fmt.Sprintf("o%d", n), "x", "m1", "m2")
	}
	for n := range 20 {
		f.says(soon, "ConfigMap", fmt.Sprintf("o%d", n), "m1", "")
	}
	rests(t, 2*time.Second)
	const flaps = 10
	m1, m2 := record(t, "m1", writes), record(t, "m2", writes)
	host := record(t, "host", func(r lab.Request) bool { return writes(r) && !containsAny(r.Resource, "events") })
	for range flaps {
		f.m1.link.Cut()
		f.isReady(f.m1, false)
		f.m1.link.Heal()
		f.isReady(f.m1, true)
	}
	rests(t, 5*time.Second)
	m1.none("while its link flaps")
	m2.none("while another's link flaps")
	if got, limit := len(host.since()), flaps*2*(20+2); got > limit {
		t.Errorf("%d writes to the host for %d flaps of a member with 20 objects, want at most %d", got, flaps, limit)
	} else {
		t.Logf("%d writes to the host", got)
	}
}
