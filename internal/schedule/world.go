package schedule

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
	"github.com/hansa-io/hansa/internal/intent"
)

// target is a federated kind that replicas can be divided for.
type target struct {
	// kind is what spec.targetKind says, typeName the FederatedTypeConfig behind it.
	kind, typeName string
}

// targets are all of them. Another kind with an integer spec.replicas and a label selector in spec.selector is one line more.
var targets = []target{
	{kind: "FederatedDeployment", typeName: "deployments.apps"},
	{kind: "FederatedReplicaSet", typeName: "replicasets.apps"},
}

// preference is a ReplicaSchedulingPreference as it was read; err says why it could not be.
type preference struct {
	*schedv1.ReplicaSchedulingPreference
	err error
}

// world is everything that a decision about one preference may look at.
type world struct {
	pref preference
	// enabled is the feature gate SchedulerPreferences.
	enabled bool
	// target is nil if spec.targetKind names none, fedType if the type is not enabled.
	target  *target
	fedType *intent.Type
	// object is the federated object as the API server has it, intent the same parsed; nil if there is none.
	object *unstructured.Unstructured
	intent *intent.Intent
	// selection is the federated object as if its placement had no list of clusters, which is ours, but only its clusterSelector.
	selection *intent.Intent
	// namespace is the FederatedNamespace; nil if there is none, or none is needed.
	namespace *intent.Intent
	// clusters are all KubeFedClusters, sorted by name.
	clusters []cluster
	history  history
	// unavailableDelay is how long the replicas of a cluster that went away wait for it.
	unavailableDelay time.Duration
	now              time.Time
}

// cluster is a KubeFedCluster, with what was last seen of the target there.
type cluster struct {
	name   string
	labels map[string]string
	ready  bool
	// since is when it ceased to be ready; zero if that is not known.
	since   time.Time
	leaving bool
	// seen is nil while nothing is known of the target there.
	seen *seen
	// problem says why it cannot be looked into.
	problem string
	// limit is what is known of its capacity.
	limit *limit
}

// seen is what a member makes of the target.
type seen struct {
	// at is when it was seen so.
	at time.Time
	// desired and ready are spec.replicas and status.readyReplicas there.
	desired, ready int64
	// stuck pods have not been ready for longer than patience; unschedulable ones are those of them that no node has room for.
	stuck, unschedulable int64
	// due is when a pod that is not ready now will be stuck; zero if there is none.
	due time.Time
}

// patience is how long a pod may take to be ready, or to be scheduled; it is KubeFed's.
const patience = time.Minute

// working is how many replicas are well there, or may yet be.
func (s *seen) working() int64 { return max(s.ready, s.desired-s.stuck, 0) }

// fits is how many replicas can be scheduled there, if not all can.
func (s *seen) fits() int64 { return max(s.ready, s.desired-s.unschedulable, 0) }

// limit is a capacity that was found by hitting it. It is believed for a while; then it is tried with a little more.
type limit struct {
	capacity int64
	since    time.Time
	// step is how much more is tried.
	step int64
}

const (
	// belief is how long a capacity is not doubted.
	belief = 5 * time.Minute
	// longest bounds the steps.
	longest = int64(1) << 30
)

// next is what is known of a capacity after another look; s may be nil. A look of long ago is no news.
func (l *limit) next(s *seen) *limit {
	switch {
	case s != nil && s.unschedulable > 0:
		return &limit{capacity: s.fits(), since: s.at, step: 1}
	case l == nil || s == nil:
		return l
	case s.ready >= s.desired && s.desired > l.capacity:
		return &limit{capacity: s.desired, since: l.since, step: min(2*l.step, longest)}
	default:
		return l
	}
}

// doubted says that a capacity is old enough to be tried.
func (l *limit) doubted(now time.Time) bool { return !now.Before(l.since.Add(belief)) }

// at is the capacity to count with; nil if none is known.
func (l *limit) at(now time.Time) *int64 {
	if l == nil {
		return nil
	}
	capacity := l.capacity
	if l.doubted(now) {
		capacity += l.step
	}
	return &capacity
}
