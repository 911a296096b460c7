package conformance

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/plan"
)

// kubeFed is the field manager of KubeFed's controller-manager; its binary has two names.
const kubeFed = "controller-manager"

var claiming = []testCase{
	{"what KubeFed wrote changes by nothing but our marks, and is not made anew", func(s *site) {
		before := s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1")), kubeFed)
		d := s.do(configMaps, claim(before, s.configMap(web, data("a", "1"))), wants).is(plan.Done, plan.DidUpdate, 2)
		now := s.sees(configMaps, web)
		if now.GetUID() != before.GetUID() || d.Record == nil || *d.Record != *plan.RecordOf(plan.CopyOf(now)) {
			s.Errorf("the copy is %v, the record %v", now, d.Record)
		}
		s.has(configMaps, web, field(before, "data"), "data")
		s.has(configMaps, web, field(before, "metadata", "labels"), "metadata", "labels")
		s.has(configMaps, web, "", "metadata", "annotations", fedv1.AdoptedAnnotation)
		s.ownedBy(configMaps, fedv1.FieldManager)
	}},
	{"a field that KubeFed wrote leaves the object when it leaves the template", func(s *site) {
		for _, name := range []string{kubeFed, "hyperfed", "a-fork-of-it"} {
			before := s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1", "b", "1")), name)
			s.do(configMaps, claim(before, s.configMap(web, data("a", "1", "b", "1"))), wants).is(plan.Done, plan.DidUpdate, 2)
			s.do(configMaps, place(s.configMap(web, data("a", "1")), before.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
			s.has(configMaps, web, `{"a":"1"}`, "data")
			s.deletes(configMaps)
		}
	}},
	{"so it does where the object was found only as it was to be created", func(s *site) {
		s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1", "b", "1")), kubeFed)
		d := s.do(configMaps, claim(nil, s.configMap(web, data("a", "1", "b", "1"))), wants).is(plan.Done, plan.DidAdopt, 2)
		s.do(configMaps, place(s.configMap(web, data("a", "1")), d.Record.UID), wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(configMaps, web, `{"a":"1"}`, "data")
		s.has(configMaps, web, "", "metadata", "annotations", fedv1.AdoptedAnnotation)
	}},
	{"so it does where the API server has kept no record of who owns what", func(s *site) {
		before := s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1", "b", "1")), kubeFed)
		s.merges(configMaps, map[string]any{"metadata": map[string]any{"managedFields": []any{map[string]any{}}}})
		if n := len(s.sees(configMaps, web).GetManagedFields()); n != 0 {
			s.Fatalf("%d entries are left", n)
		}
		s.do(configMaps, claim(before, s.configMap(web, data("a", "1", "b", "1"))), wants).is(plan.Done, plan.DidUpdate, 2)
		s.do(configMaps, place(s.configMap(web, data("a", "1")), before.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(configMaps, web, `{"a":"1"}`, "data")
	}},
	{"a container that leaves takes its defaults with it, and replicas that the member sets stay", func(s *site) {
		there := s.deployment(3)
		withContainer(there, "side")
		before := s.kubeFedWrites(deployments, there, kubeFed)
		first := s.deployment(nil) // as with retainReplicas
		withContainer(first, "side")
		s.do(deployments, claim(before, first), wants).is(plan.Done, plan.DidUpdate, 2)
		s.has(deployments, web, field(before, "spec"), "spec")
		s.do(deployments, place(s.deployment(nil), before.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(deployments, web, "3", "spec", "replicas")
		containers, _, _ := unstructured.NestedSlice(s.sees(deployments, web).Object, "spec", "template", "spec", "containers")
		if len(containers) != 1 {
			s.Errorf("the containers are %v", containers)
		}
	}},
	{"fields of others stay, and stay theirs", func(s *site) {
		before := s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1")), kubeFed)
		s.merges(configMaps, map[string]any{"data": data("theirs", "x")})
		s.do(configMaps, claim(before, s.configMap(web, data("a", "1"))), wants).is(plan.Done, plan.DidUpdate, 2)
		s.has(configMaps, web, `{"a":"1","theirs":"x"}`, "data")
		s.ownedBy(configMaps, fedv1.FieldManager, somebody)
	}},
	{"what KubeFed wrote once more, as after a way back, is claimed once more", func(s *site) {
		before := s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1")), kubeFed)
		s.do(configMaps, claim(before, s.configMap(web, data("a", "1"))), wants).is(plan.Done, plan.DidUpdate, 2)
		again := s.sees(configMaps, web)
		again.Object["data"] = data("a", "1", "b", "2")
		s.puts(configMaps, again, kubeFed)
		if c := plan.CopyOf(s.sees(configMaps, web)); c.Shared {
			s.Error("nothing is shared yet, for we do not apply b")
		}
		s.do(configMaps, place(s.configMap(web, data("a", "1", "b", "2")), before.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		if c := plan.CopyOf(s.sees(configMaps, web)); !c.Shared {
			s.Error("b is KubeFed's as well, and it is not seen")
		}
		s.do(configMaps, claim(before, s.configMap(web, data("a", "1", "b", "2"))), wants).is(plan.Done, plan.DidUpdate, 2)
		if c := plan.CopyOf(s.sees(configMaps, web)); c.Shared {
			s.Error("b is still shared after the claim")
		}
		s.do(configMaps, place(s.configMap(web, data("a", "1")), before.GetUID()), wants).is(plan.Done, plan.DidUpdate, 1)
		s.has(configMaps, web, `{"a":"1"}`, "data")
	}},
	{"a claim that is taken twice writes once", func(s *site) {
		before := s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1")), kubeFed)
		step := claim(before, s.configMap(web, data("a", "1")))
		s.do(configMaps, step, wants).is(plan.Done, plan.DidUpdate, 2)
		claimed := s.sees(configMaps, web)
		s.do(configMaps, step, wants).is(plan.Done, plan.DidUpdate, 1)
		s.untouched(configMaps, claimed)
	}},
	{"an object that took its place is not touched", func(s *site) {
		before := s.kubeFedWrites(configMaps, s.configMap(web, data("a", "1")), kubeFed)
		s.deletes(configMaps)
		other := s.kubeFedWrites(configMaps, s.configMap(web, data("of", "another")), kubeFed)
		s.do(configMaps, claim(before, s.configMap(web, data("a", "1"))), wants).is(plan.Failed, "", 0).because("UpdateFailed")
		s.untouched(configMaps, other)
	}},
}

// claim is the step that places an object over the one that KubeFed wrote; nil is one that was not seen.
func claim(seen *unstructured.Unstructured, o *unstructured.Unstructured) plan.Step {
	if seen == nil {
		return place(o, "")
	}
	step := place(o, seen.GetUID())
	step.Reason = plan.Claiming
	return step
}

// kubeFedWrites puts an object into the cluster as KubeFed does: by POST, with its label, and then by PUT over what is there.
func (s *site) kubeFedWrites(r schema.GroupVersionResource, o *unstructured.Unstructured, manager string) *unstructured.Unstructured {
	s.Helper()
	s.needs(r)
	s.byKubeFed = true
	o.SetLabels(map[string]string{fedv1.ManagedLabel: "true"})
	made, err := s.in(r).Create(s.Context(), o, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		s.Fatal(err)
	}
	if r == deployments {
		s.settles(r, made.GetName())
	}
	o.SetResourceVersion(s.sees(r, made.GetName()).GetResourceVersion())
	return s.puts(r, o, manager)
}

func (s *site) puts(r schema.GroupVersionResource, o *unstructured.Unstructured, manager string) *unstructured.Unstructured {
	s.Helper()
	done, err := s.in(r).Update(s.Context(), o, metav1.UpdateOptions{FieldManager: manager})
	if err != nil {
		s.Fatal(err)
	}
	return done
}

// ownedBy fails the test unless these, and nobody else, own fields of web.
func (s *site) ownedBy(r schema.GroupVersionResource, managers ...string) {
	s.Helper()
	var got []string
	for _, e := range s.sees(r, web).GetManagedFields() {
		got = append(got, e.Manager)
	}
	if strings.Join(got, " ") != strings.Join(managers, " ") {
		raw, _ := json.Marshal(s.sees(r, web).GetManagedFields())
		s.Errorf("the owners are %v, want %v: %s", got, managers, raw)
	}
}

// withContainer adds a container to a Deployment.
func withContainer(o *unstructured.Unstructured, name string) {
	at := []string{"spec", "template", "spec", "containers"}
	containers, _, _ := unstructured.NestedSlice(o.Object, at...)
	_ = unstructured.SetNestedSlice(o.Object, append(containers, map[string]any{"name": name, "image": "never-pulled"}), at...)
}
