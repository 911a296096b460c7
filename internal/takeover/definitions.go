package takeover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/intent"
)

// definition is a CRD as it should be, and as it is; live is nil if it is not there.
type definition struct {
	want, live *apiextv1.CustomResourceDefinition
}

// definitions are all that Hansa needs: its own, the ten default types, and those of the types that were enabled here. The status of a
// federated object holds Hansa's record of the copies: a definition that does not know it would drop it.
func (f *Federation) definitions(ctx context.Context, types []fedv1.FederatedTypeConfig, scope fedv1.ResourceScope) ([]definition, error) {
	objects, err := config.Objects(f.namespace, scope)
	if err != nil {
		return nil, err
	}
	var all []definition
	known := map[string]bool{}
	for _, o := range objects {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		want := &apiextv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, want); err != nil {
			return nil, fmt.Errorf("read the definition %s: %w", o.GetName(), err)
		}
		live, err := f.definition(ctx, o.GetName())
		if err != nil {
			return nil, err
		}
		known[o.GetName()] = true
		all = append(all, definition{want, live})
	}
	for i := range types {
		name := enable.NameOf(types[i].Spec.FederatedType)
		if known[name] {
			continue
		}
		live, err := f.definition(ctx, name)
		if err != nil {
			return nil, err
		}
		if live != nil {
			all = append(all, definition{definitionOf(&types[i], live), live})
		}
	}
	return all, nil
}

func (f *Federation) definition(ctx context.Context, name string) (*apiextv1.CustomResourceDefinition, error) {
	live := &apiextv1.CustomResourceDefinition{}
	err := f.client.Get(ctx, client.ObjectKey{Name: name}, live)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none, which is what was asked
	}
	return live, f.api("read CustomResourceDefinition "+name, err)
}

// definitionOf is what `kubefedctl enable` would make of a type that KubeFed's made. What it looked up in the target's API then is read
// from what it made of it.
func definitionOf(c *fedv1.FederatedTypeConfig, live *apiextv1.CustomResourceDefinition) *apiextv1.CustomResourceDefinition {
	target := intent.TypeOf(c).Target
	t := enable.Target{APIResource: fedv1.APIResource{
		Group: target.Group, Version: target.Version, Kind: target.Kind, PluralName: target.Resource, Scope: c.Spec.TargetType.Scope,
	}}
	for _, short := range live.Spec.Names.ShortNames {
		t.ShortNames = append(t.ShortNames, strings.TrimPrefix(short, "f"))
	}
	t.Replicas = paths(live)["spec.retainReplicas"]
	want := enable.CRD(t, c.Spec.FederatedType.Group, c.Spec.FederatedType.Version)
	want.Name, want.Spec.Names, want.Spec.Scope = live.Name, *live.Spec.Names.DeepCopy(), live.Spec.Scope
	return want
}

// object is the definition as an object to apply.
func (d definition) object() (*unstructured.Unstructured, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d.want)
	if err != nil {
		return nil, err
	}
	delete(m, "status")
	o := &unstructured.Unstructured{Object: m}
	o.SetGroupVersionKind(apiextv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	unstructured.RemoveNestedField(o.Object, "metadata", "creationTimestamp")
	return o, nil
}

// change says in words what becomes of a definition; "" if nothing that a user can see.
func (d definition) change() string {
	if d.live == nil {
		return d.want.Name + ": new"
	}
	before, after := paths(d.live), paths(d.want)
	added, gone := missing(after, before), missing(before, after)
	var words []string
	if len(added) > 0 {
		words = append(words, "adds "+some(added, 8))
	}
	if len(gone) > 0 {
		words = append(words, "no longer describes "+some(gone, 8))
	}
	if len(words) == 0 {
		return ""
	}
	return d.want.Name + ": " + strings.Join(words, "; ")
}

func missing(in, from map[string]bool) []string {
	var out []string
	for _, p := range slices.Sorted(maps.Keys(in)) {
		if !from[p] {
			out = append(out, p)
		}
	}
	return out
}

// paths are the fields that a definition describes.
func paths(crd *apiextv1.CustomResourceDefinition) map[string]bool {
	out := map[string]bool{}
	for _, v := range crd.Spec.Versions {
		if v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
			collect(out, "", v.Schema.OpenAPIV3Schema)
		}
	}
	return out
}

func collect(out map[string]bool, at string, s *apiextv1.JSONSchemaProps) {
	for name, p := range s.Properties {
		path := strings.TrimPrefix(at+"."+name, ".")
		out[path] = true
		collect(out, path, &p)
	}
	if s.Items != nil && s.Items.Schema != nil {
		collect(out, at+"[]", s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		collect(out, at+".*", s.AdditionalProperties.Schema)
	}
}
