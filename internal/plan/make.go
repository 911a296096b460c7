package plan

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/intent"
)

// Make decides. It is total: whatever the world looks like, every member that has to do with the object gets a step with a reason.
func Make(w World) Plan {
	p := Plan{Key: w.Key, Kind: w.Type.Target.Kind}
	switch {
	case w.Intent == nil:
		return absent(p, w)
	case !valid(w):
		p.Silent, p.Reason = true, "InvalidName"
		p.Message = "a FederatedNamespace must have the name of the namespace that it lives in, and that may not be a system namespace"
		return p
	case w.Intent.IsDeleting():
		return deleting(p, w)
	default:
		return living(p, w)
	}
}

// valid follows KubeFed: a FederatedNamespace of another name, or of a system namespace, is no federated object at all.
func valid(w World) bool {
	return !w.Type.IsNamespace() ||
		w.Key.Name == w.Key.Namespace && !slices.Contains(w.Settings.SystemNamespaces, w.Key.Namespace)
}

// living is the plan of an object that should be where its placement says.
func living(p Plan, w World) Plan {
	where := placementOf(w)
	p.Reason, p.Message, p.Pending = where.reason, where.message, where.pending
	for _, m := range w.Members {
		selected := where.selects(m)
		step, ok := member(w, m, where, selected)
		if !ok {
			continue
		}
		step.Selected = selected == Yes
		p.Steps = append(p.Steps, complete(step, w, m))
		if m.Debt != nil && step.Verdict == Place {
			// The debt is of an earlier object of this name; its copy is this object's now.
			p.Settled = append(p.Settled, m.Name)
		}
	}
	if !w.Intent.Held && !w.Type.Paused {
		p.Finalizer = AddFinalizer
	}
	return pending(p)
}

func member(w World, m Member, where placement, selected Tri) (Step, bool) {
	switch {
	case w.Type.Paused && (m.Copy != nil || m.Record != nil || selected == Yes):
		return hold(Paused, "propagation of "+w.Type.Name+" is disabled"), true
	case w.Type.Paused:
		return Step{}, false
	case selected == Yes:
		return place(w, m), true
	case selected == No:
		return leave(w, m, Deselected, false)
	case m.Copy != nil && m.Copy.Owner == w.Intent.UID || m.Record != nil:
		return hold(where.reason, where.message), true
	default:
		return Step{}, false
	}
}

// place says how the member comes to hold the object. The first rule that matches wins.
func place(w World, m Member) Step {
	if s, ok := unseen(m); ok {
		return s
	}
	if p, ok := w.Intent.Problem(intent.PartTemplate); ok {
		return hold(ComputeResourceFailed, p.String())
	}
	if p, ok := w.Intent.Problem(intent.PartOverrides); ok {
		return hold(ApplyOverridesFailed, p.String())
	}
	v := version(w, m.Name)
	c := m.Copy
	switch {
	case m.NamespaceHere == No:
		return hold(WaitingForNamespace, "")
	case c == nil:
		return rendered(w, m, v, Step{Reason: Creating})
	case c.ControlPlane != "" && c.ControlPlane != w.Settings.ControlPlane:
		return hold(OwnedByOther, "the object belongs to the control plane "+c.ControlPlane)
	case c.Deleting:
		return hold(WaitingForRemoval, "the object is terminating")
	case inSync(w, m, v):
		return Step{Verdict: Place, Reason: InSync, Version: v}
	case c.ControlPlane == "":
		return rendered(w, m, v, Step{Reason: Claiming, UID: c.UID})
	default:
		return rendered(w, m, v, Step{Reason: Updating, UID: c.UID})
	}
}

func rendered(w World, m Member, version string, s Step) Step {
	obj, err := render(w, m, version)
	if err != nil {
		return hold(ApplyOverridesFailed, err.Error())
	}
	s.Verdict, s.Needed, s.Object, s.Version = Place, true, obj, version
	s.Adopt = w.Settings.Adopt
	s.KeepReplicas = w.Intent.RetainReplicas && m.Copy != nil && m.Copy.OwnsReplicas
	return s
}

// unseen holds when the member cannot be looked at: what was not seen is neither there nor gone.
func unseen(m Member) (Step, bool) {
	switch {
	case !m.Ready:
		// Why the member is away is told once, on its KubeFedCluster: here it would move every object's status with it.
		return hold(ClusterNotReady, "see the conditions of KubeFedCluster "+m.Name), true
	case m.View == ViewWaiting:
		return hold(Observing, ""), true
	case m.View != ViewSynced:
		return hold(Reason(m.View), m.ViewMessage), true
	default:
		return Step{}, false
	}
}

// leave says how the object comes to be out of a member, or why it stays. certain says that the member is known to have been meant,
// so that a copy may be there although there is no record of it. The first rule that matches wins.
func leave(w World, m Member, why Reason, certain bool) (Step, bool) {
	c := m.Copy
	known := c != nil || m.Record != nil || m.Debt != nil
	if !known && !certain {
		return Step{}, false
	}
	if s, ok := unseen(m); ok {
		return s, true
	}
	switch {
	case c == nil && !known:
		return Step{}, false
	case c == nil && m.Absent:
		return Step{Verdict: Withdraw, Reason: Gone}, true
	case c == nil:
		return Step{Verdict: Withdraw, Reason: why, Needed: true, Confirm: true}, true
	case c.ControlPlane != "" && c.ControlPlane != w.Settings.ControlPlane:
		return Step{}, false
	case w.Type.IsNamespace() && m.Host:
		return Step{Verdict: Release, Reason: HostNamespace, Needed: true, UID: c.UID}, true
	case w.Type.IsNamespace() && c.Adopted:
		return Step{Verdict: Release, Reason: Adopted, Needed: true, UID: c.UID}, true
	case w.keeps(c):
		return Step{Verdict: Release, Reason: Orphaned, Needed: true, UID: c.UID}, true
	case !w.owns(m, certain):
		return Step{Verdict: Release, Reason: Unclaimed, Needed: true, UID: c.UID}, true
	case c.Deleting:
		return hold(WaitingForRemoval, "the object is terminating"), true
	default:
		return Step{Verdict: Withdraw, Reason: why, Needed: true, UID: c.UID}, true
	}
}

func recorded(m Member) types.UID {
	switch {
	case m.Record != nil:
		return m.Record.UID
	case m.Debt != nil:
		return m.Debt.UID
	default:
		return ""
	}
}

// keeps says whether the user wants a copy to stay when the federated object is deleted.
func (w World) keeps(c *Copy) bool {
	return w.Intent.IsDeleting() &&
		(w.Intent.Orphan == intent.OrphanAll || w.Intent.Orphan == intent.OrphanAdopted && c.Adopted)
}

// owns says whether a copy is this federated object's: the mark on it and the record on the host agree. KubeFed's mark alone names
// nobody: it is ours where name and placement agree as well.
func (w World) owns(m Member, meant bool) bool {
	if m.Debt != nil && m.Copy.Owner == m.Debt.Owner {
		return m.Debt.UID == "" || m.Debt.UID == m.Copy.UID
	}
	if m.Record != nil && m.Record.UID != m.Copy.UID {
		return false
	}
	if m.Copy.Owner == "" {
		return meant || m.Record != nil
	}
	return m.Copy.Owner == w.Intent.UID
}

// deleting is the plan of an object that the user has deleted: out of every member that holds it, then the finalizer.
func deleting(p Plan, w World) Plan {
	if !w.Intent.Held {
		p.Silent = true
		return p
	}
	if !w.MembersKnown {
		p.Pending = true
		return p
	}
	if problem, ok := w.Intent.Problem(intent.PartDeletion); ok {
		p.Reason, p.Message = ComputeResourceFailed, problem.String()
		return p
	}
	where := placementOf(w)
	blocked := false
	p.Debts = map[string]Debt{}
	for _, m := range w.Members {
		step, ok := leave(w, m, Deleted, where.selects(m) == Yes)
		if !ok {
			continue
		}
		step.DeleteOptions = w.Intent.DeleteOptions
		p.Steps = append(p.Steps, complete(step, w, m))
		switch {
		case step.Verdict == Hold && overdue(w, step):
			p.Debts[m.Name] = debt(w, m)
		case step.Verdict == Hold:
			blocked, p.Recheck = true, w.Intent.Deleting.Add(w.Settings.DeletionDeadline)
		case step.Reason != Gone:
			blocked = true
		}
	}
	if !blocked {
		p.Finalizer = RemoveFinalizer
	}
	return pending(p)
}

// overdue says that a deletion has waited long enough for a member that cannot be looked at.
func overdue(w World, s Step) bool {
	switch s.Reason {
	case WaitingForRemoval, Observing:
		return false
	default:
		return !w.Now.Before(w.Intent.Deleting.Add(w.Settings.DeletionDeadline))
	}
}

func debt(w World, m Member) Debt {
	d := Debt{Owner: w.Intent.UID, UID: recorded(m), Release: w.Intent.Orphan == intent.OrphanAll}
	if m.Copy != nil {
		d.UID, d.Release = m.Copy.UID, w.keeps(m.Copy)
	}
	return d
}

// absent is the plan where no federated object is left: debts are paid, and copies that still carry our mark are let go.
func absent(p Plan, w World) Plan {
	p.Silent = true
	if !w.MembersKnown {
		return p
	}
	for _, m := range w.Members {
		step, ok := remnant(w, m)
		if !ok {
			continue
		}
		if step.Reason == Gone {
			p.Settled = append(p.Settled, m.Name)
		}
		p.Steps = append(p.Steps, complete(step, w, m))
	}
	return p
}

func remnant(w World, m Member) (Step, bool) {
	c := m.Copy
	if m.Debt == nil && (c == nil || c.ControlPlane != w.Settings.ControlPlane) {
		return Step{}, false
	}
	if s, ok := unseen(m); ok {
		return s, true
	}
	switch {
	case c == nil && m.Absent:
		return Step{Verdict: Withdraw, Reason: Gone}, true
	case c == nil:
		return Step{Verdict: Withdraw, Reason: Owed, Needed: true, Confirm: true, Owner: m.Debt.Owner}, true
	case c.ControlPlane != w.Settings.ControlPlane:
		// Someone else has the object now; the debt is void.
		return Step{Verdict: Withdraw, Reason: Gone}, true
	case m.Debt == nil || m.Debt.Release || c.Owner != m.Debt.Owner || m.Debt.UID != "" && m.Debt.UID != c.UID,
		w.Type.IsNamespace() && m.Host:
		return Step{Verdict: Release, Reason: Unclaimed, Needed: true, UID: c.UID, Owner: c.Owner}, true
	case c.Deleting:
		return hold(WaitingForRemoval, "the object is terminating"), true
	default:
		return Step{Verdict: Withdraw, Reason: Owed, Needed: true, UID: c.UID, Owner: c.Owner}, true
	}
}

func hold(r Reason, message string) Step { return Step{Verdict: Hold, Reason: r, Message: message} }

// complete fills in what every step carries.
func complete(s Step, w World, m Member) Step {
	s.Member = m.Name
	s.Namespace, s.Name = w.Type.TargetName(w.Key)
	s.ControlPlane = w.Settings.ControlPlane
	if m.Copy != nil {
		s.Seen, s.Adopted = m.Copy.ResourceVersion, m.Copy.Adopted
	}
	if s.Owner == "" && w.Intent != nil {
		s.Owner = w.Intent.UID
		if m.Copy != nil && m.Copy.Owner != "" && s.Verdict != Place {
			s.Owner = m.Copy.Owner
		}
	}
	if s.Reason != Gone {
		s.Record = m.Record
	}
	s.Exclusive = w.Type.IsNamespace() && s.Verdict == Withdraw
	return s
}

// pending marks a plan in which a member is still being looked at: the next look will tell more.
func pending(p Plan) Plan {
	p.Pending = p.Pending || slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Reason == Observing })
	return p
}
