package front

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// condition is one without what depends on time.
func condition(status metav1.ConditionStatus, kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func yes(kind, reason, message string) metav1.Condition {
	return condition(metav1.ConditionTrue, kind, reason, message)
}

func no(kind, reason, message string) metav1.Condition {
	return condition(metav1.ConditionFalse, kind, reason, message)
}

// renew puts conditions in the place of those of the same types. What others have written stays, and a time moves only with a status.
func renew(old []metav1.Condition, generation int64, now metav1.Time, set ...metav1.Condition) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range set {
		c.ObservedGeneration, c.LastTransitionTime = generation, now
		if n := slices.IndexFunc(old, func(o metav1.Condition) bool { return o.Type == c.Type }); n >= 0 && old[n].Status == c.Status {
			c.LastTransitionTime = old[n].LastTransitionTime
		}
		out = append(out, c)
	}
	for _, o := range old {
		if !slices.ContainsFunc(set, func(c metav1.Condition) bool { return c.Type == o.Type }) {
			out = append(out, o)
		}
	}
	return out
}
