// Package shard answers: which members are this process's? Several managers share the members of one federation. What they agree by are
// Leases beside the leader's: one says which shards there are, as of an epoch; each of the others is one shard's, and says which epoch it
// follows. A member has one owner at most. A shard takes what it has gained when all others have let go of what they lost, and who does
// not renew its Lease is taken out.
package shard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/lead"
	"github.com/hansa-io/hansa/internal/observe"
)

// Options of a shard.
type Options struct {
	// Config reaches the host. No term may guard it: renewals go by it.
	Config *rest.Config
	// Namespace of the control plane.
	Namespace string
	// Identity of this process, the same in no other, without a comma. It is the one that it holds the leader's Lease by.
	Identity string
	Times    Times
	// Term is this shard's alone: it is not that of the leader's lock. It guards what a shard writes.
	Term *lead.Term
	// Changed is called after Owns may answer otherwise, and after Others does. It must not block.
	Changed func()
	// Stop returns nil when nothing is under way any more in what this shard does not own, be it a member or a key; nothing is begun in
	// it since before the call. owns is Owns without the term, and may change meanwhile. When the context ends it gives up, with an
	// error.
	Stop func(ctx context.Context, owns func(member string) bool) error
	Log  logr.Logger
}

// Shards is this process as one of the shards.
type Shards struct {
	options Options
	leases  coordinationclient.LeaseInterface
	store   *observe.Store[lease]
	kick    chan struct{}
	// turn is held by whoever moves the state: Run, or Leave after it.
	turn chan struct{}
	left chan struct{}

	// state is read without the lock by Owns.
	state atomic.Pointer[state]
	mu    sync.Mutex
	sight sight
	// leads is what Owns last depended on beside the state.
	leads bool
	// stopping is the need that Stop works at, 0 if it does not run; cancel ends it.
	stopping int
	cancel   context.CancelFunc
	// again is when Stop is called again, after it has failed.
	again time.Time
}

// New returns a shard that owns nothing yet.
func New(o Options) (*Shards, error) {
	if o.Identity == "" || strings.Contains(o.Identity, ",") {
		return nil, fmt.Errorf("%q cannot be the identity of a shard", o.Identity)
	}
	client, err := coordinationclient.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("connect for the Leases of shards: %w", err)
	}
	s := &Shards{options: o, leases: client.Leases(o.Namespace), kick: make(chan struct{}, 1), turn: make(chan struct{}, 1), left: make(chan struct{})}
	s.store = observe.New(func(obj metav1.Object) lease { return parse(obj.(*coordinationv1.Lease)) }, func(string, string, bool) { s.wake() }, s.wake)
	first := newState(o.Identity, o.Times)
	s.state.Store(&first)
	return s, nil
}

func (s *Shards) wake() {
	select {
	case s.kick <- struct{}{}:
	default: // it is awake
	}
}

// Run takes part until the context ends. Then this shard owns nothing any more after a while, as if it had died: see Leave.
func (s *Shards) Run(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-s.turn }()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		s.store.Run(ctx, "leases of "+s.options.Namespace, &coordinationv1.Lease{}, observe.Lister{
			List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return s.leases.List(ctx, o) },
			Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return s.leases.Watch(ctx, o)
			},
		})
	})
	s.loop(ctx)
	return nil
}

// Lead says that this process holds the leader's Lease: then it may open the ring, and join one whose shards are all dead.
func (s *Shards) Lead() { s.change(func(m state) state { m.leads = true; return m }) }

// Tell lets the others know something. It is with the host at once, and comes to them by their watch.
func (s *Shards) Tell(key, value string) {
	s.change(func(m state) state {
		told := maps.Clone(m.told)
		if told == nil {
			told = map[string]string{}
		}
		told[key] = value
		m.told = told
		return m
	})
}

func (s *Shards) change(f func(state) state) {
	s.mu.Lock()
	next := f(*s.state.Load())
	s.state.Store(&next)
	s.mu.Unlock()
	s.wake()
}

// Owns says whether this shard may act in a member now. It asks nobody, and never is true in two shards at once.
func (s *Shards) Owns(member string) bool {
	return s.options.Term.Leads() && s.state.Load().owns(member)
}

// Owner says whether this shard is the one that may speak of something that is no member's, such as an object without placement.
func (s *Shards) Owner(key string) bool { return s.Owns(key) }

// Before is how many of the shards that have these members come before this one in what concerns them all. It is another order for each key.
func (s *Shards) Before(key string, members []string) int {
	m := s.state.Load()
	return m.ring.before(m.id, key, members)
}

// Status is where a shard stands.
type Status struct {
	// Epoch is the one that it follows, 0 if it is not in the ring, and Shards the identities of all in that ring, this one included.
	Epoch  int64
	Shards []string
	// Settled says that it owns all that this ring gives it, and Leads that it may act.
	Settled, Leads bool
}

// Status tells where this shard stands.
func (s *Shards) Status() Status {
	m := s.state.Load()
	return Status{Epoch: m.ring.epoch, Shards: m.ring.shards, Settled: len(m.claim) == 1, Leads: !m.rest && s.options.Term.Leads()}
}

// State is what another shard has told.
type State struct {
	Identity string
	Told     map[string]string
}

// Others are the other shards of the ring, sorted by identity, and what they have told; nil if this one is not in the ring.
func (s *Shards) Others() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return others(s.sight, *s.state.Load())
}

func others(s sight, m state) []State {
	if !m.joined {
		return nil
	}
	var out []State
	for _, identity := range m.ring.shards {
		if l, _ := s.of(identity); identity != m.id {
			out = append(out, State{identity, l.told})
		}
	}
	return out
}

// Has says whether a process is a shard of the ring, as last seen.
func (s *Shards) Has(identity string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, _ := s.sight.ring()
	return r.has(identity)
}

// Leave lets go of all, at once in favour of the others. It returns when nothing of this shard is left, or the context ends. There is no
// way back.
func (s *Shards) Leave(ctx context.Context) error {
	s.change(func(m state) state { m.leaving = true; return m })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		go func() {
			select {
			case <-s.left:
				cancel()
			case <-ctx.Done():
			}
		}()
		s.loop(ctx)
		<-s.turn
	case <-s.left:
	case <-ctx.Done():
	}
	select {
	case <-s.left:
		return nil
	default:
		return fmt.Errorf("leave the other shards, which go on when the Lease of this one has run out: %w", context.Cause(ctx))
	}
}

// loop does what is to be done until the context ends.
func (s *Shards) loop(ctx context.Context) {
	defer s.quit()
	for ctx.Err() == nil {
		q, wait := s.look(ctx)
		if q.verb != nothing {
			s.write(ctx, q)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// quit waits for Stop to end.
func (s *Shards) quit() {
	for {
		s.mu.Lock()
		running := s.stopping != 0
		if running {
			s.cancel()
		}
		s.mu.Unlock()
		if !running {
			return
		}
		<-s.kick
	}
}

// look makes one step. What is lost by it is lost before anything else happens.
func (s *Shards) look(ctx context.Context) (request, time.Duration) {
	s.mu.Lock()
	now := time.Now()
	before, seen := *s.state.Load(), s.sight
	s.sight = seen.next(s.store.Values(), s.store.State().Synced, now)
	after, q := before.step(s.sight, now)
	s.state.Store(&after)
	if after.rest {
		s.options.Term.End()
	} else {
		s.options.Term.Renewed(after.began)
	}
	leads := !after.rest && s.options.Term.Leads()
	changed := leads != s.leads || after.differs(before) || differ(others(seen, before), others(s.sight, after))
	s.leads = leads
	s.stop(ctx, after, now)
	if after.left(s.sight) {
		s.leave()
	}
	wait := after.wake(now)
	s.mu.Unlock()
	s.tell(before, after)
	if changed && s.options.Changed != nil {
		s.options.Changed()
	}
	return q, wait
}

func (s *Shards) leave() {
	select {
	case <-s.left:
	default:
		close(s.left)
	}
}

// differs says that another member may be owned than before.
func (m state) differs(before state) bool {
	return m.rest != before.rest || len(m.claim) != len(before.claim) || m.ring.era != before.ring.era
}

func differ(a, b []State) bool {
	if len(a) != len(b) {
		return true
	}
	for i := range a {
		if a[i].Identity != b[i].Identity || !maps.Equal(a[i].Told, b[i].Told) {
			return true
		}
	}
	return false
}

// tell logs what is new.
func (s *Shards) tell(before, after state) {
	log := s.options.Log
	switch {
	case before.joined && !after.joined && !after.leaving:
		log.Info("this shard was taken out, as it did not renew its Lease or that was removed; it joins anew", "epoch", before.ring.epoch)
	case after.joined && after.ring.era != before.ring.era:
		log.Info("the shards have changed", "epoch", after.ring.epoch, "shards", strings.Join(after.ring.shards, ","))
	}
	if before.joined && after.joined && !before.rest && after.rest && !after.leaving {
		log.Info("nothing is written: no shard is seen to lead, or the Lease of this one could not be renewed")
	}
}

// stop sees to it that Stop works at what is needed now. It is called with the lock.
func (s *Shards) stop(ctx context.Context, m state, now time.Time) {
	switch {
	case m.need == m.quiet || s.stopping == m.need:
		return
	case s.stopping != 0:
		s.cancel() // it has begun for less; when it has ended, it is begun anew
		return
	case now.Before(s.again):
		return
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.stopping = m.need
	go func() {
		err := s.quiet(ctx)
		superseded := ctx.Err() != nil
		s.mu.Lock()
		s.cancel()
		if err == nil {
			next := *s.state.Load()
			next.quiet = s.stopping
			s.state.Store(&next)
		} else if !superseded {
			s.again = time.Now().Add(s.options.Times.period())
		}
		s.stopping = 0
		s.mu.Unlock()
		if err != nil && !superseded {
			s.options.Log.Error(err, "wait for what is under way in members that are not this shard's")
		}
		s.wake()
	}()
}

func (s *Shards) quiet(ctx context.Context) error {
	if s.options.Stop == nil {
		return nil
	}
	return s.options.Stop(ctx, func(member string) bool { return s.state.Load().owns(member) })
}

// write makes a request, and notes what became of it.
func (s *Shards) write(ctx context.Context, q request) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Times.Renew/3)
	defer cancel()
	began := time.Now()
	a, err := s.do(ctx, q)
	if err != nil && ctx.Err() == nil {
		s.options.Log.Error(err, "write a Lease", "verb", q.verb, "lease", q.lease.name)
	}
	s.change(func(m state) state { return m.after(q, a, began, time.Now()) })
}

func (s *Shards) do(ctx context.Context, q request) (answer, error) {
	l := q.lease.object(s.options.Namespace)
	var err error
	switch q.verb {
	case create:
		l, err = s.leases.Create(ctx, l, metav1.CreateOptions{})
	case update:
		l, err = s.leases.Update(ctx, l, metav1.UpdateOptions{})
	case remove:
		o := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &q.lease.uid, ResourceVersion: &l.ResourceVersion}}
		err = s.leases.Delete(ctx, l.Name, o)
	}
	switch {
	case err == nil && q.verb != remove:
		s.store.Merge(l)
		return answer{done, parse(l)}, nil
	case err == nil:
		s.forget(q.lease)
		return answer{result: done}, nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err) && q.verb != create:
		return s.conflict(ctx, q.lease.name)
	}
	return answer{result: failed}, err
}

// conflict looks at what is there instead.
func (s *Shards) conflict(ctx context.Context, name string) (answer, error) {
	known, _ := s.store.Value(s.options.Namespace, name)
	l, err := s.leases.Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		s.store.Merge(l)
		return answer{conflict, parse(l)}, nil
	case apierrors.IsNotFound(err):
		s.forget(known)
		return answer{result: conflict}, nil
	}
	return answer{result: failed}, errors.Join(errors.New("another has written it meanwhile"), err)
}

// forget drops a Lease that is gone, unless a newer one is seen by now.
func (s *Shards) forget(known lease) {
	s.store.Lost(s.options.Namespace, known.name, func(l lease) bool { return l.version <= known.version })
}
