package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
)

// renderRules is part of every version: it moves when render makes another object of the same inputs.
const renderRules = "1"

// version is the hash of all inputs of render for one member. Comparing it is how a plan knows, without rendering, that nothing is to do.
func version(w World, member string) string {
	h := sha256.New()
	fmt.Fprintln(h, renderRules, w.Settings.ControlPlane, w.Intent.UID, w.Type.Target.GVK(), w.Intent.RetainReplicas)
	h.Write(w.Intent.Template)
	if ops := w.Intent.Overrides[member]; len(ops) > 0 {
		_ = json.NewEncoder(h).Encode(ops) // values come from JSON and go back to it
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// ownerMark is the value of the owner annotation.
func ownerMark(controlPlane string, owner types.UID) string {
	return controlPlane + "/" + string(owner)
}

// render makes the object for one member: the template, less what the member keeps, with the member's overrides, and then its
// identity, so that nothing the user wrote can make it another object than the federated object's own (K1).
func render(w World, m Member, version string) (*unstructured.Unstructured, error) {
	doc := map[string]any{}
	if len(w.Intent.Template) > 0 {
		if err := utiljson.Unmarshal(w.Intent.Template, &doc); err != nil {
			return nil, fmt.Errorf("spec.template: %w", err)
		}
	}
	if m.Copy != nil {
		retain(doc, w)
	}
	doc, err := patch(doc, w.Intent.Overrides[m.Name])
	if err != nil {
		return nil, err
	}
	return pin(doc, w, m, version)
}

// retain takes out what the member decides once the object exists there.
func retain(doc map[string]any, w World) {
	spec, ok := doc["spec"].(map[string]any)
	if !ok {
		return
	}
	if w.Intent.RetainReplicas {
		delete(spec, "replicas")
	}
	if w.Type.Target.Group == "" && w.Type.Target.Kind == "Service" {
		retainService(spec)
	}
}

// retainService leaves out addresses and node ports: the member's API server keeps the ones that it has allocated.
func retainService(spec map[string]any) {
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	delete(spec, "healthCheckNodePort")
	ports, _ := spec["ports"].([]any)
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
}

// pin sets what makes the object this object and ours, over anything in the template or the overrides.
func pin(doc map[string]any, w World, m Member, version string) (*unstructured.Unstructured, error) {
	meta, ok := doc["metadata"].(map[string]any)
	if !ok && doc["metadata"] != nil {
		return nil, fmt.Errorf("metadata is not an object")
	}
	for _, field := range []string{"uid", "resourceVersion", "generateName", "ownerReferences", "managedFields", "generation", "creationTimestamp", "deletionTimestamp"} {
		delete(meta, field)
	}
	delete(doc, "status")
	apiVersion, err := pinVersion(doc["apiVersion"], w.Type.Target.GroupVersion())
	if err != nil {
		return nil, err
	}
	doc["apiVersion"], doc["kind"] = apiVersion, w.Type.Target.Kind
	obj := &unstructured.Unstructured{Object: doc}
	namespace, name := w.Type.TargetName(w.Key)
	obj.SetName(name)
	obj.SetNamespace(namespace)
	return mark(obj, w, m, version)
}

// pinVersion lets the template or an override choose another version, but never another group.
func pinVersion(chosen any, of schema.GroupVersion) (string, error) {
	s, _ := chosen.(string)
	if s == "" || s == "/"+of.Version {
		return of.String(), nil
	}
	gv, err := schema.ParseGroupVersion(s)
	if err != nil || gv.Group != of.Group {
		return "", fmt.Errorf("apiVersion %q is not of the type's group, as %q is", s, of)
	}
	return s, nil
}

func mark(obj *unstructured.Unstructured, w World, m Member, version string) (*unstructured.Unstructured, error) {
	annotations, _, err := unstructured.NestedStringMap(obj.Object, "metadata", "annotations")
	if err != nil {
		return nil, fmt.Errorf("metadata.annotations: values must be strings: %w", err)
	}
	labels, _, err := unstructured.NestedStringMap(obj.Object, "metadata", "labels")
	if err != nil {
		return nil, fmt.Errorf("metadata.labels: values must be strings: %w", err)
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	delete(annotations, fedv1.AdoptedAnnotation)
	if m.Copy != nil && m.Copy.Adopted {
		annotations[fedv1.AdoptedAnnotation] = "true"
	}
	annotations[fedv1.OwnerAnnotation] = ownerMark(w.Settings.ControlPlane, w.Intent.UID)
	annotations[fedv1.AppliedAnnotation] = version
	labels[fedv1.ManagedLabel] = "true"
	obj.SetAnnotations(annotations)
	obj.SetLabels(labels)
	return obj, nil
}

// inSync says whether a copy is as last applied, and what was applied is what should be: the inputs are the same, our fields are
// still ours, and it is the object that we applied to.
func inSync(w World, m Member, version string) bool {
	c, r := m.Copy, m.Record
	if r == nil || c.UID != r.UID || c.Applied != version || r.Version != version+"."+c.Fields {
		return false
	}
	if c.ControlPlane != w.Settings.ControlPlane || c.Owner != w.Intent.UID {
		return false
	}
	return w.Intent.RetainReplicas || c.OwnsReplicas || !namesReplicas(w.Intent, m.Name)
}

// namesReplicas says whether the intent sets spec.replicas for a member. It looks at the text alone: a wrong yes costs one look at a
// copy that does not own the field, and is then settled by the field being ours.
func namesReplicas(i *intent.Intent, member string) bool {
	for _, o := range i.Overrides[member] {
		if o.Path == "/spec/replicas" && o.Op != "remove" {
			return true
		}
	}
	var t struct {
		Spec struct {
			Replicas *json.Number `json:"replicas"`
		} `json:"spec"`
	}
	return json.Unmarshal(i.Template, &t) == nil && t.Spec.Replicas != nil
}
