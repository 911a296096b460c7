// Package guard answers: may a plan remove as much as it wants to? It is pure, and only ever makes a plan milder: a Withdraw or a
// Release may become a Hold, nothing else changes.
package guard

import "github.com/hansa-io/hansa/internal/plan"

// Budget is what may still be removed, per member, of the type of the plan at hand.
type Budget map[string]Allowance

// Allowance is the budget of one type in one member.
type Allowance struct {
	// Used is how many removals have been let through in the present window.
	Used int
	// Limit is how many may be; zero means no limit.
	Limit int
	// Paused says that the limit was exceeded: nothing more is removed until someone approves or the intent is restored.
	Paused bool
}

func (a Allowance) spent() bool { return a.Paused || a.Limit > 0 && a.Used >= a.Limit }

// Apply holds the removals that exceed the budget. Only removals that follow from a placement count: an object that its user has
// deleted by name was meant.
func Apply(p plan.Plan, b Budget) plan.Plan {
	steps := make([]plan.Step, len(p.Steps))
	for i, s := range p.Steps {
		if Counts(s) && b[s.Member].spent() {
			s = paused(s)
		}
		steps[i] = s
	}
	p.Steps = steps
	return p
}

// Counts says whether a step uses up budget.
func Counts(s plan.Step) bool {
	return s.Verdict == plan.Withdraw && s.Needed && !s.Confirm && s.Reason == plan.Deselected
}

// Freeze holds everything that would take a copy out of a member or the federation: whatever it is, it can be done later.
func Freeze(p plan.Plan, why plan.Reason, message string) plan.Plan {
	steps := make([]plan.Step, len(p.Steps))
	for i, s := range p.Steps {
		if s.Needed && !s.Confirm && (s.Verdict == plan.Withdraw || s.Verdict == plan.Release) {
			s.Verdict, s.Reason, s.Needed, s.Message = plan.Hold, why, false, message
		}
		steps[i] = s
	}
	p.Steps = steps
	return p
}

func paused(s plan.Step) plan.Step {
	s.Verdict, s.Reason, s.Needed = plan.Hold, plan.DeletionPaused, false
	s.Message = "more objects of this type than the deletion budget allows would leave the cluster: restore the placement, or approve " +
		"with the annotation kubefed.io/approve-deletions on the KubeFedCluster"
	return s
}
