package settings

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Reasons of the conditions of a KubeFedConfig.
const (
	InForce        = "InForce"
	InvalidSetting = "InvalidSetting"
	RestartNeeded  = "RestartNeeded"
	WithoutEffect  = "WithoutEffect"
)

// Status says what a reading means. Times in the old status stay where the meaning does.
func Status(r Reading, generation int64, old fedv1.KubeFedConfigStatus, now metav1.Time) fedv1.KubeFedConfigStatus {
	ready := metav1.Condition{Type: fedv1.ConfigReady, Status: metav1.ConditionTrue, Reason: InForce}
	switch {
	case len(r.Bad) > 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, InvalidSetting, Words(r.Bad)+". What was in force before still is"
	case len(r.Restart) > 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, RestartNeeded, Words(r.Restart)
	}
	ignored := metav1.Condition{Type: fedv1.ConfigIgnored, Status: metav1.ConditionFalse, Reason: InForce}
	if len(r.Ignored) > 0 {
		ignored.Status, ignored.Reason, ignored.Message = metav1.ConditionTrue, WithoutEffect, Words(r.Ignored)
	}
	s := fedv1.KubeFedConfigStatus{ObservedGeneration: generation}
	for _, c := range []metav1.Condition{ready, ignored} {
		c.ObservedGeneration, c.LastTransitionTime = generation, now
		if before := condition(old, c.Type); before != nil && before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
		s.Conditions = append(s.Conditions, c)
	}
	return s
}

// News are the conditions that say something to warn of which the old status did not.
func News(old, now fedv1.KubeFedConfigStatus) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range now.Conditions {
		before := condition(old, c.Type)
		if c.Message != "" && (before == nil || before.Message != c.Message) {
			out = append(out, c)
		}
	}
	return out
}

func condition(s fedv1.KubeFedConfigStatus, kind string) *metav1.Condition {
	for n := range s.Conditions {
		if s.Conditions[n].Type == kind {
			return &s.Conditions[n]
		}
	}
	return nil
}

// Same says whether two statuses say the same. Times do not count.
func Same(a, b fedv1.KubeFedConfigStatus) bool {
	return a.ObservedGeneration == b.ObservedGeneration && slices.EqualFunc(a.Conditions, b.Conditions, func(a, b metav1.Condition) bool {
		a.LastTransitionTime, b.LastTransitionTime = metav1.Time{}, metav1.Time{}
		return a == b
	})
}
