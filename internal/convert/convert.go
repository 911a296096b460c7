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

// ownFields are what a cluster writes into an object by itself.
var ownFields = map[schema.GroupKind][][]string{
	{Kind: "Namespace"}:             {{"spec", "finalizers"}},
	{Kind: "ServiceAccount"}:        {{"secrets"}},
	{Kind: "Service"}:               {{"spec", "clusterIP"}, {"spec", "clusterIPs"}},
	{Kind: "PersistentVolumeClaim"}: {{"spec", "volumeName"}},
	{Kind: "Pod"}:                   {{"spec", "nodeName"}},
}

// jobLabels are what a cluster writes into the labels of a Job and of its pods, to tell them from those of other Jobs.
var jobLabels = []string{"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}

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
	kind := o.GroupVersionKind().GroupKind()
	for _, path := range ownFields[kind] {
		unstructured.RemoveNestedField(t, path...)
	}
	switch kind {
	case schema.GroupKind{Kind: "Service"}:
		dropNodePorts(t)
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		dropSelector(t)
	}
	if spec, ok := t["spec"].(map[string]any); ok && len(spec) == 0 {
		delete(t, "spec")
	}
	return t
}

// dropSelector takes out of a Job's template what makes it the Job of one cluster, unless the user has chosen the selector.
func dropSelector(t map[string]any) {
	if manual, _, _ := unstructured.NestedBool(t, "spec", "manualSelector"); manual {
		return
	}
	unstructured.RemoveNestedField(t, "spec", "selector")
	for _, label := range jobLabels {
		unstructured.RemoveNestedField(t, "metadata", "labels", label)
		unstructured.RemoveNestedField(t, "spec", "template", "metadata", "labels", label)
	}
	if labels, _, _ := unstructured.NestedMap(t, "metadata", "labels"); len(labels) == 0 {
		delete(t, "metadata")
	}
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
		if n != "" && (r.Named(n) || n == cmp.Or(r.Group, "core")) {
			return true
		}
	}
	return false
}
