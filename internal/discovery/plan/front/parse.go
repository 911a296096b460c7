package front

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
)

// balanceWord in the annotation asks for balancing.
const balanceWord = "balance"

// FederatedOf reads a FederatedService. A template that cannot be read has no ports, a status that cannot was never told: the
// propagation tells of the first.
func FederatedOf(o *unstructured.Unstructured) Federated {
	f := Federated{
		NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()},
		Created:        o.GetCreationTimestamp(), Deleting: o.GetDeletionTimestamp() != nil,
		Pool: o.GetAnnotations()[discv1.AddressPoolAnnotation],
	}
	f.Asked = slices.ContainsFunc(strings.Split(o.GetAnnotations()[fedv1.ExposeAnnotation], ","), func(word string) bool {
		return strings.TrimSpace(word) == balanceWord
	})
	var template corev1.ServiceSpec
	if spec, ok, _ := unstructured.NestedMap(o.Object, "spec", "template", "spec"); ok && runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &template) == nil {
		f.Type, f.Ports = template.Type, template.Ports
	}
	var told Told
	if status, ok, _ := unstructured.NestedMap(o.Object, "status", "loadBalancer"); ok && runtime.DefaultUnstructuredConverter.FromUnstructured(status, &told) == nil {
		f.Told = &told
	}
	return f
}

// Same says whether two tell the same.
func (t *Told) Same(o *Told) bool { return reflect.DeepEqual(t, o) }
