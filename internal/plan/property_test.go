package plan_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// TestEveryPlanIsWellFormed: whatever the world, there is a plan; it is the same for the same world and for any order of its members;
// every verdict has its reason; what is to be applied is what the federated object is about.
func TestEveryPlanIsWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWorld(t)
		before := fmt.Sprintf("%+v", d.World)
		p := plan.Make(d.World)
		if again := plan.Make(d.World); !reflect.DeepEqual(p, again) {
			t.Fatalf("equal worlds, other plans: %s", gocmp.Diff(printPlan(p), printPlan(again)))
		}
		shuffled := d.World
		shuffled.Members = rapid.Permutation(d.Members).Draw(t, "order")
		if other := plan.Make(shuffled); !reflect.DeepEqual(p, other) {
			t.Fatalf("another order, another plan: %s", gocmp.Diff(printPlan(p), printPlan(other)))
		}
		if after := fmt.Sprintf("%+v", d.World); after != before {
			t.Fatalf("the world was changed: %s", gocmp.Diff(before, after))
		}
		checkIdentity(t, d.World, p)
		checkForm(t, p)
	})
}

// TestHealthDecidesNothing: a plan is the same whatever the copies say of themselves; it only passes that on.
func TestHealthDecidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t).World
		p := plan.Make(w)
		w.Members = slices.Clone(w.Members)
		for n, m := range w.Members {
			if m.Copy != nil {
				blind := *m.Copy
				blind.Health = nil
				w.Members[n].Copy = &blind
			}
		}
		for n, s := range p.Steps {
			if s.Health != nil && (s.Owner != w.Intent.UID || s.ControlPlane != w.Settings.ControlPlane) {
				t.Fatalf("%s: the health of what is another's", s.Member)
			}
			p.Steps[n].Health = nil
		}
		if other := plan.Make(w); !reflect.DeepEqual(p, other) {
			t.Fatal(gocmp.Diff(printPlan(p), printPlan(other)))
		}
	})
}

func checkForm(t *rapid.T, p plan.Plan) {
	if !slices.IsSortedFunc(p.Steps, func(a, b plan.Step) int { return strings.Compare(a.Member, b.Member) }) || !slices.IsSorted(p.Settled) {
		t.Fatalf("not sorted:\n%s", printPlan(p))
	}
	for _, s := range p.Steps {
		placing := s.Verdict == plan.Place && s.Needed
		switch {
		case s.Verdict == "" || s.Reason == "" || s.Member == "" || s.ControlPlane == "":
			t.Fatalf("%s: no verdict without a reason: %+v", s.Member, s)
		case s.Verdict == plan.Hold && s.Needed:
			t.Fatalf("%s: nothing is touched where the verdict is Hold", s.Member)
		case placing != (s.Object != nil):
			t.Fatalf("%s: there is an object exactly where one is to be applied", s.Member)
		case s.Verdict == plan.Place && s.Version == "":
			t.Fatalf("%s: placed without a version", s.Member)
		case s.Needed && (s.Verdict == plan.Withdraw || s.Verdict == plan.Release) && s.Confirm != (s.UID == ""):
			t.Fatalf("%s: what leaves is named by its UID, unless it is merely looked for", s.Member)
		}
	}
}

// TestRemovalsAreJustified is promise S1, in words of its own: a copy is removed only if it is seen, it is ours, its UID is the one on
// record, and its federated object is being deleted, or excludes the member by a placement that can be read, or owes the removal.
func TestRemovalsAreJustified(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWorld(t)
		for _, s := range plan.Make(d.World).Steps {
			if !s.Needed || s.Verdict == plan.Place {
				continue
			}
			m := d.Members[slices.IndexFunc(d.Members, func(m plan.Member) bool { return m.Name == s.Member })]
			if why := unjustified(d, m, s); why != "" {
				t.Fatalf("%s: %s %s: %s", s.Member, s.Verdict, s.Reason, why)
			}
		}
	})
}

func unjustified(d drawn, m plan.Member, s plan.Step) string {
	c := m.Copy
	switch {
	case !d.MembersKnown:
		return "the clusters have not been read"
	case !m.Ready || m.View != plan.ViewSynced:
		return "the member was not looked into"
	case s.Confirm:
		return "" // a read
	case c == nil || c.UID != s.UID:
		return "another object than the one seen"
	case c.ControlPlane != "" && c.ControlPlane != "cp":
		return "it belongs to another control plane"
	case s.Verdict == plan.Release:
		return ""
	case d.Type.IsNamespace() && (m.Host || c.Adopted):
		return "the namespace was there before"
	case owes(m):
		return ""
	case d.Intent == nil:
		return "no debt, and no object that could want it"
	case c.Owner != "" && c.Owner != d.Intent.UID:
		return "it is another federated object's"
	case m.Record != nil && m.Record.UID != c.UID:
		return "the record names another object"
	case d.Intent.IsDeleting():
		orphan := d.Intent.Orphan
		if !d.Intent.Held || orphan == intent.OrphanAll || orphan == intent.OrphanAdopted && c.Adopted {
			return "it is to stay"
		}
		if c.Owner == "" && m.Record == nil && d.means(m) != plan.Yes {
			return "no name on it, no record, and not meant"
		}
		return ""
	case d.Type.Paused:
		return "the type is paused"
	case d.means(m) != plan.No:
		return "the placement does not exclude it"
	default:
		return ""
	}
}

func owes(m plan.Member) bool {
	d, c := m.Debt, m.Copy
	return d != nil && d.Owner == c.Owner && (d.UID == "" || d.UID == c.UID) && !d.Release && (!d.KeepAdopted || !c.Adopted)
}

// TestStrangersHaveNoStep: a member that is not meant and has nothing to do with the object is not spoken of, once it was looked into.
func TestStrangersHaveNoStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWorld(t)
		p := plan.Make(d.World)
		for _, m := range d.Members {
			stranger := m.Copy == nil && m.Record == nil && m.Debt == nil
			meant := d.Intent != nil && d.means(m) != plan.No
			if s, ok := p.Step(m.Name); ok && stranger && !meant && s.Reason != plan.Observing {
				t.Fatalf("%s has a step:\n%s", m.Name, printPlan(p))
			}
		}
	})
}

// TestUnknownNeverDeletes: forgetting anything about a world turns no verdict into a removal, and lets no federated object go that was
// held, but for what the deadline allows: a debt on record for each member that was forgotten. A copy that is on no record, in a member
// that is not meant and away, cannot be known of: it loses our marks when the member is back.
func TestUnknownNeverDeletes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawWorld(t)
		p := plan.Make(d.World)
		q := plan.Make(forget(t, d.World))
		for _, s := range q.Steps {
			before, _ := p.Step(s.Member)
			wanted := before.Needed && (before.Verdict == plan.Withdraw || before.Verdict == plan.Release)
			switch {
			case !s.Needed || s.Verdict == plan.Place || s.Confirm:
			case !wanted, s.Verdict == plan.Withdraw && before.Verdict != plan.Withdraw:
				t.Fatalf("%s: %s %s has become %s %s", s.Member, before.Verdict, before.Reason, s.Verdict, s.Reason)
			}
		}
		if q.Finalizer != plan.RemoveFinalizer || p.Finalizer == plan.RemoveFinalizer {
			return
		}
		for _, s := range p.Steps {
			m := d.Members[slices.IndexFunc(d.Members, func(m plan.Member) bool { return m.Name == s.Member })]
			_, owed := q.Debts[s.Member]
			unknowable := m.Record == nil && d.excludes(m)
			if !owed && m.Debt == nil && s.Reason != plan.Gone && !unknowable {
				t.Fatalf("the object is let go, though %s was %s %s", s.Member, s.Verdict, s.Reason)
			}
		}
	})
}

// forget replaces some of what is known by not knowing it.
func forget(t *rapid.T, w plan.World) plan.World {
	w.Members = slices.Clone(w.Members)
	if rarely(t, 3, "forget the list") {
		w.MembersKnown = false
	}
	if rarely(t, 3, "forget the namespace") && w.Namespace.Applies {
		w.Namespace.Known, w.Namespace.Intent = false, nil
	}
	for n := range w.Members {
		m := &w.Members[n]
		switch oneOf(t, "forget "+m.Name, "nothing", "nothing", "view", "readiness", "namespace") {
		case "view":
			m.View = oneOf(t, "view", plan.ViewWaiting, plan.ViewMissing, plan.ViewForbidden, plan.ViewFailed, "")
			if rapid.Bool().Draw(t, "forget the copy") {
				m.Copy = nil
			}
		case "readiness":
			m.Ready = false
			if rapid.Bool().Draw(t, "forget the copy") {
				m.Copy = nil
			}
		case "namespace":
			m.NamespaceHere = plan.Unknown
		}
	}
	return w
}

// TestPlansComeToRest: in the world that a plan makes, and the status that is told of it, nothing more is wanted: no write, no read, no
// change of the finalizer or of the debts, and the status means the same.
func TestPlansComeToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newReality(drawWorld(t).World)
		for range 6 {
			p, moved := r.turn()
			if moved {
				continue
			}
			if q, moved := r.turn(); moved || !reflect.DeepEqual(p, q) {
				t.Fatalf("at rest, but another plan: %s", gocmp.Diff(printPlan(p), printPlan(q)))
			}
			return
		}
		p, _ := r.turn()
		t.Fatalf("does not come to rest:\n%s", printPlan(p))
	})
}

// reality is a world with members that obey, and a host that writes down what it is told.
type reality struct {
	w plan.World
	// learnt is what the lanes remember until the status tells it.
	learnt map[string]*plan.Record
	made   int
}

func newReality(w plan.World) *reality {
	r := &reality{w: w, learnt: map[string]*plan.Record{}}
	for _, m := range w.Members {
		r.learnt[m.Name] = m.Record
	}
	return r
}

// turn makes a plan, makes it true and tells of it; moved says that anything was written or read for it.
func (r *reality) turn() (p plan.Plan, moved bool) {
	r.w.Members = slices.Clone(r.w.Members)
	for n := range r.w.Members {
		m := &r.w.Members[n]
		if m.Record = r.learnt[m.Name]; m.Record == nil && r.w.Intent != nil {
			if c, ok := r.w.Intent.Status.Cluster(m.Name); ok && c.UID != "" {
				m.Record = &plan.Record{UID: c.UID, Version: c.Version}
			}
		}
	}
	p = plan.Make(r.w)
	var got []plan.Outcome
	for n := range r.w.Members {
		if s, ok := p.Step(r.w.Members[n].Name); ok && s.Needed {
			got = append(got, r.obey(&r.w.Members[n], s))
		}
	}
	told := rollup.Of(p, got, r.w.Intent, true, r.w.Now)
	moved = r.write(p, told)
	return p, moved || len(got) > 0
}

// obey does in a member what a step says.
func (r *reality) obey(m *plan.Member, s plan.Step) plan.Outcome {
	if s.Verdict != plan.Place {
		m.Copy, m.Absent, r.learnt[m.Name] = nil, true, nil
		return plan.Outcome{Member: m.Name, State: plan.Done}
	}
	r.made++
	c := &plan.Copy{
		UID: s.UID, ResourceVersion: fmt.Sprint(100 + r.made), Managed: "true", ControlPlane: s.ControlPlane, Owner: s.Owner,
		Applied: s.Object.GetAnnotations()[fedv1.AppliedAnnotation], Fields: "fields of " + s.Version,
		Adopted: s.Object.GetAnnotations()[fedv1.AdoptedAnnotation] == "true",
	}
	if c.UID == "" {
		c.UID = types.UID(fmt.Sprintf("made-%d", r.made))
	}
	replicas, _, _ := unstructured.NestedFieldNoCopy(s.Object.Object, "spec", "replicas")
	c.OwnsReplicas = replicas != nil || s.KeepReplicas
	m.Copy, m.Absent, r.learnt[m.Name] = c, false, plan.RecordOf(c)
	return plan.Outcome{Member: m.Name, State: plan.Done, Record: r.learnt[m.Name]}
}

// write does on the host what a plan and what is told say.
func (r *reality) write(p plan.Plan, told rollup.Told) (moved bool) {
	for n := range r.w.Members {
		m := &r.w.Members[n]
		if slices.Contains(p.Settled, m.Name) {
			m.Debt, moved = nil, true
		}
		if d, ok := p.Debts[m.Name]; ok && (p.Shared || p.Finalizer == plan.RemoveFinalizer) {
			m.Debt, moved = &d, true
		}
	}
	if r.w.Intent == nil || p.Mute {
		return moved
	}
	i := *r.w.Intent
	switch p.Finalizer {
	case plan.RemoveFinalizer:
		r.w.Intent, r.learnt = nil, map[string]*plan.Record{}
		return true
	case plan.AddFinalizer:
		i.Held, moved = true, true
	case plan.KeepFinalizer:
	}
	if !p.Silent && !p.Pending && !told.Mute && !rollup.Same(i.Status, told.Status) {
		i.Status, moved = told.Status, true
	}
	r.w.Intent = &i
	return moved
}
