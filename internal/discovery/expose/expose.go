// Package expose answers: how does what the annotation of a FederatedService asks for come to stand beside it? It watches the host while the
// feature gate is on, decides by package exposure, and writes FederatedServiceExports and ServiceDNSRecords. The main path takes the exports
// to the members, as any federated object.
package expose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan/exposure"
)

// Queue holds the FederatedServices whose world may have changed.
type Queue = workqueue.TypedRateLimitingInterface[types.NamespacedName]

// Options of a Controller.
type Options struct {
	// Host's API; Cache reads FederatedTypeConfigs, which are in Namespace, as the Domains are.
	Host      dynamic.Interface
	Cache     client.Reader
	Namespace string
	// NamespacedScope says that this control plane works within Namespace only.
	NamespacedScope bool
	Queue           Queue
	// On is the feature gate.
	On func() bool
	// Tell publishes an event about a FederatedService.
	Tell func(about runtime.Object, kind, reason, message string)
}

// Controller reconciles FederatedServices with what stands beside them.
type Controller struct {
	host      dynamic.Interface
	cache     client.Reader
	namespace string
	within    string
	queue     Queue
	on        func() bool
	publish   func(about runtime.Object, kind, reason, message string)
	turned    chan struct{}

	services *watched[exposure.Service]
	exports  *watched[exposure.Neighbour]
	records  *watched[exposure.Neighbour]
	domains  *watched[string]

	mu sync.Mutex
	// told is what was last said of a service's problems.
	told map[types.NamespacedName]string
}

// settle is how long a key waits when somebody else has written meanwhile.
const settle = 200 * time.Millisecond

var (
	recordResource = schema.GroupVersionResource{Group: "multiclusterdns.kubefed.io", Version: "v1alpha1", Resource: "servicednsrecords"}
	domainResource = schema.GroupVersionResource{Group: "multiclusterdns.kubefed.io", Version: "v1alpha1", Resource: "domains"}
)

// New returns a controller that is at rest until Run.
func New(o Options) *Controller {
	c := &Controller{
		host: o.Host, cache: o.Cache, namespace: o.Namespace, queue: o.Queue, on: o.On, publish: o.Tell,
		turned: make(chan struct{}, 1), told: map[types.NamespacedName]string{},
	}
	if o.NamespacedScope {
		c.within = o.Namespace
	}
	wake := func(namespace, name string, _ bool) {
		c.queue.Add(types.NamespacedName{Namespace: namespace, Name: name})
	}
	c.services = newWatched(func(o metav1.Object) exposure.Service { return exposure.ServiceOf(content(o)) }, wake, c.WakeAll)
	c.exports = newWatched(func(o metav1.Object) exposure.Neighbour { return exposure.ExportOf(content(o)) }, wake, c.WakeAll)
	c.records = newWatched(func(o metav1.Object) exposure.Neighbour { return exposure.RecordOf(content(o)) }, wake, c.WakeAll)
	c.domains = newWatched(metav1.Object.GetName, func(string, string, bool) { c.WakeAll() }, c.WakeAll)
	return c
}

// Turned tells that the gate may have moved, or a type may have been enabled or disabled. It does not block.
func (c *Controller) Turned() {
	select {
	case c.turned <- struct{}{}:
	default:
	}
}

// Run watches the host while the gate is on, until the context ends.
func (c *Controller) Run(ctx context.Context) error {
	for {
		c.follow(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-c.turned:
		}
	}
}

// follow starts the watches that are needed, and stops those that are not.
func (c *Controller) follow(ctx context.Context) {
	on := c.on()
	only := func(r schema.GroupVersionResource, needed bool) schema.GroupVersionResource {
		if on && needed {
			return r
		}
		return schema.GroupVersionResource{}
	}
	services, federated := c.typeOf(ctx, fedv1.ServicesTypeName)
	exports, exportable := c.typeOf(ctx, fedv1.ServiceExportsTypeName)
	moved := c.services.follow(ctx, c.host, only(resourceOf(services), federated), c.within)
	moved = c.exports.follow(ctx, c.host, only(resourceOf(exports), exportable), c.within) || moved
	moved = c.records.follow(ctx, c.host, only(recordResource, true), c.within) || moved
	moved = c.domains.follow(ctx, c.host, only(domainResource, true), c.namespace) || moved
	if moved {
		c.WakeAll()
	}
}

// typeOf is the federated type of a FederatedTypeConfig; false if there is none.
func (c *Controller) typeOf(ctx context.Context, name string) (fedv1.APIResource, bool) {
	var t fedv1.FederatedTypeConfig
	err := c.cache.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: name}, &t)
	return t.Spec.FederatedType, err == nil && t.DeletionTimestamp == nil
}

func resourceOf(r fedv1.APIResource) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.Group, Version: r.Version, Resource: r.PluralName}
}

func kindOf(r fedv1.APIResource) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// WakeAll looks again at every FederatedService.
func (c *Controller) WakeAll() {
	c.services.names(func(namespace, name string) { c.queue.Add(types.NamespacedName{Namespace: namespace, Name: name}) })
}

// Reconcile takes one FederatedService from what is known to what stands beside it, and tells what does not come about.
func (c *Controller) Reconcile(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
	service, ok := c.services.value(key.Namespace, key.Name)
	if !ok || !c.on() {
		c.forget(key)
		return reconcile.Result{}, nil // the garbage collector takes what was made for a service that is gone
	}
	w := c.gather(ctx, key, service)
	p := exposure.Make(w)
	failed := [2]error{c.export(ctx, w, p.Export), c.record(ctx, w, p.Record)}
	c.tell(ctx, service, p, failed)
	err := errors.Join(failed[:]...)
	if raced(err) {
		return reconcile.Result{RequeueAfter: settle}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("expose %s: %w", key, err)
	}
	return reconcile.Result{}, nil
}

// raced says that somebody else wrote first; the watch will tell what.
func raced(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

func (c *Controller) gather(ctx context.Context, key types.NamespacedName, service exposure.Service) exposure.World {
	w := exposure.World{Service: service, Export: neighbour(c.exports, key), Record: neighbour(c.records, key)}
	_, w.Exportable = c.typeOf(ctx, fedv1.ServiceExportsTypeName)
	w.Domains, w.DomainsRead = c.domains.values()
	slices.Sort(w.Domains)
	return w
}

// neighbour is what is known of an object beside a service.
func neighbour(from *watched[exposure.Neighbour], key types.NamespacedName) exposure.Neighbour {
	n, _ := from.value(key.Namespace, key.Name)
	state := from.state()
	n.Read = state.Synced
	if state.Err != nil {
		n.Problem = state.Err.Error()
	}
	return n
}

// tell publishes what was done, and what the user must change when that is new.
func (c *Controller) tell(ctx context.Context, s exposure.Service, p exposure.Plan, failed [2]error) {
	t, ok := c.typeOf(ctx, fedv1.ServicesTypeName)
	if !ok {
		return
	}
	about := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, UID: s.UID}}
	about.SetGroupVersionKind(kindOf(t))
	problems := slices.Clone(p.Problems)
	for n, step := range [2]exposure.Step{p.Export, p.Record} {
		switch what := [2]string{"FederatedServiceExport", "ServiceDNSRecord"}[n]; {
		case raced(failed[n]):
		case failed[n] != nil:
			problems = append(problems, exposure.Problem{Reason: "WriteFailed", Message: failed[n].Error()})
		case step.Verdict != exposure.Leave:
			c.publish(about, "Normal", step.Reason, what+": "+step.Message)
		}
	}
	if !c.news(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, problems) {
		return
	}
	for _, problem := range problems {
		c.publish(about, "Warning", problem.Reason, problem.Message)
	}
}

// news says whether problems are others than those that were told last.
func (c *Controller) news(key types.NamespacedName, problems []exposure.Problem) bool {
	now := fmt.Sprint(problems)
	c.mu.Lock()
	defer c.mu.Unlock()
	before, known := c.told[key]
	if c.told[key] = now; len(problems) == 0 {
		delete(c.told, key)
	}
	return len(problems) > 0 && (!known || before != now)
}

func (c *Controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.told, key)
}
