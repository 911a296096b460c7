package discovery_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/mcs-api/config/crd"

	"github.com/hansa-io/hansa/internal/discovery"
	"github.com/hansa-io/hansa/internal/lab"
)

// TestDefine: the types are installed where there are none or older ones; newer ones stay, and what is as it should be is not written.
func TestDefine(t *testing.T) {
	l := lab.Start(t, lab.Options{}, "lonely")
	client := dynamic.NewForConfigOrDie(l.Config("lonely")).Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	look := func() *unstructured.Unstructured {
		t.Helper()
		must(t, discovery.Define(t.Context(), "lonely", l.Config("lonely")))
		got, err := client.Get(t.Context(), "serviceexports.multicluster.x-k8s.io", metav1.GetOptions{})
		must(t, err)
		return got
	}
	relabel := func(labels map[string]string) {
		t.Helper()
		must(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			there := look()
			there.SetLabels(labels)
			unstructured.RemoveNestedField(there.Object, "spec", "names", "shortNames")
			_, err := client.Update(t.Context(), there, metav1.UpdateOptions{})
			return err
		}))
	}
	short := func(o *unstructured.Unstructured) bool {
		names, _, _ := unstructured.NestedSlice(o.Object, "spec", "names", "shortNames")
		return len(names) > 0
	}
	first := look()
	if again := look(); again.GetGeneration() != first.GetGeneration() || !short(again) {
		t.Errorf("it was written again: %v", again.Object["metadata"])
	}
	for _, older := range []map[string]string{nil, {crd.ReleaseVersionLabel: "v0.4.9", crd.CustomResourceDefinitionSchemaRevisionLabel: "7"}} {
		relabel(older)
		if got := look(); !short(got) || got.GetLabels()[crd.ReleaseVersionLabel] != first.GetLabels()[crd.ReleaseVersionLabel] {
			t.Errorf("with labels %v it stays", older)
		}
	}
	for _, newer := range []map[string]string{
		{crd.ReleaseVersionLabel: "v9.0.0", crd.CustomResourceDefinitionSchemaRevisionLabel: "0"},
		{crd.ReleaseVersionLabel: first.GetLabels()[crd.ReleaseVersionLabel], crd.CustomResourceDefinitionSchemaRevisionLabel: "99"},
	} {
		relabel(newer)
		if short(look()) {
			t.Errorf("with labels %v it is written over", newer)
		}
		relabel(nil)
	}
}
