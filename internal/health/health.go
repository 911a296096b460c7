// Package health answers: how does an object in a member fare? It reads the object as it arrives and keeps little of it: kstatus' word,
// what it waits for, its replicas. What members say is not trusted: no object can stop the reader, or fill its memory.
package health

import (
	"encoding/json"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hansa-io/hansa/internal/plan"
)

// Largest is how many bytes of JSON a status has at most that is kept as it is.
const Largest = 32 << 10

// longest is how many bytes of a message are kept.
const longest = 2 << 10

// Of reads an object. keep says that its status is wanted as it is.
func Of(obj *unstructured.Unstructured, keep bool) *plan.Health {
	h := judge(obj)
	h.Replicas = replicas(obj.Object)
	if keep {
		h.Status, h.Large = status(obj.Object)
	}
	return &h
}

// judge asks kstatus, which has not been written for objects that are against it.
func judge(obj *unstructured.Unstructured) (h plan.Health) {
	defer func() {
		if recover() != nil {
			h = plan.Health{State: plan.HealthUnknown, Message: "its status is of another shape than its kind has"}
		}
	}()
	r, err := kstatus.Compute(obj)
	switch {
	case err != nil:
		return plan.Health{State: plan.HealthUnknown, Message: cut(err.Error())}
	case r.Status == kstatus.CurrentStatus:
		return plan.Health{State: plan.HealthCurrent}
	default:
		return plan.Health{State: plan.HealthState(r.Status), Message: cut(message(obj, r))}
	}
}

// words are for what kstatus says with counters in it: they would move the federated object's status with every Pod.
var words = map[string]string{
	"LessReplicas":                "not all replicas have been made",
	"LessUpdated":                 "not all replicas are of the newest template",
	"LessReady":                   "not all replicas are ready",
	"LessAvailable":               "not all replicas are available",
	"LessLabelled":                "not all replicas have been made",
	"LessCurrent":                 "not all replicas are of the newest template",
	"PartitionRollout":            "not all replicas are of the newest template",
	"ExtraPods":                   "replicas that are too many have not ended",
	"LatestGenerationNotObserved": "the cluster has not acted on the latest change yet",
	"JobFailed":                   "the Job has failed",
}

// message says what an object waits for, or why it failed: in the words of the member's own controllers where they have some.
func message(obj *unstructured.Unstructured, r *kstatus.Result) string {
	if own := failure(obj.Object); own != "" {
		return own
	}
	for _, c := range r.Conditions {
		if known, ok := words[c.Reason]; ok {
			return known
		}
		if c.Message != "" {
			return c.Message
		}
	}
	return r.Message
}

// failure is what the member says of replicas that it may not make, as for a quota.
func failure(obj map[string]any) string {
	list, _, _ := unstructured.NestedSlice(obj, "status", "conditions")
	for _, item := range list {
		c, _ := item.(map[string]any)
		if c["type"] == "ReplicaFailure" && c["status"] == "True" {
			text, _ := c["message"].(string)
			return text
		}
	}
	return ""
}

func cut(s string) string {
	if len(s) > longest {
		return s[:longest]
	}
	return s
}

// replicas are counted for every object that has an int spec.replicas. What the status does not count is none.
func replicas(obj map[string]any) *plan.Replicas {
	meant, found, err := unstructured.NestedInt64(obj, "spec", "replicas")
	if !found || err != nil {
		return nil
	}
	count := func(field string) int64 {
		n, _, _ := unstructured.NestedInt64(obj, "status", field)
		return max(n, 0)
	}
	r := &plan.Replicas{
		Meant: max(meant, 0), Total: count("replicas"), Updated: count("updatedReplicas"), Ready: count("readyReplicas"), Available: count("availableReplicas"),
	}
	switch {
	case obj["kind"] == "ReplicaSet" || obj["kind"] == "ReplicationController":
		r.Updated = r.Total // they have no newer and older replicas
	case !observed(obj):
		r.Updated = 0 // the count is of a template that is not the newest any more
	}
	return r
}

// observed says whether a status is about the present spec.
func observed(obj map[string]any) bool {
	generation, _, _ := unstructured.NestedInt64(obj, "metadata", "generation")
	seen, found, _ := unstructured.NestedInt64(obj, "status", "observedGeneration")
	return !found || seen >= generation
}

// status is the JSON of a status that is an object, unless it is too large.
func status(obj map[string]any) (raw []byte, large bool) {
	m, ok := obj["status"].(map[string]any)
	if !ok || len(m) == 0 {
		return nil, false
	}
	raw, err := json.Marshal(m)
	if err != nil || len(raw) > Largest {
		return nil, true
	}
	return raw, false
}
