package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

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
	ops := w.Intent.Overrides[member]
	if len(ops) == 0 && w.plain != "" {
		return w.plain
	}
	return hash(w, ops)
}

func hash(w World, ops []intent.Override) string {
	h := sha256.New()
	fmt.Fprintln(h, renderRules, w.Settings.ControlPlane, w.Intent.UID, w.Type.Target.GVK(), w.Intent.RetainReplicas)
	h.Write(w.Intent.Template)
	if len(ops) > 0 {
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
		retained(doc, w, empty)
	}
	if doc["metadata"] == nil {
		doc["metadata"] = map[string]any{} // every object has metadata, and overrides may name its labels and annotations
	}
	doc, err := patch(doc, w.Intent.Overrides[m.Name])
	if err != nil {
		return nil, err
	}
	if m.Copy != nil {
		retained(doc, w, dropEmpty)
	}
	return pin(doc, w, m, version)
}

// empty takes a value out and leaves its key for the overrides: one that applies to the template applies whether the copy exists or not.
func empty(m map[string]any, key string) {
	if _, ok := m[key]; ok {
		m[key] = nil
	}
}

func dropEmpty(m map[string]any, key string) {
	if m[key] == nil {
		delete(m, key)
	}
}

// retained visits what the member decides once the object exists there.
func retained(doc map[string]any, w World, visit func(m map[string]any, key string)) {
	spec, ok := doc["spec"].(map[string]any)
	if !ok {
		return
	}
	if w.Intent.RetainReplicas {
		visit(spec, "replicas")
	}
	if w.Type.Target.Group == "" && w.Type.Target.Kind == "Service" {
		retainedOfService(spec, visit)
	}
}

// headless is the address of a Service without one: the user's choice, not the member's.
var headless any = "None"

// retainedOfService are addresses and node ports: the member's API server keeps the ones that it has allocated.
func retainedOfService(spec map[string]any, visit func(m map[string]any, key string)) {
	if spec["clusterIP"] != headless {
		visit(spec, "clusterIP")
	}
	if ips, _ := spec["clusterIPs"].([]any); !slices.Contains(ips, headless) {
		visit(spec, "clusterIPs")
	}
	visit(spec, "healthCheckNodePort")
	ports, _ := spec["ports"].([]any)
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			visit(port, "nodePort")
		}
	}
}

// pin sets what makes the object this object and ours, over anything in the template or the overrides.
func pin(doc map[string]any, w World, m Member, version string) (*unstructured.Unstructured, error) {
	meta, ok := doc["metadata"].(map[string]any)
	if !ok && doc["metadata"] != nil {
		return nil, errors.New("metadata must be an object")
	}
	if meta == nil {
		meta = map[string]any{}
		doc["metadata"] = meta
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
	s, ok := chosen.(string)
	if !ok && chosen != nil {
		return "", errors.New("apiVersion must be a string")
	}
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
	annotations, err := texts(obj, "annotations")
	if err != nil {
		return nil, err
	}
	labels, err := texts(obj, "labels")
	if err != nil {
		return nil, err
	}
	delete(annotations, fedv1.AdoptedAnnotation)
	if m.Copy != nil && m.Copy.Adopted {
		annotations[fedv1.AdoptedAnnotation] = "true"
	}
	annotations[fedv1.OwnerAnnotation] = ownerMark(w.Settings.ControlPlane, w.Intent.UID)
	annotations[fedv1.AppliedAnnotation] = version
	delete(annotations, fedv1.RevisionAnnotation)
	if r := w.revision(m); r != "" {
		annotations[fedv1.RevisionAnnotation] = r
	}
	labels[fedv1.ManagedLabel] = "true"
	obj.SetAnnotations(annotations)
	obj.SetLabels(labels)
	return obj, nil
}

// texts reads labels or annotations; absent and null are none.
func texts(obj *unstructured.Unstructured, field string) (map[string]string, error) {
	value, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "metadata", field) // pin has seen to metadata
	m, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, fmt.Errorf("metadata.%s must be an object", field)
	}
	out := make(map[string]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if out[k], ok = m[k].(string); !ok {
			return nil, fmt.Errorf("metadata.%s[%s] must be a string", field, k)
		}
	}
	return out, nil
}

// inSync says whether a copy is as last applied, and what was applied is what should be: the inputs are the same, our fields are
// still ours, and ours alone, and it is the object that we applied to.
func inSync(w World, m Member, version string) bool {
	c, r := m.Copy, m.Record
	if r == nil || c.Shared || c.UID != r.UID || c.Applied != version || r.Version != version+"."+c.Fields {
		return false
	}
	if c.ControlPlane != w.Settings.ControlPlane || c.Owner != w.Intent.UID {
		return false
	}
	return w.Intent.RetainReplicas || c.OwnsReplicas || !namesReplicas(w, m)
}

// namesReplicas says whether the intent sets spec.replicas for a member. Only where the text lets that be does it render the object: few
// types have the field, and where one is set it is ours as a rule.
func namesReplicas(w World, m Member) bool {
	overridden := slices.ContainsFunc(w.Intent.Overrides[m.Name], func(o intent.Override) bool {
		return o.Path == "/spec" || o.Path == "/spec/replicas"
	})
	if !overridden && !bytes.Contains(w.Intent.Template, []byte(`"replicas"`)) {
		return false
	}
	obj, err := render(w, m, "")
	if err != nil {
		return true // place will say what is wrong
	}
	replicas, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "replicas")
	return replicas != nil
}
