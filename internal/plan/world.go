package plan

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/intent"
)

// World is everything that a decision about one federated object may look at.
type World struct {
	Key  intent.Key
	Type intent.Type
	// Intent is the federated object; nil if there is none.
	Intent *intent.Intent
	// Namespace is what the FederatedNamespace says, for targets that live in a namespace.
	Namespace NamespaceWorld
	// Members of the federation.
	Members []Member
	// MembersKnown says that the list of members was read in full. An unread list is not an empty one.
	MembersKnown bool
	// Shared says that several shards have the members among them.
	Shared bool
	// Listens says that another shard speaks of the objects that no shard has anything in.
	Listens bool
	// Surveying says that another shard is still reading what its members hold.
	Surveying bool
	// Newest is the newest resource version of the federated type that the host has told of; empty if it has told nothing yet.
	Newest   string
	Settings Settings
	Now      time.Time

	// plain is the version for all members without overrides, hashed once; empty while it is not known.
	plain string
}

// Settings of the control plane that decisions depend on.
type Settings struct {
	// ControlPlane is the ID of this control plane: the UID of its namespace in the host.
	ControlPlane string
	// SystemNamespaces are never federated.
	SystemNamespaces []string
	// Idle says that nothing is written to members: the feature gate PushReconciler is off.
	Idle bool
	// Adopt says whether objects that exist in a member are taken over.
	Adopt bool
	// Accepted is the revision up to which members may have seen more than the host: its user has accepted that the host was restored.
	Accepted string
	// DeletionDeadline is how long a deletion waits for members that are away before what they hold is recorded as debt.
	DeletionDeadline time.Duration
}

// NamespaceWorld is the placement of the namespace that a target lives in.
type NamespaceWorld struct {
	// Applies is false for targets without a namespace, and for control planes of one namespace.
	Applies bool
	// Known says that the FederatedNamespaces were read in full.
	Known bool
	// Intent is the FederatedNamespace; nil if there is none.
	Intent *intent.Intent
}

// View says how well the copies of a type in a member are seen.
type View string

// The views.
const (
	// ViewSynced: all copies have been listed and are watched. Only this view can tell that something is not there.
	ViewSynced View = "Synced"
	// ViewWaiting: the first list is under way.
	ViewWaiting View = "Waiting"
	// ViewMissing: the member does not serve the type.
	ViewMissing View = "TypeMissing"
	// ViewForbidden: the member does not let us list the type.
	ViewForbidden View = "Forbidden"
	// ViewFailed: the list fails for another reason.
	ViewFailed View = "CachedRetrievalFailed"
)

// Member is one member cluster as last seen, with what it holds of the object at hand.
type Member struct {
	Name   string
	Labels map[string]string
	// Host says that the member is the host itself.
	Host bool
	// Elsewhere says that another shard has the member: what it holds is only known from what that shard has told.
	Elsewhere bool
	// Ready says that the member may be written to.
	Ready bool
	// Revision is the resource version of the KubeFedCluster.
	Revision string

	// View of the type in this member, and in words what is wrong with it.
	View        View
	ViewMessage string
	// Copy is the object in the member; nil means that it was not seen, which says "absent" only if View is ViewSynced.
	Copy *Copy
	// Record is what was last applied there, by this process or, after a restart, as the status tells; nil if nothing was.
	Record *Record
	// Debt is what a deletion left behind here; nil if nothing.
	Debt *Debt
	// Absent says that a read of the member itself found no object of ours since the last step.
	Absent bool
	// Released says that what made it Absent was a release: the object is still in the member, and not ours any more.
	Released bool
	// NamespaceHere says whether the namespace of the target is in the member; Unknown does not hold anything up.
	NamespaceHere Tri
}

// Copy is the federation's view of an object in a member: its identity, its markers, and which of its fields are ours.
type Copy struct {
	UID             types.UID
	ResourceVersion string
	// Generation of the object; 0 for kinds that have none.
	Generation int64
	// Managed is the value of the label kubefed.io/managed.
	Managed string
	// ControlPlane and Owner are the two halves of the owner annotation; empty if there is none.
	ControlPlane string
	Owner        types.UID
	// Applied is the hash of the inputs of the last apply.
	Applied string
	// Revision is the newest resource version in the host that the copy was applied from; empty if somebody else has written it since.
	Revision string
	// Fields is a hash of the set of fields that we own, spec.replicas aside. It moves when anyone else changes one of them.
	Fields string
	// OwnsReplicas says that spec.replicas is ours.
	OwnsReplicas bool
	// Shared says that KubeFed, which wrote the object before us, still owns fields that are ours as well.
	Shared bool
	// Adopted says that the object was there before the federation took it.
	Adopted bool
	// Deleting says that the object is being deleted.
	Deleting bool
	// Health is what its status comes to; nil where no status is collected.
	Health *Health
}

// HealthState is kstatus' word for how an object fares.
type HealthState string

// The states of health.
const (
	// HealthCurrent: the object is what its spec asks for. One that has no status is.
	HealthCurrent HealthState = "Current"
	// HealthInProgress: the member is still at work.
	HealthInProgress HealthState = "InProgress"
	// HealthFailed: the member has given up, or will not get any further.
	HealthFailed HealthState = "Failed"
	// HealthTerminating: the object is being deleted.
	HealthTerminating HealthState = "Terminating"
	// HealthUnknown: its status cannot be read, or has not been seen.
	HealthUnknown HealthState = "Unknown"
)

// Health is what the status of a copy comes to.
type Health struct {
	State HealthState
	// Message for people; empty for what is current.
	Message string
	// Replicas; nil for an object without spec.replicas.
	Replicas *Replicas
	// Status of the copy as it is, as JSON with sorted keys; nil if it has none or if nobody asks for it.
	Status []byte
	// Large says that the status is larger than what is kept of one.
	Large bool
}

// Replicas of a workload: how many are meant, and the counts of its status.
type Replicas struct {
	Meant, Total, Updated, Ready, Available int64
}

// Record is what the host remembers of a copy.
type Record struct {
	UID     types.UID
	Version string
}

// Debt is a removal that a deleted federated object still owes in a member that was away.
type Debt struct {
	// Owner is the UID of the federated object that is gone.
	Owner types.UID
	// UID of the copy; empty if it was not known.
	UID types.UID
	// Release says that the copy is to stay, without our marks; KeepAdopted that it is if it was there before the federation took it.
	Release     bool
	KeepAdopted bool
	// DeleteOptions are sent with the delete; nil for the server's defaults.
	DeleteOptions *metav1.DeleteOptions
}

func (d Debt) keeps(c *Copy) bool { return d.Release || d.KeepAdopted && c.Adopted }

// owed says whether what a member holds, or may hold, is the debt of an earlier object rather than the present one's.
func (m Member) owed() bool {
	switch {
	case m.Debt == nil:
		return false
	case m.Copy != nil:
		return m.Copy.Owner == m.Debt.Owner
	default:
		return m.Record == nil
	}
}

// Tri is yes, no, or not known.
type Tri int

// The three answers.
const (
	Unknown Tri = iota
	No
	Yes
)

func (t Tri) String() string { return [...]string{"unknown", "no", "yes"}[t] }

// TriOf is Yes or No.
func TriOf(b bool) Tri {
	if b {
		return Yes
	}
	return No
}
