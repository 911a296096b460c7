package intent

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Type maps a federated type to what its objects become in the members.
type Type struct {
	// Name of the FederatedTypeConfig: "<target plural>" for the core group, else "<target plural>.<target group>".
	Name string
	// Federated is what users write.
	Federated Resource
	// Target is what the members hold.
	Target Resource
	// Paused says that the type's propagation is disabled: nothing is placed or withdrawn, deletions still end.
	Paused bool
	// Collects says what is told of the status of the copies.
	Collects Collection
}

// Collection says what of the status of copies is collected. The zero value is nothing: then copies are watched by metadata only.
type Collection struct {
	// Health of each copy, and its replicas, if it has any.
	Health bool
	// Raw is the status of each copy as it is.
	Raw bool
	// Services is the status type of KubeFed's older collection, which is for services only; zero if there is none.
	Services Resource
}

// KeepsStatus says whether the status of copies is needed as it is.
func (c Collection) KeepsStatus() bool { return c.Raw || c.Services != Resource{} }

// Resource names one kind of object at one version.
type Resource struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// GVK is the resource's kind with its group and version.
func (r Resource) GVK() schema.GroupVersionKind { return r.GroupVersion().WithKind(r.Kind) }

// IsNamespace says whether the target is the Namespace itself, whose federated form lives inside the namespace of its name.
func (t Type) IsNamespace() bool { return t.Name == fedv1.NamespacesTypeName }

// Key names one federated object of any type.
type Key struct {
	// Type is the name of the FederatedTypeConfig.
	Type            string
	Namespace, Name string
}

func (k Key) String() string {
	if k.Namespace == "" {
		return k.Type + " " + k.Name
	}
	return k.Type + " " + k.Namespace + "/" + k.Name
}

// TargetName is the name of the object in the members: the federated object's own, but that of the namespace for a Namespace.
func (t Type) TargetName(k Key) (namespace, name string) {
	switch {
	case t.IsNamespace():
		return "", k.Namespace
	case t.Target.Namespaced:
		return k.Namespace, k.Name
	default:
		return "", k.Name
	}
}

// KeyOf is the inverse of TargetName.
func (t Type) KeyOf(namespace, name string) Key {
	if t.IsNamespace() {
		return Key{Type: t.Name, Namespace: name, Name: name}
	}
	return Key{Type: t.Name, Namespace: namespace, Name: name}
}

// WithRaw is the type as the feature gate RawResourceStatusCollection has it: where the status of copies is told as it is, KubeFed's
// older collection does not run.
func (t Type) WithRaw(gate bool) Type {
	if t.Collects.Raw = gate && t.Collects.Health; t.Collects.Raw {
		t.Collects.Services = Resource{}
	}
	return t
}

// TypeOf reads a FederatedTypeConfig, filling the gaps that KubeFed fills (its chapter 2.3): the target's plural and group from the
// object's name, the federated type's plural from its kind, the status type's group and version from the federated type.
func TypeOf(c *fedv1.FederatedTypeConfig) Type {
	t := Type{
		Name:      c.Name,
		Federated: resourceOf(c.Spec.FederatedType),
		Target:    resourceOf(c.Spec.TargetType),
		Paused:    c.Spec.Propagation != fedv1.Enabled,
	}
	plural, group, _ := strings.Cut(c.Name, ".")
	t.Target.Resource = cmp.Or(t.Target.Resource, plural)
	t.Target.Group = cmp.Or(t.Target.Group, group)
	t.Federated.Resource = cmp.Or(t.Federated.Resource, pluralOf(t.Federated.Kind))
	t.Collects.Health = c.Spec.StatusCollection != nil && *c.Spec.StatusCollection == fedv1.Enabled
	if s := c.Spec.StatusType; s != nil && t.Collects.Health && c.Name == fedv1.ServicesTypeName {
		t.Collects.Services = resourceOf(*s)
		t.Collects.Services.Resource = cmp.Or(t.Collects.Services.Resource, pluralOf(s.Kind))
		t.Collects.Services.Group = cmp.Or(t.Collects.Services.Group, t.Federated.Group)
		t.Collects.Services.Version = cmp.Or(t.Collects.Services.Version, t.Federated.Version)
	}
	return t
}

func pluralOf(kind string) string {
	kind = strings.ToLower(kind)
	for _, end := range []string{"s", "x", "ch", "sh", "z", "o"} {
		if strings.HasSuffix(kind, end) {
			return kind + "es"
		}
	}
	if stem, ok := strings.CutSuffix(kind, "y"); ok {
		return stem + "ies"
	}
	return kind + "s"
}

func resourceOf(r fedv1.APIResource) Resource {
	return Resource{
		GroupVersionResource: schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.PluralName},
		Kind:                 r.Kind,
		Namespaced:           r.Scope == fedv1.ScopeNamespaced,
	}
}
