package enable

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi3"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
)

// Request is what a user asks to be enabled.
type Request struct {
	// Type as the user names it.
	Type string
	// TargetVersion; empty is the version that the server prefers.
	TargetVersion string
	// Group and Version of the federated type.
	Group, Version string
	// StatusCollection of the type; nil leaves it as it is, or as it is usual for the type.
	StatusCollection *fedv1.ConfigurationMode
}

// Pair is what makes a type a federated one.
type Pair struct {
	CRD    *apiextv1.CustomResourceDefinition
	Config *fedv1.FederatedTypeConfig
	// SetsStatus says that spec.statusCollection is the user's wish, also for a type that is enabled already.
	SetsStatus bool
}

// Resolve finds the type in a server's catalogue, with its schema, and makes its pair. Nothing is written.
func Resolve(ctx context.Context, c client.Client, d discovery.DiscoveryInterface, all Catalogue, q Request, namespace string) (Pair, error) {
	r, err := all.Find(q.Type, q.TargetVersion)
	if err != nil {
		return Pair{}, err
	}
	scales, err := replicas(ctx, c, d, r)
	if err != nil {
		return Pair{}, err
	}
	t, err := TargetOf(r, scales)
	if err != nil {
		return Pair{}, err
	}
	p := Pair{CRD: CRD(t, q.Group, q.Version), Config: TypeConfig(t, q.Group, q.Version, namespace)}
	if q.StatusCollection != nil {
		p.SetsStatus, p.Config.Spec.StatusCollection = true, q.StatusCollection
	}
	return p, nil
}

// replicas says whether the type has an int32 spec.replicas: from its CustomResourceDefinition, or else from the server's OpenAPI
// document. A type that has neither, as some aggregated ones, has none.
func replicas(ctx context.Context, c client.Client, d discovery.DiscoveryInterface, r Resource) (bool, error) {
	var crd apiextv1.CustomResourceDefinition
	err := c.Get(ctx, client.ObjectKey{Name: r.GVR().GroupResource().String()}, &crd)
	switch {
	case err == nil:
		return ReplicasInCRD(&crd, r.Version), nil
	case !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err):
		return false, fmt.Errorf("read CustomResourceDefinition %s: %w", r.GVR().GroupResource(), err)
	}
	doc, err := openapi3.NewRoot(d.OpenAPIV3()).GVSpec(schema.GroupVersion{Group: r.Group, Version: r.Version})
	var missing *openapi3.GroupVersionNotFoundError
	switch {
	case err == nil:
		return ReplicasInOpenAPI(doc, r.Kind), nil
	case errors.As(err, &missing):
		return false, nil
	default:
		return false, fmt.Errorf("read the OpenAPI document of %s/%s: %w", r.Group, r.Version, err)
	}
}

// equivalent lists the groups that offer, or offered, the same objects under one plural.
var equivalent = map[string][]string{
	"daemonsets":          {"apps", "extensions"},
	"deployments":         {"apps", "extensions"},
	"replicasets":         {"apps", "extensions"},
	"ingresses":           {"networking.k8s.io", "extensions"},
	"networkpolicies":     {"networking.k8s.io", "extensions"},
	"podsecuritypolicies": {"policy", "extensions"},
	"events":              {"", "events.k8s.io"},
}

// Equivalent says whether two types are the same objects in two groups.
func Equivalent(a, b fedv1.APIResource) bool {
	groups := equivalent[a.PluralName]
	return a.PluralName == b.PluralName && a.Group != b.Group && slices.Contains(groups, a.Group) && slices.Contains(groups, b.Group)
}

// Conflict says why a pair cannot stand beside the types that are enabled already; nil if it can.
func Conflict(p Pair, existing []fedv1.FederatedTypeConfig) error {
	want := p.Config.Spec
	for _, e := range existing {
		have := e.Spec
		sameFederated := NameOf(have.FederatedType) == NameOf(want.FederatedType)
		switch {
		case e.Name == p.Config.Name && !sameFederated:
			return fail.TypeConflict.New("Federation is already enabled for %q with federated type %q. Changing the federated type to %q is not supported.",
				e.Name, NameOf(have.FederatedType), NameOf(want.FederatedType)).Try("kubefedctl disable %s", e.Name)
		case e.Name != p.Config.Name && Equivalent(have.TargetType, want.TargetType):
			return fail.TypeConflict.New("Failed to enable %q. Federation of this type is already enabled for equivalent type %q", p.Config.Name, e.Name).
				Try("use %s, or kubefedctl disable %s first", e.Name, e.Name)
		case e.Name != p.Config.Name && sameFederated:
			return fail.TypeConflict.New("Failed to enable %q. The CRD %q belongs to type %q already", p.Config.Name, p.CRD.Name, e.Name).
				Try("choose another group for the federated type with --federated-group")
		}
	}
	return nil
}

// Result says what happened to one object.
type Result string

// What can happen to an object.
const (
	Created Result = "created"
	Updated Result = "updated"
)

// Apply writes a pair into the host, the definition first, and tells of each object as it is done. What users set by hand on an
// existing FederatedTypeConfig, as statusCollection, stays. The client decides whether this is a dry run.
func Apply(ctx context.Context, c client.Client, p Pair, told func(client.Object, Result)) error {
	var existing fedv1.FederatedTypeConfigList
	if err := c.List(ctx, &existing, client.InNamespace(p.Config.Namespace)); err != nil {
		return fmt.Errorf("list FederatedTypeConfigs in %s: %w", p.Config.Namespace, err)
	}
	if err := Conflict(p, existing.Items); err != nil {
		return err
	}
	result, err := applyCRD(ctx, c, p.CRD)
	if err != nil {
		return fmt.Errorf("write CustomResourceDefinition %s: %w", p.CRD.Name, err)
	}
	told(p.CRD, result)
	result, err = applyConfig(ctx, c, p)
	if err != nil {
		return fmt.Errorf("write FederatedTypeConfig %s: %w", p.Config.Name, err)
	}
	told(p.Config, result)
	return nil
}

func applyCRD(ctx context.Context, c client.Client, want *apiextv1.CustomResourceDefinition) (Result, error) {
	live, err := lasting(ctx, c, want.Name)
	switch {
	case apierrors.IsNotFound(err):
		return Created, c.Create(ctx, want.DeepCopy())
	case err != nil:
		return "", err
	case live.Spec.Names.Kind != want.Spec.Names.Kind:
		return "", fail.TypeConflict.New("CustomResourceDefinition %q exists and is of kind %q, not %q", want.Name, live.Spec.Names.Kind, want.Spec.Names.Kind).
			Try("choose another group for the federated type with --federated-group")
	}
	live.Spec = *want.Spec.DeepCopy()
	if err := c.Update(ctx, live); !apierrors.IsNotFound(err) {
		return Updated, err
	}
	return Created, c.Create(ctx, want.DeepCopy()) // it went in between
}

// lasting reads a definition. One that is being deleted is waited for: what is written into it would go with it.
func lasting(ctx context.Context, c client.Client, name string) (*apiextv1.CustomResourceDefinition, error) {
	var live *apiextv1.CustomResourceDefinition
	var err error
	last := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		live = &apiextv1.CustomResourceDefinition{}
		err = c.Get(ctx, client.ObjectKey{Name: name}, live)
		return err != nil || live.DeletionTimestamp == nil, nil //nolint:nilerr // the last answer is looked at below
	})
	if err == nil && last != nil {
		err = errors.New("it is still being deleted: look for finalizers of its objects, then run the command again")
	}
	return live, err
}

func applyConfig(ctx context.Context, c client.Client, p Pair) (Result, error) {
	want := p.Config
	live := &fedv1.FederatedTypeConfig{}
	err := c.Get(ctx, client.ObjectKeyFromObject(want), live)
	switch {
	case apierrors.IsNotFound(err):
		return Created, c.Create(ctx, want.DeepCopy())
	case err != nil:
		return "", err
	}
	live.Spec.TargetType = want.Spec.TargetType
	live.Spec.FederatedType = want.Spec.FederatedType
	live.Spec.Propagation = want.Spec.Propagation
	if p.SetsStatus {
		live.Spec.StatusCollection = want.Spec.StatusCollection
	}
	return Updated, c.Update(ctx, live)
}
