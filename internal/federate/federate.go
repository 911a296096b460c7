// Package federate answers: in which order does it all happen? It is the conductor: it gathers the world of one federated object,
// has the pure packages decide, restrain and fold, has the fleet act and the host write, and knows nothing of what any of it means.
package federate

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hansa-io/hansa/internal/fleet"
	"github.com/hansa-io/hansa/internal/guard"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// patience is how long something may be under way before the user is told about it.
const patience = 5 * time.Second

// Queue holds the keys of the objects whose world may have changed.
type Queue = workqueue.TypedRateLimitingInterface[intent.Key]

// Members is what the conductor may ask of the fleet.
type Members interface {
	Look(intent.Type, intent.Key) (members []plan.Member, known bool)
	Submit(plan.Plan) []plan.Outcome
	Published(plan.Plan)
	// Settled says that no list is under way any more; Moved is closed when that may next differ.
	Settled() bool
	Moved() <-chan struct{}
}

// Shards are what the conductor may ask about the other processes that have members of this federation.
type Shards interface {
	// Speaks says whether this process speaks of an object that no process has anything in.
	Speaks(intent.Key) bool
	// Surveying says that another is still reading what its members hold; Behind that one has found the host to be behind them.
	Surveying() bool
	Behind() bool
	// Before is how many of the shards that have these members are before this one in telling of an object.
	Before(k intent.Key, members []string) int
	// Leads says that this process leads, and so sees the status that is collected in all members.
	Leads() bool
}

// Reconciler conducts.
type Reconciler struct {
	kinds    *Kinds
	members  Members
	debts    *Debts
	ledger   *Ledger
	recovery *Recovery
	versions *Versions
	host     host
	shards   Shards
	settings func() plan.Settings
	tell     func(intent.Type, *intent.Intent, []rollup.Event)
	log      logr.Logger
	waiting  waiting
	pace     pace
	turns    turns
	pruned   pruned
	glimpses glimpses
	services services
	metrics  metrics
}

// Options of a Reconciler.
type Options struct {
	Kinds   *Kinds
	Members Members
	Debts   *Debts
	Ledger  *Ledger
	// Shards that this one is one of; nil if it has all members.
	Shards Shards
	// Recovery restrains removals while the host is behind.
	Recovery *Recovery
	// Versions are KubeFed's records of what was written where.
	Versions *Versions
	// Host's API; Namespace is the KubeFed namespace in it.
	Host      dynamic.Interface
	Namespace string
	// NamespacedScope says that this control plane propagates within its own namespace only.
	NamespacedScope bool
	Settings        func() plan.Settings
	// Tell publishes events about a federated object.
	Tell func(intent.Type, *intent.Intent, []rollup.Event)
	// Measure says what is measured.
	Measure Measure
	Log     logr.Logger
}

// New returns a conductor.
func New(o Options) *Reconciler {
	r := &Reconciler{
		kinds: o.Kinds, members: o.Members, debts: o.Debts, ledger: o.Ledger, recovery: o.Recovery, versions: o.Versions,
		host:   host{client: o.Host, namespace: o.Namespace, namespacedScope: o.NamespacedScope},
		shards: o.Shards, settings: o.Settings, tell: o.Tell, log: o.Log,
		waiting:  waiting{since: map[intent.Key]time.Time{}},
		pruned:   pruned{m: map[intent.Key]pruning{}},
		pace:     pace{written: map[intent.Key]time.Time{}},
		services: services{told: map[intent.Key]string{}},
	}
	r.metrics = o.Measure.begin(r)
	return r
}

// Reconcile takes one federated object from what is known to what is told.
func (r *Reconciler) Reconcile(ctx context.Context, key intent.Key) (result reconcile.Result, err error) {
	defer r.metrics.took(time.Now())
	defer func() {
		if p := recover(); p != nil {
			r.metrics.panics.Inc()
			err = fmt.Errorf("reconcile %v: panic: %v\n%s", key, p, debug.Stack()) // delays this object only
		}
	}()
	world, ok := r.gather(key)
	if !ok {
		return reconcile.Result{}, nil // its inputs are being read; it is woken when they have been
	}
	p := r.ledger.Guard(r.restrain(plan.Make(world), world), world.Intent)
	p.Since = since(world)
	if world, err = r.hold(ctx, p, world); err != nil {
		return reconcile.Result{}, fmt.Errorf("hold %v: %w", key, err)
	}
	got := r.members.Submit(p)
	told := rollup.Of(p, got, world.Intent, r.waiting.late(key), world.Now)
	later, err := r.publish(ctx, p, world, told)
	if r.shards == nil || r.shards.Leads() {
		err = errors.Join(err, r.tellServices(ctx, p, world))
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("publish %v: %w", key, err)
	}
	wait := sooner(later, r.waiting.next(key, p, told, world.Now))
	if err := r.keepVersions(ctx, p, world, told); err != nil {
		r.log.Error(err, "keep KubeFed's record") // it holds nothing up
		wait = sooner(wait, recordAgain)
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// restrain holds removals back while the host may be behind what its members have seen, by this process's word or another's.
func (r *Reconciler) restrain(p plan.Plan, w plan.World) plan.Plan {
	p = r.recovery.Guard(p, w)
	switch {
	case r.shards == nil:
		return p
	case r.shards.Surveying():
		return guard.Freeze(p, plan.Observing, "")
	case r.shards.Behind():
		return guard.Freeze(p, plan.RecoveryHold, plan.RecoveryMessage)
	default:
		return p
	}
}

// Note tells, as an event on the federated object, what a step did otherwise than planned.
func (r *Reconciler) Note(key intent.Key, member, message string) {
	k, ok := r.kinds.kind(key.Type)
	if !ok {
		return
	}
	if i, ok := k.store.Value(key.Namespace, key.Name); ok {
		r.tell(k.Type, i, []rollup.Event{{Warning: true, Reason: "KeptInCluster", Message: member + ": " + message, Cluster: member}})
	}
}

// fleet implements Members.
var _ Members = (*fleet.Fleet)(nil)

// waiting remembers since when objects have been under way.
type waiting struct {
	mu    sync.Mutex
	since map[intent.Key]time.Time
}

func (w *waiting) late(key intent.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, ok := w.since[key]
	return ok && time.Since(since) >= patience
}

// next says when to look at an object again although nothing has happened; zero means never.
func (w *waiting) next(key intent.Key, p plan.Plan, told rollup.Told, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var wait time.Duration
	if told.Settled {
		delete(w.since, key)
	} else if since, ok := w.since[key]; !ok {
		w.since[key] = time.Now()
		wait = patience
	} else {
		wait = max(patience-time.Since(since), 0)
	}
	if !p.Recheck.IsZero() {
		wait = sooner(wait, max(p.Recheck.Sub(now), time.Second))
	}
	return wait
}

// sooner is the shorter of two waits, of which zero means for ever.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
