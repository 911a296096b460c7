package records

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/discovery/plan/naming"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/observe"
)

// Members tell what the clusters hold under a name.
type Members interface {
	World(types.NamespacedName) plan.World
	// Watch calls f after every change of what World says of a name. f does not block.
	Watch(f func(types.NamespacedName))
}

// Options of controllers of records.
type Options struct {
	Host dynamic.Interface
	// Namespace of the KubeFed control plane, where Domains are; Watched is the one that records are in, empty for all.
	Namespace, Watched string
	Members            Members
	Endpoints          *Endpoints
	// Zones are the names of zones beside those of Domains.
	Zones func() []string
	// Lookup resolves host names of load balancers.
	Lookup Lookup
	// Tell publishes an event about a record.
	Tell func(about runtime.Object, kind, reason, message string)
	Log  logr.Logger
	// Metrics is where the metrics are registered; nil is nowhere.
	Metrics *meter.Set
}

const (
	// workers is how many records are decided on at the same time.
	workers = 4
	// settle is how long the queue waits for more news about a record before it is looked at.
	settle = 100 * time.Millisecond
	// glance is the wait for a member that has not been looked into, period that for what nobody tells of.
	glance = time.Second
	period = 5 * time.Minute
)

// kind is one of the two kinds of records.
type kind struct {
	name     string
	resource schema.GroupVersionResource
	prefix   string
	parse    func(metav1.Object) record
}

var (
	services = kind{"ServiceDNSRecord", dnsv1.GroupVersion.WithResource("servicednsrecords"), "service-", func(o metav1.Object) record {
		r, err := read[dnsv1.ServiceDNSRecord](o)
		return record{service: r, err: err}
	}}
	ingresses = kind{"IngressDNSRecord", dnsv1.GroupVersion.WithResource("ingressdnsrecords"), "ingress-", func(o metav1.Object) record {
		r, err := read[dnsv1.IngressDNSRecord](o)
		return record{ingress: r, err: err}
	}}
)

// record is one of either kind; err says why it cannot be read.
type record struct {
	service *dnsv1.ServiceDNSRecord
	ingress *dnsv1.IngressDNSRecord
	err     error
}

func (r record) meta() *metav1.ObjectMeta {
	if r.service != nil {
		return &r.service.ObjectMeta
	}
	return &r.ingress.ObjectMeta
}

// Controller of the records of one kind.
type Controller struct {
	Options
	kind    kind
	records *observe.Store[record]
	domains *observe.Store[*dnsv1.Domain]
	names   *resolver
	queue   atomic.Pointer[queue]
	panics  prometheus.Counter
	now     func() time.Time
}

type queue struct {
	workqueue.TypedRateLimitingInterface[types.NamespacedName]
}

// NewServices returns the controller of ServiceDNSRecords, which does nothing before Run.
func NewServices(o Options) *Controller { return newController(services, o) }

// NewIngresses returns the controller of IngressDNSRecords, which does nothing before Run.
func NewIngresses(o Options) *Controller { return newController(ingresses, o) }

func newController(k kind, o Options) *Controller {
	c := &Controller{Options: o, kind: k, now: time.Now, panics: o.Metrics.Counter(meter.Panics).WithLabelValues("dnsrecords")}
	c.names = newResolver(o.Lookup, c.wake)
	c.records = observe.New(k.parse, func(namespace, name string, _ bool) { c.add(types.NamespacedName{Namespace: namespace, Name: name}, 0) }, func() {})
	c.domains = observe.New(
		func(o metav1.Object) *dnsv1.Domain {
			d, err := read[dnsv1.Domain](o)
			if err != nil {
				return nil
			}
			return d
		},
		func(string, string, bool) { c.wakeAll() }, c.wakeAll)
	o.Members.Watch(c.wake)
	o.Endpoints.Watch(c.written)
	return c
}

// Run keeps the records of the kind true until the context ends. It may be called again then.
func (c *Controller) Run(ctx context.Context) error {
	q := workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](time.Second, time.Minute),
		workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: c.kind.resource.Resource})
	c.queue.Store(&queue{q})
	defer c.queue.Store(nil)
	loop, err := controller.NewTypedUnmanaged(c.kind.resource.Resource, controller.TypedOptions[types.NamespacedName]{
		Reconciler: c, MaxConcurrentReconciles: workers, Logger: c.Log,
		SkipNameValidation: ptr.To(true), // it may run more than once
		NewQueue: func(string, workqueue.TypedRateLimiter[types.NamespacedName]) workqueue.TypedRateLimitingInterface[types.NamespacedName] {
			return q
		},
	})
	if err != nil {
		return fmt.Errorf("make the controller of %ss: %w", c.kind.name, err)
	}
	go follow(ctx, place{c.Host, dnsv1.GroupVersion.WithResource("domains"), c.Namespace}, c.domains)
	go follow(ctx, place{c.Host, c.kind.resource, c.Watched}, c.records)
	go c.names.run(ctx)
	return loop.Start(ctx)
}

func (c *Controller) add(k types.NamespacedName, after time.Duration) {
	if q := c.queue.Load(); q != nil {
		q.AddAfter(k, after)
	}
}

// wake looks again at a record whose world may have changed, if there is one.
func (c *Controller) wake(k types.NamespacedName) {
	if _, ok := c.records.Value(k.Namespace, k.Name); ok {
		c.add(k, settle)
	}
}

func (c *Controller) wakeAll() {
	c.records.Names("", func(namespace, name string) { c.add(types.NamespacedName{Namespace: namespace, Name: name}, settle) })
}

// written looks again at the record whose DNSEndpoint has changed.
func (c *Controller) written(k types.NamespacedName) {
	if k.Name == "" {
		c.wakeAll()
	} else if name, ok := strings.CutPrefix(k.Name, c.kind.prefix); ok {
		c.wake(types.NamespacedName{Namespace: k.Namespace, Name: name})
	}
}

// Reconcile takes one record from what is known to what is told.
func (c *Controller) Reconcile(ctx context.Context, key types.NamespacedName) (result reconcile.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.panics.Inc()
			err = fmt.Errorf("%s %s: panic: %v\n%s", c.kind.name, key, p, debug.Stack()) // delays this record only
		}
	}()
	r, ok := c.records.Value(key.Namespace, key.Name)
	if !ok && c.records.State().Synced {
		c.names.want(key, nil)
		return reconcile.Result{}, c.Endpoints.remove(ctx, c.target(key), c.kind.name, key.Name)
	}
	if !ok || r.meta().DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if r.err != nil {
		return reconcile.Result{}, fmt.Errorf("read %s %s: %w", c.kind.name, key, r.err)
	}
	w, known := c.gather(key, r)
	if !known {
		return reconcile.Result{}, nil // it is looked at again when the host has been read
	}
	p := naming.Make(w)
	c.names.want(key, p.Hosts)
	var failed error
	if !p.Hold {
		failed = c.Endpoints.put(ctx, c.target(key), c.owner(r), p.Endpoints)
	}
	if transient(failed) {
		return reconcile.Result{RequeueAfter: settle}, nil
	}
	if err := c.tell(ctx, w, p, failed); err != nil {
		return reconcile.Result{}, fmt.Errorf("tell of %s %s: %w", c.kind.name, key, err)
	}
	if failed != nil {
		return reconcile.Result{}, fmt.Errorf("publish %s %s: %w", c.kind.name, key, failed)
	}
	return reconcile.Result{RequeueAfter: c.wait(p)}, nil
}

// wait is the time until a record is looked at again although nothing has happened. Members tell of services that they hold, not of those
// that none has.
func (c *Controller) wait(p naming.Plan) time.Duration {
	switch {
	case !p.Again.IsZero():
		return max(p.Again.Sub(c.now()), settle)
	case slices.ContainsFunc(p.Clusters, func(s naming.Shard) bool { return s.Reason == naming.Observing }):
		return glance
	default:
		return period
	}
}

// gather collects all that a decision may look at; false while the host has not been read.
func (c *Controller) gather(key types.NamespacedName, r record) (naming.World, bool) {
	published, known := c.Endpoints.published(c.target(key))
	if !known || !c.domains.State().Synced {
		return naming.World{}, false
	}
	w := naming.World{
		World: c.Members.World(key), Service: r.service, Ingress: r.ingress, Published: published,
		Apexes: c.Zones(), Resolved: c.names.answers(key),
	}
	w.Now = c.now()
	for _, d := range c.domains.Values() {
		if d != nil {
			w.Apexes = append(w.Apexes, d.Domain)
		}
	}
	if r.service != nil {
		w.Domain, _ = c.domains.Value(c.Namespace, r.service.Spec.DomainRef)
	}
	return w, true
}

// target is the DNSEndpoint of a record.
func (c *Controller) target(key types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: c.kind.prefix + key.Name}
}

func (c *Controller) owner(r record) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: dnsv1.GroupVersion.String(), Kind: c.kind.name, Name: r.meta().Name, UID: r.meta().UID,
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(false),
	}
}

// tell writes the status if it means something new, and says what happened.
func (c *Controller) tell(ctx context.Context, w naming.World, p naming.Plan, failed error) error {
	status := naming.StatusOf(w, p, failed)
	r, about, value := record{service: w.Service}, runtime.Object(w.Service), any(status.Service)
	if w.Ingress != nil {
		r, about, value = record{ingress: w.Ingress}, w.Ingress, status.Ingress
	}
	if m := r.meta(); !naming.Same(w, status) {
		body, err := json.Marshal([]map[string]any{
			{"op": "test", "path": "/metadata/uid", "value": m.UID},
			{"op": "add", "path": "/status", "value": value},
		})
		if err != nil {
			return err
		}
		got, err := c.Host.Resource(c.kind.resource).Namespace(m.Namespace).
			Patch(ctx, m.Name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager}, "status")
		if transient(err) {
			return nil
		}
		if err != nil {
			return err
		}
		c.records.Merge(got)
	}
	ref := about.DeepCopyObject()
	ref.GetObjectKind().SetGroupVersionKind(dnsv1.GroupVersion.WithKind(c.kind.name))
	for _, e := range naming.Events(w, p, status) {
		kind := "Normal"
		if e.Warning {
			kind = "Warning"
		}
		c.Tell(ref, kind, e.Reason, e.Message)
	}
	return nil
}
