package plan_test

import (
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// TestShardsAgreeWithOne: whoever has which member, and in whichever order the shards take their turns, the members come to hold what one
// process alone would have them hold, the host is told the same of it, and all come to rest.
func TestShardsAgreeWithOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t).World
		if w.Intent != nil {
			tellAll(w)
		}
		alone := newReality(w)
		for range 8 {
			alone.turn()
		}
		s := drawShards(t, w)
		s.run(t)
		if got, want := s.members(), alone.members(); got != want {
			t.Fatalf("members: %s", gocmp.Diff(want, got))
		}
		if got, want := s.w.Intent != nil, alone.w.Intent != nil; got != want {
			p, _ := alone.turn()
			t.Fatalf("the object is there: %t, and %t with one process:\n%s\n%s", got, want, printPlan(plan.Make(s.seenBy(0))), printPlan(p))
		}
		if s.w.Intent == nil || s.w.Intent.IsDeleting() || waits(w) {
			return // words by which shards tell each other; or one process does not tell yet
		}
		if got, want := meaning(s.w.Intent.Status), meaning(alone.w.Intent.Status); got != want {
			t.Fatalf("status: %s", gocmp.Diff(want, got))
		}
	})
}

// tellAll has the status tell of all records, and of copies without a record, as a crash leaves them, makes none: other shards cannot know
// of what only a lane knows, or a member. Where nothing is seen, there is none either.
func tellAll(w plan.World) {
	w.Intent.Status.Clusters = nil
	for n, m := range w.Members {
		if c := m.Copy; c != nil && (m.Record == nil && c.Owner != "u9" || !m.Ready || m.View != plan.ViewSynced) {
			w.Members[n].Copy = nil
		}
		if m.Record != nil {
			w.Intent.Status.Clusters = append(w.Intent.Status.Clusters, intent.ClusterStatus{Name: m.Name, UID: m.Record.UID, Version: m.Record.Version})
		}
	}
}

// TestShardsWriteLittle: for a new object that is placed in members of several shards, each of them writes the status once.
func TestShardsWriteLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t).World
		w.MembersKnown, w.Type.Paused, w.Namespace = true, false, plan.NamespaceWorld{}
		w.Intent = drawIntent(t, w.Key, map[string]any{"clusterSelector": map[string]any{}})
		if w.Intent.IsDeleting() || len(w.Members) == 0 || w.Type.IsNamespace() {
			t.Skip()
		}
		for n := range w.Members {
			m := &w.Members[n]
			m.Copy, m.Record, m.Debt, m.Ready, m.View, m.NamespaceHere = nil, nil, nil, true, plan.ViewSynced, plan.Yes
		}
		s := drawShards(t, w)
		s.run(t)
		concerned := map[int]bool{}
		for _, m := range w.Members {
			concerned[s.owner[m.Name]] = true
		}
		if s.told > len(concerned) {
			t.Fatalf("%d shards told %d times", len(concerned), s.told)
		}
	})
}

// shards are several processes that share the members of one reality.
type shards struct {
	*reality
	owner map[string]int
	count int
	order []int
	told  int
}

func drawShards(t *rapid.T, w plan.World) *shards {
	s := &shards{reality: newReality(w), owner: map[string]int{}, count: rapid.IntRange(2, 4).Draw(t, "shards")}
	for _, m := range w.Members {
		s.owner[m.Name] = rapid.IntRange(0, s.count-1).Draw(t, "shard of "+m.Name)
	}
	for n := range s.count {
		s.order = append(s.order, n)
	}
	s.order = rapid.Permutation(s.order).Draw(t, "order of the shards")
	return s
}

// run lets them take turns until nobody has anything to do.
func (s *shards) run(t *rapid.T) {
	for range 12 {
		moved := false
		for _, n := range s.order {
			moved = s.turnOf(n) || moved
		}
		if !moved {
			return
		}
	}
	t.Fatalf("they do not come to rest:\n%s\n%s\n%+v", printPlan(plan.Make(s.seenBy(0))), printPlan(plan.Make(s.seenBy(1))), s.w.Intent)
}

// seenBy is the world as one of them sees it: of the members of others, what the host says.
func (s *shards) seenBy(shard int) plan.World {
	w := s.w
	w.Shared, w.Listens = true, shard != 0
	w.Members = slices.Clone(w.Members)
	for n := range w.Members {
		m := &w.Members[n]
		if m.Record = s.learnt[m.Name]; s.owner[m.Name] != shard {
			w.Surveying = w.Surveying || m.Ready && (m.View == plan.ViewWaiting || m.View == "")
			m.Elsewhere, m.Copy, m.Absent, m.Released, m.Record = true, nil, false, false, nil
		}
		if m.Record == nil && w.Intent != nil {
			if c, ok := w.Intent.Status.Cluster(m.Name); ok && c.UID != "" {
				m.Record = &plan.Record{UID: c.UID, Version: c.Version}
			}
		}
	}
	return w
}

func (s *shards) turnOf(shard int) (moved bool) {
	p := plan.Make(s.seenBy(shard))
	var got []plan.Outcome
	s.w.Members = slices.Clone(s.w.Members)
	for n := range s.w.Members {
		if step, ok := p.Step(s.w.Members[n].Name); ok && step.Needed {
			got = append(got, s.obey(&s.w.Members[n], step))
		}
	}
	told := rollup.Of(p, got, s.w.Intent, true, s.w.Now)
	before := s.w.Intent
	moved = s.write(p, told) || len(got) > 0
	if before != nil && s.w.Intent != nil && !rollup.Same(before.Status, s.w.Intent.Status) {
		s.told++
	}
	return moved
}

// members is what the members hold.
func (r *reality) members() (out string) {
	for _, m := range r.w.Members {
		if m.Copy != nil {
			out += fmt.Sprintln(m.Name, m.Copy.Owner, m.Copy.Applied)
		}
	}
	return out
}

// waits says that some member is still being listed.
func waits(w plan.World) bool {
	return !w.MembersKnown || w.Namespace.Applies && !w.Namespace.Known ||
		slices.ContainsFunc(w.Members, func(m plan.Member) bool { return m.View == plan.ViewWaiting || m.View == "" })
}

// meaning is a status without what depends on when it was told, and on the names that members give.
func meaning(s intent.Status) (out string) {
	out = fmt.Sprintln(s.ObservedGeneration, s.Ready)
	for _, c := range s.Clusters {
		out += fmt.Sprintln(c.Name, c.Status, c.Message, c.UID != "", c.Version, c.Health)
	}
	for _, c := range s.Conditions {
		out += fmt.Sprintln(c.Type, c.Status, c.Reason, c.Message)
	}
	return out
}
