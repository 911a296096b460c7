package plan

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/hansa-io/hansa/internal/intent"
)

// placement is who is meant, or why nobody can tell.
type placement struct {
	intent    *intent.Intent
	namespace NamespaceWorld
	// reason is empty if every member can be answered for.
	reason  Reason
	message string
	pending bool
}

// placementOf decides what can be decided without looking at a member. The first rule that matches wins.
func placementOf(w World) placement {
	p := placement{intent: w.Intent, namespace: w.Namespace}
	ns := w.Namespace
	switch {
	case !w.MembersKnown:
		p.undecided(PlacementUnknown, "the list of clusters has not been read yet")
		p.pending = true
	case len(w.Members) == 0 && len(w.Intent.Status.Clusters) > 0:
		p.undecided(PlacementUnknown, "no cluster is joined, but copies are on record")
	case problem(w.Intent) != "":
		p.undecided(ComputePlacementFailed, problem(w.Intent))
	case !ns.Applies:
	case !ns.Known:
		p.undecided(PlacementUnknown, "the federated namespaces have not been read yet")
		p.pending = true
	case ns.Intent == nil:
		p.undecided(NamespaceNotFederated, "namespace "+w.Key.Namespace+" is not federated: run kubefedctl federate namespace "+w.Key.Namespace)
	case ns.Intent.IsDeleting():
		p.undecided(NamespaceNotFederated, "the FederatedNamespace "+w.Key.Namespace+" is being deleted")
	case problem(ns.Intent) != "":
		p.undecided(ComputePlacementFailed, "FederatedNamespace "+w.Key.Namespace+": "+problem(ns.Intent))
	}
	return p
}

func (p *placement) undecided(r Reason, message string) { p.reason, p.message = r, message }

func problem(i *intent.Intent) string {
	if p, ok := i.Problem(intent.PartPlacement); ok {
		return p.String()
	}
	return ""
}

// selects says whether a member is meant.
func (p placement) selects(m Member) Tri {
	if p.reason != "" {
		return Unknown
	}
	if !selects(p.intent.Placement, m) {
		return No
	}
	return TriOf(!p.namespace.Applies || selects(p.namespace.Intent.Placement, m))
}

// meant says whether a member may hold the object because of its placement, when the object is to leave: what the object itself excludes
// is not meant, whatever its namespace says.
func (p placement) meant(m Member) Tri {
	if problem(p.intent) == "" && !selects(p.intent.Placement, m) {
		return No
	}
	return p.selects(m)
}

// selects follows KubeFed: a list of names, even an empty one, wins over the selector; no selector selects nothing.
func selects(p intent.Placement, m Member) bool {
	switch {
	case p.ByName:
		return slices.Contains(p.Clusters, m.Name)
	case p.Selector == nil:
		return false
	default:
		return p.Selector.Matches(labels.Set(m.Labels))
	}
}
