// Package fleet answers: what do the members hold, and how does a plan reach them? It watches the copies of every enabled type in
// every member that is ready, and gives each member one lane, the only writer there. A member that is slow, hung or dead delays
// nobody else: it has its own clients, its own lane and its own context, which ends when the member leaves.
package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/audit"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/observe"
	"github.com/hansa-io/hansa/internal/plan"
)

// Options of a fleet. The functions are called from many goroutines and must not block, Confirm aside.
type Options struct {
	// Wake is called when the world of a federated object may have changed.
	Wake func(intent.Key)
	// WakeType is called when the world of all objects of a type may have changed, WakeAll for all types.
	WakeType func(name string)
	WakeAll  func()
	// WakeNamespace is called when a federated namespace has come or gone in a member.
	WakeNamespace func(namespace string)
	// Confirm asks the host, right before a removal, whether it is still wanted.
	Confirm func(context.Context, intent.Key, plan.Step) error
	// Note is called with what a step did otherwise than planned, in words for the user.
	Note func(k intent.Key, member, message string)
	// Owns says whether a member is this process's; nil says that all are.
	Owns func(member string) bool
	// Workers is how many steps a lane takes at the same time.
	Workers int
	// Namespace restricts the watches to one namespace; empty means all.
	Namespace string
	// Audit is told of every removal, release and adoption in a member; nil is told nothing.
	Audit func(audit.Record)
	// Metrics is where the metrics are registered; nil is nowhere.
	Metrics *meter.Set
	Log     logr.Logger
}

// Fleet is all members.
type Fleet struct {
	opts    Options
	ctx     context.Context
	metrics *metrics
	calls   *calls

	mu      sync.RWMutex
	known   bool
	members map[string]*member
	sorted  []*member
	types   map[string]intent.Type

	moved observe.Signal
}

// New returns a fleet without members or types. Everything it starts ends with the context.
func New(ctx context.Context, opts Options) *Fleet {
	if opts.Owns == nil {
		opts.Owns = func(string) bool { return true }
	}
	f := &Fleet{opts: opts, ctx: ctx, calls: newCalls(opts.Wake), members: map[string]*member{}, types: map[string]intent.Type{}}
	f.metrics = newMetrics(opts.Metrics, f)
	return f
}

// Known tells the fleet that the list of clusters has been read in full.
func (f *Fleet) Known() {
	f.mu.Lock()
	f.known = true
	f.mu.Unlock()
	f.moved.Moved()
	f.opts.WakeAll()
}

// ClusterChanged implements cluster.Watcher.
func (f *Fleet) ClusterChanged(info cluster.Member) {
	f.mu.Lock()
	m := f.members[info.Name]
	if m == nil {
		m = newMember(f, info.Name)
		f.members[info.Name] = m
		f.sort()
	}
	changed := m.update(f.ctx, info, f.types)
	f.mu.Unlock()
	f.moved.Moved()
	if changed {
		f.opts.WakeAll()
	}
}

// ClusterGone implements cluster.Watcher.
func (f *Fleet) ClusterGone(name string) {
	f.mu.Lock()
	if m := f.members[name]; m != nil {
		m.mu.Lock()
		m.stop()
		m.mu.Unlock()
		delete(f.members, name)
		f.sort()
	}
	f.metrics.drop("cluster", name)
	f.mu.Unlock()
	f.moved.Moved()
	f.opts.WakeAll()
}

// sort rebuilds the list of members by name. It makes a new one: readers hold the old one without a lock.
func (f *Fleet) sort() {
	sorted := make([]*member, 0, len(f.members))
	for _, name := range slices.Sorted(maps.Keys(f.members)) {
		sorted = append(sorted, f.members[name])
	}
	f.sorted = sorted
}

// Enable begins to watch a type in every member. If its target is another one now, or another part of it is wanted, what was seen
// before is forgotten.
func (f *Fleet) Enable(t intent.Type) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, known := f.types[t.Name]
	f.types[t.Name] = t
	for _, m := range f.sorted {
		if known && (old.Target != t.Target || old.Collects != t.Collects) {
			m.unwatch(t.Name)
		}
		m.mu.Lock()
		m.watch(t)
		m.mu.Unlock()
	}
}

// Disable ends the watches of a type.
func (f *Fleet) Disable(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.types, name)
	for _, m := range f.sorted {
		m.unwatch(name)
	}
	f.metrics.drop("type", name)
	f.moved.Moved()
}

func (f *Fleet) typeOf(name string) (intent.Type, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, ok := f.types[name]
	return t, ok
}

// Look returns all members as last seen, for one object, sorted by name; known says that these are all.
func (f *Fleet) Look(t intent.Type, key intent.Key) (members []plan.Member, known bool) {
	sorted, known := f.list()
	members = make([]plan.Member, len(sorted))
	for i, m := range sorted {
		members[i] = m.look(t, key)
	}
	return members, known
}

func (f *Fleet) list() ([]*member, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.sorted, f.known
}

// Submit hands every step to the lane of its member and returns what is known of each. It never waits for a member.
func (f *Fleet) Submit(p plan.Plan) []plan.Outcome {
	sorted, _ := f.list()
	outcomes := make([]plan.Outcome, 0, len(p.Steps))
	for _, m := range sorted {
		s, ok := p.Step(m.name)
		switch {
		case s.Reason == plan.Elsewhere, s.Reason == plan.Awaited:
		case !ok:
			m.lane.settle(p.Key, true)
		case !s.Needed:
			m.lane.settle(p.Key, false)
			outcomes = append(outcomes, plan.Outcome{Member: s.Member, State: plan.Unchanged, Record: s.Record})
		default:
			s.Since = p.Since
			outcomes = append(outcomes, m.lane.submit(p.Key, s))
		}
	}
	return outcomes
}

// Published tells the lanes that the host's record of an object is up to date: they need not remember it.
func (f *Fleet) Published(p plan.Plan) {
	sorted, _ := f.list()
	for _, m := range sorted {
		if s, ok := p.Step(m.name); ok && !s.Needed && s.Reason != plan.Gone && s.Reason != plan.Removed {
			m.lane.settle(p.Key, true)
		}
	}
}

// Settled says that of every member that is this process's and ready, every list has ended, well or not.
func (f *Fleet) Settled() bool {
	sorted, known := f.list()
	return known && !slices.ContainsFunc(sorted, (*member).listing)
}

// Moved is closed when the answers of Settled and Met may next differ.
func (f *Fleet) Moved() <-chan struct{} { return f.moved.Next() }

// Yield ends what is under way in members that are not this process's, and returns when it has ended, or an error if the context does so
// before.
func (f *Fleet) Yield(ctx context.Context, owns func(member string) bool) error {
	sorted, _ := f.list()
	var lost []*member
	for _, m := range sorted {
		if !owns(m.name) {
			m.mu.Lock()
			m.stop()
			m.mu.Unlock()
			lost = append(lost, m)
		}
	}
	for _, m := range lost {
		m.lane.drained(ctx)
	}
	return ctx.Err()
}

// Unavailable lists, sorted, the members in which a type cannot be propagated, and why; of those that are this process's.
func (f *Fleet) Unavailable(typeName string) []fedv1.MemberAPI {
	var out []fedv1.MemberAPI
	sorted, _ := f.list()
	for _, m := range sorted {
		m.mu.RLock()
		if c := m.copies[typeName]; c != nil && !m.info.Elsewhere {
			if v, message := view(c.store.State()); v != plan.ViewSynced && v != plan.ViewWaiting {
				out = append(out, fedv1.MemberAPI{Name: m.name, Reason: string(v), Message: message})
			}
		}
		m.mu.RUnlock()
	}
	return out
}

// Elsewhere says that another shard has a member.
func (f *Fleet) Elsewhere(memberName string) bool {
	f.mu.RLock()
	m := f.members[memberName]
	f.mu.RUnlock()
	if m == nil {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.info.Elsewhere
}

// Held calls f with every object of a type that some member holds.
func (f *Fleet) Held(typeName string, visit func(intent.Key)) {
	t, ok := f.typeOf(typeName)
	if !ok {
		return
	}
	sorted, _ := f.list()
	for _, m := range sorted {
		m.mu.RLock()
		c := m.copies[typeName]
		m.mu.RUnlock()
		if c != nil {
			c.store.Names("", func(namespace, name string) { visit(t.KeyOf(namespace, name)) })
		}
	}
}

// Names are the members, sorted.
func (f *Fleet) Names() []string {
	sorted, _ := f.list()
	names := make([]string, len(sorted))
	for i, m := range sorted {
		names[i] = m.name
	}
	return names
}

// Copy is the object's copy in a member as last seen; nil if there is none. known says that this could be told.
func (f *Fleet) Copy(memberName string, t intent.Type, key intent.Key) (found *plan.Copy, known bool) {
	f.mu.RLock()
	m := f.members[memberName]
	f.mu.RUnlock()
	if m == nil {
		return nil, false
	}
	seen := m.look(t, key)
	return seen.Copy, seen.View == plan.ViewSynced
}

// Client reads in a member; it is an error while the member is not ready.
func (f *Fleet) Client(memberName string) (dynamic.Interface, error) {
	f.mu.RLock()
	m := f.members[memberName]
	f.mu.RUnlock()
	if m == nil {
		return nil, fmt.Errorf("cluster %s has not been met", memberName)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.clients == nil {
		return nil, fmt.Errorf("cluster %s is not ready", memberName)
	}
	return m.clients.Dynamic, nil
}

// Through measures the requests to a member by a configuration, until the context ends.
func (f *Fleet) Through(ctx context.Context, memberName string, config *rest.Config) *rest.Config {
	return f.metrics.through(ctx, memberName, config)
}

// Count is the number of copies of a type in a member.
func (f *Fleet) Count(memberName, typeName string) int {
	f.mu.RLock()
	m := f.members[memberName]
	f.mu.RUnlock()
	if m == nil {
		return 0
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if c := m.copies[typeName]; c != nil {
		return c.store.Len()
	}
	return 0
}

func (f *Fleet) copyChanged(t intent.Type, namespace, name string, existence bool) {
	f.calls.call(t.KeyOf(namespace, name))
	if t.IsNamespace() && existence {
		f.opts.WakeNamespace(name)
	}
}

func (f *Fleet) viewMoved(t intent.Type) {
	f.moved.Moved()
	f.opts.WakeType(t.Name)
	if t.IsNamespace() {
		f.opts.WakeAll()
	}
}

var _ cluster.Watcher = (*Fleet)(nil)

// Met says whether every one of these clusters has been told to the fleet.
func (f *Fleet) Met(list []fedv1.KubeFedCluster) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i := range list {
		if f.members[list[i].Name] == nil && list[i].DeletionTimestamp == nil {
			return false
		}
	}
	return true
}
