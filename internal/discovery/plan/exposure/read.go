package exposure

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// passed are the annotations of a FederatedService that count for its export as well: they say what stays in the members.
var passed = []string{fedv1.OrphanAnnotation, fedv1.DeletionPolicyAnnotation}

// PassedOf are those of them that an object has.
func PassedOf(o metav1.Object) map[string]string {
	var out map[string]string
	for _, name := range passed {
		if value, ok := o.GetAnnotations()[name]; ok {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}

// Pass gives an object the annotations of a service that count for it, and no others of these.
func Pass(o metav1.Object, values map[string]string) {
	all := o.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	for _, name := range passed {
		delete(all, name)
		if value, ok := values[name]; ok {
			all[name] = value
		}
	}
	if len(all) == 0 {
		all = nil
	}
	o.SetAnnotations(all)
}

// ServiceOf keeps of a FederatedService what counts. Of most nothing is asked.
func ServiceOf(o *unstructured.Unstructured) Service {
	s := Service{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), Deleting: o.GetDeletionTimestamp() != nil}
	s.Expose, s.Domain = o.GetAnnotations()[fedv1.ExposeAnnotation], o.GetAnnotations()[fedv1.DomainAnnotation]
	if s.Expose == "" {
		return s
	}
	s.Passed = PassedOf(o)
	s.Type, _, _ = unstructured.NestedString(o.Object, "spec", "template", "spec", "type")
	s.Placement = placementOf(o)
	return s
}

func placementOf(o *unstructured.Unstructured) map[string]any {
	p, _, _ := unstructured.NestedMap(o.Object, "spec", "placement")
	return p
}

// NeighbourOf keeps what an export and a record have in common. Its owner is a FederatedService of its name, if there is one.
func NeighbourOf(o metav1.Object) Neighbour {
	n := Neighbour{UID: o.GetUID(), Deleting: o.GetDeletionTimestamp() != nil}
	if owner := metav1.GetControllerOf(o); owner != nil && owner.Name == o.GetName() {
		n.Owner = owner.UID
	}
	return n
}

// ExportOf keeps what counts of a FederatedServiceExport.
func ExportOf(o *unstructured.Unstructured) Neighbour {
	n := NeighbourOf(o)
	n.Placement, n.Passed = placementOf(o), PassedOf(o)
	return n
}

// RecordOf keeps what counts of a ServiceDNSRecord.
func RecordOf(o *unstructured.Unstructured) Neighbour {
	n := NeighbourOf(o)
	n.Domain, _, _ = unstructured.NestedString(o.Object, "spec", "domainRef")
	return n
}
