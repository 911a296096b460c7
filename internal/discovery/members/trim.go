package members

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// What is kept of an object: the fields that a decision may look at. There may be many thousands of them.

// meta is what is kept of all metadata.
func meta(o *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, Generation: o.Generation,
		CreationTimestamp: o.CreationTimestamp, DeletionTimestamp: o.DeletionTimestamp, Labels: o.Labels,
	}
}

func exportOf(o metav1.Object) *mcsv1.ServiceExport {
	e := o.(*mcsv1.ServiceExport)
	return &mcsv1.ServiceExport{ObjectMeta: meta(&e.ObjectMeta), Spec: e.Spec, Status: e.Status}
}

func importOf(o metav1.Object) *mcsv1.ServiceImport {
	i := o.(*mcsv1.ServiceImport)
	out := &mcsv1.ServiceImport{ObjectMeta: meta(&i.ObjectMeta), Spec: i.Spec, Status: i.Status}
	out.Annotations = said(i.Annotations)
	return out
}

func serviceOf(o metav1.Object) *corev1.Service {
	s := o.(*corev1.Service)
	out := &corev1.Service{ObjectMeta: meta(&s.ObjectMeta), Spec: s.Spec, Status: corev1.ServiceStatus{LoadBalancer: s.Status.LoadBalancer}}
	out.Annotations, out.OwnerReferences = said(s.Annotations), s.OwnerReferences
	return out
}

func ingressOf(o metav1.Object) *networkingv1.Ingress {
	i := o.(*networkingv1.Ingress)
	return &networkingv1.Ingress{ObjectMeta: meta(&i.ObjectMeta), Spec: i.Spec, Status: i.Status}
}

// said are annotations without those that hold the object once more.
func said(annotations map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range annotations {
		if k != corev1.LastAppliedConfigAnnotation {
			out[k] = v
		}
	}
	return out
}

// slice is one EndpointSlice: of a service of the member itself, or written by discovery.
type slice struct {
	service types.NamespacedName
	own     *discoveryv1.EndpointSlice
	written plan.Written
}

func sliceOf(o metav1.Object) slice {
	s := o.(*discoveryv1.EndpointSlice)
	if s.Labels[discoveryv1.LabelManagedBy] == fedv1.SliceManager {
		return slice{
			service: types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[mcsv1.LabelServiceName]},
			written: plan.Written{Name: s.Name, UID: s.UID, Cluster: s.Labels[mcsv1.LabelSourceCluster], Digest: plan.Digest(s), Ready: plan.ReadyIn(s), Last: plan.LastIn(s)},
		}
	}
	out := &discoveryv1.EndpointSlice{ObjectMeta: meta(&s.ObjectMeta), AddressType: s.AddressType, Ports: s.Ports, Endpoints: s.Endpoints}
	for n := range out.Endpoints {
		out.Endpoints[n].TargetRef, out.Endpoints[n].DeprecatedTopology = nil, nil
	}
	return slice{service: types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}, own: out}
}

// stays says that a namespace is not on its way out.
func stays(o metav1.Object) bool { return o.GetDeletionTimestamp() == nil }

// addressesOf are those of a node that is ready: from outside where it has such ones, one of each family.
func addressesOf(o metav1.Object) []string {
	n := o.(*corev1.Node)
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	if !ready || n.DeletionTimestamp != nil {
		return nil
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeExternalIP, corev1.NodeInternalIP} {
		if found := oneOfEachFamily(n.Status.Addresses, kind); len(found) > 0 {
			return found
		}
	}
	return nil
}

func oneOfEachFamily(all []corev1.NodeAddress, kind corev1.NodeAddressType) []string {
	var v4, v6 string
	for _, a := range all {
		switch {
		case a.Type != kind:
		case strings.Contains(a.Address, ":") && v6 == "":
			v6 = a.Address
		case !strings.Contains(a.Address, ":") && v4 == "":
			v4 = a.Address
		}
	}
	return slices.DeleteFunc([]string{v4, v6}, func(s string) bool { return s == "" })
}
