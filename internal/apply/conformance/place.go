package conformance

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/plan"
)

var placing = []testCase{
	{"an object that is not there is created by one request and no read", func(s *site) {
		d := s.do(configMaps, place(s.configMap(web, data("a", "1")), ""), wants).is(plan.Done, plan.DidCreate, 1)
		if d.reads != 0 {
			s.Errorf("%d reads: %v", d.reads, s.counter.log())
		}
		live := s.sees(configMaps, web)
		if field(live, "data", "a") != `"1"` || live.GetUID() != d.Object.GetUID() {
			s.Errorf("in the cluster is %v, the step says %v", live, d.Object)
		}
		if d.Record == nil || d.Record.UID != live.GetUID() || *d.Record != *plan.RecordOf(plan.CopyOf(live)) {
			s.Errorf("the record is %v, the copy %+v", d.Record, plan.CopyOf(live))
		}
	}},
	{"creating twice leaves one object, unchanged", func(s *site) {
		step := place(s.configMap(web, data("a", "1")), "")
		s.do(configMaps, step, wants).is(plan.Done, plan.DidCreate, 1)
		before := s.sees(configMaps, web)
		s.do(configMaps, step, wants).is(plan.Done, plan.DidAdopt, 1)
		s.untouched(configMaps, before) // an apply that changes nothing stores nothing
		s.has(configMaps, web, "", "metadata", "annotations", fedv1.AdoptedAnnotation)
	}},
	{"an object that is there is changed by one request and no read", func(s *site) {
		made := s.placed(data("a", "1"))
		d := s.do(configMaps, place(s.configMap(web, data("a", "2")), made.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		if d.reads != 0 {
			s.Errorf("%d reads: %v", d.reads, s.counter.log())
		}
		s.has(configMaps, web, `"2"`, "data", "a")
	}},
	{"changing twice changes once", func(s *site) {
		made := s.placed(data("a", "1"))
		step := place(s.configMap(web, data("a", "2")), made.GetUID())
		first := s.do(configMaps, step, wants).is(plan.Done, plan.DidUpdate, 1)
		before := s.sees(configMaps, web)
		second := s.do(configMaps, step, wants).is(plan.Done, plan.DidUpdate, 1)
		s.untouched(configMaps, before)
		if *first.Record != *second.Record {
			s.Errorf("the records differ: %v, %v", first.Record, second.Record)
		}
	}},
	{"an object of the same name with another UID is not changed", func(s *site) {
		made := s.placed(data("a", "1"))
		s.deletes(configMaps)
		other := s.creates(configMaps, s.configMap(web, data("of", "somebody")))
		s.do(configMaps, place(s.configMap(web, data("a", "2")), made.GetUID()), wants).is(plan.Failed, "", 0).because("UpdateFailed")
		s.untouched(configMaps, other)
	}},
	{"an object that is gone is not made anew by a change", func(s *site) {
		made := s.placed(data("a", "1"))
		s.deletes(configMaps)
		s.do(configMaps, place(s.configMap(web, data("a", "2")), made.GetUID()), wants).is(plan.Failed, "", 0).because("UpdateFailed")
		s.isGone(configMaps, web)
	}},
	{"fields of other managers stay", func(s *site) {
		made := s.placed(data("a", "1"))
		s.merges(configMaps, map[string]any{
			"data":     data("theirs", "x"),
			"metadata": map[string]any{"labels": data("team", "blue"), "annotations": data("note", "kept"), "finalizers": []any{"example.com/theirs"}},
		})
		defer s.merges(configMaps, map[string]any{"metadata": map[string]any{"finalizers": nil}})
		s.do(configMaps, place(s.configMap(web, data("a", "2")), made.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(configMaps, web, `{"a":"2","theirs":"x"}`, "data")
		s.has(configMaps, web, `"blue"`, "metadata", "labels", "team")
		s.has(configMaps, web, `"kept"`, "metadata", "annotations", "note")
		s.has(configMaps, web, `["example.com/theirs"]`, "metadata", "finalizers")
	}},
	{"fields of ours that others changed are forced back", func(s *site) {
		made := s.placed(data("a", "1"))
		s.merges(configMaps, map[string]any{"data": data("a", "theirs"), "metadata": map[string]any{"labels": map[string]any{fedv1.ManagedLabel: nil}}})
		s.do(configMaps, place(s.configMap(web, data("a", "1")), made.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(configMaps, web, `"1"`, "data", "a")
		s.has(configMaps, web, `"true"`, "metadata", "labels", fedv1.ManagedLabel)
	}},
	{"a field that left the template leaves the object", func(s *site) {
		made := s.placed(data("a", "1", "b", "1"))
		s.do(configMaps, place(s.configMap(web, data("a", "1")), made.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(configMaps, web, `{"a":"1"}`, "data")
	}},
	{"replicas that a member sets itself stay, whoever owned them before", func(s *site) {
		s.do(deployments, place(s.deployment(2), ""), wants).is(plan.Done, plan.DidCreate, 1)
		step := place(s.deployment(nil), s.sees(deployments, web).GetUID())
		step.KeepReplicas = true
		s.do(deployments, step, wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(deployments, web, "2", "spec", "replicas") // leaving out what we own would have made it 1

		s.merges(deployments, map[string]any{"spec": map[string]any{"replicas": 5}}, "scale")
		s.do(deployments, step, wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(deployments, web, "5", "spec", "replicas")
		step.KeepReplicas = false // as planned once the field is not ours any more
		s.do(deployments, step, wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(deployments, web, "5", "spec", "replicas")
	}},
	{"replicas that are set between the read and the write stay", func(s *site) {
		s.do(deployments, place(s.deployment(2), ""), wants).is(plan.Done, plan.DidCreate, 1)
		s.settles(deployments, web)
		step := place(s.deployment(nil), s.sees(deployments, web).GetUID())
		step.KeepReplicas = true
		s.counter.afterRead = func() { s.merges(deployments, map[string]any{"spec": map[string]any{"replicas": 5}}, "scale") }
		s.do(deployments, step, wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(deployments, web, "5", "spec", "replicas")
	}},
	{"replicas that an override names are set all the same", func(s *site) {
		s.do(deployments, place(s.deployment(2), ""), wants).is(plan.Done, plan.DidCreate, 1)
		step := place(s.deployment(4), s.sees(deployments, web).GetUID())
		step.KeepReplicas = true
		s.do(deployments, step, wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(deployments, web, "4", "spec", "replicas")
	}},
	{"what the cluster refuses is a failure in its own words", func(s *site) {
		d := s.do(configMaps, place(s.configMap(web, map[string]any{"bad key!": "1"}), ""), wants).is(plan.Failed, "", 0).because("CreationFailed")
		if d.Message == "" || d.Err == nil {
			s.Errorf("message %q, error %v", d.Message, d.Err)
		}
		s.isGone(configMaps, web)
	}},
}

var adopting = []testCase{
	{"an object that was there is taken over with its other fields, and noted as adopted", func(s *site) {
		there := s.creates(configMaps, s.configMap(web, data("a", "theirs", "b", "theirs")))
		d := s.do(configMaps, place(s.configMap(web, data("a", "1")), ""), wants).is(plan.Done, plan.DidAdopt, 1)
		s.has(configMaps, web, `{"a":"1","b":"theirs"}`, "data")
		s.has(configMaps, web, `"true"`, "metadata", "annotations", fedv1.AdoptedAnnotation)
		if d.Record == nil || d.Record.UID != there.GetUID() {
			s.Errorf("the record is %v, the object was %s", d.Record, there.GetUID())
		}
	}},
	{"with adoption disabled it is refused and untouched", func(s *site) {
		there := s.creates(configMaps, s.configMap(web, data("a", "theirs")))
		step := place(s.configMap(web, data("a", "1")), "")
		step.Adopt = false
		s.do(configMaps, step, wants).is(plan.Refused, "", 0).because(plan.AlreadyExists)
		s.untouched(configMaps, there)
	}},
	{"one that is labelled hands off is refused and untouched", func(s *site) {
		there := s.configMap(web, data("a", "theirs"))
		there.SetLabels(map[string]string{fedv1.ManagedLabel: "false"})
		there = s.creates(configMaps, there)
		s.do(configMaps, place(s.configMap(web, data("a", "1")), ""), wants).is(plan.Refused, "", 0).because(plan.ManagedLabelFalse)
		s.untouched(configMaps, there)
	}},
	{"one of another control plane is refused and untouched", func(s *site) {
		there := s.creates(configMaps, marked(s.configMap(web, data("a", "theirs")), otherControlPlane, otherOwner))
		s.do(configMaps, place(s.configMap(web, data("a", "1")), ""), wants).is(plan.Refused, "", 0).because(plan.OwnedByOther)
		s.untouched(configMaps, there)
	}},
	{"one of ours that lost its label is put right, and not noted as adopted", func(s *site) {
		s.placed(data("a", "1"))
		s.merges(configMaps, map[string]any{"metadata": map[string]any{"labels": map[string]any{fedv1.ManagedLabel: nil}}})
		step := place(s.configMap(web, data("a", "1")), "")
		step.Adopt = false // it is ours: nothing to adopt
		s.do(configMaps, step, wants).is(plan.Done, plan.DidAdopt, 1)
		s.has(configMaps, web, `"true"`, "metadata", "labels", fedv1.ManagedLabel)
		s.has(configMaps, web, "", "metadata", "annotations", fedv1.AdoptedAnnotation)
	}},
	{"one with KubeFed's mark alone is taken over, and not noted as adopted", func(s *site) {
		s.kubeFedWrites(configMaps, s.configMap(web, data("a", "0")), kubeFed)
		step := place(s.configMap(web, data("a", "1")), "")
		step.Adopt = false
		s.do(configMaps, step, wants).is(plan.Done, plan.DidAdopt, 2)
		s.has(configMaps, web, `"1"`, "data", "a")
		s.has(configMaps, web, "", "metadata", "annotations", fedv1.AdoptedAnnotation)
	}},
}

// data is a map of strings: key, value, key, value.
func data(pairs ...string) map[string]any {
	out := map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		out[pair[0]] = pair[1]
	}
	return out
}

// placed has the writer place a ConfigMap and returns it as the cluster has it.
func (s *site) placed(data map[string]any) *unstructured.Unstructured {
	s.Helper()
	s.do(configMaps, place(s.configMap(web, data), ""), wants).is(plan.Done, plan.DidCreate, 1)
	return s.sees(configMaps, web)
}

// deployment of so many replicas; nil leaves them out.
func (s *site) deployment(replicas any) *unstructured.Unstructured {
	app := map[string]any{"app": web}
	spec := map[string]any{
		"selector": map[string]any{"matchLabels": app},
		"template": map[string]any{
			"metadata": map[string]any{"labels": app},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": web, "image": "never-pulled"}}},
		},
	}
	if n, ok := replicas.(int); ok {
		spec["replicas"] = int64(n)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}}
	o.SetNamespace(s.namespace)
	o.SetName(web)
	return o
}

// place is the step that places an object. seen is the UID of the one that was seen in the cluster; empty if none was.
func place(o *unstructured.Unstructured, seen types.UID) plan.Step {
	return plan.Step{
		Member: "member", Verdict: plan.Place, Needed: true, Namespace: o.GetNamespace(), Name: o.GetName(),
		Object: marked(o.DeepCopy(), controlPlane, owner), UID: seen, Owner: owner, ControlPlane: controlPlane, Adopt: true,
	}
}
