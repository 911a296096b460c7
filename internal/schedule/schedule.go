// Package schedule answers: how do the replicas of a ReplicaSchedulingPreference come into its federated object? It gathers what the
// host and the members say, decides by package divide, writes placement and overrides if they differ, and says in the preference's
// status what each member gets and why. What decides (decide, divide, patchOf, statusOf) is pure and apart from what touches.
package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/observe"
)

// Queue holds the preferences whose world may have changed.
type Queue = workqueue.TypedRateLimitingInterface[types.NamespacedName]

// Settings of the KubeFedConfig that count here. They are asked for at each decision.
type Settings struct {
	// Enabled is the feature gate SchedulerPreferences.
	Enabled bool
	// UnavailableDelay is how long the replicas of a member that went away wait for it.
	UnavailableDelay time.Duration
}

// Options of a Scheduler.
type Options struct {
	// Host's API; Cache reads FederatedTypeConfigs and KubeFedClusters, which are in Namespace.
	Host      dynamic.Interface
	Cache     client.Reader
	Namespace string
	// NamespacedScope says that this control plane works within Namespace only.
	NamespacedScope bool
	Fleet           Fleet
	Queue           Queue
	Settings        func() Settings
	// Tell publishes an event about a preference.
	Tell func(about runtime.Object, kind, reason, message string)
	// Metrics is where the metrics are registered; nil is nowhere.
	Metrics *meter.Set
}

// Scheduler reconciles preferences.
type Scheduler struct {
	host            dynamic.Interface
	cache           client.Reader
	namespace       string
	namespacedScope bool
	queue           Queue
	settings        func() Settings
	publish         func(about runtime.Object, kind, reason, message string)
	now             func() time.Time

	prefs   *observe.Store[preference]
	members *members
	memory  *memory
	metrics metrics
}

// settle is how long the queue waits for more news about a preference before it is looked at.
const settle = 200 * time.Millisecond

var resource = schedv1.GroupVersion.WithResource("replicaschedulingpreferences")

// New returns a scheduler. The looks that it takes into members end with the context.
func New(ctx context.Context, o Options) *Scheduler {
	s := &Scheduler{
		host: o.Host, cache: o.Cache, namespace: o.Namespace, namespacedScope: o.NamespacedScope,
		queue: o.Queue, settings: o.Settings, publish: o.Tell, now: time.Now, memory: newMemory(),
		metrics: newMetrics(o.Metrics),
	}
	s.members = newMembers(ctx, o.Fleet, s.queue.Add, s.now)
	s.prefs = observe.New(parse,
		func(namespace, name string, _ bool) {
			s.queue.Add(types.NamespacedName{Namespace: namespace, Name: name})
		},
		func() {})
	return s
}

// parse reads a preference. A status that cannot be read is as if never told.
func parse(o metav1.Object) preference {
	u := o.(*unstructured.Unstructured) //nolint:forcetypeassert // the dynamic client gives nothing else
	p := preference{ReplicaSchedulingPreference: &schedv1.ReplicaSchedulingPreference{}}
	if spec, ok := u.Object["spec"].(map[string]any); ok {
		p.err = runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &p.Spec)
	}
	if status, ok := u.Object["status"].(map[string]any); ok {
		if runtime.DefaultUnstructuredConverter.FromUnstructured(status, &p.Status) != nil {
			p.Status = schedv1.ReplicaSchedulingPreferenceStatus{}
		}
	}
	p.ObjectMeta = metav1.ObjectMeta{
		Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(),
		Generation: u.GetGeneration(), DeletionTimestamp: u.GetDeletionTimestamp(),
	}
	return p
}

// Run watches the preferences until the context ends. A host that does not serve them is asked again and again: it may learn to.
func (s *Scheduler) Run(ctx context.Context) error {
	from := dynamic.ResourceInterface(s.host.Resource(resource))
	if s.namespacedScope {
		from = s.host.Resource(resource).Namespace(s.namespace)
	}
	s.prefs.Run(ctx, resource.Resource, &unstructured.Unstructured{}, observe.Lister{
		List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return from.List(ctx, o) },
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
	})
	return nil
}

// Wake looks again at the preference of a federated object whose world may have changed, if it has one.
func (s *Scheduler) Wake(k intent.Key) {
	for _, t := range targets {
		if t.typeName != k.Type {
			continue
		}
		if _, ok := s.prefs.Value(k.Namespace, k.Name); ok {
			s.queue.AddAfter(types.NamespacedName{Namespace: k.Namespace, Name: k.Name}, settle)
		}
	}
}

// WakeAll looks again at every preference.
func (s *Scheduler) WakeAll() {
	s.prefs.Names("", func(namespace, name string) {
		s.queue.AddAfter(types.NamespacedName{Namespace: namespace, Name: name}, settle)
	})
}

// Reconcile takes one preference from what is known to what is told.
func (s *Scheduler) Reconcile(ctx context.Context, key types.NamespacedName) (result reconcile.Result, err error) {
	defer s.metrics.looked(time.Now())
	defer func() {
		if p := recover(); p != nil {
			s.metrics.panics.Inc()
			err = fmt.Errorf("schedule %s: panic: %v\n%s", key, p, debug.Stack()) // delays this preference only
		}
	}()
	pref, ok := s.prefs.Value(key.Namespace, key.Name)
	if !ok || pref.DeletionTimestamp != nil {
		s.memory.forget(key)
		s.members.forget(key)
		return reconcile.Result{}, nil // what was placed stays
	}
	w, complete, err := s.gather(ctx, key, pref)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("gather %s: %w", key, err)
	}
	if !complete {
		return reconcile.Result{}, nil // it is woken when the members have been looked into
	}
	d := decide(w)
	failed := s.write(ctx, key, w, d)
	if apierrors.IsConflict(failed) || apierrors.IsNotFound(failed) {
		return reconcile.Result{RequeueAfter: settle}, nil // it has changed in the meantime
	}
	if err := s.tell(ctx, w, d, failed); err != nil {
		return reconcile.Result{}, fmt.Errorf("tell of %s: %w", key, err)
	}
	if failed != nil {
		return reconcile.Result{}, fmt.Errorf("schedule %s: %w", key, failed)
	}
	return reconcile.Result{RequeueAfter: s.wait(earlier(d.recheck, s.members.next(key)))}, nil
}

// wait is the time until a moment, at least a second; zero if there is none.
func (s *Scheduler) wait(until time.Time) time.Duration {
	if until.IsZero() {
		return 0
	}
	return max(until.Sub(s.now()), time.Second)
}

// write puts a division into the federated object, if it is still as it was read.
func (s *Scheduler) write(ctx context.Context, key types.NamespacedName, w world, d decision) error {
	if d.held == nil {
		s.memory.learn(key, d.limits)
	}
	if d.patch == nil {
		return nil
	}
	into := s.host.Resource(w.fedType.Federated.GroupVersionResource).Namespace(key.Namespace)
	if err := put(ctx, into, w.object, d); err != nil {
		return err
	}
	s.metrics.wrote(declared(w.object), d.clusters)
	s.memory.wrote(key, string(w.object.GetUID())+" "+d.division, w.now)
	return nil
}

// put applies a division. Where the API server says that applying would not make it so, or would take something from somebody else,
// the two lists are patched as a whole: KubeFed's CRDs keep each as one field, and what another manager has written into it does
// not go by not being applied.
func put(ctx context.Context, into dynamic.ResourceInterface, obj *unstructured.Unstructured, d decision) error {
	tried, err := apply(ctx, into, obj, d.shares, metav1.DryRunAll)
	if err == nil && patchOf(tried, d.shares) == nil && reflect.DeepEqual(foreign(obj), foreign(tried)) {
		_, err = apply(ctx, into, obj, d.shares)
		return err
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": obj.GetUID(), "resourceVersion": obj.GetResourceVersion()},
		"spec":     d.patch,
	})
	if err != nil {
		return err
	}
	_, err = into.Patch(ctx, obj.GetName(), types.MergePatchType, body, metav1.PatchOptions{FieldManager: FieldManager})
	return err
}

// apply makes the shares those of a federated object, if it is still as it was read.
func apply(ctx context.Context, into dynamic.ResourceInterface, obj *unstructured.Unstructured, shares map[string]int64, dryRun ...string) (*unstructured.Unstructured, error) {
	out := &unstructured.Unstructured{Object: map[string]any{"spec": applied(shares)}}
	out.SetGroupVersionKind(obj.GroupVersionKind())
	out.SetNamespace(obj.GetNamespace())
	out.SetName(obj.GetName())
	out.SetUID(obj.GetUID())
	out.SetResourceVersion(obj.GetResourceVersion())
	return into.Apply(ctx, obj.GetName(), out, metav1.ApplyOptions{FieldManager: FieldManager, Force: true, DryRun: dryRun})
}

// tell writes the status if it means something new, and says what happened.
func (s *Scheduler) tell(ctx context.Context, w world, d decision, failed error) error {
	status := statusOf(w, d, failed)
	if same(w.pref.Status, status) {
		return nil
	}
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": w.pref.UID},
		{"op": "add", "path": "/status", "value": status},
	})
	if err != nil {
		return err
	}
	obj, err := s.host.Resource(resource).Namespace(w.pref.Namespace).
		Patch(ctx, w.pref.Name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: FieldManager}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.prefs.Merge(obj)
	about := w.pref.DeepCopy()
	about.SetGroupVersionKind(schedv1.GroupVersion.WithKind("ReplicaSchedulingPreference"))
	for _, e := range eventsOf(w.pref.Status, status, d) {
		kind := "Normal"
		if e.warning {
			kind = "Warning"
		}
		s.publish(about, kind, e.reason, e.message)
	}
	return nil
}
