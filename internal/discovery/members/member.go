package members

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// member is one cluster and what it holds.
type member struct {
	name string
	of   *Members

	mu     sync.RWMutex
	info   cluster.Member
	said   plan.Cluster
	learnt time.Time // when the presence was learnt
	config *rest.Config
	// ctx lives while the member is watched; nil else.
	ctx    context.Context
	cancel context.CancelFunc
	// now is what the watches that run tell, before what those told that ran until the member went away; it is dropped when now has
	// been read in full. Either may be nil.
	now, before *holdings
	nodesWatch  bool
	nodes       []string
	// problems are what its record says that cannot be used.
	problems []string
	// trouble is why the member could not be prepared.
	trouble error
	// denied is why it cannot be watched.
	denied string
}

func newMember(of *Members, name string) *member {
	m := &member{name: name, of: of, learnt: time.Now()}
	m.describe()
	return m
}

// update takes what is now known of the cluster and says whether that may change a decision.
func (m *member) update(ctx context.Context, info cluster.Member, gates Gates) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.info
	m.info = info
	if presence(old) != presence(info) {
		m.learnt = time.Now()
	}
	described := m.describeLocked() // since when it is so depends on what it is now
	if old.ID != "" && info.ID != "" && old.ID != info.ID {
		m.stop()
		m.before, m.nodes = nil, nil // it is another cluster
	}
	switch {
	case !info.Ready:
		m.stop()
	case m.ctx == nil || old.Config != info.Config:
		m.stop()
		m.start(ctx, gates)
	}
	return described || presence(old) != presence(info)
}

// describe reads the cluster's record anew and says whether it says something else.
func (m *member) describe() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.describeLocked()
}

func (m *member) describeLocked() bool {
	c := m.of.opts.Record(m.name)
	if c == nil {
		return false // it is being deleted: what it said last counts
	}
	said, problems := describe(c)
	said.Since = since(c, presence(m.info), m.learnt)
	changed := !reflect.DeepEqual(m.said, said)
	m.said = said
	for _, problem := range problems {
		if !slices.Contains(m.problems, problem) {
			m.of.tell(m.name, ReasonAnnotationIgnored, problem)
		}
	}
	m.problems = problems
	m.watchNodes()
	return changed
}

// switchTo begins or ends watches.
func (m *member) switchTo(ctx context.Context, gates Gates) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop()
	if !gates.on() {
		m.before, m.nodes = nil, nil
	}
	if m.info.Ready {
		m.start(ctx, gates)
	}
}

// start begins to watch. The caller holds the lock.
func (m *member) start(ctx context.Context, gates Gates) {
	if !gates.on() {
		return
	}
	m.ctx, m.cancel = context.WithCancel(ctx)
	m.config = m.info.Config
	if m.of.opts.Through != nil {
		m.config = m.of.opts.Through(m.ctx, m.name, m.config)
	}
	now := newHoldings(gates, m.listeners())
	ready := make(chan struct{})
	if err := now.run(m.ctx, m.name, m.of.opts.Namespace, m.config, ready); err != nil {
		m.trouble = err
		m.of.opts.Log.Error(err, "watch for discovery", "cluster", m.name)
		m.stop()
		return
	}
	m.now = now
	go m.prepare(m.ctx, m.config, gates, ready)
	m.watchNodes()
}

func (m *member) listeners() listeners {
	return listeners{service: m.of.wake, namespace: m.of.wakeNamespace, nodes: m.nodesChanged, moved: m.moved}
}

// The wait after a preparation that failed doubles from one to the other.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// prepare sees to the types of multi-cluster services, again and again until it succeeds; they are watched after the first time.
func (m *member) prepare(ctx context.Context, config *rest.Config, gates Gates, ready chan struct{}) {
	wait := firstRetry
	for first := true; ; first = false {
		var err error
		if m.of.opts.Prepare != nil && gates.Services {
			err = m.of.opts.Prepare(ctx, m.name, config)
		}
		if first {
			close(ready)
		}
		if ctx.Err() != nil {
			return
		}
		if m.troubled(err); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			wait = min(2*wait, lastRetry)
		}
	}
}

// troubled notes what keeps the member from being prepared, and logs it once.
func (m *member) troubled(err error) {
	m.mu.Lock()
	news := err != nil && (m.trouble == nil || m.trouble.Error() != err.Error())
	was := m.trouble
	m.trouble = err
	m.mu.Unlock()
	m.of.moved.Moved()
	if news {
		m.of.tell(m.name, ReasonNotPrepared, err.Error())
	}
	if news || err == nil && was != nil {
		m.of.wakeAll()
	}
}

// stop ends what start began. What was seen is kept as what was last seen. The caller holds the lock.
func (m *member) stop() {
	if m.ctx == nil {
		return
	}
	m.cancel()
	if m.now != nil && m.now.seen() {
		m.before = m.now
	}
	m.ctx, m.cancel, m.now, m.nodesWatch = nil, nil, nil, false
}

func (m *member) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop()
}

// watchNodes begins to watch the nodes where their addresses are wanted. The caller holds the lock.
func (m *member) watchNodes() {
	if m.now == nil || m.nodesWatch || m.said.Reach != plan.NodePort || m.of.opts.Namespace != "" {
		return
	}
	if err := m.now.runNodes(m.ctx, m.name, m.config); err != nil {
		m.of.opts.Log.Error(err, "watch nodes", "cluster", m.name)
		return
	}
	m.nodesWatch = true
}

// nodesChanged looks at the nodes' addresses again; most changes of nodes do not concern them.
func (m *member) nodesChanged() {
	m.mu.Lock()
	if m.now == nil {
		m.mu.Unlock()
		return
	}
	var found []string
	for _, addresses := range m.now.nodes.Values() {
		found = append(found, addresses...)
	}
	slices.Sort(found)
	changed := m.now.nodes.State().Synced && !slices.Equal(m.nodes, found)
	if changed {
		m.nodes = found
	}
	m.mu.Unlock()
	if changed {
		m.of.wakeAll()
	}
}

// moved looks whether all lists have been read. What has vanished while the member was away is told then.
func (m *member) moved() {
	m.nodesChanged()
	m.barred()
	defer m.of.moved.Moved()
	m.mu.Lock()
	if m.now == nil || !m.now.seen() {
		m.mu.Unlock()
		return
	}
	was := m.before
	m.before = nil
	m.mu.Unlock()
	if was != nil {
		was.keys(true, m.of.wake)
	}
	m.of.wakeAll()
}

// barred notes that the member refuses a list, or does not any more.
func (m *member) barred() {
	m.mu.Lock()
	if m.now == nil {
		m.mu.Unlock()
		return
	}
	was := m.denied
	m.denied = ""
	if err := m.now.denied(); err != nil {
		m.denied = err.Error() + ": join the cluster again with kubefedctl join --error-on-existing=false, which grants what multi-cluster services need"
	}
	now := m.denied
	m.mu.Unlock()
	if now == was {
		return
	}
	if now != "" {
		m.of.tell(m.name, ReasonNotPrepared, now)
	}
	m.of.wakeAll()
}

// cluster is the member as discovery knows it.
func (m *member) cluster() plan.Cluster {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.clusterLocked()
}

func (m *member) clusterLocked() plan.Cluster {
	out := m.said
	out.Name = m.name
	out.Presence = presence(m.info)
	out.Nodes = m.nodes
	out.Trouble = m.denied
	if m.trouble != nil {
		out.Trouble = m.trouble.Error()
	}
	return out
}

// look returns the member as last seen, for one service.
func (m *member) look(key types.NamespacedName) (plan.Cluster, plan.Source, plan.Held) {
	m.mu.RLock()
	c, now, before := m.clusterLocked(), m.now, m.before
	m.mu.RUnlock()
	seen := now != nil && now.seen()
	from := now
	if !seen && before != nil {
		from = before
	}
	if from == nil {
		return c, plan.Source{Cluster: m.name}, plan.Held{}
	}
	source, held := from.source(m.name, key), from.held(key)
	source.Seen, held.Seen = seen, seen && from.served()
	return c, source, held
}

// keys calls f with every service of the member.
func (m *member) keys(all bool, f func(types.NamespacedName)) {
	m.mu.RLock()
	now, before := m.now, m.before
	m.mu.RUnlock()
	for _, h := range []*holdings{now, before} {
		if h != nil {
			h.keys(all, f)
		}
	}
}

// concerns says whether the service is exported there, or discovery has written something for it.
func (m *member) concerns(key types.NamespacedName) bool {
	m.mu.RLock()
	now, before := m.now, m.before
	m.mu.RUnlock()
	return now != nil && now.concerns(key) || before != nil && before.concerns(key)
}

// listing says that it is not known yet what the member holds.
func (m *member) listing() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return presence(m.info) == plan.Unmet || m.now != nil && !m.now.seen() && m.trouble == nil && m.denied == ""
}

var errAway = errors.New("the cluster is not ready")

// Connection returns how a member is reached, and a context that ends when that does not hold any more.
func (m *Members) Connection(name string) (context.Context, *rest.Config, error) {
	m.mu.RLock()
	one := m.members[name]
	m.mu.RUnlock()
	if one == nil {
		return nil, nil, errAway
	}
	one.mu.RLock()
	defer one.mu.RUnlock()
	if one.ctx == nil {
		return nil, nil, errAway
	}
	return one.ctx, one.config, nil
}
