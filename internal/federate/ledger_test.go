package federate

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// brake is a ledger in a world of one type.
type brake struct {
	*Ledger
	t        *testing.T
	copies   int
	approved bool
}

func newBrake(t *testing.T, limits Limits, copies int) *brake {
	b := &brake{t: t, copies: copies}
	b.Ledger = NewLedger(limits, func(string, string) int { return b.copies }, func(string, string) bool { return b.approved })
	return b
}

func (b *brake) guard(name, member string, v plan.Verdict, r plan.Reason) plan.Step {
	s := plan.Step{Member: member, Verdict: v, Reason: r, Needed: v != plan.Hold, UID: "c1"}
	return b.Guard(plan.Plan{Key: intent.Key{Type: "configmaps", Namespace: "shop", Name: name}, Steps: []plan.Step{s}}, nil).Steps[0]
}

// deselect asks for the removal of objects, and wants as many let through, from the first on.
func (b *brake) deselect(member string, from, to, want int) {
	b.t.Helper()
	through := 0
	for n := from; n < to; n++ {
		if s := b.guard(fmt.Sprint(n), member, plan.Withdraw, plan.Deselected); s.Verdict == plan.Withdraw {
			through++
		} else if s.Reason != plan.DeletionPaused || s.Message == "" {
			b.t.Errorf("held without a word: %+v", s)
		}
	}
	if through != want {
		b.t.Errorf("%d of %d removals from %s let through, want %d", through, to-from, member, want)
	}
}

func TestLedgerLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		limits Limits
		copies int
		want   int
	}{
		"the least":              {Limits{Window: time.Minute, Least: 5, Share: 0.1}, 10, 5},
		"the share":              {Limits{Window: time.Minute, Least: 5, Share: 0.1}, 100, 11}, // 10 % of those there and those gone
		"switched off":           {Limits{Window: time.Minute}, 100, 30},
		"one":                    {Limits{Window: time.Minute, Least: 1}, 100, 1},
		"fewer than the limit":   {Limits{Window: time.Minute, Least: 50, Share: 0.1}, 100, 30},
		"as it is by default":    {DefaultLimits, 10, 30},
		"a share of very little": {Limits{Window: time.Minute, Share: 0.1}, 30, 3},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrake(t, tc.limits, tc.copies)
			b.deselect("a", 0, 30, tc.want)
		})
	}
}

// TestLedgerIsPerMemberAndType: what is spent in one member or of one type restrains no other.
func TestLedgerIsPerMemberAndType(t *testing.T) {
	b := newBrake(t, Limits{Window: time.Minute, Least: 2}, 100)
	b.deselect("a", 0, 5, 2)
	b.deselect("b", 0, 5, 2)
	other := plan.Plan{Key: intent.Key{Type: "secrets", Name: "x"}, Steps: []plan.Step{{Member: "a", Verdict: plan.Withdraw, Reason: plan.Deselected, Needed: true}}}
	if s := b.Guard(other, nil).Steps[0]; s.Verdict != plan.Withdraw {
		t.Errorf("another type: %+v", s)
	}
}

// TestLedgerCountsAnObjectOnce: what was let through and is not done yet is not held, and costs nothing, when it is asked for again.
func TestLedgerCountsAnObjectOnce(t *testing.T) {
	b := newBrake(t, Limits{Window: time.Minute, Least: 3}, 100)
	for range 4 {
		b.deselect("a", 0, 2, 2)
	}
	b.deselect("a", 2, 5, 1)
	b.deselect("a", 0, 2, 2) // also when the budget is spent
}

// TestLedgerDoesNotCount what was deleted by name, what is owed, and what is placed.
func TestLedgerDoesNotCount(t *testing.T) {
	b := newBrake(t, Limits{Window: time.Minute, Least: 1}, 100)
	for n := range 10 {
		for _, r := range []plan.Reason{plan.Deleted, plan.Owed} {
			if s := b.guard(fmt.Sprint(n), "a", plan.Withdraw, r); s.Verdict != plan.Withdraw {
				t.Errorf("%s: %+v", r, s)
			}
		}
	}
	b.deselect("a", 0, 2, 1)
	if s := b.guard("5", "a", plan.Withdraw, plan.Deleted); s.Verdict != plan.Withdraw {
		t.Errorf("paused, deleted by name: %+v", s)
	}
	if s := b.guard("6", "a", plan.Place, plan.Creating); s.Verdict != plan.Place {
		t.Errorf("paused, placed: %+v", s)
	}
}

// TestLedgerWindow: what was removed long ago is forgotten, as long as nothing is held.
func TestLedgerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(t, Limits{Window: time.Minute, Least: 2}, 100)
		b.deselect("a", 0, 2, 2)
		time.Sleep(61 * time.Second)
		b.deselect("a", 2, 4, 2)
		b.deselect("a", 4, 5, 0)
	})
}

// TestLedgerStaysPaused: once the budget was exceeded time does not heal it, for a mistake does not become right by waiting (D11).
func TestLedgerStaysPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(t, Limits{Window: time.Minute, Least: 2}, 100)
		b.deselect("a", 0, 4, 2)
		time.Sleep(time.Hour)
		b.deselect("a", 2, 10, 0)
	})
}

// TestLedgerForgetsWhatHasNoStep: an object that has nothing to do with a member any more does not keep it paused for the others.
func TestLedgerForgetsWhatHasNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(t, Limits{Window: time.Minute, Least: 1}, 100)
		b.deselect("a", 0, 2, 1)
		b.Guard(plan.Plan{Key: intent.Key{Type: "configmaps", Namespace: "shop", Name: "1"}}, nil)
		time.Sleep(2 * time.Minute)
		b.deselect("a", 2, 3, 1)
	})
}

// TestLedgerApproval lets everything through while it stands.
func TestLedgerApproval(t *testing.T) {
	b := newBrake(t, Limits{Window: time.Minute, Least: 2}, 100)
	b.deselect("a", 0, 10, 2)
	b.approved = true
	b.deselect("a", 2, 10, 8)
	b.approved = false
	b.deselect("a", 10, 12, 0) // what was approved is spent
}

// TestLedgerRestored: when the intent of everything that is held is restored, or its object deleted by name, nothing is paused any more.
func TestLedgerRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(t, Limits{Window: time.Minute, Least: 2}, 100)
		b.deselect("a", 0, 5, 2)
		b.guard("2", "a", plan.Place, plan.InSync)
		b.guard("3", "a", plan.Withdraw, plan.Deleted)
		time.Sleep(2 * time.Minute)
		b.deselect("a", 5, 6, 0) // 4 and, from now on, 5 are held
		b.guard("4", "a", plan.Hold, plan.ClusterNotReady)
		b.guard("5", "a", plan.Withdraw, plan.Gone)
		b.deselect("a", 6, 7, 1)
	})
}

// A restart is not a new budget: what a process before held, as the object's status tells, this one holds, until someone approves.
func TestLedgerRecalls(t *testing.T) {
	told := &intent.Intent{Status: intent.Status{Clusters: []intent.ClusterStatus{{Name: "m1", Status: string(plan.DeletionPaused)}}}}
	step := plan.Step{Member: "m1", Verdict: plan.Withdraw, Reason: plan.Deselected, Needed: true, UID: "c1"}
	p := plan.Plan{Key: intent.Key{Type: "configmaps", Namespace: "shop", Name: "told"}, Steps: []plan.Step{step}}
	for name, tc := range map[string]struct {
		limits   Limits
		approved bool
		want     plan.Verdict
	}{
		"held":         {DefaultLimits, false, plan.Hold},
		"approved":     {DefaultLimits, true, plan.Withdraw},
		"switched off": {Limits{Window: time.Minute}, false, plan.Withdraw},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrake(t, tc.limits, 100)
			b.approved = tc.approved
			if s := b.Guard(p, told).Steps[0]; s.Verdict != tc.want {
				t.Errorf("the verdict is %s (%s), want %s", s.Verdict, s.Reason, tc.want)
			}
		})
	}
}
