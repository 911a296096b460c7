package plan

import (
	"slices"
	"strings"
)

// Members that another shard has. What that shard does in them is not this one's to decide, and not to be seen either: its word is in the
// status of the federated object. All shards fold the same status from all words, and each writes it when its own have changed.
//
//	what the status says of the member        what it is taken for
//	a word, about the object as it is now     that word
//	no word, the version that is wanted       placed
//	anything else                             Awaited: its shard will say its word
//
// Who speaks first of a new generation thereby takes back what was said of the one before.

// elsewhere is the step of such a member in the plan of a living object; ok is false if it has nothing to do with the object.
func elsewhere(w World, m Member, selected Tri) (s Step, ok bool) {
	told, listed := w.Intent.Status.Cluster(m.Name)
	inputs, _, _ := strings.Cut(told.Version, ".")
	switch {
	case !listed && selected != Yes:
		return Step{}, false
	case spoken(w, m), listed && told.Status == "" && selected == Unknown,
		listed && told.Status == "" && selected == Yes && inputs == version(w, m.Name):
		return Step{Verdict: Hold, Reason: Elsewhere}, true
	default:
		return hold(Awaited, awaitedMessage), true
	}
}

// leaving is the step of such a member in the plan of an object that is being deleted. Where nothing can be, nothing is waited for.
func leaving(w World, m Member, meant Tri) (s Step, ok bool) {
	_, listed := w.Intent.Status.Cluster(m.Name)
	switch {
	case !listed && meant == No:
		return Step{}, false
	case spoken(w, m):
		return Step{Verdict: Hold, Reason: Elsewhere}, true
	default:
		return hold(Awaited, awaitedMessage), true
	}
}

const awaitedMessage = "the shard that has the cluster has not told yet"

// spoken says whether a member's shard has said a word about the object as it is now.
func spoken(w World, m Member) bool {
	told, _ := w.Intent.Status.Cluster(m.Name)
	return told.Status != "" && told.Status != string(Awaited) && w.Intent.Status.ObservedGeneration == w.Intent.Generation
}

// removed says whether a member's shard has said that nothing is left there.
func removed(w World, m Member) bool {
	told, _ := w.Intent.Status.Cluster(m.Name)
	return spoken(w, m) && told.Status == string(Removed)
}

// farewell makes the plan of a deletion that others still hold up say where nothing is left, or what is left is on record as a debt.
func farewell(w World, p Plan) Plan {
	for n, s := range p.Steps {
		m := w.member(s.Member)
		owed, owes := p.Debts[s.Member]
		if s.Reason == Gone || owes && m.Debt != nil && m.Debt.Owner == owed.Owner {
			p.Steps[n] = complete(hold(Removed, ""), w, m)
			delete(p.Debts, s.Member)
		}
	}
	return p
}

func (w World) member(name string) Member {
	n, _ := slices.BinarySearchFunc(w.Members, name, func(m Member, name string) int { return strings.Compare(m.Name, name) })
	return w.Members[n]
}

// mute says whether the object is left to the other shards to speak of: this one has nothing in it, and somebody else has, or is the one
// who speaks of what nobody has anything in.
func mute(w World, p Plan) bool {
	if !w.Shared {
		return false
	}
	awaited, seen := false, false
	for _, m := range w.Members {
		if m.Elsewhere {
			continue
		}
		_, step := p.Step(m.Name)
		if _, listed := w.Intent.Status.Cluster(m.Name); step || listed {
			return false
		}
	}
	for _, s := range p.Steps {
		awaited = awaited || s.Reason == Awaited
		seen = seen || s.Reason == Elsewhere && s.Health != nil
	}
	return awaited || w.Listens && !seen
}
