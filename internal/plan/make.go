package plan

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hansa-io/hansa/internal/intent"
)

// Make decides. It is total: whatever the world looks like, every member that has to do with the object gets a step with a reason.
func Make(w World) Plan {
	p := Plan{Key: w.Key, Kind: w.Type.Target.Kind, Collects: w.Type.Collects, Shared: w.Shared}
	w.Members = sorted(w.Members)
	switch {
	case w.Settings.Idle:
		return idle(p, w)
	case w.Intent == nil:
		return absent(p, w)
	case !valid(w):
		return invalid(p, w)
	case w.Intent.IsDeleting():
		return deleting(p, w)
	default:
		return living(p, w)
	}
}

// idle leaves everything as it is, also what is being deleted, and what is owed.
func idle(p Plan, w World) Plan {
	if p.Silent = w.Intent == nil || !valid(w); p.Silent {
		return p
	}
	w.Type.Paused = true
	return living(p, w)
}

// valid follows KubeFed: a FederatedNamespace of another name, or of a system namespace, is no federated object at all.
func valid(w World) bool {
	return !w.Type.IsNamespace() ||
		w.Key.Name == w.Key.Namespace && !slices.Contains(w.Settings.SystemNamespaces, w.Key.Namespace)
}

// invalid touches nothing, and lets go of what some other control plane may have held.
func invalid(p Plan, w World) Plan {
	p.Silent, p.Reason, p.Mute = true, InvalidName, w.Listens
	p.Message = "a FederatedNamespace must have the name of the namespace that it lives in, and that may not be a system namespace"
	if w.Intent.IsDeleting() && w.Intent.Held {
		p.Finalizer = RemoveFinalizer
	}
	return p
}

func byName(a, b Member) int { return strings.Compare(a.Name, b.Name) }

func sorted(members []Member) []Member {
	if slices.IsSortedFunc(members, byName) {
		return members
	}
	return slices.SortedStableFunc(slices.Values(members), byName)
}

// living is the plan of an object that should be where its placement says.
func living(p Plan, w World) Plan {
	where := placementOf(w)
	w.plain = hash(w, nil)
	p.Reason, p.Message, p.Pending = where.reason, where.message, where.pending
	if len(w.Members) == 0 {
		p.Steps = unlisted(w, where)
	}
	for _, m := range w.Members {
		selected := where.selects(m)
		step, ok := member(w, m, where, selected)
		if !ok {
			continue
		}
		step.Selected = selected == Yes
		p.Steps = append(p.Steps, complete(step, w, m))
		if !step.Needed && step.Verdict != Hold {
			p = settled(p, m)
		}
	}
	p.Mute = mute(w, p)
	if !w.Intent.Held && !w.Type.Paused && !p.Mute {
		p.Finalizer = AddFinalizer
	}
	return pending(p)
}

// unlisted holds what is on record where no cluster is listed at all, so that telling of it does not strike out the records.
func unlisted(w World, where placement) []Step {
	var members []Member
	for _, c := range w.Intent.Status.Clusters {
		m := Member{Name: c.Name}
		if c.UID != "" {
			m.Record = &Record{UID: c.UID, Version: c.Version}
		}
		members = append(members, m)
	}
	members = slices.CompactFunc(sorted(members), func(a, b Member) bool { return a.Name == b.Name })
	steps := make([]Step, len(members))
	for n, m := range members {
		steps[n] = complete(hold(where.reason, where.message), w, m)
	}
	return steps
}

func member(w World, m Member, where placement, selected Tri) (Step, bool) {
	switch {
	case m.Elsewhere:
		return elsewhere(w, m, selected)
	case w.Type.Paused && (m.Copy != nil || m.Record != nil || selected == Yes):
		return hold(Paused, paused(w)), true
	case w.Type.Paused:
		return Step{}, false
	case selected == Yes:
		return place(w, m), true
	case selected == No:
		return leave(w, m, Deselected, No)
	case m.Copy != nil && m.Copy.Owner == w.Intent.UID || m.Record != nil:
		return hold(where.reason, where.message), true
	default:
		return Step{}, false
	}
}

func paused(w World) string {
	if w.Settings.Idle {
		return "the feature gate PushReconciler is disabled"
	}
	return "propagation of " + w.Type.Name + " is disabled"
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
	case w.behind(m):
		return hold(RecoveryHold, RecoveryMessage)
	case c.ControlPlane == "" || c.Shared:
		return rendered(w, m, v, Step{Reason: Claiming, UID: c.UID})
	default:
		return rendered(w, m, v, Step{Reason: Updating, UID: c.UID})
	}
}

func rendered(w World, m Member, version string, s Step) Step {
	obj, err := render(w, m, version)
	switch {
	case err != nil && len(w.Intent.Overrides[m.Name]) == 0:
		return hold(ComputeResourceFailed, err.Error())
	case err != nil:
		return hold(ApplyOverridesFailed, err.Error())
	}
	s.Verdict, s.Needed, s.Object, s.Version = Place, true, obj, version
	s.Adopt = w.Settings.Adopt || w.Type.IsNamespace() && m.Host // the host's own namespace is always there already
	s.KeepReplicas = w.Intent.RetainReplicas && m.Copy != nil && m.Copy.OwnsReplicas
	return s
}

// unseen holds when the member cannot be looked at: what was not seen is neither there nor gone.
func unseen(m Member) (Step, bool) {
	switch {
	case !m.Ready:
		// Why the member is away is told once, on its KubeFedCluster: here it would move every object's status with it.
		return hold(ClusterNotReady, "see the conditions of KubeFedCluster "+m.Name), true
	case m.View == ViewWaiting, m.View == "":
		return hold(Observing, ""), true
	case m.View != ViewSynced:
		return hold(Reason(m.View), m.ViewMessage), true
	default:
		return Step{}, false
	}
}

// leave says how the object comes to be out of a member, or why it stays. meant says whether the member may be meant, so that a copy may
// be there, or on its way, although there is no record of it. The first rule that matches wins.
func leave(w World, m Member, why Reason, meant Tri) (Step, bool) {
	c, owed := m.Copy, m.owed()
	known := c != nil || m.Record != nil
	away, hidden := unseen(m)
	switch {
	case !known && meant == No && (hidden || m.Debt == nil):
		return Step{}, false // what is owed where nobody can look is on record already
	case hidden:
		return away, true
	case owed:
		return repay(w, m), true
	case c == nil && m.Absent:
		return gone(m), true
	case c == nil:
		return Step{Verdict: Withdraw, Reason: why, Needed: true, Confirm: true}, true
	case c.ControlPlane != "" && c.ControlPlane != w.Settings.ControlPlane:
		return Step{}, false
	default:
		return withdraw(w, m, why, meant), true
	}
}

// gone is the last step: nothing is left to do, and its verdict says what was done.
func gone(m Member) Step {
	if m.Released {
		return Step{Verdict: Release, Reason: Gone}
	}
	return Step{Verdict: Withdraw, Reason: Gone}
}

// withdraw is about a copy that is there and not another control plane's. The first rule that matches wins.
func withdraw(w World, m Member, why Reason, meant Tri) Step {
	c := m.Copy
	problem, bad := w.Intent.Problem(intent.PartDeletion)
	switch {
	case w.Type.IsNamespace() && m.Host:
		return Step{Verdict: Release, Reason: HostNamespace, Needed: true, UID: c.UID}
	case w.Type.IsNamespace() && c.Adopted:
		return Step{Verdict: Release, Reason: Adopted, Needed: true, UID: c.UID}
	case w.keeps(c):
		return Step{Verdict: Release, Reason: Orphaned, Needed: true, UID: c.UID}
	case c.Deleting && meant == Unknown:
		return hold(WaitingForRemoval, "the object is terminating") // whose it is is not known, and will not matter
	case !w.owns(m, meant == Yes):
		return Step{Verdict: Release, Reason: Unclaimed, Needed: true, UID: c.UID}
	case c.Deleting:
		return hold(WaitingForRemoval, "the object is terminating")
	case bad:
		return hold(ComputeResourceFailed, problem.String())
	case w.retains():
		return Step{Verdict: Release, Reason: Retained, Needed: true, UID: c.UID}
	default:
		return Step{Verdict: Withdraw, Reason: why, Needed: true, UID: c.UID, DeleteOptions: w.Intent.DeleteOptions}
	}
}

// keeps says whether the user wants a copy to stay when the federated object is deleted.
func (w World) keeps(c *Copy) bool {
	return w.Intent.IsDeleting() &&
		(w.Intent.Orphan == intent.OrphanAll || w.Intent.Orphan == intent.OrphanAdopted && c.Adopted)
}

// lasting kinds hold what cannot be made again: data, or the definition that all objects of a kind go with.
var lasting = map[schema.GroupKind]bool{
	{Kind: "PersistentVolumeClaim"}:                                   true,
	{Kind: "PersistentVolume"}:                                        true,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true,
}

// retains says whether copies that are not wanted any more are left in the members.
func (w World) retains() bool {
	if w.Intent.Deletion == "" {
		return lasting[w.Type.Target.GVK().GroupKind()]
	}
	return w.Intent.Deletion == intent.RetainCopies
}

// owns says whether a copy is this federated object's: the mark on it and the record on the host agree. KubeFed's mark alone names
// nobody: it is ours where name and placement agree as well.
func (w World) owns(m Member, meant bool) bool {
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
	problem, bad := w.Intent.Problem(intent.PartDeletion)
	if bad {
		p.Reason, p.Message = ComputeResourceFailed, problem.String()
	}
	where, deadline, blocked := placementOf(w), w.Intent.Deleting.Add(w.Settings.DeletionDeadline), bad || w.Surveying
	p.Debts, p.Pending = map[string]Debt{}, w.Surveying // one of the others may find a copy that is on no record
	for _, m := range w.Members {
		step, ok := leave(w, m, Deleted, where.meant(m))
		if away, _ := unseen(m); !ok && !bad && away.Reason == Observing {
			step, ok = away, true // it may hold a copy that is on no record, and will soon have told
		}
		switch {
		case m.Elsewhere:
			step, ok = leaving(w, m, where.meant(m))
		case !ok && p.Shared && (where.meant(m) != No || removed(w, m)):
			step, ok = hold(Removed, ""), true // others wait for this word, or rest on it
		}
		switch {
		case !ok, step.Reason == Removed:
		case m.Elsewhere:
			blocked = blocked || !removed(w, m)
		case bad:
			step = hold(p.Reason, p.Message)
		case step.Reason == Unclaimed && where.pending && w.Now.Before(deadline):
			step, blocked, p.Recheck = hold(Observing, where.message), true, deadline // whose it is will be known when the placement is
		case step.Reason == Gone:
			p = settled(p, m)
		case step.Verdict != Hold || ends(step.Reason):
			blocked = true
		case w.Now.Before(deadline):
			blocked, p.Recheck = true, deadline
		default:
			p.Debts[m.Name] = debt(w, m)
		}
		if ok {
			p.Steps = append(p.Steps, complete(step, w, m))
		}
	}
	p.Mute = mute(w, p)
	if !blocked {
		p.Finalizer = RemoveFinalizer
	} else if p.Shared {
		p = farewell(w, p)
	}
	return pending(p)
}

// settled strikes out the debt of an earlier object of this name where its copy is this object's now, or gone.
func settled(p Plan, m Member) Plan {
	if m.Debt != nil {
		p.Settled = append(p.Settled, m.Name)
	}
	return p
}

// ends says that a hold ends by itself, in a member that answers: no deadline counts for it.
func ends(r Reason) bool { return r == WaitingForRemoval || r == Observing || r == RecoveryHold }

// debt is what a deletion leaves behind in a member that it could not look into.
func debt(w World, m Member) Debt {
	if m.owed() {
		return *m.Debt
	}
	d := Debt{
		Owner: w.Intent.UID, DeleteOptions: w.Intent.DeleteOptions,
		Release: w.Intent.Orphan == intent.OrphanAll || w.retains(), KeepAdopted: w.Intent.Orphan == intent.OrphanAdopted,
	}
	switch {
	case m.Copy != nil:
		d.UID = m.Copy.UID
	case m.Record != nil:
		d.UID = m.Record.UID
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
	if m.Elsewhere || m.Debt == nil && (c == nil || c.ControlPlane != w.Settings.ControlPlane) {
		return Step{}, false
	}
	if s, ok := unseen(m); ok {
		return s, true
	}
	if m.Debt == nil {
		return Step{Verdict: Release, Reason: Unclaimed, Needed: true, UID: c.UID, Owner: c.Owner}, true
	}
	return repay(w, m), true
}

// repay does for a federated object that is gone what its deletion could not do. The first rule that matches wins.
func repay(w World, m Member) Step {
	c, d := m.Copy, m.Debt
	switch {
	case c == nil && m.Absent:
		return gone(m)
	case c == nil:
		return Step{Verdict: Withdraw, Reason: Owed, Needed: true, Confirm: true, Owner: d.Owner}
	case c.ControlPlane != w.Settings.ControlPlane:
		// Someone else has the object now; the debt is void.
		return Step{Verdict: Withdraw, Reason: Gone}
	case c.Owner != d.Owner || d.UID != "" && d.UID != c.UID:
		return Step{Verdict: Release, Reason: Unclaimed, Needed: true, UID: c.UID, Owner: c.Owner}
	case w.Type.IsNamespace() && m.Host:
		return Step{Verdict: Release, Reason: HostNamespace, Needed: true, UID: c.UID, Owner: c.Owner}
	case w.Type.IsNamespace() && c.Adopted:
		return Step{Verdict: Release, Reason: Adopted, Needed: true, UID: c.UID, Owner: c.Owner}
	case d.keeps(c):
		return Step{Verdict: Release, Reason: Orphaned, Needed: true, UID: c.UID, Owner: c.Owner}
	case c.Deleting:
		return hold(WaitingForRemoval, "the object is terminating")
	default:
		return Step{Verdict: Withdraw, Reason: Owed, Needed: true, UID: c.UID, Owner: c.Owner, DeleteOptions: d.DeleteOptions}
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
	if w.Intent != nil && m.Copy != nil && m.Copy.Owner == w.Intent.UID && m.Copy.IsOurs(w.Settings.ControlPlane) {
		s.Health = m.Copy.Health
	}
	if s.Owner == "" && w.Intent != nil {
		s.Owner = w.Intent.UID
		if m.Copy != nil && m.Copy.Owner != "" && s.Verdict != Place {
			s.Owner = m.Copy.Owner
		}
	}
	if s.Reason != Gone && s.Reason != Removed {
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
