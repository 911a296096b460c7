// Package convert answers: what does an object look like when it is federated, and which objects should each cluster keep for
// itself? It is pure.
package convert

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
)

// Federated is the federated form of an object, placed in all clusters. A Namespace becomes an object inside itself. Annotations,
// owners and all that a cluster fills in by itself are left out of the template.
func Federated(o *unstructured.Unstructured, group, version string) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{
			"template":  template(o),
			"placement": map[string]any{"clusterSelector": map[string]any{"matchLabels": map[string]any{}}},
		},
	}}
	out.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: "Federated" + o.GetKind()})
	out.SetName(o.GetName())
	out.SetNamespace(o.GetNamespace())
	if isNamespace(o) {
		out.SetNamespace(o.GetName())
	}
	return out
}

func isNamespace(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Namespace"}
}

// ownFields are what a cluster writes into an object of a core kind by itself.
var ownFields = map[string][][]string{
	"Namespace":      {{"spec", "finalizers"}},
	"ServiceAccount": {{"secrets"}},
	"Service":        {{"spec", "clusterIP"}, {"spec", "clusterIPs"}},
}

func template(o *unstructured.Unstructured) map[string]any {
	t := o.DeepCopy().Object
	for _, key := range []string{"apiVersion", "kind", "status", "metadata"} {
		delete(t, key)
	}
	if labels := o.GetLabels(); len(labels) > 0 {
		kept := map[string]any{}
		for k, v := range labels {
			kept[k] = v
		}
		t["metadata"] = map[string]any{"labels": kept}
	}
	if o.GroupVersionKind().Group != "" {
		return t
	}
	for _, path := range ownFields[o.GetKind()] {
		unstructured.RemoveNestedField(t, path...)
	}
	if o.GetKind() == "Service" {
		dropNodePorts(t)
	}
	if spec, ok := t["spec"].(map[string]any); ok && len(spec) == 0 {
		delete(t, "spec")
	}
	return t
}

func dropNodePorts(t map[string]any) {
	ports, _, _ := unstructured.NestedSlice(t, "spec", "ports")
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
	if len(ports) > 0 {
		_ = unstructured.SetNestedSlice(t, ports, "spec", "ports")
	}
}

// SystemNamespace says whether a namespace is one that is never federated.
func SystemNamespace(name, kubefed string) bool {
	return name == metav1.NamespaceSystem || name == metav1.NamespacePublic || name == metav1.NamespaceDefault || name == corev1.NamespaceNodeLease || name == kubefed
}

// KeepType says why a whole type stays out when the contents of a namespace are federated; empty if it does not.
func KeepType(r fedv1.APIResource) string {
	switch name := enable.NameOf(r); {
	case r.Group == "kubefed.io" || strings.HasSuffix(r.Group, ".kubefed.io") || strings.HasPrefix(r.Kind, "Federated"):
		return "it belongs to the federation itself"
	case slices.Contains([]string{"endpoints", "endpointslices.discovery.k8s.io", "events", "events.events.k8s.io", "leases.coordination.k8s.io"}, name):
		return "each cluster writes its own"
	case r.Group == "extensions" || r.Group == "metrics.k8s.io":
		return "the same objects are offered by another API group"
	}
	return ""
}

// KeepObject says why an object stays out when the contents of its namespace are federated; empty if it does not.
func KeepObject(o *unstructured.Unstructured) string {
	for _, owner := range o.GetOwnerReferences() {
		if owner.Controller != nil && *owner.Controller || o.GetKind() == "Pod" {
			return "it is made and kept by " + owner.Kind + " " + owner.Name
		}
	}
	kind := o.GroupVersionKind().GroupKind()
	secretType, _, _ := unstructured.NestedString(o.Object, "type")
	switch {
	case kind == schema.GroupKind{Kind: "ConfigMap"} && o.GetName() == "kube-root-ca.crt":
		return "each cluster has its own certificate authority"
	case kind == schema.GroupKind{Kind: "ServiceAccount"} && o.GetName() == "default":
		return "each cluster makes its own"
	case kind == schema.GroupKind{Kind: "Secret"} && secretType == string(corev1.SecretTypeServiceAccountToken):
		return "it holds a token of this cluster"
	}
	return ""
}

// Chosen says whether a user who names types to leave out means this one: by short name, kind, plural, with or without the group,
// or by the group alone.
func Chosen(r enable.Resource, names []string) bool {
	for _, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		known := append([]string{r.PluralName, strings.ToLower(r.Kind), r.PluralName + "." + r.Group, cmp.Or(r.Group, "core")}, r.ShortNames...)
		if n != "" && slices.Contains(known, n) {
			return true
		}
	}
	return false
}
