package conformance

import (
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// What somebody else does to the cluster, and sees in it.

const somebody = "somebody"

// web is the name of the one object that most tests are about.
const web = "web"

func (s *site) in(r schema.GroupVersionResource) dynamic.ResourceInterface {
	if r == namespaces {
		return s.others.Resource(r)
	}
	return s.others.Resource(r).Namespace(s.namespace)
}

func (s *site) creates(r schema.GroupVersionResource, o *unstructured.Unstructured) *unstructured.Unstructured {
	s.Helper()
	made, err := s.in(r).Create(s.Context(), o, metav1.CreateOptions{FieldManager: somebody})
	if err != nil {
		s.Fatal(err)
	}
	return made
}

// merges changes web by a merge patch.
func (s *site) merges(r schema.GroupVersionResource, patch map[string]any, subresource ...string) {
	s.Helper()
	body, err := json.Marshal(patch)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.in(r).Patch(s.Context(), web, types.MergePatchType, body, metav1.PatchOptions{FieldManager: somebody}, subresource...); err != nil {
		s.Fatal(err)
	}
}

func (s *site) deletes(r schema.GroupVersionResource) {
	s.Helper()
	if err := s.in(r).Delete(s.Context(), web, metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
}

// sees returns an object as it is; nil if it is not there.
func (s *site) sees(r schema.GroupVersionResource, name string) *unstructured.Unstructured {
	s.Helper()
	o, err := s.in(r).Get(s.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.Fatal(err)
	}
	return o
}

// untouched fails the test if an object is not as it was before, to the resource version.
func (s *site) untouched(r schema.GroupVersionResource, before *unstructured.Unstructured) {
	s.Helper()
	now := s.sees(r, before.GetName())
	if now == nil || now.GetUID() != before.GetUID() || now.GetResourceVersion() != before.GetResourceVersion() || now.GetDeletionTimestamp() != nil {
		s.Errorf("%s %s was touched: %v", before.GetKind(), before.GetName(), now)
	}
}

func (s *site) isGone(r schema.GroupVersionResource, name string) {
	s.Helper()
	if o := s.sees(r, name); o != nil {
		s.Errorf("%s %s is still there", o.GetKind(), name)
	}
}

// field is a field of an object in JSON, "" if it is not there.
func field(o *unstructured.Unstructured, path ...string) string {
	if o == nil {
		return ""
	}
	v, found, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	if err != nil || !found {
		return ""
	}
	raw, _ := json.Marshal(v) // it came from JSON
	return string(raw)
}

// has fails the test unless a field of an object is this JSON, or absent for "".
func (s *site) has(r schema.GroupVersionResource, name, want string, path ...string) {
	s.Helper()
	if got := field(s.sees(r, name), path...); got != want {
		s.Errorf("%s %s has %v = %s, want %s", r.Resource, name, path, got, want)
	}
}
