package enable

import (
	"strings"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/kube-openapi/pkg/spec3"
	openapi "k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/hansa-io/hansa/internal/fail"
)

// own are the groups of the federation itself.
var own = []string{"core.kubefed.io", Group, "scheduling.kubefed.io", "multiclusterdns.kubefed.io", "discovery.kubefed.io"}

// TargetOf is the resource as a target, or why it cannot be one.
func TargetOf(r Resource, replicas bool) (Target, error) {
	for _, group := range own {
		if r.Group == group {
			return Target{}, fail.CannotFederate.New("%q belongs to the federation itself", NameOf(r.APIResource)).
				Try("enable the type that the members should hold, as in: kubefedctl enable deployments.apps")
		}
	}
	if !r.Can("get", "list", "watch", "create") {
		return Target{}, fail.CannotFederate.New("%q cannot be federated: its API offers only %s", NameOf(r.APIResource), strings.Join(r.Verbs, ", "))
	}
	return Target{APIResource: r.APIResource, ShortNames: r.ShortNames, Replicas: replicas, Scales: replicas && r.Scales}, nil
}

// ReplicasInCRD says whether the definition gives this version an int32 spec.replicas.
func ReplicasInCRD(crd *apiextv1.CustomResourceDefinition, version string) bool {
	for _, v := range crd.Spec.Versions {
		if v.Name != version || v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			continue
		}
		replicas, ok := v.Schema.OpenAPIV3Schema.Properties["spec"].Properties["replicas"]
		return ok && replicas.Type == "integer" && replicas.Format == "int32"
	}
	return false
}

// ReplicasInOpenAPI says whether a server's document of the group version gives this kind an int32 spec.replicas.
func ReplicasInOpenAPI(doc *spec3.OpenAPI, kind string) bool {
	if doc == nil || doc.Components == nil {
		return false
	}
	for _, s := range doc.Components.Schemas {
		if !hasKind(s, kind) {
			continue
		}
		specSchema := follow(doc, s.Properties["spec"])
		replicas := specSchema.Properties["replicas"]
		return replicas.Type.Contains("integer") && replicas.Format == "int32"
	}
	return false
}

func hasKind(s *openapi.Schema, kind string) bool {
	list, _ := s.Extensions["x-kubernetes-group-version-kind"].([]any)
	for _, item := range list {
		if gvk, ok := item.(map[string]any); ok && gvk["kind"] == kind {
			return true
		}
	}
	return false
}

// follow resolves a reference to another schema of the document, plain or wrapped in allOf.
func follow(doc *spec3.OpenAPI, s openapi.Schema) openapi.Schema {
	ref := s.Ref.String()
	if ref == "" && len(s.AllOf) == 1 {
		ref = s.AllOf[0].Ref.String()
	}
	if to, ok := doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]; ok {
		return *to
	}
	return s
}
