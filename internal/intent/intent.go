// Package intent answers: what does a federated object ask for? It turns the object as the API gives it into values once, at the
// edge, so that nothing behind it handles untyped maps, the template aside. It is pure and total: what cannot be understood
// becomes a Problem with the path of the field, never an error that stops anything else.
package intent

import (
	"encoding/json"
	"sort"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/propagated"
)

// Intent is what one federated object asks for, and what was last told about it.
type Intent struct {
	Namespace, Name string
	UID             types.UID
	ResourceVersion string
	Generation      int64

	// Deleting since this time; zero if not.
	Deleting time.Time
	// Held says that the object carries our finalizer.
	Held bool
	// Finalizers are all finalizers of the object.
	Finalizers []string
	// Orphan says what stays in the members when the object is deleted.
	Orphan Orphan
	// Deletion is what the user says of copies that are not wanted any more; empty if nothing.
	Deletion DeletionPolicy
	// DeleteOptions are sent with deletes in members; nil if none were asked for.
	DeleteOptions *metav1.DeleteOptions

	Placement Placement
	// Template is the JSON of spec.template, less the annotations and finalizers that are not propagated; nil means empty.
	Template []byte
	// Overrides by cluster name.
	Overrides map[string][]Override
	// RetainReplicas leaves spec.replicas to the member once the object exists there.
	RetainReplicas bool
	// PodSelector is the template's spec.selector as a text; empty if it has none.
	PodSelector string

	// Hashes of template and overrides, as KubeFed computes them; zero if it could not.
	Hashes propagated.Hashes

	// Problems make parts of the intent unusable, sorted by path.
	Problems []Problem
	// Dropped lists, sorted, the metadata of the template that is never propagated: annotations, finalizers, a name or namespace that
	// is not the object's own.
	Dropped []string
	// Status is what was last written about this object.
	Status Status
	// Seen is when this came to be known; zero if nobody has told.
	Seen time.Time
}

// Orphan says what stays in the members when a federated object is deleted.
type Orphan string

// The orphan modes.
const (
	// OrphanNone removes all copies.
	OrphanNone Orphan = ""
	// OrphanAll leaves all copies.
	OrphanAll Orphan = "true"
	// OrphanAdopted leaves the copies that were there before the federation took them.
	OrphanAdopted Orphan = "adopted"
)

// DeletionPolicy says what becomes of a copy that is not wanted any more.
type DeletionPolicy string

// The deletion policies.
const (
	DeleteCopies DeletionPolicy = "Delete"
	RetainCopies DeletionPolicy = "Retain"
)

// Placement says which members are meant.
type Placement struct {
	// Clusters are the named members, sorted. They count, even if there are none, when ByName is true.
	Clusters []string
	ByName   bool
	// Selector over the labels of the KubeFedClusters; nil selects nothing.
	Selector labels.Selector
}

// Override is one JSON patch operation for one member.
type Override struct {
	// Op is add, remove or replace.
	Op string `json:"op,omitempty"`
	// Path is a JSON pointer (RFC 6901).
	Path string `json:"path"`
	// Value of add and replace; absent means null, as in KubeFed.
	Value any `json:"value,omitempty"`
}

// Part is the part of an intent that a problem spoils.
type Part string

// The parts.
const (
	PartTemplate  Part = "template"
	PartPlacement Part = "placement"
	PartOverrides Part = "overrides"
	PartDeletion  Part = "deletion"
)

// Problem is something that only the user can change.
type Problem struct {
	Part Part
	// Path of the field, as in spec.overrides[0].clusterOverrides[1].path.
	Path    string
	Message string
}

func (p Problem) String() string { return p.Path + ": " + p.Message }

// Problem returns the first problem of a part.
func (i *Intent) Problem(part Part) (Problem, bool) {
	for _, p := range i.Problems {
		if p.Part == part {
			return p, true
		}
	}
	return Problem{}, false
}

// IsDeleting says whether the user has asked for the object to go.
func (i *Intent) IsDeleting() bool { return !i.Deleting.IsZero() }

// Status is the status of a federated object: KubeFed's, and beside it what Hansa adds.
type Status struct {
	ObservedGeneration int64       `json:"observedGeneration,omitempty"`
	Conditions         []Condition `json:"conditions,omitempty"`
	// Clusters are sorted by name, also where the host has them in another order.
	Clusters []ClusterStatus `json:"clusters,omitempty"`
	// Ready is "<members as desired>/<members meant>".
	Ready string `json:"ready,omitempty"`
	// LoadBalancer is what discovery has written about a FederatedService; it is carried along.
	LoadBalancer json.RawMessage `json:"loadBalancer,omitempty"`
	// Workload is nil where no status is collected, or none tells of replicas.
	*Workload
}

// Workload is what is told of objects that have replicas, as Deployments: their counts, summed.
type Workload struct {
	Replicas          int64 `json:"replicas"`
	UpdatedReplicas   int64 `json:"updatedReplicas"`
	ReadyReplicas     int64 `json:"readyReplicas"`
	AvailableReplicas int64 `json:"availableReplicas"`
	// ReplicasReady is "<ready>/<meant>", with "+?" behind it if there may be more, in members that do not tell.
	ReplicasReady string `json:"replicasReady"`
	// Selector of the Pods.
	Selector string `json:"selector,omitempty"`
}

// Condition is KubeFed's condition with Kubernetes' message and observedGeneration.
type Condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason,omitempty"`
	Message            string `json:"message,omitempty"`
	ObservedGeneration int64  `json:"observedGeneration,omitempty"`
	LastUpdateTime     string `json:"lastUpdateTime,omitempty"`
	LastTransitionTime string `json:"lastTransitionTime,omitempty"`
}

// ClusterStatus is what one member holds. UID and Version are the record by which a restart knows, without a write, that nothing
// changed, and without which nothing there is removed.
type ClusterStatus struct {
	Name string `json:"name"`
	// Status is empty if the member is as desired.
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	// UID of the copy.
	UID types.UID `json:"uid,omitempty"`
	// Version of what was applied: "<hash of the inputs>.<hash of the fields that are ours>".
	Version string `json:"version,omitempty"`
	// Health is what the status of the copy comes to: kstatus' word. Empty where no status is collected.
	Health string `json:"health,omitempty"`
	// ReplicasReady is "<ready>/<meant>".
	ReplicasReady string `json:"replicasReady,omitempty"`
	// RemoteStatus is the status of the copy as it is, as JSON with sorted keys.
	RemoteStatus json.RawMessage `json:"remoteStatus,omitempty"`
}

// Cluster returns the entry of a member, the first if there are several.
func (s *Status) Cluster(name string) (ClusterStatus, bool) {
	n := sort.Search(len(s.Clusters), func(n int) bool { return s.Clusters[n].Name >= name })
	if n == len(s.Clusters) || s.Clusters[n].Name != name {
		return ClusterStatus{}, false
	}
	return s.Clusters[n], true
}

// Condition returns the condition of a type.
func (s *Status) Condition(kind string) (Condition, bool) {
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c, true
		}
	}
	return Condition{}, false
}
