// Package plan answers: which member should hold what, and why? It is pure: a World goes in, a Plan comes out, equal worlds give
// equal plans, and planning the world that a plan produces changes nothing. What is not known is Hold, never a removal.
package plan

import (
	"sort"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hansa-io/hansa/internal/intent"
)

// Verdict is what should happen to an object in a member.
type Verdict string

// The verdicts.
const (
	// Place: the member holds the rendered object.
	Place Verdict = "Place"
	// Withdraw: the member does not hold the object.
	Withdraw Verdict = "Withdraw"
	// Release: the member keeps the object, without our marks.
	Release Verdict = "Release"
	// Hold: nothing is touched.
	Hold Verdict = "Hold"
)

// Reason is the one word that the user reads about a member. Where KubeFed has a word for it, it is KubeFed's.
type Reason string

// The reasons. Of those of KubeFed the ones that an attempt leads to are made by internal/apply and internal/rollup.
const (
	// InSync: the member holds what it should.
	InSync Reason = "InSync"
	// Creating, Updating and Claiming: the member lacks the object, holds an older form, or holds one that KubeFed wrote.
	Creating Reason = "Creating"
	Updating Reason = "Updating"
	Claiming Reason = "Claiming"
	// Deleted, Deselected and Owed: why an object leaves a member: its federated object is deleted, its placement excludes the member,
	// or a deletion in the past could not reach the member.
	Deleted    Reason = "Deleted"
	Deselected Reason = "Deselected"
	Owed       Reason = "Owed"
	// Gone: a removal has been confirmed.
	Gone Reason = "Gone"
	// Orphaned: the user asked to leave the object in the member. HostNamespace: the host's own namespaces are never removed.
	// Adopted: a namespace that was there before the federation stays.
	// Retained: what the object holds cannot be made again, or the user said so, and it is left in the member.
	// Unclaimed: our mark names a federated object that is not there.
	Orphaned      Reason = "Orphaned"
	Retained      Reason = "Retained"
	HostNamespace Reason = "HostNamespace"
	Adopted       Reason = "Adopted"
	Unclaimed     Reason = "Unclaimed"
	// WaitingForRemoval: the object is terminating in the member.
	WaitingForRemoval Reason = "WaitingForRemoval"
	// WaitingForNamespace: the namespace of the object is not in the member yet.
	WaitingForNamespace Reason = "WaitingForNamespace"
	// ClusterNotReady: the member is away.
	ClusterNotReady Reason = "ClusterNotReady"
	// Observing: what the member holds is still being listed.
	Observing Reason = "Observing"
	// OwnedByOther: the object belongs to another control plane.
	OwnedByOther Reason = "OwnedByOther"
	// AlreadyExists: the object is there, not ours, and may not be adopted. ManagedLabelFalse: its label says hands off.
	AlreadyExists     Reason = "AlreadyExists"
	ManagedLabelFalse Reason = "ManagedLabelFalse"
	// ApplyOverridesFailed, ComputeResourceFailed: the intent cannot be rendered.
	ApplyOverridesFailed  Reason = "ApplyOverridesFailed"
	ComputeResourceFailed Reason = "ComputeResourceFailed"
	// NamespaceNotFederated, ComputePlacementFailed, PlacementUnknown: it is not known whether the member is meant.
	NamespaceNotFederated  Reason = "NamespaceNotFederated"
	ComputePlacementFailed Reason = "ComputePlacementFailed"
	PlacementUnknown       Reason = "PlacementUnknown"
	// RecoveryHold: the host knows less than what members have seen of it, as after a restore: it may lack what was wanted since.
	RecoveryHold Reason = "RecoveryHold"
	// InvalidName: the federated object is none, for it has a name that none may have.
	InvalidName Reason = "InvalidName"
	// Elsewhere: another shard has the member, and what it said stands. Awaited: it has not said anything yet about the object as it is now.
	// Removed: nothing is left in the member, but others hold the object up: the word by which shards tell each other.
	Elsewhere Reason = "Elsewhere"
	Awaited   Reason = "Awaited"
	Removed   Reason = "Removed"
	// Paused: the type's propagation is disabled. DeletionPaused: the deletion budget is spent.
	Paused         Reason = "Paused"
	DeletionPaused Reason = "DeletionPaused"
)

// FinalizerAction is what should happen to our finalizer on the federated object.
type FinalizerAction string

// The actions.
const (
	KeepFinalizer   FinalizerAction = ""
	AddFinalizer    FinalizerAction = "Add"
	RemoveFinalizer FinalizerAction = "Remove"
)

// Plan is what should be true of one federated object in all members.
type Plan struct {
	Key intent.Key
	// Kind of the target, for messages.
	Kind string
	// Collects says what is told of the status of the copies.
	Collects intent.Collection
	// Steps sorted by member; members that have nothing to do with the object have none.
	Steps     []Step
	Finalizer FinalizerAction
	// Debts are to be recorded before the finalizer goes.
	Debts map[string]Debt
	// Settled lists, sorted, the members whose debt is paid.
	Settled []string
	// Reason why the placement as a whole could not be decided; empty if it could.
	Reason  Reason
	Message string
	// Pending says that inputs are still being read, so nothing should be told yet.
	Pending bool
	// Recheck is when this plan may change although nothing happens; zero if never.
	Recheck time.Time
	// Silent says that the object gets no status: it is no valid federated object, and Reason says why, or there is none.
	Silent bool
	// Shared says that several shards have the members among them: they write the same status.
	Shared bool
	// Mute says that other shards speak of the object, and this one does not.
	Mute bool
	// Since is when what the plan follows from was seen. It is for measuring, and part of no decision.
	Since time.Time
}

// Step is the verdict on one member.
type Step struct {
	Member  string
	Verdict Verdict
	Reason  Reason
	Message string
	// Needed says that something must be written, or read, in the member to make the verdict true.
	Needed bool
	// Selected says that the placement means this member.
	Selected bool

	// Namespace and Name of the target.
	Namespace, Name string
	// Object is what to apply; only for a Place that is needed.
	Object *unstructured.Unstructured
	// Version is the hash of the inputs that Object was rendered from.
	Version string
	// Record is what the host knows of the copy: kept until the step has changed it.
	Record *Record
	// Adopted says that the copy was there before the federation took it.
	Adopted bool
	// Seen is the resource version of the copy that the verdict rests on; empty if none was seen.
	Seen string
	// UID that the object in the member must have; empty for one that must not exist yet.
	UID types.UID
	// Owner is the UID of the federated object, ControlPlane the ID of this control plane: the mark that must be found.
	Owner        types.UID
	ControlPlane string
	// Adopt says whether an object that is there may be taken over.
	Adopt bool
	// KeepReplicas says that spec.replicas is ours but must stay what it is in the member.
	KeepReplicas bool
	// Health of the copy, if it is this federated object's and its status is collected; nil else.
	Health *Health
	// Confirm says that no copy was seen: a Withdraw only looks whether that is so.
	Confirm bool
	// Exclusive says that a Withdraw may only remove the object if nothing in it is foreign: a namespace.
	Exclusive bool
	// DeleteOptions for a Withdraw; nil for the server's defaults.
	DeleteOptions *metav1.DeleteOptions
	// Since is when the step came to be wanted, for measuring; a lane that has it already keeps its own.
	Since time.Time
}

// Repairs says whether a step only puts back what somebody else has changed or removed in the member.
func (s Step) Repairs() bool {
	if s.Verdict != Place || !s.Needed || s.Record == nil {
		return false
	}
	inputs, _, _ := strings.Cut(s.Record.Version, ".")
	return inputs != "" && inputs == s.Version
}

// Step returns the step of a member.
func (p Plan) Step(member string) (Step, bool) {
	n := sort.Search(len(p.Steps), func(n int) bool { return p.Steps[n].Member >= member })
	if n == len(p.Steps) || p.Steps[n].Member != member {
		return Step{}, false
	}
	return p.Steps[n], true
}

// Outcome is what came of a step.
type Outcome struct {
	Member string
	State  State
	// Did says what was done in the member, in the past tense of KubeFed's operations.
	Did Did
	// Reason is KubeFed's cluster status if the step did not succeed, as in CreationFailed.
	Reason  Reason
	Message string
	// Record of the copy after the step; nil if there is none.
	Record *Record
	// Late says that the outcome has been pending for long.
	Late bool
}

// State of a step.
type State string

// The states.
const (
	// Unchanged: nothing was needed.
	Unchanged State = "Unchanged"
	// Pending: the lane has the step.
	Pending State = "Pending"
	// Done: the verdict is true in the member.
	Done State = "Done"
	// Failed: the step failed and will be tried again.
	Failed State = "Failed"
	// Refused: the step must not be done until someone changes something.
	Refused State = "Refused"
)

// Did is an act in a member.
type Did string

// The acts.
const (
	DidNothing Did = ""
	DidCreate  Did = "Create"
	DidAdopt   Did = "Adopt"
	DidUpdate  Did = "Update"
	DidDelete  Did = "Delete"
	DidRelease Did = "Release"
)
