package schedule

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
)

// Condition types of a preference.
const (
	Ready   = "Ready"
	Stalled = "Stalled"
)

// event is something that happened, once.
type event struct {
	warning         bool
	reason, message string
}

// statusOf folds a decision into the status; failed is why it could not be written, nil if it was. Times move only with meanings.
func statusOf(w world, d decision, failed error) schedv1.ReplicaSchedulingPreferenceStatus {
	old := w.pref.Status
	s := schedv1.ReplicaSchedulingPreferenceStatus{ObservedGeneration: w.pref.Generation, DesiredReplicas: new(int64(w.pref.Spec.TotalReplicas))}
	found := slices.Clone(d.findings)
	switch {
	case d.held != nil:
		found = []finding{*d.held}
		if w.object != nil { // what was placed stays
			s.PlacedReplicas, s.ScheduledClusters, s.Clusters = old.PlacedReplicas, old.ScheduledClusters, old.Clusters
		}
	case failed != nil:
		found = append([]finding{{reason: WriteFailed, message: failed.Error()}}, found...)
		fallthrough
	default:
		s.PlacedReplicas, s.Clusters, s.ScheduledClusters = &d.placed, d.clusters, scheduled(d)
	}
	s.Conditions = conditions(w, found)
	return s
}

// scheduled is "<clusters with replicas>/<clusters considered>".
func scheduled(d decision) string {
	n := 0
	for _, c := range d.clusters {
		if c.Replicas > 0 {
			n++
		}
	}
	return fmt.Sprintf("%d/%d", n, d.considered)
}

// conditions are Ready and Stalled. What stalls, but is about a part of the preference that nothing depends on, leaves Ready True.
func conditions(w world, found []finding) []metav1.Condition {
	ready := finding{reason: Scheduled, message: "all replicas are placed"}
	stalled := finding{reason: Scheduled}
	ok := true
	for _, f := range found {
		if f.stalls && !stalled.stalls {
			stalled = f
		}
		if !mere(f) && ok {
			ready, ok = f, false
		}
	}
	return []metav1.Condition{
		condition(w, Ready, ok, ready),
		condition(w, Stalled, stalled.stalls, stalled),
	}
}

// mere says that a finding is worth telling, but all replicas are placed as asked for.
func mere(f finding) bool { return f.reason == UnknownCluster || f.reason == MinAboveMax }

func condition(w world, kind string, is bool, f finding) metav1.Condition {
	c := metav1.Condition{
		Type: kind, Status: metav1.ConditionFalse, Reason: f.reason, Message: f.message,
		ObservedGeneration: w.pref.Generation, LastTransitionTime: metav1.NewTime(w.now),
	}
	if is {
		c.Status = metav1.ConditionTrue
	}
	for _, old := range w.pref.Status.Conditions {
		if old.Type == kind && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	return c
}

// same says whether two statuses tell the same.
func same(a, b schedv1.ReplicaSchedulingPreferenceStatus) bool {
	return equality.Semantic.DeepEqual(a, b)
}

// eventsOf are what happened between two statuses: what failed for another reason than before, and another division.
func eventsOf(old, now schedv1.ReplicaSchedulingPreferenceStatus, d decision) []event {
	var out []event
	before, after := ready(old), ready(now)
	if after.Status == metav1.ConditionFalse && (before.Status != after.Status || before.Reason != after.Reason || before.Message != after.Message) {
		out = append(out, event{warning: true, reason: "ScheduleFailed", message: after.Reason + ": " + after.Message})
	}
	if d.held == nil && after.Reason != WriteFailed && !slices.EqualFunc(old.Clusters, now.Clusters, sameShare) {
		out = append(out, event{reason: "ScheduleSucceeded", message: fmt.Sprintf("divided %d replicas: %s", *now.DesiredReplicas, d.division)})
	}
	return out
}

func sameShare(a, b schedv1.ClusterReplicas) bool {
	return a.Name == b.Name && a.Replicas == b.Replicas
}

func ready(s schedv1.ReplicaSchedulingPreferenceStatus) metav1.Condition {
	for _, c := range s.Conditions {
		if c.Type == Ready {
			return c
		}
	}
	return metav1.Condition{}
}
