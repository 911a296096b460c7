package drive_test

import (
	"math"
	"net"
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/feed"
	"github.com/hansa-io/hansa/internal/discovery/xds"
)

// chain is all there is between a model and its clients: the control plane's xDS server, the client of it, the driver and HAProxy.
type chain struct {
	*proxy
	xds     *xds.Server
	client  *feed.Client
	address string
	leave   func() // ends the control plane
}

func newChain(t *testing.T, where *corev3.Locality) *chain {
	c := &chain{proxy: start(t), address: "127.0.0.1:0"}
	ready := c.serve()
	c.xds.Set(balance.Model{Listeners: []balance.Listener{c.listener()}})
	<-ready
	credentials, err := feed.Plain([]string{c.address})
	if err != nil {
		t.Fatal(err)
	}
	c.client = feed.New(feed.Options{
		Addresses: []string{c.address}, Credentials: credentials, Node: &corev3.Node{Id: "test", Locality: where}, Set: c.driver.Set, Log: logger(),
	})
	run(t, c.client.Run)
	return c
}

// serve starts a control plane. It listens as soon as it has a model.
func (c *chain) serve() (listening chan struct{}) {
	listening = make(chan struct{})
	c.xds = xds.New(xds.Options{
		Address: c.address, Log: logger(), Tell: func(string, string) {},
		Listening: func(a net.Addr) { c.address = a.String(); close(listening) },
	})
	c.leave = run(c.t, c.xds.Run)
	return listening
}

var web = balance.Backend{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "web"}, Port: 80, Weight: 1}

func (c *chain) listener() balance.Listener {
	return balance.Listener{
		Name: "shop/public/web", Address: "127.0.0.1", Port: int32(c.port), Protocol: balance.HTTP,
		Routes: []balance.Route{{Name: "shop/web", Backends: []balance.Backend{web}}},
	}
}

func (c *chain) model(l ...balance.Locality) balance.Model {
	return balance.Model{
		Listeners: []balance.Listener{c.listener()},
		Services:  []balance.Service{{NamespacedName: web.NamespacedName, Port: web.Port, Localities: l}},
	}
}

func locality(cluster string, servers []*backend) balance.Locality {
	l := balance.Locality{Cluster: cluster, Region: "region-of-" + cluster, Zone: "zone-of-" + cluster, Weight: 100}
	for _, s := range servers {
		l.Endpoints = append(l.Endpoints, balance.Endpoint{Address: s.address, Port: int32(s.port), Ready: true, Serving: true})
	}
	return l
}

// until sends requests until one is as it should be, and says how long that took.
func (c *chain) until(l *load, what string, ok func(from map[string]int) bool) time.Duration {
	c.t.Helper()
	began := time.Now()
	l.reset()
	eventually(c.t, what, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return ok(l.from)
	})
	return time.Since(began)
}

// From the model to the answers of HAProxy: near first, drained, weighted, without a control plane, and dead.
func TestChain(t *testing.T) {
	c := newChain(t, &corev3.Locality{Region: "region-of-a", Zone: "zone-of-a"})
	a, b := locality("a", cluster(t, "a", 61, 3)), cluster(t, "b", 62, 3)
	there := locality("b", b)
	c.xds.Set(c.model(a, there))
	eventually(t, "HAProxy answers", func() bool {
		got, err := get(t.Context(), clientOf(t), c.url())
		return err == nil && got == "a"
	})
	l := generate(t, 8, c.url())
	l.more(t, 1000)
	from, failed := l.reset()
	none(t, "steady", failed)
	if from["b"] != 0 {
		t.Errorf("steady: %v, want all from the near cluster", from)
	}

	// Drained, and back.
	var moved, back time.Duration
	for range 3 {
		drained := a
		drained.Drain = true
		c.xds.Set(c.model(drained, there))
		moved = max(moved, c.until(l, "the other cluster answers", func(from map[string]int) bool { return from["b"] > 0 }))
		c.until(l, "only the other cluster answers", func(from map[string]int) bool { return from["b"] > 500 })
		c.xds.Set(c.model(a, there))
		back = max(back, c.until(l, "the near cluster answers", func(from map[string]int) bool { return from["a"] > 0 }))
	}
	_, failed = l.reset()
	none(t, "drained three times", failed)
	t.Logf("change of the model until the first answer from elsewhere: drained %v, back %v at most of three", moved, back)

	// An endpoint more, and gone again.
	more := a
	extra := serve(t, "extra", "127.0.63.1")
	more.Endpoints = append(slices.Clone(a.Endpoints), balance.Endpoint{Address: extra.address, Port: int32(extra.port), Ready: true, Serving: true})
	c.xds.Set(c.model(more, there))
	added := c.until(l, "the new endpoint answers", func(from map[string]int) bool { return from["extra"] > 0 })
	c.xds.Set(c.model(a, there))
	c.until(l, "all others answer", func(from map[string]int) bool { return from["a"] > 300 })
	eventually(t, "the endpoint that is gone does not answer", func() bool {
		l.reset()
		l.more(t, 100)
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.from["extra"] == 0
	})
	t.Logf("change of the model until the first answer of a new endpoint: %v", added)

	// The control plane is away: nothing changes, not even if a cluster dies.
	eventually(t, "no server is leaving any more", func() bool { s := c.driver.Stats(); return s.Current && s.Leaving == 0 })
	before := c.driver.Stats()
	c.leave()
	l.more(t, 500)
	for _, s := range b {
		s.kill()
	}
	l.more(t, 500)
	ready := c.serve()
	c.xds.Set(c.model(a, there))
	<-ready
	eventually(t, "the driver is connected again", func() bool { return c.client.Stats().Connected })
	l.more(t, 500)
	if s := c.driver.Stats(); s.Commands != before.Commands || s.Reloads != before.Reloads || s.FileWrites != before.FileWrites {
		t.Errorf("a control plane that went and came back with the same made the driver do something: %+v, before %+v", s, before)
	}
	_, failed = l.reset()
	none(t, "in all", failed)
	if s := c.driver.Stats(); s.CommandErrors+s.ReloadErrors > 0 || s.Reloads > 2 {
		t.Errorf("%+v: want no errors, and no reload but for the listener and its service", s)
	}
}

// Clusters of the same distance share by their weights, whatever their sizes.
func TestChainWeights(t *testing.T) {
	c := newChain(t, nil)
	a, b := locality("a", cluster(t, "a", 64, 1)), locality("b", cluster(t, "b", 65, 3))
	c.xds.Set(c.model(a, b))
	eventually(t, "HAProxy answers", func() bool {
		_, err := get(t.Context(), clientOf(t), c.url())
		return err == nil
	})
	l := generate(t, 8, c.url())
	for _, weights := range [][2]int{{300, 100}, {100, 100}, {0, 100}} {
		a.Weight, b.Weight = weights[0], weights[1]
		// Each endpoint has its cluster's weight: a has one, b three.
		asked := float64(weights[0]) / float64(weights[0]+3*weights[1])
		c.xds.Set(c.model(a, b))
		share := 0.0
		eventually(t, "the shares are as asked for", func() bool {
			l.reset()
			l.more(t, 2000)
			l.mu.Lock()
			defer l.mu.Unlock()
			share = float64(l.from["a"]) / float64(l.from["a"]+l.from["b"])
			return math.Abs(share-asked) < 0.02
		})
		t.Logf("weights %v: share of a %.3f, asked for %.3f", weights, share, asked)
		_, failed := l.reset()
		none(t, "weights", failed)
	}
}
