package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcluster "sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/settings"
)

// Recorder records what happened to a KubeFedCluster once; a controller-runtime event recorder is one.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Rotator renews the token in the host's secret if it is time. It is called after each good probe, from the member's own goroutine;
// doing nothing is no error. See join.Rotator.
type Rotator func(ctx context.Context, member *rest.Config, secret *corev1.Secret) error

// Options are what a Controller needs.
type Options struct {
	// Host is the host cluster; a controller-runtime manager is one. Its cache must cover KubeFedClusters and Secrets in Namespace.
	Host ctrlcluster.Cluster
	// Namespace is the KubeFed namespace, in the host and in the members.
	Namespace string
	// HostIDs are the UIDs that mean the host itself: that of its kube-system namespace, and, where that may not be read,
	// NamespaceID of its KubeFed namespace.
	HostIDs []types.UID
	// Connect holds the settings of all connections.
	Connect ConnectOptions
	// Health returns the settings of probes; it is asked before each. Nil means KubeFed's defaults.
	Health func() Health
	// Watcher is told of every change.
	Watcher Watcher
	// Rotate renews credentials; nil leaves them as they are.
	Rotate Rotator
	// Recorder for events; nil uses the host's, as "kubefedcluster-controller".
	Recorder Recorder
	// Log of what is told nowhere else.
	Log logr.Logger
	// Owns says whether a member is this process's, Observes whether members of others are to be looked at all the same, as a leader does;
	// nil says that all members are this process's. Moved tells that the answers may have changed.
	Owns     func(name string) bool
	Observes func() bool
	// Observer guards what goes to members of others.
	Observer Guard
	// Clock to measure by; nil is the real one.
	Clock clock.Clock
	// Metrics is where the metrics are registered; nil is nowhere.
	Metrics *meter.Set
}

// NamespaceID is the ID of a cluster of which only the KubeFed namespace can be seen.
func NamespaceID(uid types.UID) types.UID { return "namespace:" + uid }

// Controller keeps the members. It is a manager.Runnable that needs leadership.
type Controller struct {
	host   ctrlcluster.Cluster
	record Recorder
	watch  Watcher
	rotate Rotator
	setting
	owns     func(string) bool
	observes func() bool
	observer Guard
	log      logr.Logger
	claims   claims
	queue    atomic.Pointer[requests]

	mu      sync.Mutex
	keepers map[string]*kept
	running sync.WaitGroup
}

type requests struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// kept is a keeper at work, or one that is ending.
type kept struct {
	*keeper
	of types.UID // the KubeFedCluster; "" once it is gone
	// yielded says that it ends because the member is another shard's now.
	yielded bool
	// left is when it was seen to be gone; zero while it is not.
	left time.Time
	end  context.CancelCauseFunc
}

// What ends a keeper before the control plane does: its member left, or is kept in another way from now on.
var (
	errLeft  = errors.New("the KubeFedCluster was deleted")
	errMoved = errors.New("the member belongs to another shard, or to this one again")
)

// New makes a Controller; nothing happens before Start.
func New(o Options) (*Controller, error) {
	m := newMetrics(o.Metrics)
	if err := o.Metrics.Err(); err != nil {
		return nil, err
	}
	o.Connect.dialled = m.dialled
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Health == nil {
		o.Health = func() Health { return settings.Default().Health }
	}
	if o.Recorder == nil {
		o.Recorder = o.Host.GetEventRecorder("kubefedcluster-controller")
	}
	if o.Owns == nil {
		o.Owns = func(string) bool { return true }
	}
	return &Controller{
		owns: o.Owns, observes: o.Observes, observer: o.Observer,
		host: o.Host, record: o.Recorder, watch: o.Watcher, rotate: o.Rotate, log: o.Log, keepers: map[string]*kept{},
		setting: setting{namespace: o.Namespace, hostIDs: o.HostIDs, connect: o.Connect, health: o.Health, clock: o.Clock, metrics: m},
	}, nil
}

// NeedLeaderElection says that only the leader probes and writes, unless each process does so for its own members.
func (c *Controller) NeedLeaderElection() bool { return c.observes == nil }

// Start keeps the members until the context ends, and returns when all of its goroutines have.
func (c *Controller) Start(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer c.running.Wait()
	defer stop()
	loop, err := controller.NewUnmanaged("kubefedcluster", controller.Options{
		Reconciler: reconcile.Func(func(_ context.Context, r reconcile.Request) (reconcile.Result, error) {
			return c.follow(ctx, r.Name)
		}),
		Logger:             c.log,
		SkipNameValidation: ptr.To(true), // a process may lead more than once
	})
	if err != nil {
		return fmt.Errorf("make the controller of KubeFedClusters: %w", err)
	}
	cache := c.host.GetCache()
	if err := errors.Join(
		loop.Watch(source.Kind(cache, &fedv1.KubeFedCluster{}, &handler.TypedEnqueueRequestForObject[*fedv1.KubeFedCluster]{},
			within[*fedv1.KubeFedCluster](c.namespace))),
		loop.Watch(source.Kind(cache, &corev1.Secret{}, handler.TypedEnqueueRequestsFromMapFunc(c.usersOf),
			within[*corev1.Secret](c.namespace))),
		loop.Watch(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			c.queue.Store(&requests{q})
			return nil
		})),
	); err != nil {
		return fmt.Errorf("watch KubeFedClusters and their secrets: %w", err)
	}
	return loop.Start(ctx)
}

func within[T client.Object](namespace string) predicate.TypedPredicate[T] {
	return predicate.NewTypedPredicateFuncs(func(o T) bool { return o.GetNamespace() == namespace })
}

// usersOf returns the KubeFedClusters whose credential is in a secret.
func (c *Controller) usersOf(ctx context.Context, s *corev1.Secret) []reconcile.Request {
	all, err := c.list(ctx)
	if err != nil {
		c.log.Error(err, "a changed secret is not followed", "secret", s.Name)
		return nil
	}
	var out []reconcile.Request
	for i := range all {
		if all[i].Spec.SecretRef.Name == s.Name {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all[i])})
		}
	}
	return out
}

func (c *Controller) list(ctx context.Context) ([]fedv1.KubeFedCluster, error) {
	var all fedv1.KubeFedClusterList
	if err := c.host.GetClient().List(ctx, &all, client.InNamespace(c.namespace)); err != nil {
		return nil, fmt.Errorf("list KubeFedClusters: %w", err)
	}
	return all.Items, nil
}

// follow lets a KubeFedCluster's keeper know what the host says now. The context is that of the keepers.
func (c *Controller) follow(ctx context.Context, name string) (reconcile.Result, error) {
	if err := c.enter(ctx); err != nil {
		return reconcile.Result{}, err
	}
	now := &fedv1.KubeFedCluster{}
	err := c.host.GetClient().Get(ctx, c.key(name), now)
	if apierrors.IsNotFound(err) {
		c.leave(name)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("get KubeFedCluster %s: %w", name, err)
	}
	secret, err := c.secretOf(ctx, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	c.meet(ctx, record{now, secret})
	return reconcile.Result{}, nil
}

// enter makes known all claims to an ID before the first member is probed, so that the younger of two can be told then.
func (c *Controller) enter(ctx context.Context) error {
	if c.claims.known() {
		return nil
	}
	all, err := c.list(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		c.claims.make(claim{name: all[i].Name, id: Pinned(&all[i], nil), created: all[i].CreationTimestamp})
	}
	return nil
}

func (c *Controller) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: c.namespace, Name: name}
}

// secretOf returns a KubeFedCluster's secret, nil if there is none. That there is none is asked of the host itself: the cache may not
// have seen yet what was made a moment before the KubeFedCluster.
func (c *Controller) secretOf(ctx context.Context, of *fedv1.KubeFedCluster) (*corev1.Secret, error) {
	s, key := &corev1.Secret{}, c.key(of.Spec.SecretRef.Name)
	err := c.host.GetClient().Get(ctx, key, s)
	if apierrors.IsNotFound(err) {
		err = c.host.GetAPIReader().Get(ctx, key, s)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get secret %s of KubeFedCluster %s: %w", key.Name, of.Name, err)
	}
	return s, nil
}

// meet hands news to a member's keeper, a new one if the member is new.
func (c *Controller) meet(ctx context.Context, r record) {
	name := r.cluster.Name
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.keepers[name]
	if before != nil && before.of == r.cluster.UID && before.mode == c.mode(name) && !before.yielded {
		before.meet(r)
		return
	}
	own, end := context.WithCancelCause(ctx)
	now := &kept{keeper: c.newKeeper(r), of: r.cluster.UID, end: end}
	c.keepers[name] = now
	c.count()
	if before != nil && before.of == r.cluster.UID {
		before.end(errMoved)
	} else if before != nil {
		before.end(errLeft)
	}
	c.running.Go(func() {
		defer end(nil)
		if before != nil {
			<-before.gone
		}
		c.keep(own, name, now)
	})
}

// keep runs a keeper and clears up after it, before the next of the same name begins.
func (c *Controller) keep(ctx context.Context, name string, k *kept) {
	defer close(k.gone)
	k.run(ctx)
	if errors.Is(context.Cause(ctx), errMoved) {
		c.metrics.drop(name)
		c.forget(name, k)
		return
	}
	if context.Cause(ctx) != errLeft { //nolint:errorlint // it is never wrapped
		return
	}
	affected := c.claims.drop(name)
	c.metrics.drop(name)
	c.watch.ClusterGone(name)
	c.rouse(affected)
	c.forget(name, k)
	if !k.left.IsZero() {
		c.metrics.unjoin.WithLabelValues().Observe(c.clock.Since(k.left).Seconds())
	}
}

func (c *Controller) forget(name string, k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keepers[name] == k {
		delete(c.keepers, name)
		c.count()
	}
}

// newKeeper returns a keeper of the kind that a member is to have now.
func (c *Controller) newKeeper(r record) *keeper {
	name, s := r.cluster.Name, c.setting
	mode := c.mode(name)
	if mode == observes {
		s.connect.Guard = c.observer
	}
	k := newKeeper(r, c.powers(), s, c.log.WithValues("cluster", name))
	k.mode = mode
	return k
}

func (c *Controller) mode(name string) mode {
	switch {
	case c.owns(name):
		return keeps
	case c.observes():
		return observes
	default:
		return listens
	}
}

// Moved looks again at whose the members are.
func (c *Controller) Moved(ctx context.Context) {
	q := c.queue.Load()
	if q == nil {
		return // all will be looked at when it starts
	}
	all, err := c.list(ctx)
	if err != nil {
		c.log.Error(err, "members that have moved are not followed")
	}
	for i := range all {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all[i])})
	}
}

// Yield ends the keepers of members that are not this process's, and returns when nothing more comes from them, or an error if the
// context ends before.
func (c *Controller) Yield(ctx context.Context, owns func(name string) bool) error {
	c.mu.Lock()
	var ending []*kept
	for name, k := range c.keepers {
		if k.mode == keeps && !owns(name) {
			k.yielded = true
			k.end(errMoved)
			ending = append(ending, k)
		}
	}
	c.mu.Unlock()
	for _, k := range ending {
		select {
		case <-k.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// count shows how many members there are. The caller holds the lock.
func (c *Controller) count() { c.metrics.joined.WithLabelValues().Set(float64(len(c.keepers))) }

func (c *Controller) leave(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keepers[name]; k != nil {
		k.of = ""
		if k.left.IsZero() {
			k.left = c.clock.Now()
		}
		k.end(errLeft)
	}
}

func (c *Controller) rouse(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range names {
		if k := c.keepers[n]; k != nil {
			k.rouse()
		}
	}
}

func (c *Controller) powers() powers {
	return powers{
		look: look,
		write: func(ctx context.Context, k *fedv1.KubeFedCluster) (*fedv1.KubeFedCluster, error) {
			return k, c.host.GetClient().Status().Update(ctx, k)
		},
		read: func(ctx context.Context, name string) (*fedv1.KubeFedCluster, error) {
			k := &fedv1.KubeFedCluster{}
			return k, c.host.GetAPIReader().Get(ctx, c.key(name), k)
		},
		claim: func(mine claim) string {
			first, affected := c.claims.make(mine)
			c.rouse(affected)
			return first
		},
		tell: c.watch,
		record: func(k *fedv1.KubeFedCluster, e event) {
			c.record.Eventf(k, nil, e.kind, e.reason, "Probe", "%s", e.note) // never as the format: it holds other programs' text
		},
		rotate: c.rotate,
	}
}
