// Package gateway answers: how do Gateways, routes and FederatedServices of the host become what load balancers are fed with? It watches
// them, has package front decide, feeds the model, and tells everybody in statuses. It runs on the leader, while the gate is on.
package gateway

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/discovery/plan/front"
	"github.com/hansa-io/hansa/internal/meter"
)

const (
	// patience is how long the first model waits for members to be read.
	patience = time.Minute
	// gap is the least time between two models: changes of a moment go into one.
	gap = 50 * time.Millisecond
	// retry is the wait after a status could not be written.
	retry = 2 * time.Second
	// lookAgain is how often the host is asked which kinds it serves.
	lookAgain = 5 * time.Second
)

// Services are what the members hold.
type Services interface {
	World(types.NamespacedName) plan.World
	Keys() []types.NamespacedName
	// Settled says that of every member that is ready, all has been read.
	Settled() bool
	Watch(func(types.NamespacedName))
}

// Options of a Controller.
type Options struct {
	// Host's API; Cache reads FederatedTypeConfigs, which are in Namespace.
	Host      dynamic.Interface
	Cache     client.Reader
	Namespace string
	// NamespacedScope says that this control plane works within Namespace only. Then there are no Gateways: their classes belong to no
	// namespace.
	NamespacedScope bool
	// Served lists the resources of a group and version, as the host's discovery does.
	Served   func(groupVersion string) (*metav1.APIResourceList, error)
	Services Services
	Feed     balance.Feed
	// On is the feature gate.
	On func() bool
	// Tell publishes an event about a FederatedService.
	Tell    func(about runtime.Object, kind, reason, message string)
	Log     logr.Logger
	Metrics *meter.Set
}

// Controller keeps the model and the statuses.
type Controller struct {
	opts   Options
	woken  chan struct{}
	panics prometheus.Counter

	mu sync.Mutex
	// dirty are the services to look at again; all says that it is every one.
	dirty map[types.NamespacedName]bool
	all   bool

	// What follows belongs to the loop.

	*sources
	began time.Time
	// services are what is balanced, by the service's name; due is when time alone changes that.
	services map[types.NamespacedName][]balance.Service
	due      map[types.NamespacedName]time.Time
	// wanted are the FederatedServices that are balanced.
	wanted map[types.NamespacedName]bool
	// fed is what the load balancers were told last; nil if nothing.
	fed *balance.Model
	// pruned is what the host did not keep of what it was told: KubeFed's definitions drop what they do not know.
	pruned map[types.NamespacedName]*front.Told
}

// New returns a controller. Nothing happens before Run.
func New(o Options) *Controller {
	c := &Controller{
		opts: o, woken: make(chan struct{}, 1), dirty: map[types.NamespacedName]bool{},
		panics: o.Metrics.Counter(meter.Panics).WithLabelValues("gateway"),
	}
	o.Services.Watch(func(k types.NamespacedName) {
		c.mu.Lock()
		c.dirty[k] = true
		c.mu.Unlock()
		c.Wake()
	})
	return c
}

// Wake looks at everything on the host again, and at the gate. It does not block.
func (c *Controller) Wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// Run feeds and tells until the context ends.
func (c *Controller) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if c.opts.On() {
			c.serve(ctx)
			continue
		}
		c.changes() // nobody asks for them
		select {
		case <-ctx.Done():
		case <-c.woken:
		}
	}
	return nil
}

// serve works until the gate is off. What the load balancers have stays with them, as do the statuses.
func (c *Controller) serve(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c.sources = c.newSources(ctx)
	c.services, c.due = map[types.NamespacedName][]balance.Service{}, map[types.NamespacedName]time.Time{}
	c.wanted, c.pruned = map[types.NamespacedName]bool{}, map[types.NamespacedName]*front.Told{}
	c.began, c.fed = time.Now(), nil
	c.mu.Lock()
	c.all = true
	c.mu.Unlock()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	c.look(ctx)
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			c.look(ctx)
		case <-c.woken:
		case <-again.C:
		}
		if !c.opts.On() {
			return
		}
		again.Reset(c.pass(ctx))
		select {
		case <-ctx.Done():
		case <-time.After(gap):
		}
	}
}

// pass makes the model and tells of it, once. It says when to do so again although nothing happens.
func (c *Controller) pass(ctx context.Context) (again time.Duration) {
	defer func() {
		if p := recover(); p != nil {
			c.panics.Inc()
			c.opts.Log.Error(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), "the model of load balancers stays as it is")
			again = lookAgain
		}
	}()
	if !c.synced() {
		return lookAgain // it is woken before that
	}
	if c.fed == nil && !c.opts.Services.Settled() && time.Since(c.began) < patience {
		// An empty model, or half of one, would take away what load balancers have.
		return min(time.Second, patience-time.Since(c.began))
	}
	w := c.world(c.opts.Namespace)
	c.refresh(w.Federated)
	w.Services = c.balanced()
	w.Now = metav1.Now().Rfc3339Copy()
	p := front.Make(w)
	if m := (balance.Model{Listeners: p.Listeners, Services: w.Services}); c.fed == nil || !reflect.DeepEqual(*c.fed, m) {
		c.opts.Feed.Set(m)
		c.fed = &m
	}
	if !c.tell(ctx, p) {
		return retry
	}
	return c.next()
}

// refresh looks at the services that have changed.
func (c *Controller) refresh(federated []front.Federated) {
	wanted := map[types.NamespacedName]bool{}
	for _, f := range federated {
		if f.Wanted() {
			wanted[f.NamespacedName] = true
		}
	}
	keys, all := c.changes()
	if all {
		clear(c.services)
		clear(c.due)
		for _, k := range c.opts.Services.Keys() {
			keys[k] = true
		}
	}
	for _, list := range []map[types.NamespacedName]bool{wanted, c.wanted} {
		for k := range list {
			if all || wanted[k] != c.wanted[k] {
				keys[k] = true
			}
		}
	}
	now := time.Now()
	for k, due := range c.due {
		if !due.After(now) {
			keys[k] = true
		}
	}
	c.wanted = wanted
	for k := range keys {
		c.refreshOne(k)
	}
}

func (c *Controller) refreshOne(k types.NamespacedName) {
	w := c.opts.Services.World(k)
	list := plan.Balance(w)
	if c.wanted[k] {
		// The federation's own copies are all of one service, whether or not each is exported yet.
		if copies := plan.BalanceCopies(w); len(copies) > 0 {
			list = copies
		}
	}
	if delete(c.services, k); len(list) > 0 {
		c.services[k] = list
	}
	delete(c.due, k)
	if due, ok := plan.BalanceDue(w); ok && len(list) > 0 {
		c.due[k] = due
	}
}

// changes takes what has changed since it was last asked.
func (c *Controller) changes() (keys map[types.NamespacedName]bool, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys, all = c.dirty, c.all
	c.dirty, c.all = map[types.NamespacedName]bool{}, false
	return keys, all
}

// balanced are all services, sorted.
func (c *Controller) balanced() []balance.Service {
	var out []balance.Service
	for _, k := range slices.SortedFunc(maps.Keys(c.services), byName) {
		out = append(out, c.services[k]...)
	}
	return out
}

// next is the time until something is due.
func (c *Controller) next() time.Duration {
	wait := time.Hour
	for _, due := range c.due {
		wait = min(wait, time.Until(due))
	}
	return max(wait, 0)
}
