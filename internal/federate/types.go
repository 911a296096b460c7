package federate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
)

// TypeWatcher begins and ends the watches of a type in the members.
type TypeWatcher interface {
	Enable(intent.Type)
	Disable(name string)
	Unavailable(typeName string) []fedv1.MemberAPI
	Elsewhere(member string) bool
}

// Types keeps the watches in step with the FederatedTypeConfigs.
type Types struct {
	client          client.Client
	kinds           *Kinds
	members         TypeWatcher
	reconciler      *Reconciler
	namespacedScope bool
	// raw is the feature gate RawResourceStatusCollection.
	raw func() bool
	// leads says whether the types are this process's to write about; another shard only tells in which of its members they are not served.
	leads func() bool
	// run is the context that watches live in; it ends with this process' leadership.
	run context.Context
}

// NewTypes returns a reconciler of FederatedTypeConfigs. What it starts ends with the context. raw is the feature gate
// RawResourceStatusCollection.
func NewTypes(run context.Context, c client.Client, kinds *Kinds, members TypeWatcher, r *Reconciler, namespacedScope bool, raw func() bool) *Types {
	leads := func() bool { return true }
	if r.shards != nil {
		leads = r.shards.Leads
	}
	return &Types{run: run, client: c, kinds: kinds, members: members, reconciler: r, namespacedScope: namespacedScope, raw: raw, leads: leads}
}

// Reconcile starts or stops one type and tells so in its status.
func (t *Types) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var c fedv1.FederatedTypeConfig
	err := t.client.Get(ctx, req.NamespacedName, &c)
	switch {
	case apierrors.IsNotFound(err):
		t.stop(req.Name)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("read FederatedTypeConfig %s: %w", req.Name, err)
	case c.DeletionTimestamp != nil && !t.leads():
		t.pause(&c)
		return reconcile.Result{}, nil
	case c.DeletionTimestamp != nil:
		return reconcile.Result{}, t.remove(ctx, &c)
	}
	if err := t.hold(ctx, &c); err != nil {
		return reconcile.Result{}, err
	}
	places, err := t.places(ctx, &c)
	if err != nil {
		return reconcile.Result{}, err
	}
	it := intent.TypeOf(&c).WithRaw(t.raw())
	it.Paused = !places
	if t.namespacedScope && c.Spec.TargetType.Scope != fedv1.ScopeNamespaced {
		t.stop(c.Name)
	} else {
		t.members.Enable(it)
		t.kinds.Start(t.run, it)
	}
	return reconcile.Result{}, t.tell(ctx, &c, it)
}

func (t *Types) stop(name string) {
	t.kinds.Stop(name)
	t.members.Disable(name)
}

// hold puts our finalizer on the type, so that its objects can be let go before it is forgotten.
func (t *Types) hold(ctx context.Context, c *fedv1.FederatedTypeConfig) error {
	if slices.Contains(c.Finalizers, fedv1.TypeFinalizer) || !t.leads() {
		return nil
	}
	return t.finalizers(ctx, c, append(slices.Clone(c.Finalizers), fedv1.TypeFinalizer))
}

func (t *Types) finalizers(ctx context.Context, c *fedv1.FederatedTypeConfig, finalizers []string) error {
	before := c.DeepCopy()
	c.Finalizers = finalizers
	if err := t.client.Patch(ctx, c, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("set the finalizers of FederatedTypeConfig %s: %w", c.Name, err)
	}
	return nil
}

// places says whether a type's objects are placed and withdrawn. A type that is not is watched all the same: its objects must be
// deletable.
func (t *Types) places(ctx context.Context, c *fedv1.FederatedTypeConfig) (bool, error) {
	if t.reconciler.settings().Idle {
		return false, nil
	}
	namespaced := c.Spec.TargetType.Scope == fedv1.ScopeNamespaced
	if c.Spec.Propagation != fedv1.Enabled || t.namespacedScope || !namespaced {
		return c.Spec.Propagation == fedv1.Enabled && (namespaced || !t.namespacedScope), nil
	}
	var namespaces fedv1.FederatedTypeConfig
	err := t.client.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: fedv1.NamespacesTypeName}, &namespaces)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && namespaces.DeletionTimestamp == nil, err
}

// remove lets a type go. Its federated objects lose our finalizer, for nobody is left to act on it; what is in the members stays.
func (t *Types) remove(ctx context.Context, c *fedv1.FederatedTypeConfig) error {
	if !slices.Contains(c.Finalizers, fedv1.TypeFinalizer) {
		t.stop(c.Name)
		return nil
	}
	it := t.pause(c)
	if err := t.reconciler.letGo(ctx, it); err != nil {
		return fmt.Errorf("let the objects of FederatedTypeConfig %s go: %w", c.Name, err)
	}
	t.stop(c.Name)
	if err := t.tell(ctx, c, it); err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(c.Finalizers), func(f string) bool { return f == fedv1.TypeFinalizer })
	return client.IgnoreNotFound(t.finalizers(ctx, c, rest))
}

// pause has nothing of a type placed or removed any more, so that nobody puts the finalizers of its objects back.
func (t *Types) pause(c *fedv1.FederatedTypeConfig) intent.Type {
	it := intent.TypeOf(c)
	it.Paused = true
	if _, ok := t.kinds.kind(c.Name); ok {
		t.kinds.Start(t.run, it)
	}
	return it
}

// letGo takes our finalizer off every object of a type. It asks the host which there are: this process may never have watched them.
func (r *Reconciler) letGo(ctx context.Context, t intent.Type) error {
	where := metav1.NamespaceAll
	if r.host.namespacedScope {
		where = r.host.namespace
	}
	list, err := r.host.client.Resource(t.Federated.GroupVersionResource).Namespace(where).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil // the definition of the type is gone, and they with it
	}
	if err != nil {
		return err
	}
	for n := range list.Items {
		i := intent.Parse(&list.Items[n])
		if !i.Held {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(i.Finalizers), func(f string) bool { return f == fedv1.SyncFinalizer })
		if _, err := r.host.finalizers(ctx, t, i, rest); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// tell writes the status if it means something new.
func (t *Types) tell(ctx context.Context, c *fedv1.FederatedTypeConfig, it intent.Type) error {
	before := c.DeepCopy()
	if !t.leads() {
		c.Status.UnavailableIn = t.unavailable(before)
		return t.write(ctx, before, c)
	}
	collects := fedv1.NotRunning
	c.Status = fedv1.FederatedTypeConfigStatus{
		ObservedGeneration:    c.Generation,
		PropagationController: fedv1.NotRunning,
		StatusController:      &collects,
	}
	if !it.Paused {
		c.Status.PropagationController = fedv1.Running
		c.Status.UnavailableIn = t.unavailable(before)
		if it.Collects.Services != (intent.Resource{}) {
			collects = fedv1.Running // KubeFed means its older collection only
		}
	}
	return t.write(ctx, before, c)
}

// unavailable are the members in which a type cannot be propagated: those of this process, and of others what they have told.
func (t *Types) unavailable(c *fedv1.FederatedTypeConfig) []fedv1.MemberAPI {
	out := t.members.Unavailable(c.Name)
	for _, told := range c.Status.UnavailableIn {
		if t.members.Elsewhere(told.Name) {
			out = append(out, told)
		}
	}
	slices.SortFunc(out, func(a, b fedv1.MemberAPI) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (t *Types) write(ctx context.Context, before, c *fedv1.FederatedTypeConfig) error {
	if equality.Semantic.DeepEqual(before.Status, c.Status) {
		return nil
	}
	if err := t.client.Status().Patch(ctx, c, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("write the status of FederatedTypeConfig %s: %w", c.Name, err)
	}
	return nil
}
