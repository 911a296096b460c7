package rfc2136

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	discoveryv1alpha1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/plan/zone"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/observe"
)

// Options of a Publisher.
type Options struct {
	Host dynamic.Interface
	// Namespace of DNSProviders and their Secrets.
	Namespace string
	// Owner of records where a provider names none.
	Owner string
	// Sources are all DNSEndpoints; false while they are not known.
	Sources func() ([]zone.Source, bool)
	// Secret reads a Secret of the namespace.
	Secret func(ctx context.Context, name string) (map[string][]byte, error)
	// Tell publishes an event about a provider.
	Tell func(about runtime.Object, kind, reason, message string)
	Log  logr.Logger
	// Metrics is where the metrics are registered; nil is nowhere.
	Metrics *meter.Set
}

const (
	// workers is how many servers are talked to at the same time.
	workers = 4
	// settle is how long more changes are waited for.
	settle = 50 * time.Millisecond
	// period is the time after which a zone is looked at although nothing has happened: somebody may have damaged it.
	period = time.Minute
	// window is the time over which deletions are counted.
	window = 10 * time.Minute
	// quickest and slowest bound the wait after a failure.
	quickest, slowest = time.Second, time.Minute
	// defaultTTL is that of KubeFed's records.
	defaultTTL = 180
	// mostRefused bounds status.refused.
	mostRefused = 20
)

var resource = discoveryv1alpha1.GroupVersion.WithResource("dnsproviders")

// Publisher keeps the zones of DNSProviders.
type Publisher struct {
	Options
	providers *observe.Store[provider]
	queue     atomic.Pointer[queue]
	now       func() time.Time
	metrics   metrics

	mu sync.Mutex
	// memory is what is known of each provider's zone, by name.
	memory map[string]memory
}

type queue struct {
	workqueue.TypedRateLimitingInterface[string]
}

// provider is a DNSProvider; err says why it cannot be read.
type provider struct {
	*discoveryv1alpha1.DNSProvider
	err error
}

// memory is what was last seen of a zone.
type memory struct {
	failures int
	// deletions are when names were deleted, of each, in the last while.
	deletions []time.Time
	// asked is what was asked for when all was as it should be at this serial.
	asked  Zone
	serial uint32
	whole  bool
}

// NewPublisher returns a publisher that does nothing before Run.
func NewPublisher(o Options) *Publisher {
	p := &Publisher{Options: o, now: time.Now, memory: map[string]memory{}, metrics: newMetrics(o.Metrics)}
	p.providers = observe.New(parse, func(_, name string, existence bool) {
		if existence {
			p.Wake() // others may have the names of its zone now
		}
		p.add(name, 0)
	}, p.Wake)
	return p
}

func parse(o metav1.Object) provider {
	out := provider{DNSProvider: &discoveryv1alpha1.DNSProvider{}}
	u := o.(*unstructured.Unstructured) //nolint:forcetypeassert // the dynamic client gives nothing else
	out.err = runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out.DNSProvider)
	out.ManagedFields = nil
	return out
}

// Run publishes until the context ends. It may be called again then.
func (p *Publisher) Run(ctx context.Context) error {
	q := workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](quickest, slowest),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: resource.Resource})
	p.queue.Store(&queue{q})
	defer p.queue.Store(nil)
	loop, err := controller.NewTypedUnmanaged(resource.Resource, controller.TypedOptions[string]{
		Reconciler: p, MaxConcurrentReconciles: workers, Logger: p.Log,
		SkipNameValidation: ptr.To(true), // it may run more than once
		NewQueue: func(string, workqueue.TypedRateLimiter[string]) workqueue.TypedRateLimitingInterface[string] {
			return q
		},
	})
	if err != nil {
		return fmt.Errorf("make the controller of DNSProviders: %w", err)
	}
	go func() {
		from := p.Host.Resource(resource).Namespace(p.Namespace)
		p.providers.Run(ctx, resource.Resource, &unstructured.Unstructured{}, observe.Lister{
			List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return from.List(ctx, o) },
			Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
		})
		p.providers.Forget()
	}()
	return loop.Start(ctx)
}

func (p *Publisher) add(name string, after time.Duration) {
	if q := p.queue.Load(); q != nil {
		q.AddAfter(name, after)
	}
}

// Wake looks at all zones again, because DNSEndpoints have changed.
func (p *Publisher) Wake() {
	p.providers.Names("", func(_, name string) { p.add(name, settle) })
}

// Zones are the names of all zones, sorted.
func (p *Publisher) Zones() []string {
	var out []string
	for _, o := range p.providers.Values() {
		out = append(out, canonical(o.Spec.Zone))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Reconcile makes one zone hold what it should.
func (p *Publisher) Reconcile(ctx context.Context, name string) (result reconcile.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			p.metrics.panics.Inc()
			err = fmt.Errorf("DNSProvider %s: panic: %v\n%s", name, r, debug.Stack()) // delays this provider only
		}
	}()
	o, ok := p.providers.Value(p.Namespace, name)
	if !ok || o.DeletionTimestamp != nil {
		p.forget(name)
		return reconcile.Result{}, nil // what was published stays
	}
	sources, known := p.Sources()
	if !known || !p.providers.State().Synced {
		return reconcile.Result{}, nil // it is looked at again when the host has been read
	}
	was := p.recall(name)
	z, fault := p.zone(ctx, o, sources)
	if fault == nil && was.whole && reflect.DeepEqual(was.asked, z) && len(o.Status.Conditions) > 0 {
		serial, err := z.Server.Serial(ctx)
		if err == nil && serial == was.serial {
			return reconcile.Result{RequeueAfter: period}, nil // nothing has happened, here or there
		}
	}
	out := p.publish(ctx, name, z, fault)
	if err := p.tell(ctx, o, z, out); err != nil {
		return reconcile.Result{}, fmt.Errorf("tell of DNSProvider %s: %w", name, err)
	}
	if out.done() {
		return reconcile.Result{RequeueAfter: period}, nil
	}
	return reconcile.Result{RequeueAfter: min(quickest<<min(was.failures, 10), slowest)}, nil
}

// publish makes a zone hold what it should, unless a fault is in the way, and remembers what came of it.
func (p *Publisher) publish(ctx context.Context, name string, z Zone, fault *Fault) Outcome {
	was := p.recall(name)
	now := memory{deletions: p.lately(was)}
	out := Outcome{Fault: fault}
	if fault == nil {
		begin := p.now()
		asked := z
		asked.Options.Deleted = len(now.deletions)
		out = Publish(ctx, asked)
		p.metrics.published(name, out, p.now().Sub(begin))
	}
	for range out.Deleted {
		now.deletions = append(now.deletions, p.now())
	}
	if out.done() {
		now.asked, now.serial, now.whole = z, out.Serial, out.Fault == nil && out.Changed == 0
	} else {
		now.failures = was.failures + 1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.memory[name] = now
	return out
}

// lately are the deletions that count.
func (p *Publisher) lately(m memory) []time.Time {
	return slices.DeleteFunc(slices.Clone(m.deletions), func(t time.Time) bool { return p.now().Sub(t) > window })
}

func (p *Publisher) recall(name string) memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.memory[name]
}

func (p *Publisher) forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.memory, name)
	p.metrics.gone(name)
}

// zone is what a provider asks for; the fault says why it cannot be done.
func (p *Publisher) zone(ctx context.Context, o provider, sources []zone.Source) (Zone, *Fault) {
	spec := o.Spec
	z := Zone{
		Server: Server{Address: Address(spec.Server), Zone: canonical(spec.Zone)},
		Options: zone.Options{
			Zone: canonical(spec.Zone), Owner: cmp.Or(spec.OwnerID, p.Owner), Prefix: spec.TXTPrefix,
			Policy: cmp.Or(spec.Policy, discoveryv1alpha1.DNSSync), TTL: uint32(cmp.Or(spec.TTL, defaultTTL)),
			Approved: o.Annotations[fedv1.ApproveDeletionsAnnotation] == "*",
		},
		Sources: sources, Others: p.Zones(),
	}
	slices.SortFunc(z.Sources, func(a, b zone.Source) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	if o.err != nil {
		return z, &Fault{Reason: InvalidProvider, Message: o.err.Error(), Stalls: true}
	}
	if spec.TSIG == nil {
		return z, nil
	}
	key, fault := p.key(ctx, *spec.TSIG)
	z.Server.Key = key
	return z, fault
}

// key reads the key of a provider.
func (p *Publisher) key(ctx context.Context, t discoveryv1alpha1.TSIG) (*Key, *Fault) {
	at := cmp.Or(t.SecretRef.Key, "secret")
	data, err := p.Secret(ctx, t.SecretRef.Name)
	if err != nil {
		return nil, &Fault{Reason: SecretMissing, Stalls: apierrors.IsNotFound(err), Message: fmt.Sprintf("spec.tsig.secretRef: read Secret %s of namespace %s: %v", t.SecretRef.Name, p.Namespace, err)}
	}
	secret := strings.TrimSpace(string(data[at]))
	switch {
	case secret == "":
		return nil, &Fault{Reason: SecretMissing, Stalls: true, Message: fmt.Sprintf("spec.tsig.secretRef: Secret %s has no %q", t.SecretRef.Name, at)}
	case !secretOK(secret):
		return nil, &Fault{Reason: SecretMissing, Stalls: true, Message: fmt.Sprintf("spec.tsig.secretRef: %q of Secret %s is not base64: it must be the secret as the server's configuration has it", at, t.SecretRef.Name)}
	}
	return &Key{Name: t.KeyName, Algorithm: cmp.Or(t.Algorithm, "hmac-sha256"), Secret: secret}, nil
}

// tell writes the status if it means something new, and says what happened.
func (p *Publisher) tell(ctx context.Context, o provider, z Zone, out Outcome) error {
	status := statusOf(o.DNSProvider, z, out, metav1.NewTime(p.now()))
	if equality.Semantic.DeepEqual(o.Status, status) {
		return nil
	}
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": o.UID},
		{"op": "add", "path": "/status", "value": status},
	})
	if err != nil {
		return err
	}
	got, err := p.Host.Resource(resource).Namespace(o.Namespace).
		Patch(ctx, o.Name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return err
	}
	p.providers.Merge(got)
	was, is := meta.FindStatusCondition(o.Status.Conditions, Ready), meta.FindStatusCondition(status.Conditions, Ready)
	if was != nil && was.Reason == is.Reason {
		return nil
	}
	about := o.DeepCopy()
	about.SetGroupVersionKind(discoveryv1alpha1.GroupVersion.WithKind("DNSProvider"))
	kind := "Normal"
	if is.Status == metav1.ConditionFalse {
		kind = "Warning"
	}
	p.Tell(about, kind, is.Reason, is.Message)
	return nil
}

// Conditions of a provider.
const (
	Ready   = "Ready"
	Stalled = "Stalled"
)

// statusOf is the status that an outcome leads to; it is the old one where it means the same.
func statusOf(o *discoveryv1alpha1.DNSProvider, z Zone, out Outcome, now metav1.Time) discoveryv1alpha1.DNSProviderStatus {
	s := discoveryv1alpha1.DNSProviderStatus{ObservedGeneration: o.Generation, OwnerID: z.Options.Owner, Records: o.Status.Records, Refused: o.Status.Refused}
	if out.Owned != nil {
		s.Records, s.Refused = ptr.To(int32(*out.Owned)), nil
	}
	if len(out.Refused) > 0 || out.Owned != nil {
		s.Refused = nil
		for _, r := range out.Refused[:min(len(out.Refused), mostRefused)] {
			s.Refused = append(s.Refused, discoveryv1alpha1.RefusedName{Name: r.Name, Reason: r.Reason, Message: r.Message})
		}
	}
	ready := metav1.Condition{Type: Ready, Status: metav1.ConditionTrue, Reason: Published, Message: "the server holds what it should"}
	stalled := metav1.Condition{Type: Stalled, Status: metav1.ConditionFalse, Reason: Published}
	if f := out.Fault; f != nil {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, f.Reason, f.Message
		stalled.Reason = f.Reason
		if f.Stalls {
			stalled.Status, stalled.Message = metav1.ConditionTrue, f.Message
		}
	}
	s.Conditions = slices.Clone(o.Status.Conditions)
	for _, c := range []metav1.Condition{ready, stalled} {
		c.ObservedGeneration, c.LastTransitionTime = o.Generation, now
		meta.SetStatusCondition(&s.Conditions, c)
	}
	return s
}
