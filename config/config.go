// Package config answers: what must a cluster hold to be the host of a federation? `kubefedctl init` and the Helm chart install
// the same files.
//
//go:generate go test . -run TestTypesAreGenerated -update
package config

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/convert"
)

//go:embed *.yaml crd/*.yaml types/*.yaml rbac/*.yaml policy/*.yaml
var files embed.FS

// Objects are all objects of an installation, in the order in which they can be created: the namespace, the definitions, the
// rights, the settings, the ten default types.
func Objects(namespace string, scope fedv1.ResourceScope) ([]*unstructured.Unstructured, error) {
	globs := []string{"namespace.yaml", "crd/*.yaml", "types/*.yaml"}
	switch scope {
	case fedv1.ScopeNamespaced:
		globs = append(globs, "rbac/namespaced.yaml", "kubefedconfig.yaml")
	default:
		globs = append(globs, "rbac/cluster.yaml", "policy/*.yaml", "kubefedconfig.yaml")
	}
	var all []*unstructured.Unstructured
	for _, glob := range globs {
		objects, err := load(glob)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	for _, o := range all {
		move(o, namespace)
		if o.GetKind() == "KubeFedConfig" {
			_ = unstructured.SetNestedField(o.Object, string(scope), "spec", "scope")
		}
	}
	return typesLast(all), nil
}

// typesLast moves the FederatedTypeConfigs behind all others: their namespace and definition must be there first.
func typesLast(all []*unstructured.Unstructured) []*unstructured.Unstructured {
	var first, last []*unstructured.Unstructured
	for _, o := range all {
		if o.GetKind() == "FederatedTypeConfig" {
			last = append(last, o)
		} else {
			first = append(first, o)
		}
	}
	return append(first, last...)
}

// move puts an object that is written for the default namespace into another one.
func move(o *unstructured.Unstructured, namespace string) {
	if o.GetKind() == "Namespace" {
		o.SetName(namespace)
	}
	if o.GetNamespace() == fedv1.DefaultNamespace {
		o.SetNamespace(namespace)
	}
	subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
	for _, s := range subjects {
		if subject, ok := s.(map[string]any); ok && subject["namespace"] == fedv1.DefaultNamespace {
			subject["namespace"] = namespace
		}
	}
	if len(subjects) > 0 {
		_ = unstructured.SetNestedSlice(o.Object, subjects, "subjects")
	}
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
