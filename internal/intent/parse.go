package intent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/propagated"
)

// Parse reads a federated object. It never fails: what it cannot use is in the result's Problems.
func Parse(obj *unstructured.Unstructured) *Intent {
	i := &Intent{
		Namespace:       obj.GetNamespace(),
		Name:            obj.GetName(),
		UID:             obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(),
		Generation:      obj.GetGeneration(),
		Held:            slices.Contains(obj.GetFinalizers(), fedv1.SyncFinalizer),
		Finalizers:      obj.GetFinalizers(),
		Orphan:          orphan(obj.GetAnnotations()[fedv1.OrphanAnnotation]),
	}
	if t := obj.GetDeletionTimestamp(); t != nil {
		i.Deleting = t.Time
	}
	p := parser{intent: i}
	p.deleteOptions(obj.GetAnnotations()[fedv1.DeleteOptionAnnotation])
	p.deletionPolicy(obj.GetAnnotations()[fedv1.DeletionPolicyAnnotation])
	spec := p.object(obj.Object, "spec", PartPlacement)
	if spec == nil && obj.Object["spec"] != nil {
		p.problem(PartTemplate, "spec", "must be an object")
	}
	p.hashes(spec)
	p.template(spec)
	p.placement(p.object(spec, "placement", PartPlacement))
	p.overrides(spec["overrides"])
	p.retainReplicas(spec["retainReplicas"])
	p.status(obj.Object["status"])
	slices.SortStableFunc(i.Problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return i
}

func orphan(value string) Orphan {
	switch o := Orphan(value); o {
	case OrphanAll, OrphanAdopted:
		return o
	default:
		return OrphanNone
	}
}

type parser struct{ intent *Intent }

func (p parser) problem(part Part, path, format string, args ...any) {
	p.intent.Problems = append(p.intent.Problems, Problem{Part: part, Path: path, Message: fmt.Sprintf(format, args...)})
}

// object returns the map at a key; absent and null are empty, anything else is a problem.
func (p parser) object(parent map[string]any, key string, part Part) map[string]any {
	switch v := parent[key].(type) {
	case nil:
		return nil
	case map[string]any:
		return v
	default:
		path := key
		if key != "spec" {
			path = "spec." + key
		}
		p.problem(part, path, "must be an object")
		return nil
	}
}

func (p parser) hashes(spec map[string]any) {
	if h, err := propagated.HashesOf(spec); err == nil {
		p.intent.Hashes = h
	}
}

func (p parser) retainReplicas(value any) {
	retain, ok := value.(bool)
	if !ok && value != nil {
		p.problem(PartTemplate, "spec.retainReplicas", "must be true or false")
	}
	p.intent.RetainReplicas = retain
}

func (p parser) deleteOptions(value string) {
	if value == "" {
		return
	}
	var o metav1.DeleteOptions
	if err := json.Unmarshal([]byte(value), &o); err != nil {
		p.problem(PartDeletion, "metadata.annotations["+fedv1.DeleteOptionAnnotation+"]", "must be DeleteOptions as JSON: %v", err)
		return
	}
	p.intent.DeleteOptions = &o
}

func (p parser) deletionPolicy(value string) {
	switch policy := DeletionPolicy(value); policy {
	case "", DeleteCopies, RetainCopies:
		p.intent.Deletion = policy
	default:
		p.problem(PartDeletion, "metadata.annotations["+fedv1.DeletionPolicyAnnotation+"]", "must be %s or %s, not %q", DeleteCopies, RetainCopies, value)
	}
}

// template keeps the template as JSON, without the metadata that KubeFed never propagated.
func (p parser) template(spec map[string]any) {
	template := p.object(spec, "template", PartTemplate)
	if len(template) == 0 {
		return
	}
	p.podSelector(template)
	template = p.withoutUnsupported(template)
	raw, err := json.Marshal(template)
	if err != nil {
		p.problem(PartTemplate, "spec.template", "cannot be encoded: %v", err)
		return
	}
	p.intent.Template = raw
}

// podSelector reads which Pods are the workload's. One that cannot be read is none: the members will say what is wrong with it.
func (p parser) podSelector(template map[string]any) {
	spec, _ := template["spec"].(map[string]any)
	selector, _ := spec["selector"].(map[string]any)
	var ls metav1.LabelSelector
	if len(selector) == 0 || runtime.DefaultUnstructuredConverter.FromUnstructured(selector, &ls) != nil {
		return
	}
	if s, err := metav1.LabelSelectorAsSelector(&ls); err == nil {
		p.intent.PodSelector = s.String()
	}
}

func (p parser) withoutUnsupported(template map[string]any) map[string]any {
	metadata, ok := template["metadata"].(map[string]any)
	if template["metadata"] != nil && !ok {
		p.problem(PartTemplate, "spec.template.metadata", "must be an object")
	}
	out := make(map[string]any, len(template))
	for k, v := range template {
		if k != "status" {
			out[k] = v
		}
	}
	if !ok {
		delete(out, "metadata")
		return out
	}
	kept := map[string]any{}
	for k, v := range metadata {
		switch k {
		case "annotations", "finalizers":
			if !empty(v) {
				p.intent.Dropped = append(p.intent.Dropped, k)
			}
		case "labels":
			if !empty(v) {
				kept[k] = v
			}
		case "name":
			p.misnamed(k, v, p.intent.Name)
		case "namespace":
			p.misnamed(k, v, p.intent.Namespace)
		}
	}
	slices.Sort(p.intent.Dropped)
	if out["metadata"] = kept; len(kept) == 0 {
		delete(out, "metadata")
	}
	return out
}

// misnamed notes a name in the template that is not the federated object's own. KubeFed overwrites it silently; so do we, but the
// user is told.
func (p parser) misnamed(field string, got any, want string) {
	if s, ok := got.(string); ok && s != want && s != "" {
		p.intent.Dropped = append(p.intent.Dropped, field)
	}
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	default:
		return false
	}
}

func (p parser) placement(placement map[string]any) {
	if clusters, ok := placement["clusters"]; ok && clusters != nil {
		p.named(clusters)
		return
	}
	selector := placement["clusterSelector"]
	if selector == nil {
		return
	}
	var ls metav1.LabelSelector
	m, ok := selector.(map[string]any)
	if !ok {
		p.problem(PartPlacement, "spec.placement.clusterSelector", "must be an object")
		return
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &ls); err != nil {
		p.problem(PartPlacement, "spec.placement.clusterSelector", "%v", err)
		return
	}
	s, err := metav1.LabelSelectorAsSelector(&ls)
	if err != nil {
		p.problem(PartPlacement, "spec.placement.clusterSelector", "%v", err)
		return
	}
	p.intent.Placement.Selector = s
}

func (p parser) named(clusters any) {
	list, ok := clusters.([]any)
	if !ok {
		p.problem(PartPlacement, "spec.placement.clusters", "must be a list")
		return
	}
	p.intent.Placement.ByName = true
	for n, item := range list {
		m, _ := item.(map[string]any)
		name, _ := m["name"].(string)
		if name == "" {
			p.problem(PartPlacement, fmt.Sprintf("spec.placement.clusters[%d].name", n), "must be the name of a cluster")
			continue
		}
		p.intent.Placement.Clusters = append(p.intent.Placement.Clusters, name)
	}
	slices.Sort(p.intent.Placement.Clusters)
	p.intent.Placement.Clusters = slices.Compact(p.intent.Placement.Clusters)
}

func (p parser) status(value any) {
	m, ok := value.(map[string]any)
	if !ok {
		return
	}
	// A status that users wrote by hand, or that an older release left, may be of any shape: what cannot be read is as if never told.
	raw, err := json.Marshal(m)
	if err != nil {
		return
	}
	var s Status
	if json.Unmarshal(raw, &s) != nil {
		return
	}
	slices.SortStableFunc(s.Clusters, func(a, b ClusterStatus) int { return strings.Compare(a.Name, b.Name) })
	p.intent.Status = s
}
