package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/plan"
)

var withdrawing = []testCase{
	{"a copy goes, and goes once", func(s *site) {
		step := removal(plan.Withdraw, s.placed(data("a", "1")))
		s.do(configMaps, step, wants).is(plan.Done, plan.DidDelete, 1).knowsGone(true)
		s.isGone(configMaps, web)
		s.do(configMaps, step, wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
	}},
	{"a copy stays if the host does not confirm", func(s *site) {
		made := s.placed(data("a", "1"))
		s.do(configMaps, removal(plan.Withdraw, made), denies).is(plan.Failed, "", 0).because("DeletionFailed").knowsGone(false)
		s.untouched(configMaps, made)
	}},
	{"the host is asked after the member, right before the removal", func(s *site) {
		made := s.placed(data("a", "1"))
		s.do(configMaps, removal(plan.Withdraw, made), func(context.Context) error {
			if reads, writes := s.counter.counts(); reads != 1 || writes != 0 {
				s.Errorf("the host is asked after %d reads and %d writes, want after 1 and 0", reads, writes)
			}
			return nil
		}).is(plan.Done, plan.DidDelete, 1)
	}},
	{"an object of another federated object stays", func(s *site) {
		other := s.creates(configMaps, marked(s.configMap(web, data("a", "theirs")), controlPlane, otherOwner))
		s.do(configMaps, removal(plan.Withdraw, other), wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
		s.untouched(configMaps, other)
	}},
	{"an object of another control plane stays", func(s *site) {
		other := s.creates(configMaps, marked(s.configMap(web, data("a", "theirs")), otherControlPlane, owner))
		s.do(configMaps, removal(plan.Withdraw, other), wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
		s.untouched(configMaps, other)
	}},
	{"an object without marks stays", func(s *site) {
		other := s.creates(configMaps, s.configMap(web, data("a", "theirs")))
		s.do(configMaps, removal(plan.Withdraw, other), wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
		s.untouched(configMaps, other)
	}},
	{"a copy that is labelled hands off stays", func(s *site) {
		made := s.placed(data("a", "1"))
		s.merges(configMaps, map[string]any{"metadata": map[string]any{"labels": map[string]any{fedv1.ManagedLabel: "false"}}})
		before := s.sees(configMaps, web)
		s.do(configMaps, removal(plan.Withdraw, made), wants).is(plan.Done, plan.DidNothing, 0)
		s.untouched(configMaps, before)
	}},
	{"a copy with another UID than was seen stays, and is said to be there", func(s *site) {
		seen := s.placed(data("a", "1"))
		s.deletes(configMaps)
		again := s.placed(data("a", "1"))
		s.do(configMaps, removal(plan.Withdraw, seen), wants).is(plan.Failed, "", 0).because("DeletionFailed").knowsGone(false)
		s.untouched(configMaps, again)
	}},
	{"a copy that changes between the read and the delete stays", func(s *site) {
		made := s.placed(data("a", "1"))
		s.do(configMaps, removal(plan.Withdraw, made), func(context.Context) error {
			s.merges(configMaps, map[string]any{"data": data("b", "meanwhile")})
			return nil
		}).is(plan.Failed, "", 0).because("DeletionFailed").knowsGone(false)
		s.has(configMaps, web, `{"a":"1","b":"meanwhile"}`, "data")
	}},
	{"a copy that is replaced between the read and the delete stays", func(s *site) {
		made := s.placed(data("a", "1"))
		s.do(configMaps, removal(plan.Withdraw, made), func(context.Context) error {
			s.deletes(configMaps)
			s.creates(configMaps, s.configMap(web, data("of", "somebody")))
			return nil
		}).is(plan.Failed, "", 0).knowsGone(false)
		s.has(configMaps, web, `{"of":"somebody"}`, "data")
	}},
	{"a look whether nothing is there never deletes what is", func(s *site) {
		made := s.placed(data("a", "1"))
		step := removal(plan.Withdraw, made)
		step.UID, step.Confirm = "", true
		d := s.do(configMaps, step, wants).is(plan.Failed, "", 0).knowsGone(false)
		if d.Object == nil || d.Object.GetUID() != made.GetUID() {
			s.Errorf("it does not tell what it found: %v", d.Object)
		}
		s.untouched(configMaps, made)
		s.deletes(configMaps)
		s.do(configMaps, step, wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
	}},
	{"a copy that is held by a finalizer in the member is not gone until it is", func(s *site) {
		s.placed(data("a", "1"))
		s.merges(configMaps, map[string]any{"metadata": map[string]any{"finalizers": []any{"example.com/theirs"}}})
		step := removal(plan.Withdraw, s.sees(configMaps, web))
		s.do(configMaps, step, wants).is(plan.Done, plan.DidDelete, 1).knowsGone(false)
		s.do(configMaps, step, wants).is(plan.Done, plan.DidDelete, 0).knowsGone(false) // it is terminating: nothing more to do
		s.merges(configMaps, map[string]any{"metadata": map[string]any{"finalizers": nil}})
		s.do(configMaps, step, wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
	}},
	{"the user's delete options are obeyed, save the preconditions, which are ours", func(s *site) {
		s.do(deployments, place(s.deployment(1), ""), wants).is(plan.Done, plan.DidCreate, 1)
		live := s.sees(deployments, web)
		step := removal(plan.Withdraw, live)
		foreground, wrong := metav1.DeletePropagationForeground, live.GetUID()+"-not"
		step.DeleteOptions = &metav1.DeleteOptions{PropagationPolicy: &foreground, Preconditions: &metav1.Preconditions{UID: &wrong}}
		s.settles(deployments, web)
		if d := s.do(deployments, step, wants); d.State != plan.Done || d.writes != 1 || d.Gone {
			s.Errorf("the step ended as %s %s (%s) with %d writes", d.State, d.Did, d.Message, d.writes)
		}
	}},
	{"a type that the cluster does not serve says nothing of its objects", func(s *site) {
		step := removal(plan.Withdraw, s.configMap(web, nil))
		step.Confirm = true
		for _, missing := range []schema.GroupVersionResource{
			{Group: "nowhere.example", Version: "v1", Resource: "widgets"},
			{Group: "apps", Version: "v1", Resource: "widgets"},
			{Group: "apps", Version: "v0", Resource: "deployments"},
			{Version: "v1", Resource: "widgets"},
		} {
			s.do(missing, step, wants).is(plan.Failed, "", 0).because("DeletionFailed").knowsGone(false)
		}
	}},
	{"a removal that was refused by the cluster is a failure", func(s *site) {
		made := s.placed(data("a", "1"))
		step := removal(plan.Withdraw, made)
		nonsense := metav1.DeletionPropagation("Nonsense")
		step.DeleteOptions = &metav1.DeleteOptions{PropagationPolicy: &nonsense}
		s.do(configMaps, step, wants).is(plan.Failed, "", 0).because("DeletionFailed").knowsGone(false)
		s.untouched(configMaps, made)
	}},
}

// settles waits until an object's controller has stopped writing to it: a removal fails when it changes under it.
func (s *site) settles(r schema.GroupVersionResource, name string) {
	s.Helper()
	last := ""
	lab.Eventually(s, 20*time.Second, name+" to be settled", func(context.Context) error {
		now := s.sees(r, name)
		if field(now, "status", "observedGeneration") != "" && now.GetResourceVersion() == last {
			return nil
		}
		last = now.GetResourceVersion()
		return fmt.Errorf("it is at %s", last)
	})
}

var releasing = []testCase{
	{"only our marks leave", func(s *site) {
		s.placed(data("a", "1"))
		s.merges(configMaps, map[string]any{"metadata": map[string]any{"labels": data("team", "blue"), "annotations": data("note", "kept")}})
		step := removal(plan.Release, s.sees(configMaps, web))
		s.do(configMaps, step, wants).is(plan.Done, plan.DidRelease, 1).knowsGone(true)
		s.has(configMaps, web, `{"a":"1"}`, "data")
		s.has(configMaps, web, `{"team":"blue"}`, "metadata", "labels")
		s.has(configMaps, web, `{"note":"kept"}`, "metadata", "annotations")
		s.do(configMaps, step, wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
	}},
	{"nothing happens if the host does not confirm", func(s *site) {
		made := s.placed(data("a", "1"))
		s.do(configMaps, removal(plan.Release, made), denies).is(plan.Failed, "", 0).because("LabelRemovalFailed").knowsGone(false)
		s.untouched(configMaps, made)
	}},
	{"an object of another control plane keeps its marks", func(s *site) {
		other := s.creates(configMaps, marked(s.configMap(web, data("a", "theirs")), otherControlPlane, owner))
		s.do(configMaps, removal(plan.Release, other), wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
		s.untouched(configMaps, other)
	}},
	{"a copy that changes between the read and the write keeps its marks", func(s *site) {
		made := s.placed(data("a", "1"))
		s.do(configMaps, removal(plan.Release, made), func(context.Context) error {
			s.merges(configMaps, map[string]any{"data": data("b", "meanwhile")})
			return nil
		}).is(plan.Failed, "", 0).because("LabelRemovalFailed").knowsGone(false)
		s.has(configMaps, web, `"true"`, "metadata", "labels", fedv1.ManagedLabel)
	}},
	{"a copy that is gone is released", func(s *site) {
		made := s.placed(data("a", "1"))
		s.deletes(configMaps)
		s.do(configMaps, removal(plan.Release, made), wants).is(plan.Done, plan.DidNothing, 0).knowsGone(true)
	}},
	{"a type that the cluster does not serve says nothing of its objects", func(s *site) {
		missing := schema.GroupVersionResource{Group: "nowhere.example", Version: "v1", Resource: "widgets"}
		s.do(missing, removal(plan.Release, s.configMap(web, nil)), wants).is(plan.Failed, "", 0).knowsGone(false)
	}},
}

var emptying = []testCase{
	{"one that holds nothing goes", func(s *site) {
		step := s.placesNamespace()
		s.do(namespaces, step, wants).is(plan.Done, plan.DidDelete, 1)
		s.eventuallyGone(namespaces, step.Name)
	}},
	{"one that holds what every namespace does, and what the federation placed, goes", func(s *site) {
		step := s.placesNamespace()
		s.awaitsDefaults(step.Name)
		s.putsInto(step.Name, marked(s.configMap("ours", data("a", "1")), controlPlane, otherOwner))
		s.do(namespaces, step, wants).is(plan.Done, plan.DidDelete, 1)
		s.eventuallyGone(namespaces, step.Name)
	}},
	{"one that holds an object of somebody else is let go, and told of", func(s *site) {
		step := s.placesNamespace()
		s.putsInto(step.Name, s.configMap("precious", data("of", "somebody")))
		d := s.do(namespaces, step, wants).is(plan.Done, plan.DidRelease, 1).knowsGone(true)
		if !strings.Contains(d.Message, "configmaps precious") {
			s.Errorf("the message %q does not name what the namespace holds", d.Message)
		}
		s.has(namespaces, step.Name, "", "metadata", "annotations", fedv1.OwnerAnnotation)
		s.has(namespaces, step.Name, `"Active"`, "status", "phase")
	}},
	{"one that holds an object of another control plane is let go", func(s *site) {
		step := s.placesNamespace()
		s.putsInto(step.Name, marked(s.configMap("theirs", data("a", "1")), otherControlPlane, otherOwner))
		s.do(namespaces, step, wants).is(plan.Done, plan.DidRelease, 1).knowsGone(true)
	}},
	{"one whose removal the host does not confirm keeps its marks", func(s *site) {
		step := s.placesNamespace()
		before := s.sees(namespaces, step.Name)
		s.do(namespaces, step, denies).is(plan.Failed, "", 0)
		s.untouched(namespaces, before)
	}},
}

// placesNamespace has the writer place a namespace of its own, and returns the step that withdraws it.
func (s *site) placesNamespace() plan.Step {
	s.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	o.SetName(s.namespace + "-placed")
	s.do(namespaces, place(o, ""), wants).is(plan.Done, plan.DidCreate, 1)
	name := o.GetName()
	s.Cleanup(func() {
		_ = s.others.Resource(namespaces).Delete(context.Background(), name, metav1.DeleteOptions{}) // it may be gone, which is the point
	})
	step := removal(plan.Withdraw, s.sees(namespaces, name))
	step.Exclusive = true
	return step
}

func (s *site) putsInto(namespace string, o *unstructured.Unstructured) {
	s.Helper()
	o.SetNamespace(namespace)
	if _, err := s.others.Resource(configMaps).Namespace(namespace).Create(s.Context(), o, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

// awaitsDefaults waits until a namespace holds the objects that every namespace has.
func (s *site) awaitsDefaults(namespace string) {
	s.Helper()
	lab.Eventually(s, 20*time.Second, "the defaults of a namespace", func(ctx context.Context) error {
		_, err := s.others.Resource(configMaps).Namespace(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil {
			return err
		}
		_, err = s.others.Resource(configMaps.GroupVersion().WithResource("serviceaccounts")).Namespace(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (s *site) eventuallyGone(r schema.GroupVersionResource, name string) {
	s.Helper()
	lab.Eventually(s, 30*time.Second, name+" to be gone", func(context.Context) error {
		if s.sees(r, name) != nil {
			return fmt.Errorf("it is still there")
		}
		return nil
	})
}
