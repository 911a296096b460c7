package plan

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Settings of all services.
type Settings struct {
	// ControlPlane is the value of the label on everything that is written.
	ControlPlane string
	// Grace is how long a cluster may be away before its endpoints stand back behind those of other clusters, Expiry how long until they
	// are removed where there are others.
	Grace, Expiry time.Duration
}

// Plan is what is to be done for one service.
type Plan struct {
	Service types.NamespacedName
	// Steps has one for each cluster, sorted by name.
	Steps []Step
	// Again is when the passing of time alone may change the plan; zero if it never does.
	Again time.Time
}

// Step is what is to be done in one cluster.
type Step struct {
	Cluster string
	Verdict Verdict
	Reason  Reason
	// Acts may be done in any order. They are what can be done now: what follows from their results is planned then.
	Acts []Act
}

// Verdict on what a cluster holds of a service.
type Verdict string

const (
	// Place keeps an import of the service in the cluster.
	Place Verdict = "Place"
	// Withdraw takes it out.
	Withdraw Verdict = "Withdraw"
	// Hold leaves all as it is.
	Hold Verdict = "Hold"
)

// Reason of a verdict or an act.
type Reason string

const (
	// Exported by some cluster.
	Exported Reason = "Exported"
	// NotExported by any cluster.
	NotExported Reason = "NotExported"
	// NoNamespace of this name in the cluster.
	NoNamespace Reason = "NoNamespace"
	// MayBeExported by a cluster that is not known.
	MayBeExported Reason = "MayBeExported"
	// Last are the only endpoints that there are.
	Last Reason = "Last"
	// NotSeen is the cluster, or a part of what it holds.
	NotSeen Reason = "NotSeen"
	// NotOurs is the import that is there.
	NotOurs Reason = "NotOurs"
	// Stale are the endpoints of a cluster that is away.
	Stale Reason = "Stale"
	// Expired are the endpoints of a cluster that is away for long.
	Expired Reason = "Expired"
	// ClusterLeft the federation.
	ClusterLeft Reason = "ClusterLeft"
	// NotServed any more is an endpoint or a port.
	NotServed Reason = "NotServed"
	// Changed is what the source says.
	Changed Reason = "Changed"
	// Told is a condition.
	Told Reason = "Told"
)

// Verb of an act.
type Verb string

const (
	// Apply makes an object be as it is here.
	Apply Verb = "Apply"
	// Tell writes its status.
	Tell Verb = "Tell"
	// Remove deletes it.
	Remove Verb = "Remove"
	// Demote makes the endpoints of an EndpointSlice be used only where there are no others.
	Demote Verb = "Demote"
	// Restore takes that back.
	Restore Verb = "Restore"
)

// Act is one write. Exactly one of the objects is set.
type Act struct {
	Verb   Verb
	Reason Reason
	// UID of the object that is there; empty if there is none.
	UID     types.UID
	Import  *mcsv1.ServiceImport
	Derived *corev1.Service
	Slice   *discoveryv1.EndpointSlice
	Export  *mcsv1.ServiceExport
}

// Make decides what is to be done for a service. Equal worlds give equal plans.
func Make(w World, s Settings) Plan {
	p := Plan{Service: w.Service}
	m := merge(w, s)
	for n := range w.Clusters {
		p.Steps = append(p.Steps, stepFor(w, s, m, n))
	}
	p.Again = again(w, s)
	return p
}

// verdict on a cluster; the first rule that matches counts.
func verdict(w World, s Settings, m merged, n int) (Verdict, Reason) {
	held := w.Held[n]
	switch {
	case w.Clusters[n].Presence != Present || !held.Seen || !w.Sources[n].Seen || !w.Known:
		return Hold, NotSeen
	case !w.Sources[n].Namespace:
		return Hold, NoNamespace
	case held.Import != nil && !s.owns(held.Import):
		return Hold, NotOurs
	case len(m.exporters) > 0:
		return Place, Exported
	case m.blind:
		return Hold, MayBeExported
	default:
		return Withdraw, NotExported
	}
}

func stepFor(w World, s Settings, m merged, n int) Step {
	step := Step{Cluster: w.Clusters[n].Name}
	step.Verdict, step.Reason = verdict(w, s, m, n)
	switch {
	case step.Verdict == Place:
		step.Acts = place(w, s, m, n)
	case step.Verdict == Withdraw:
		step.Acts = withdraw(s, w.Held[n])
	case step.Reason == MayBeExported:
		step.Acts = leftovers(w, s, m, n, nil)
	}
	if told := tell(w, s, m, n); told != nil {
		step.Acts = append(step.Acts, *told)
	}
	return step
}

// place keeps the import, what is behind it, and its endpoints.
func place(w World, s Settings, m merged, n int) []Act {
	held := w.Held[n]
	want := importFor(w, s, m, n)
	if held.Import == nil {
		return []Act{{Verb: Apply, Reason: Exported, Import: want}} // all else belongs to it
	}
	if held.Import.DeletionTimestamp != nil {
		return nil // it comes back when it is gone
	}
	acts := append(derivedActs(w, s, m, n), sliceActs(w, s, m, n)...)
	if !sameImport(held.Import, want) {
		return append(acts, Act{Verb: Apply, Reason: Changed, UID: held.Import.UID, Import: want}) // its status is told then
	}
	if m.spec.Type == mcsv1.ClusterSetIP && len(want.Spec.IPs) == 0 && len(acts) > 0 && held.Problem == "" {
		return acts // what is to be told comes of them
	}
	if status := importStatus(w, s, m, n); !sameImportStatus(held.Import.Status, status) {
		out := &mcsv1.ServiceImport{ObjectMeta: metav1.ObjectMeta{Namespace: held.Import.Namespace, Name: held.Import.Name}, Status: status}
		acts = append(acts, Act{Verb: Tell, Reason: Told, UID: held.Import.UID, Import: out})
	}
	return acts
}

// withdraw removes all that is ours.
func withdraw(s Settings, held Held) []Act {
	var acts []Act
	for _, slice := range held.Slices {
		acts = append(acts, removeSlice(slice, NotExported))
	}
	if held.Derived != nil && s.owns(held.Derived) && held.Derived.DeletionTimestamp == nil {
		acts = append(acts, Act{Verb: Remove, Reason: NotExported, UID: held.Derived.UID, Derived: held.Derived})
	}
	if held.Import != nil && held.Import.DeletionTimestamp == nil {
		acts = append(acts, Act{Verb: Remove, Reason: NotExported, UID: held.Import.UID, Import: held.Import})
	}
	return acts
}

// owns says whether an object is one of this control plane's.
func (s Settings) owns(o metav1.Object) bool {
	return o.GetLabels()[fedv1.ControlPlaneLabel] == s.ControlPlane
}

// again is when a cluster that is away has been so for longer than one of the spans.
func again(w World, s Settings) time.Time {
	var next time.Time
	for _, c := range w.Clusters {
		if c.Presence != Away || !leavesTrace(w, c) {
			continue
		}
		for _, span := range []time.Duration{s.Grace, s.Expiry} {
			if at := c.Since.Add(span); at.After(w.Now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// leavesTrace says whether some cluster holds endpoints of this one, or an import that names it.
func leavesTrace(w World, c Cluster) bool {
	return slices.ContainsFunc(w.Held, func(h Held) bool {
		return slices.ContainsFunc(h.Slices, func(s Written) bool { return s.Cluster == c.ID }) ||
			h.Import != nil && slices.ContainsFunc(h.Import.Status.Clusters, func(s mcsv1.ClusterStatus) bool { return s.Cluster == c.ID })
	})
}
