// Package members answers, for services that span clusters: what does each member hold, as last seen? It watches Services, EndpointSlices,
// ServiceExports, ServiceImports, Namespaces and Ingresses in every member that is ready, keeps of them what a decision may look at, and
// tells whose world has changed. What was last seen of a member that is away is kept, and said to be that.
package members

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/observe"
)

// Options of Members. The functions are called from many goroutines.
type Options struct {
	// Record returns a KubeFedCluster as last seen; nil if there is none.
	Record func(name string) *fedv1.KubeFedCluster
	// Prepare makes a member ready to be watched: it sees to the types of multi-cluster services. It may be nil.
	Prepare func(ctx context.Context, member string, config *rest.Config) error
	// Through returns a configuration whose requests are measured until the context ends; nil leaves it as it is.
	Through func(ctx context.Context, member string, config *rest.Config) *rest.Config
	// Tell is called with what users must change about a member, in words for them; nil tells nobody.
	Tell func(member, reason, message string)
	// Namespace restricts the watches to one namespace; empty means all.
	Namespace string
	Log       logr.Logger
}

// Reasons of what is told about a member.
const (
	ReasonAnnotationIgnored = "AnnotationIgnored"
	ReasonNotPrepared       = "ServicesNotImported"
)

// Gates say what is watched.
type Gates struct {
	// Services are everything that multi-cluster services and DNS records of services need, Ingresses what those of Ingresses need.
	Services, Ingresses bool
}

func (g Gates) on() bool { return g.Services || g.Ingresses }

// Members are all members.
type Members struct {
	ctx  context.Context
	opts Options

	mu          sync.RWMutex
	gates       Gates
	known       bool
	members     map[string]*member
	sorted      []*member
	subscribers []func(types.NamespacedName)

	moved observe.Signal
}

// New returns Members that watch nothing yet: see Switch. Everything that they start ends with the context.
func New(ctx context.Context, opts Options) *Members {
	return &Members{ctx: ctx, opts: opts, members: map[string]*member{}}
}

// Watch calls f whenever the world of a service may have changed. It must not block. All calls of Watch come before the first member.
func (m *Members) Watch(f func(types.NamespacedName)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subscribers = append(m.subscribers, f)
}

// Switch says what is to be watched from now on.
func (m *Members) Switch(gates Gates) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if gates == m.gates {
		return
	}
	m.gates = gates
	for _, one := range m.sorted {
		one.switchTo(m.ctx, gates)
	}
	m.moved.Moved()
}

// Known tells that the list of clusters has been read in full.
func (m *Members) Known() {
	m.mu.Lock()
	m.known = true
	m.mu.Unlock()
	m.moved.Moved()
	m.wakeAll()
}

// ClusterChanged implements cluster.Watcher.
func (m *Members) ClusterChanged(info cluster.Member) {
	m.mu.Lock()
	one := m.members[info.Name]
	if one == nil {
		one = newMember(m, info.Name)
		m.members[info.Name] = one
		m.sort()
	}
	changed := one.update(m.ctx, info, m.gates)
	on := m.gates.on()
	m.mu.Unlock()
	m.moved.Moved()
	if changed && on {
		m.wakeAll()
	}
}

// ClusterGone implements cluster.Watcher.
func (m *Members) ClusterGone(name string) {
	keys := m.all()
	m.mu.Lock()
	if one := m.members[name]; one != nil {
		one.leave()
		delete(m.members, name)
		m.sort()
	}
	m.mu.Unlock()
	m.moved.Moved()
	m.tellAll(keys)
}

// Reread tells that a KubeFedCluster has changed.
func (m *Members) Reread(name string) {
	m.mu.RLock()
	one, on := m.members[name], m.gates.on()
	m.mu.RUnlock()
	if one != nil && one.describe() && on {
		m.wakeAll()
	}
}

// sort rebuilds the list of members by name. It makes a new one: readers hold the old one without a lock.
func (m *Members) sort() {
	m.sorted = slices.SortedFunc(maps.Values(m.members), func(a, b *member) int { return cmp.Compare(a.name, b.name) })
}

func (m *Members) list() ([]*member, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.sorted, m.known
}

// World is what is known of a service now.
func (m *Members) World(key types.NamespacedName) plan.World {
	sorted, known := m.list()
	w := plan.World{
		Service: key, Known: known, Now: time.Now(),
		Clusters: make([]plan.Cluster, len(sorted)), Sources: make([]plan.Source, len(sorted)), Held: make([]plan.Held, len(sorted)),
	}
	for n, one := range sorted {
		w.Clusters[n], w.Sources[n], w.Held[n] = one.look(key)
	}
	return w
}

// Clusters are all members as last seen, sorted by name; known says that these are all.
func (m *Members) Clusters() (out []plan.Cluster, known bool) {
	sorted, known := m.list()
	for _, one := range sorted {
		out = append(out, one.cluster())
	}
	return out, known
}

// Keys are the services that are exported by some member, or for which discovery has written something; sorted.
func (m *Members) Keys() []types.NamespacedName { return m.keys(false) }

// all are the services of all members, exported or not, and the Ingresses.
func (m *Members) all() []types.NamespacedName { return m.keys(true) }

func (m *Members) keys(all bool) []types.NamespacedName {
	found := map[types.NamespacedName]bool{}
	sorted, _ := m.list()
	for _, one := range sorted {
		one.keys(all, func(k types.NamespacedName) { found[k] = true })
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// Concerns says whether a service is exported by some member, or discovery has written something for it.
func (m *Members) Concerns(key types.NamespacedName) bool {
	sorted, _ := m.list()
	return slices.ContainsFunc(sorted, func(one *member) bool { return one.concerns(key) })
}

// Learn takes an object as a write to a member has left it.
func (m *Members) Learn(name string, o metav1.Object) {
	if h := m.holdings(name); h != nil {
		h.learn(o)
	}
}

// Lost takes that an object was deleted in a member.
func (m *Members) Lost(name string, o metav1.Object) {
	if h := m.holdings(name); h != nil {
		h.lost(o)
	}
}

func (m *Members) holdings(name string) *holdings {
	m.mu.RLock()
	one := m.members[name]
	m.mu.RUnlock()
	if one == nil {
		return nil
	}
	one.mu.RLock()
	defer one.mu.RUnlock()
	return one.now
}

// Settled says that of every member that is ready, all lists have been read.
func (m *Members) Settled() bool {
	sorted, known := m.list()
	return known && !slices.ContainsFunc(sorted, (*member).listing)
}

// Moved is closed when the answer of Settled may next differ.
func (m *Members) Moved() <-chan struct{} { return m.moved.Next() }

func (m *Members) tell(member, reason, message string) {
	m.opts.Log.Info(message, "cluster", member, "reason", reason)
	if m.opts.Tell != nil {
		m.opts.Tell(member, reason, message)
	}
}

func (m *Members) wake(k types.NamespacedName) {
	m.mu.RLock()
	subscribers := m.subscribers
	m.mu.RUnlock()
	for _, f := range subscribers {
		f(k)
	}
}

func (m *Members) wakeAll() { m.tellAll(m.all()) }

func (m *Members) tellAll(keys []types.NamespacedName) {
	for _, k := range keys {
		m.wake(k)
	}
}

// wakeNamespace tells of all services in a namespace.
func (m *Members) wakeNamespace(name string) {
	for _, k := range m.all() {
		if k.Namespace == name {
			m.wake(k)
		}
	}
}

func sortedKeys[V any](in map[string]V) []string { return slices.Sorted(maps.Keys(in)) }

var _ cluster.Watcher = (*Members)(nil)
