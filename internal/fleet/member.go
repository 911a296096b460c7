package fleet

import (
	"context"
	"maps"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/health"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/observe"
	"github.com/hansa-io/hansa/internal/plan"
)

// member is one cluster with what it holds of every type, and its lane.
type member struct {
	name  string
	fleet *Fleet
	lane  *lane

	mu      sync.RWMutex
	info    cluster.Member
	clients *apply.Clients
	// ctx lives while the member is ready and reached by the same configuration; nil else.
	ctx    context.Context
	cancel context.CancelFunc
	copies map[string]*copies
	door   *door
	broken error // why there are no clients
}

// copies is what a member holds of one type.
type copies struct {
	store *observe.Store[*plan.Copy]
	stop  context.CancelFunc
	// whole says that objects are watched in full, because their status is collected.
	whole bool
}

// merge takes an object as a step has left it. Where whole objects are kept, half of one would hide the other half until it changes.
func (c *copies) merge(o metav1.Object) {
	if _, whole := o.(*unstructured.Unstructured); whole || !c.whole {
		c.store.Merge(o)
	}
}

func newMember(f *Fleet, name string) *member {
	m := &member{name: name, fleet: f, copies: map[string]*copies{}}
	m.lane = newLane(f.opts.Workers, m.do, f.calls.call)
	m.lane.begin, m.lane.end = f.calls.begin, f.calls.end
	m.lane.panicked = func(err error) {
		f.metrics.panics.WithLabelValues("lanes").Inc()
		f.opts.Log.Error(err, "a step panicked", "cluster", name)
	}
	m.lane.took = f.metrics.took
	return m
}

// update takes what is now known of the cluster and says whether that may change any decision.
func (m *member) update(ctx context.Context, info cluster.Member, types map[string]intent.Type) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.info
	m.info = info
	switch {
	case !info.Ready:
		m.stop()
	case m.ctx == nil || old.Config != info.Config || old.ID != info.ID || old.Elsewhere != info.Elsewhere:
		m.stop()
		m.start(ctx, types)
	}
	if info.Elsewhere {
		m.lane.forget() // what was learnt is another's to know
	}
	probing := old.Reason == cluster.ReasonProbing || old.Name == ""
	return old.Ready != info.Ready || old.Elsewhere != info.Elsewhere || probing || !maps.Equal(old.Labels, info.Labels)
}

// start connects and begins to watch. The caller holds the lock.
func (m *member) start(ctx context.Context, types map[string]intent.Type) {
	if !m.info.Elsewhere && !m.fleet.opts.Owns(m.name) {
		return // it has just become another shard's, as will be told
	}
	ctx, cancel := context.WithCancel(ctx)
	m.clients, m.broken = apply.NewClients(m.fleet.metrics.through(ctx, m.name, m.info.Config))
	if m.broken != nil {
		cancel()
		m.fleet.opts.Log.Error(m.broken, "connect", "cluster", m.name)
		return
	}
	m.ctx, m.cancel, m.door = ctx, cancel, newDoor()
	if !m.info.Elsewhere {
		m.lane.open(m.ctx)
	}
	for _, t := range types {
		m.watch(t)
	}
}

// stop ends what start began. What was seen is forgotten: it is not known to be so any more.
func (m *member) stop() {
	if m.ctx == nil {
		return
	}
	m.cancel()
	m.lane.close()
	m.ctx, m.cancel, m.clients = nil, nil, nil
	clear(m.copies)
}

// watch begins to watch the copies of a type. The caller holds the lock.
func (m *member) watch(t intent.Type) {
	if m.ctx == nil || m.copies[t.Name] != nil || m.info.Elsewhere && !t.Collects.Health {
		return
	}
	ctx, stop := context.WithCancel(m.ctx)
	c := &copies{stop: stop, whole: t.Collects.Health}
	c.store = observe.New(reader(t),
		func(namespace, name string, existence bool) { m.fleet.copyChanged(t, namespace, name, existence) },
		func() { m.fleet.viewMoved(t) })
	m.copies[t.Name] = c
	namespace := ""
	if t.Target.Namespaced {
		namespace = m.fleet.opts.Namespace
	}
	name, resource := t.Name+" in "+m.name, t.Target.GroupVersionResource
	if c.whole {
		from := m.clients.Dynamic.Resource(resource).Namespace(namespace)
		go c.store.Run(ctx, name, &unstructured.Unstructured{}, managed(m.door, from.List, from.Watch))
		return
	}
	from := m.clients.Metadata.Resource(resource).Namespace(namespace)
	go c.store.Run(ctx, name, &metav1.PartialObjectMetadata{}, managed(m.door, from.List, from.Watch))
}

// reader makes of an object what is kept of it.
func reader(t intent.Type) func(metav1.Object) *plan.Copy {
	return func(o metav1.Object) *plan.Copy {
		c := plan.CopyOf(o)
		if whole, ok := o.(*unstructured.Unstructured); ok {
			c.Health = health.Of(whole, t.Collects.KeepsStatus())
		}
		return c
	}
}

// managed lists and watches, through a door, what carries our label.
func managed[L runtime.Object](d *door, list func(context.Context, metav1.ListOptions) (L, error), watches func(context.Context, metav1.ListOptions) (watch.Interface, error)) observe.Lister {
	only := func(o metav1.ListOptions) metav1.ListOptions {
		o.LabelSelector = fedv1.ManagedLabel + "=true"
		return o
	}
	return observe.Lister{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			defer d.pass(ctx)()
			return list(ctx, only(o))
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			defer d.pass(ctx)()
			return watches(ctx, only(o))
		},
	}
}

// unwatch ends the watch of a type.
func (m *member) unwatch(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.copies[name]; c != nil {
		c.stop()
		delete(m.copies, name)
	}
}

// look returns the member as last seen, for one object.
func (m *member) look(t intent.Type, key intent.Key) plan.Member {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := plan.Member{
		Name: m.name, Labels: m.info.Labels, Host: m.info.Host, Revision: m.info.Revision,
		Ready: m.info.Ready && m.broken == nil, View: plan.ViewWaiting, Elsewhere: m.info.Elsewhere,
	}
	if m.info.Reason == cluster.ReasonProbing {
		out.Ready = true // nobody has asked it yet: that is not knowing, as with a view that is still being listed
	}
	last := m.lane.learnt(key)
	out.Record, out.Absent, out.Released = last.record, last.absent, last.released
	c := m.copies[t.Name]
	if c == nil {
		return out
	}
	out.View, out.ViewMessage = view(c.store.State())
	namespace, name := t.TargetName(key)
	if copied, ok := c.store.Value(namespace, name); ok {
		out.Copy, out.Absent = copied, false
	}
	if t.Target.Namespaced {
		out.NamespaceHere = m.namespaceHere(namespace)
	}
	return out
}

// listing says that it is not known yet whether the member is ready, or what it holds of some type.
func (m *member) listing() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case m.info.Elsewhere == m.fleet.opts.Owns(m.name):
		return true // it has moved, and that will be told
	case m.info.Elsewhere:
		return false
	case m.info.Reason == cluster.ReasonProbing:
		return true
	}
	for _, c := range m.copies {
		if v, _ := view(c.store.State()); v == plan.ViewWaiting {
			return true
		}
	}
	return false
}

// namespaceHere says whether a federated namespace has arrived. One that was tried and refused is not waited for: it may be there
// all the same.
func (m *member) namespaceHere(namespace string) plan.Tri {
	c := m.copies[fedv1.NamespacesTypeName]
	if c == nil || !c.store.State().Synced {
		return plan.Unknown
	}
	if ns, ok := c.store.Value("", namespace); ok {
		return plan.TriOf(!ns.Deleting)
	}
	if m.lane.tried(intent.Key{Type: fedv1.NamespacesTypeName, Namespace: namespace, Name: namespace}) {
		return plan.Unknown
	}
	return plan.No
}

func view(s observe.State) (plan.View, string) {
	switch {
	case s.Synced:
		return plan.ViewSynced, ""
	case s.Err == nil:
		return plan.ViewWaiting, ""
	case apierrors.IsNotFound(s.Err):
		return plan.ViewMissing, "the cluster does not serve this type"
	case apierrors.IsForbidden(s.Err):
		return plan.ViewForbidden, apply.Words(s.Err)
	default:
		return plan.ViewFailed, apply.Words(s.Err)
	}
}

// do is the work of the lane.
func (m *member) do(ctx context.Context, key intent.Key, s plan.Step) apply.Result {
	m.mu.RLock()
	clients, c, id := m.clients, m.copies[key.Type], string(m.info.ID)
	m.mu.RUnlock()
	t, ok := m.fleet.typeOf(key.Type)
	if clients == nil || c == nil || !ok || !m.fleet.opts.Owns(m.name) {
		return apply.Result{Outcome: plan.Outcome{Member: s.Member, State: plan.Failed, Reason: "ClientRetrievalFailed", Message: "the cluster or the type has left"}}
	}
	w := clients.For(s.Member, t.Target.GroupVersionResource, t.Target.Kind)
	w.Whole = c.whole
	r := apply.Do(ctx, w, s,
		func(ctx context.Context) error { return m.fleet.opts.Confirm(ctx, key, s) })
	if a, ok := account(key, t, id, s, r); ok && m.fleet.opts.Audit != nil {
		m.fleet.opts.Audit(a)
	}
	switch {
	case r.Gone:
		c.store.Lost(s.Namespace, s.Name, func(c *plan.Copy) bool { return c.UID == s.UID })
	case r.Object != nil:
		c.merge(r.Object)
	}
	if r.State == plan.Done && r.Message != "" {
		m.fleet.opts.Note(key, m.name, r.Message)
	}
	if r.Err != nil {
		m.fleet.opts.Log.V(1).Info("step failed", "cluster", s.Member, "reason", r.Reason, "error", r.Err.Error())
	}
	return r
}
