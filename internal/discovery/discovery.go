// Package discovery answers: how do the services of all clusters come into each of them? It is the conductor of multi-cluster services:
// it reads what the members hold, lets discovery/plan decide, and hands the acts to one lane for each member.
package discovery

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"

	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/observe"
)

// Members are what the conductor asks of what watches the members.
type Members interface {
	World(types.NamespacedName) plan.World
	Keys() []types.NamespacedName
	Concerns(types.NamespacedName) bool
	Watch(func(types.NamespacedName))
	// Settled says that of every member that is ready, all has been read; Moved is closed when that may next differ.
	Settled() bool
	Moved() <-chan struct{}
	Connection(member string) (context.Context, *rest.Config, error)
	Learn(member string, o metav1.Object)
	Lost(member string, o metav1.Object)
}

// Options of a conductor.
type Options struct {
	Members Members
	// Settings are those of all plans; on says whether anything is to be done at all.
	Settings func() (s plan.Settings, on bool)
	// Workers is how many services are written into each member at the same time.
	Workers int
	Metrics *meter.Set
	Log     logr.Logger
}

// Conductor brings the services of all clusters into each of them.
type Conductor struct {
	opts    Options
	queue   workqueue.TypedRateLimitingInterface[types.NamespacedName]
	pace    pace
	metrics *metrics
	settled atomic.Bool
	turned  observe.Signal

	mu    sync.Mutex
	lanes map[string]*lane
}

// The pace of the conductor.
const (
	// deciders is how many services are decided on at the same time.
	deciders = 4
	// patience bounds the wait, after the start, for members whose lists do not come.
	patience = 30 * time.Second
	// margin is added to the wait for a moment, so that it has come for all.
	margin = 100 * time.Millisecond
)

// New returns a conductor that is told of changes from now on, and acts while Run runs.
func New(o Options) *Conductor {
	c := &Conductor{
		opts: o, lanes: map[string]*lane{}, metrics: newMetrics(o.Metrics),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](time.Second, time.Minute),
			workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: "services"}),
	}
	o.Members.Watch(func(k types.NamespacedName) {
		if o.Members.Concerns(k) {
			c.queue.Add(k)
		}
	})
	return c
}

// Run decides until the context ends. While the gate is off it does nothing.
func (c *Conductor) Run(ctx context.Context) error {
	var done sync.WaitGroup
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	done.Go(func() { c.settle(ctx) })
	for range deciders {
		done.Go(func() {
			for c.next() {
			}
		})
	}
	done.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lanes {
		l.close()
	}
	return nil
}

// Turned tells that the gate may have been switched. It does not block.
func (c *Conductor) Turned() { c.turned.Moved() }

// settle waits, whenever the gate is switched on, until what all members hold has been read: what was not seen yet would look like a change.
func (c *Conductor) settle(ctx context.Context) {
	impatient := time.NewTimer(patience)
	defer impatient.Stop()
	waits, enough := false, false
	for {
		turned, moved := c.turned.Next(), c.opts.Members.Moved()
		switch _, on := c.opts.Settings(); {
		case !on:
			waits, enough = false, false
			c.settled.Store(false)
		case !waits:
			waits = true
			impatient.Reset(patience)
		}
		if waits && !c.settled.Load() && (enough || c.opts.Members.Settled()) {
			c.settled.Store(true)
			for _, k := range c.opts.Members.Keys() {
				c.queue.Add(k)
			}
		}
		if c.settled.Load() {
			moved = nil // until the gate is switched off
		}
		select {
		case <-ctx.Done():
			return
		case <-turned:
		case <-moved:
		case <-impatient.C:
			enough = waits
		}
	}
}

func (c *Conductor) next() bool {
	key, down := c.queue.Get()
	if down {
		return false
	}
	defer c.queue.Done(key)
	c.safely(key)
	return true
}

// safely looks at one service. A panic delays that one only.
func (c *Conductor) safely(key types.NamespacedName) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(fmt.Errorf("decide on service %v: panic: %v", key, p))
			c.queue.AddRateLimited(key)
		}
	}()
	c.reconcile(key)
	c.queue.Forget(key)
}

func (c *Conductor) panicked(err error) {
	c.metrics.panics.WithLabelValues("services").Inc()
	c.opts.Log.Error(err, "a service panicked", "stack", string(debug.Stack()))
}

// reconcile looks at one service: gather, decide, act.
func (c *Conductor) reconcile(key types.NamespacedName) {
	settings, on := c.opts.Settings()
	if !on || !c.settled.Load() {
		return
	}
	start := time.Now()
	w := c.opts.Members.World(key)
	for n := range w.Clusters {
		if problem := c.lane(w.Clusters[n].Name).problem(key); problem != nil {
			w.Held[n].Problem, w.Held[n].FamilyProblem = problem.words, problem.family
		}
	}
	p := plan.Make(w, settings)
	c.metrics.decided(time.Since(start))
	if wait := c.pace.wait(key, p, time.Now()); wait > 0 {
		c.queue.AddAfter(key, wait)
		return
	}
	for _, step := range p.Steps {
		c.lane(step.Cluster).submit(key, step.Acts)
	}
	if !p.Again.IsZero() {
		c.queue.AddAfter(key, time.Until(p.Again)+margin)
	}
}

func (c *Conductor) lane(member string) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[member]
	if l == nil {
		l = newLane(c.opts.Workers, func(key types.NamespacedName, acts []plan.Act) error { return c.perform(member, key, acts) }, c.queue.Add)
		c.lanes[member] = l
	}
	return l
}
