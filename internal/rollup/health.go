package rollup

import (
	"fmt"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// Reasons of a Ready that is False although every member holds what it should.
const (
	// Progressing: a member is still at work on its copy.
	Progressing = "Progressing"
	// Failed: a member has given up on its copy.
	Failed = "Failed"
	// HealthUnknown: what a copy says of itself cannot be read, or has not been seen since the last change.
	HealthUnknown = "HealthUnknown"
)

// maxRaw is how many bytes of the members' statuses one federated object holds: etcd takes objects of about 1.5 MB.
const maxRaw = 512 << 10

// unwell is what keeps a member from being as desired, in one word; empty if nothing does.
func unwell(c intent.ClusterStatus) string {
	switch {
	case c.Status != "" || c.Health == "" || c.Health == string(plan.HealthCurrent):
		return c.Status
	case c.Health == string(plan.HealthFailed):
		return Failed
	case c.Health == string(plan.HealthUnknown):
		return HealthUnknown
	default:
		return Progressing
	}
}

// tally sums what the copies say of themselves.
type tally struct {
	collects intent.Collection
	sum      plan.Replicas
	// some and missing say that a member has told of replicas, and that one has not; hidden that another shard's copy is not seen here.
	some, missing, hidden bool
	raw                   int
}

// add tells in a member's entry how its copy fares, and counts it. It is false if that is not known yet, but will be.
func (t *tally) add(c *intent.ClusterStatus, s plan.Step, o plan.Outcome) (known bool) {
	if !t.collects.Health || !s.Selected {
		return true
	}
	h := s.Health
	if h == nil || s.Needed && o.State == plan.Done { // what was seen was before the change
		t.missing = true
		if c.Status == "" {
			c.Health, c.Message = string(plan.HealthUnknown), "the object has not been seen since the last change"
		}
		return c.Status != ""
	}
	c.Health = string(h.State)
	if c.Status == "" {
		c.Message = h.Message
	}
	t.replicas(h.Replicas)
	if h.Replicas != nil {
		c.ReplicasReady = fraction(*h.Replicas)
	}
	if t.collects.Raw {
		t.tell(c, h)
	}
	return true
}

// count counts a copy of another shard's member, if it is seen here: the leader sees all.
func (t *tally) count(c intent.ClusterStatus, s plan.Step) {
	t.raw += len(c.RemoteStatus)
	switch {
	case !t.collects.Health || !s.Selected:
	case s.Health != nil:
		t.replicas(s.Health.Replicas)
	case c.Status != "":
		t.missing = true // nobody sees it
	default:
		t.hidden = true
	}
}

func (t *tally) replicas(r *plan.Replicas) {
	if r == nil {
		t.missing = true
		return
	}
	t.some = true
	t.sum.Meant += r.Meant
	t.sum.Total += r.Total
	t.sum.Updated += r.Updated
	t.sum.Ready += r.Ready
	t.sum.Available += r.Available
}

func fraction(r plan.Replicas) string { return fmt.Sprintf("%d/%d", r.Ready, r.Meant) }

// tell copies the status of a copy, unless it is too large for that, or all are together.
func (t *tally) tell(c *intent.ClusterStatus, h *plan.Health) {
	if h.Large || t.raw+len(h.Status) > maxRaw {
		if c.Message == "" {
			c.Message = "its status is left out of remoteStatus: it is too large"
		}
		return
	}
	t.raw += len(h.Status)
	c.RemoteStatus = h.Status
}

// workload is the sum. Members that do not tell are not taken for empty ones: the fraction says that there may be more. A shard that does
// not see other shards' copies, or not yet, leaves the sum to the one that does.
func (t *tally) workload(i *intent.Intent) *intent.Workload {
	switch {
	case t.hidden:
		return i.Status.Workload
	case !t.some:
		return nil
	}
	w := &intent.Workload{
		Replicas: t.sum.Total, UpdatedReplicas: t.sum.Updated, ReadyReplicas: t.sum.Ready, AvailableReplicas: t.sum.Available,
		ReplicasReady: fraction(t.sum), Selector: i.PodSelector,
	}
	if t.missing {
		w.ReplicasReady += "+?"
	}
	return w
}
