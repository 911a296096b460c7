package guard_test

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/hansa-io/hansa/internal/guard"
	"github.com/hansa-io/hansa/internal/plan"
)

func withdraw(r plan.Reason) plan.Step {
	return plan.Step{Member: "a", Verdict: plan.Withdraw, Reason: r, Needed: true, UID: "c1"}
}

// TestWhatCounts: only removals that follow from a placement are restrained. Who deletes an object by name means it, and a look is none.
func TestWhatCounts(t *testing.T) {
	look, done := withdraw(plan.Deselected), withdraw(plan.Deselected)
	look.Confirm, look.UID, done.Needed = true, "", false
	release := withdraw(plan.Deselected)
	release.Verdict = plan.Release
	for name, tc := range map[string]struct {
		step plan.Step
		want bool
	}{
		"de-selected":     {withdraw(plan.Deselected), true},
		"deleted by name": {withdraw(plan.Deleted), false},
		"owed":            {withdraw(plan.Owed), false},
		"a look":          {look, false},
		"nothing needed":  {done, false},
		"released":        {release, false},
		"placed":          {plan.Step{Member: "a", Verdict: plan.Place, Reason: plan.Creating, Needed: true}, false},
	} {
		if got := guard.Counts(tc.step); got != tc.want {
			t.Errorf("%s: counts %t", name, got)
		}
		p := guard.Apply(plan.Plan{Steps: []plan.Step{tc.step}}, guard.Budget{"a": {Paused: true}})
		if paused := p.Steps[0].Reason == plan.DeletionPaused; paused != tc.want {
			t.Errorf("%s: paused %t", name, paused)
		}
	}
}

func TestBudget(t *testing.T) {
	for name, tc := range map[string]struct {
		budget guard.Budget
		paused bool
	}{
		"none":                 {nil, false},
		"of another member":    {guard.Budget{"b": {Paused: true}}, false},
		"no limit":             {guard.Budget{"a": {Used: 1000}}, false},
		"below the limit":      {guard.Budget{"a": {Used: 9, Limit: 10}}, false},
		"at the limit":         {guard.Budget{"a": {Used: 10, Limit: 10}}, true},
		"above the limit":      {guard.Budget{"a": {Used: 11, Limit: 10}}, true},
		"paused, though below": {guard.Budget{"a": {Used: 1, Limit: 10, Paused: true}}, true},
	} {
		s := guard.Apply(plan.Plan{Steps: []plan.Step{withdraw(plan.Deselected)}}, tc.budget).Steps[0]
		if paused := s.Verdict == plan.Hold && s.Reason == plan.DeletionPaused && !s.Needed && s.Message != ""; paused != tc.paused {
			t.Errorf("%s: %+v", name, s)
		}
		if !tc.paused && !reflect.DeepEqual(s, withdraw(plan.Deselected)) {
			t.Errorf("%s: changed: %+v", name, s)
		}
	}
}

// TestOnlyMilder: whatever the plan and the budget, a step is what it was or has become a Hold that was a needed Withdraw, nothing else of
// the plan moves, and what was given is not changed.
func TestOnlyMilder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, b := plan.Plan{Finalizer: plan.AddFinalizer, Settled: []string{"x"}, Reason: "r", Pending: true}, guard.Budget{}
		for _, name := range []string{"a", "b", "c"} {
			p.Steps = append(p.Steps, plan.Step{
				Member:  name,
				Verdict: rapid.SampledFrom([]plan.Verdict{plan.Place, plan.Withdraw, plan.Withdraw, plan.Release, plan.Hold}).Draw(t, "verdict"),
				Reason:  rapid.SampledFrom([]plan.Reason{plan.Deselected, plan.Deleted, plan.Owed, plan.Gone}).Draw(t, "reason"),
				Needed:  rapid.Bool().Draw(t, "needed"), Confirm: rapid.Bool().Draw(t, "confirm"), Record: &plan.Record{UID: "c1"},
			})
			b[name] = guard.Allowance{Used: rapid.IntRange(0, 3).Draw(t, "used"), Limit: rapid.IntRange(0, 3).Draw(t, "limit"), Paused: rapid.Bool().Draw(t, "paused")}
		}
		before := append([]plan.Step(nil), p.Steps...)
		got := guard.Apply(p, b)
		if !reflect.DeepEqual(before, p.Steps) {
			t.Fatal("the plan that was given has changed")
		}
		if again := guard.Apply(got, b); !reflect.DeepEqual(got, again) {
			t.Fatal("restraining twice restrains more")
		}
		for n, s := range got.Steps {
			was := p.Steps[n]
			if reflect.DeepEqual(s, was) {
				continue
			}
			if s.Verdict != plan.Hold || s.Needed || was.Verdict != plan.Withdraw || !was.Needed || s.Record != was.Record || s.Member != was.Member {
				t.Fatalf("%+v has become %+v", was, s)
			}
		}
		got.Steps, p.Steps = nil, nil
		if !reflect.DeepEqual(got, p) {
			t.Fatal("more than the steps has moved")
		}
	})
}

// TestFreeze: while the host is behind nothing leaves a member or the federation, whatever the reason; placing and looking go on.
func TestFreeze(t *testing.T) {
	look, done := withdraw(plan.Deleted), withdraw(plan.Gone)
	look.Confirm, done.Needed = true, false
	release := withdraw(plan.Unclaimed)
	release.Verdict = plan.Release
	for name, tc := range map[string]struct {
		step plan.Step
		want bool
	}{
		"de-selected":     {withdraw(plan.Deselected), true},
		"deleted by name": {withdraw(plan.Deleted), true},
		"owed":            {withdraw(plan.Owed), true},
		"unclaimed":       {release, true},
		"a look":          {look, false},
		"gone":            {done, false},
		"placed":          {plan.Step{Member: "a", Verdict: plan.Place, Reason: plan.Creating, Needed: true}, false},
	} {
		before := plan.Plan{Steps: []plan.Step{tc.step}}
		p := guard.Freeze(before, plan.RecoveryHold, "why")
		if s := p.Steps[0]; tc.want != (s.Verdict == plan.Hold && s.Reason == plan.RecoveryHold && !s.Needed && s.Message == "why") {
			t.Errorf("%s: %+v", name, s)
		}
		if !reflect.DeepEqual(before.Steps[0], tc.step) {
			t.Errorf("%s: the plan that was given has changed", name)
		}
	}
}
