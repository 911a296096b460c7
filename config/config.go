// Package config answers: what must a cluster hold to be the host of a federation? `kubefedctl init` and the Helm chart install
// the same files.
//
//go:generate go test . -run TestTypesAreGenerated -update
package config

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/convert"
)

//go:embed *.yaml crd/*.yaml types/*.yaml rbac/*.yaml policy/*.yaml
var files embed.FS

// Objects are all objects of an installation, in the order in which they can be created: the namespace, the definitions, the
// rights, the settings, the ten default types, the admission policies.
func Objects(namespace string, scope fedv1.ResourceScope) ([]*unstructured.Unstructured, error) {
	globs := []string{"namespace.yaml", "crd/*.yaml", "types/*.yaml", "rbac/cluster.yaml", "kubefedconfig.yaml", "policy/*.yaml"}
	if scope == fedv1.ScopeNamespaced {
		globs[3] = "rbac/namespaced.yaml"
	}
	var all []*unstructured.Unstructured
	for _, glob := range globs {
		objects, err := load(glob)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	var out []*unstructured.Unstructured
	for _, o := range all {
		moved, err := move(o, namespace)
		if err != nil {
			return nil, err
		}
		if moved.GetKind() == "KubeFedConfig" {
			_ = unstructured.SetNestedField(moved.Object, string(scope), "spec", "scope")
		}
		if scope != fedv1.ScopeNamespaced || confine(moved, namespace) {
			out = append(out, moved)
		}
	}
	slices.SortStableFunc(out, func(a, b *unstructured.Unstructured) int { return cmp.Compare(rank(a), rank(b)) })
	return out, nil
}

// rank puts the FederatedTypeConfigs behind their namespace and definition, and the policies behind all that they are about: the API
// server answers 503 to what matches a policy until it has learnt the kind.
func rank(o *unstructured.Unstructured) int {
	switch {
	case isPolicy(o):
		return 2
	case o.GetKind() == "FederatedTypeConfig":
		return 1
	default:
		return 0
	}
}

func isPolicy(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == admissionv1.GroupName
}

// move puts an object that is written for the default namespace into another one: its own, that of its subjects, and the one that the
// expressions of a policy name.
func move(o *unstructured.Unstructured, namespace string) (*unstructured.Unstructured, error) {
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("move %s %s to namespace %s: %w", o.GetKind(), o.GetName(), namespace, err)
	}
	moved := &unstructured.Unstructured{}
	if err := moved.UnmarshalJSON(bytes.ReplaceAll(data, []byte(fedv1.DefaultNamespace), []byte(namespace))); err != nil {
		return nil, fmt.Errorf("move %s %s to namespace %s: %w", o.GetKind(), o.GetName(), namespace, err)
	}
	return moved, nil
}

// confine makes a policy that of one namespace, by name and by selector, so that several control planes of scope Namespaced do not
// write each other's. It says whether such a control plane needs the object: the policy of the finalizer would hold FederatedNamespaces,
// which nobody there lets go.
func confine(o *unstructured.Unstructured, namespace string) bool {
	if !isPolicy(o) {
		return true
	}
	needed := o.GetName() != fedv1.FinalizerPolicy
	o.SetName(o.GetName() + "-" + namespace)
	if policy, isBinding, _ := unstructured.NestedString(o.Object, "spec", "policyName"); isBinding {
		every := []any{"*"}
		_ = unstructured.SetNestedField(o.Object, policy+"-"+namespace, "spec", "policyName")
		_ = unstructured.SetNestedField(o.Object, namespace, "spec", "matchResources", "namespaceSelector", "matchLabels", corev1.LabelMetadataName)
		_ = unstructured.SetNestedSlice(o.Object, []any{map[string]any{
			"apiGroups": every, "apiVersions": every, "operations": every, "resources": every, "scope": "Namespaced",
		}}, "spec", "matchResources", "resourceRules") // a namespace selector selects all that is in no namespace
	}
	return needed
}

func load(glob string) ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(files, glob)
	if err != nil {
		return nil, fmt.Errorf("list embedded files %s: %w", glob, err)
	}
	var out []*unstructured.Unstructured
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read embedded file %s: %w", name, err)
		}
		objects, err := convert.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("decode embedded file %s: %w", path.Base(name), err)
		}
		out = append(out, objects...)
	}
	return out, nil
}

// Definitions are the CustomResourceDefinitions of an installation.
func Definitions() ([]*unstructured.Unstructured, error) {
	all, err := Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(o *unstructured.Unstructured) bool { return o.GetKind() != "CustomResourceDefinition" }), nil
}
