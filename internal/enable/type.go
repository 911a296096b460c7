// Package enable answers: what makes an API type a federated one? A CustomResourceDefinition, in which users write template,
// placement and overrides, and a FederatedTypeConfig, which maps it to its target. Both are pure functions of the target.
package enable

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Group and Version are where federated types live unless the user says otherwise.
const (
	Group   = "types.kubefed.io"
	Version = "v1beta1"
)

// Target is the type that members will hold.
type Target struct {
	fedv1.APIResource
	ShortNames []string
	// Replicas says that the target has an int32 spec.replicas, which a member may be allowed to keep.
	Replicas bool
	// Scales says that the target has the subresource scale, which sets spec.replicas.
	Scales bool
}

// Name is the name of the type's FederatedTypeConfig: "<plural>" for the core group, else "<plural>.<group>".
func (t Target) Name() string { return NameOf(t.APIResource) }

// NameOf is "<plural>" for the core group, else "<plural>.<group>".
func NameOf(r fedv1.APIResource) string {
	if r.Group == "" {
		return r.PluralName
	}
	return r.PluralName + "." + r.Group
}

// isNamespace says whether the target is the core Namespace, whose federated form lives inside the namespace that it describes.
func isNamespace(r fedv1.APIResource) bool { return NameOf(r) == fedv1.NamespacesTypeName }

// Federated is the type that users write for a target.
func Federated(t Target, group, version string) fedv1.APIResource {
	f := fedv1.APIResource{
		Group:      group,
		Version:    version,
		Kind:       "Federated" + t.Kind,
		PluralName: "federated" + strings.ToLower(t.PluralName),
		Scope:      t.Scope,
	}
	if isNamespace(t.APIResource) {
		f.Scope = fedv1.ScopeNamespaced
	}
	return f
}

// TypeConfig is the FederatedTypeConfig of a target.
func TypeConfig(t Target, group, version, namespace string) *fedv1.FederatedTypeConfig {
	c := &fedv1.FederatedTypeConfig{
		TypeMeta:   metav1.TypeMeta{APIVersion: fedv1.GroupVersion.String(), Kind: "FederatedTypeConfig"},
		ObjectMeta: metav1.ObjectMeta{Name: t.Name(), Namespace: namespace},
		Spec: fedv1.FederatedTypeConfigSpec{
			TargetType:    t.APIResource,
			FederatedType: Federated(t, group, version),
			Propagation:   fedv1.Enabled,
		},
	}
	if workloads[t.Name()] {
		c.Spec.StatusCollection = ptr.To(fedv1.Enabled)
	}
	return c
}

// workloads are the types of which nobody wants to know whether they have been sent, but whether they run: their status is collected
// from the start.
var workloads = map[string]bool{
	"deployments.apps": true, "replicasets.apps": true, "statefulsets.apps": true, "daemonsets.apps": true, "jobs.batch": true,
}
