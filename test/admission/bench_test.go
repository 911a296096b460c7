package admission

import (
	"fmt"
	"testing"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
)

// BenchmarkCreate is what the rules cost a new FederatedConfigMap: bare has no rules, rules has those of the definition, as a type in
// another group does, all has the policies too.
func BenchmarkCreate(b *testing.B) {
	h := clusters(b)
	configmaps := target("", "v1", "ConfigMap", "configmaps", fedv1.ScopeNamespaced)
	bare := enable.CRD(configmaps, "bare.example.com", enable.Version)
	bare.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = apiextv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}
	rules := enable.CRD(configmaps, "rules.example.com", enable.Version)
	for _, crd := range []*apiextv1.CustomResourceDefinition{bare, rules} {
		if err := h.admin.Create(b.Context(), crd); err != nil {
			b.Fatal(err)
		}
	}
	for name, group := range map[string]string{"bare": "bare.example.com", "rules": "rules.example.com", "all": enable.Group} {
		object := func(n int) *unstructured.Unstructured {
			o := federated("FederatedConfigMap", fmt.Sprintf("cm-%d", n), map[string]any{
				"template":  map[string]any{"data": map[string]any{"a": "b"}},
				"placement": map[string]any{"clusters": []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}}},
				"overrides": []any{map[string]any{"clusterName": "a", "clusterOverrides": []any{map[string]any{"path": "/data/a", "value": "c"}}}},
			})
			o.SetAPIVersion(group + "/" + enable.Version)
			return o
		}
		served(b, h.admin, object(0))
		n := 0
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				n++
				if err := h.admin.Create(b.Context(), object(n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
