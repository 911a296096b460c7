package records

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/plan/zone"
	"github.com/hansa-io/hansa/internal/observe"
)

// External is ExternalDNS's own group, the only one that its releases from 0.21 on read.
var External = schema.GroupVersion{Group: "externaldns.k8s.io", Version: "v1alpha1"}

// Endpoints are the DNSEndpoints of the host, in both groups.
type Endpoints struct {
	native, external place
	ours, theirs     *observe.Store[*dnsv1.DNSEndpoint]

	mu       sync.Mutex
	watchers []func(types.NamespacedName)
}

// NewEndpoints returns the DNSEndpoints of a namespace; of all, if it is empty. Nothing is known before Run.
func NewEndpoints(host dynamic.Interface, namespace string) *Endpoints {
	e := &Endpoints{
		native:   place{host, dnsv1.GroupVersion.WithResource("dnsendpoints"), namespace},
		external: place{host, External.WithResource("dnsendpoints"), namespace},
	}
	changed := func(namespace, name string, _ bool) { e.tell(types.NamespacedName{Namespace: namespace, Name: name}) }
	moved := func() { e.tell(types.NamespacedName{}) }
	e.ours, e.theirs = observe.New(parseEndpoint, changed, moved), observe.New(parseEndpoint, changed, moved)
	return e
}

// parseEndpoint reads what both groups have. One that cannot be read, as no definition lets in, is nil: what it holds is not known.
func parseEndpoint(o metav1.Object) *dnsv1.DNSEndpoint {
	e, err := read[dnsv1.DNSEndpoint](o)
	if err != nil {
		return nil
	}
	e.ManagedFields = nil
	return e
}

// Watch calls f after every change, with the empty name where it may be any. It must not block.
func (e *Endpoints) Watch(f func(types.NamespacedName)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watchers = append(e.watchers, f)
}

func (e *Endpoints) tell(k types.NamespacedName) {
	e.mu.Lock()
	watchers := slices.Clone(e.watchers)
	e.mu.Unlock()
	for _, f := range watchers {
		f(k)
	}
}

// Run watches both groups until the context ends.
func (e *Endpoints) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { follow(ctx, e.native, e.ours) })
	running.Go(func() {
		if e.served(ctx) {
			follow(ctx, e.external, e.theirs)
		}
	})
	running.Wait()
	return nil
}

// served waits until the host serves ExternalDNS's group; false if the context ends before.
func (e *Endpoints) served(ctx context.Context) bool {
	const pause = 30 * time.Second
	for ctx.Err() == nil {
		if _, err := e.external.in().List(ctx, metav1.ListOptions{Limit: 1}); err == nil {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return false
}

// Sources are the DNSEndpoints of KubeFed's group; false while they are not known.
func (e *Endpoints) Sources() ([]zone.Source, bool) {
	if !e.ours.State().Synced {
		return nil, false
	}
	var out []zone.Source
	for _, o := range e.ours.Values() {
		if o == nil {
			return nil, false
		}
		if o.DeletionTimestamp == nil {
			out = append(out, zone.Source{Namespace: o.Namespace, Name: o.Name, Created: o.CreationTimestamp.Time, Endpoints: o.Spec.Endpoints})
		}
	}
	return out, true
}

// published is what the DNSEndpoint of a record holds; false while that is not known.
func (e *Endpoints) published(k types.NamespacedName) ([]dnsv1.Endpoint, bool) {
	if !e.ours.State().Synced {
		return nil, false
	}
	o, ok := e.ours.Value(k.Namespace, k.Name)
	switch {
	case !ok:
		return nil, true
	case o == nil:
		return nil, false
	default:
		return o.Spec.Endpoints, true
	}
}

// put makes the DNSEndpoints of a record hold these endpoints, where they do not.
func (e *Endpoints) put(ctx context.Context, k types.NamespacedName, owner metav1.OwnerReference, want []dnsv1.Endpoint) error {
	// One that KubeFed made has no owner, and becomes the record's.
	if err := write(ctx, e.native, e.ours, k, owner, want, true); err != nil {
		return err
	}
	if !e.theirs.State().Synced {
		return nil // the host does not serve the group
	}
	return write(ctx, e.external, e.theirs, k, owner, want, false)
}

// remove deletes the DNSEndpoints of a record that is gone. What is left of one that went while nobody looked goes by its ownerReference.
func (e *Endpoints) remove(ctx context.Context, k types.NamespacedName, kind, name string) error {
	for _, of := range []struct {
		place
		known *observe.Store[*dnsv1.DNSEndpoint]
	}{{e.native, e.ours}, {e.external, e.theirs}} {
		has, ok := of.known.Value(k.Namespace, k.Name)
		if !ok || has == nil || has.DeletionTimestamp != nil {
			continue
		}
		if holder := metav1.GetControllerOf(has); holder == nil || holder.Kind != kind || holder.Name != name {
			continue
		}
		err := of.host.Resource(of.resource).Namespace(k.Namespace).Delete(ctx, k.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &has.UID}})
		if err != nil && !transient(err) {
			return fmt.Errorf("delete DNSEndpoint %s of %s: %w", k, of.resource.Group, err)
		}
	}
	return nil
}

func write(ctx context.Context, to place, known *observe.Store[*dnsv1.DNSEndpoint], k types.NamespacedName, owner metav1.OwnerReference, want []dnsv1.Endpoint, adopt bool) error {
	if has, ok := known.Value(k.Namespace, k.Name); ok && has != nil {
		holder := metav1.GetControllerOf(has)
		switch {
		case holder != nil && holder.UID == owner.UID && equality.Semantic.DeepEqual(has.Spec.Endpoints, want):
			return nil
		case holder == nil && !adopt, holder != nil && (holder.Kind != owner.Kind || holder.Name != owner.Name):
			return fmt.Errorf("DNSEndpoint %s of %s is not this record's: delete or rename it", k, to.resource.Group)
		}
	}
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&dnsv1.DNSEndpointSpec{Endpoints: want})
	if err != nil {
		return fmt.Errorf("make DNSEndpoint %s: %w", k, err)
	}
	if len(want) == 0 {
		spec["endpoints"] = []any{}
	}
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetGroupVersionKind(to.resource.GroupVersion().WithKind("DNSEndpoint"))
	o.SetNamespace(k.Namespace)
	o.SetName(k.Name)
	o.SetOwnerReferences([]metav1.OwnerReference{owner})
	got, err := to.host.Resource(to.resource).Namespace(k.Namespace).Apply(ctx, k.Name, o, metav1.ApplyOptions{FieldManager: fedv1.FieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("write DNSEndpoint %s of %s: %w", k, to.resource.Group, err)
	}
	known.Merge(got)
	return nil
}
