package health_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/health"
	"github.com/hansa-io/hansa/internal/plan"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var o unstructured.Unstructured
	if err := o.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return &o
}

const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, generation: 2}\nspec: {replicas: 3, progressDeadlineSeconds: 600}\nstatus: "

// TestOf: what is made of objects as members have them, in words that do not move with every Pod.
func TestOf(t *testing.T) {
	for name, tc := range map[string]struct {
		object string
		want   plan.Health
	}{
		"a Deployment that nobody has looked at": {deployment + "{}", plan.Health{
			State: plan.HealthInProgress, Message: "not all replicas have been made", Replicas: &plan.Replicas{Meant: 3},
		}},
		"one whose status is of before": {deployment + "{observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3}", plan.Health{
			State: plan.HealthInProgress, Message: "the cluster has not acted on the latest change yet",
			Replicas: &plan.Replicas{Meant: 3, Total: 3, Updated: 0, Ready: 3, Available: 3},
		}},
		"one in a rollout": {deployment + "{observedGeneration: 2, replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3}", plan.Health{
			State: plan.HealthInProgress, Message: "not all replicas are of the newest template",
			Replicas: &plan.Replicas{Meant: 3, Total: 4, Updated: 1, Ready: 3, Available: 3},
		}},
		"one that runs": {deployment + `{observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3,
  conditions: [{type: Available, status: "True"}, {type: Progressing, status: "True", reason: NewReplicaSetAvailable}]}`, plan.Health{
			State: plan.HealthCurrent, Replicas: &plan.Replicas{Meant: 3, Total: 3, Updated: 3, Ready: 3, Available: 3},
		}},
		"one that has been given up": {deployment + `{observedGeneration: 2, replicas: 1,
  conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded, message: "web-1 has timed out progressing."}]}`, plan.Health{
			State: plan.HealthFailed, Message: "web-1 has timed out progressing.", Replicas: &plan.Replicas{Meant: 3, Total: 1},
		}},
		"one without quota, in the member's own words": {deployment + `{observedGeneration: 2,
  conditions: [{type: ReplicaFailure, status: "True", reason: FailedCreate, message: "pods are forbidden: exceeded quota"}]}`, plan.Health{
			State: plan.HealthInProgress, Message: "pods are forbidden: exceeded quota", Replicas: &plan.Replicas{Meant: 3},
		}},
		"a ReplicaSet has no older replicas": {"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec: {replicas: 2}\nstatus: {replicas: 2, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 2}", plan.Health{
			State: plan.HealthCurrent, Replicas: &plan.Replicas{Meant: 2, Total: 2, Updated: 2, Ready: 2, Available: 2},
		}},
		"a Job that has failed": {"apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nstatus: {failed: 7, conditions: [{type: Failed, status: \"True\"}]}", plan.Health{
			State: plan.HealthFailed, Message: "the Job has failed",
		}},
		"a ConfigMap": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}", plan.Health{State: plan.HealthCurrent}},
		"an object of another's kind that says that it is not ready": {
			"apiVersion: example.com/v1\nkind: Database\nmetadata: {name: db}\nstatus: {conditions: [{type: Ready, status: \"False\", reason: Booting, message: the disk is formatted}]}",
			plan.Health{State: plan.HealthInProgress, Message: "the disk is formatted"},
		},
		"one that says nothing": {"apiVersion: example.com/v1\nkind: Database\nmetadata: {name: db}\nstatus: {}", plan.Health{State: plan.HealthCurrent}},
		"one that goes":         {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, deletionTimestamp: \"2026-01-01T00:00:00Z\"}", plan.Health{State: plan.HealthTerminating, Message: "Resource scheduled for deletion"}},
		"conditions that are none": {deployment + "{conditions: 7}", plan.Health{
			State: plan.HealthUnknown, Replicas: &plan.Replicas{Meant: 3},
		}},
		"a Pod that kstatus falls over": {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {phase: Running, containerStatuses: [{name: 7}]}", plan.Health{
			State: plan.HealthUnknown, Message: "its status is of another shape than its kind has",
		}},
		"counts below nothing": {deployment + "{observedGeneration: 2, replicas: -4}", plan.Health{
			State: plan.HealthInProgress, Message: "not all replicas have been made", Replicas: &plan.Replicas{Meant: 3},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := *health.Of(object(t, tc.object), false)
			if tc.want.State == plan.HealthUnknown && tc.want.Message == "" {
				tc.want.Message = got.Message // a converter's own words
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || got.State != plan.HealthCurrent && got.Message == "" {
				t.Error(diff)
			}
		})
	}
}

// TestStatus: a status is kept as it is if it is asked for, an object, and not too large. None is no fault.
func TestStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		status any
		want   string
		large  bool
	}{
		"an object": {map[string]any{"b": int64(1), "a": map[string]any{"x": nil}}, `{"a":{"x":null},"b":1}`, false},
		"none":      {nil, "", false},
		"empty":     {map[string]any{}, "", false},
		"a word":    {"well", "", false},
		"too large": {map[string]any{"log": strings.Repeat("x", health.Largest)}, "", true},
	} {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "X"}}
		if tc.status != nil {
			o.Object["status"] = tc.status
		}
		if got := health.Of(o, true); string(got.Status) != tc.want || got.Large != tc.large {
			t.Errorf("%s: %s, large %t", name, got.Status, got.Large)
		}
		if got := health.Of(o, false); got.Status != nil || got.Large {
			t.Errorf("%s: kept though nobody asks", name)
		}
	}
}

// TestAnythingIsRead: no object stops the reader, and none makes it keep much.
func TestAnythingIsRead(t *testing.T) {
	kinds := []string{"apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "apps/v1 ReplicaSet", "batch/v1 Job", "v1 Pod", "v1 Service", "v1 PersistentVolumeClaim", "example.com/v1 X"}
	keys := []string{"conditions", "type", "status", "reason", "message", "replicas", "observedGeneration", "phase", "containerStatuses", "name", "state", "waiting", "startTime", "loadBalancer"}
	words := []string{"True", "False", "Ready", "Stalled", "Reconciling", "Progressing", "ReplicaFailure", "Running", "Pending", "CrashLoopBackOff", "\xff", strings.Repeat("long", 2000)}
	var value func(t *rapid.T, depth int) any
	value = func(t *rapid.T, depth int) any {
		switch rapid.IntRange(0, 5).Draw(t, "shape") {
		case 0:
			return rapid.SampledFrom(words).Draw(t, "word")
		case 1:
			return rapid.Int64Range(-3, 3).Draw(t, "number")
		case 2:
			return nil
		case 3:
			list := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "items") {
				if depth > 0 {
					list = append(list, value(t, depth-1))
				}
			}
			return list
		default:
			m := map[string]any{}
			for range rapid.IntRange(0, 5).Draw(t, "fields") {
				if depth > 0 {
					m[rapid.SampledFrom(keys).Draw(t, "key")] = value(t, depth-1)
				}
			}
			return m
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		apiVersion, kind, _ := strings.Cut(rapid.SampledFrom(kinds).Draw(t, "kind"), " ")
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"generation": int64(2)},
			"spec": value(t, 2), "status": value(t, 4),
		}}
		got := health.Of(o, true)
		if size := len(got.Message) + len(got.Status); size > health.Largest+4096 || got.State == "" {
			t.Fatalf("%d bytes, %q", size, got.State)
		}
		if len(got.Status) > 0 && !json.Valid(got.Status) {
			t.Fatalf("%q", got.Status)
		}
	})
}
