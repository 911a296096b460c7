package lab

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Link is a TCP path to something on loopback, usually a cluster's API server, that a test can cut, stall and heal.
// TLS passes through it unseen and still verifies: the API servers' certificates are good for 127.0.0.1.
type Link struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener       // nil while cut
	flow     chan struct{}      // closed while bytes may pass
	pairs    map[*pair]struct{} // the open connections
	closed   bool
	delay    time.Duration // of everything that passes
	serving  sync.WaitGroup
}

// pair is a client's connection and the one to the target that goes with it.
type pair struct {
	client, server net.Conn
	once           sync.Once
	ended          chan struct{}
}

// Forward makes a link to the cluster's API server. It starts healthy and ends with the test.
func (l *Lab) Forward(t testing.TB, cluster string) *Link {
	t.Helper()
	u, err := url.Parse(l.Config(cluster).Host)
	if err != nil {
		t.Fatalf("forward to cluster %s: %v", cluster, err)
	}
	return Forward(t, u.Host)
}

// Forward makes a link to target, a host:port on loopback.
func Forward(t testing.TB, target string) *Link {
	t.Helper()
	k, err := NewLink(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.close)
	return k
}

// NewLink is Forward where there is no test. It ends with the process.
func NewLink(target string) (*Link, error) {
	k := &Link{target: target, flow: make(chan struct{}), pairs: map[*pair]struct{}{}}
	close(k.flow)
	if err := k.listenAnywhere(); err != nil {
		return nil, fmt.Errorf("forward to %s: %w", target, err)
	}
	return k, nil
}

// Address is the link's near end, as host:port. It stays the same over Cut and Heal.
func (k *Link) Address() string { return k.address }

// URL is the link's near end for a client of an API server.
func (k *Link) URL() string { return "https://" + k.address }

// Config is a copy of config that takes this link.
func (k *Link) Config(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Host = k.URL()
	return config
}

// Cut breaks all connections and refuses new ones.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listener != nil {
		_ = k.listener.Close()
		k.listener = nil
	}
	for p := range k.pairs {
		p.end()
	}
}

// Stall makes a black hole of the link: connections stay open and new ones are accepted, but no byte passes, nor does
// the news that an end has closed. What is sent meanwhile arrives after Heal, as it would by retransmission.
func (k *Link) Stall() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flows() {
		k.flow = make(chan struct{})
	}
}

// Heal makes the link pass everything again.
func (k *Link) Heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.flows() {
		close(k.flow)
	}
	if k.listener != nil || k.closed {
		return
	}
	if err := k.listen(k.address); err != nil {
		panic(fmt.Sprintf("lab: heal the link to %s: %v", k.target, err)) // somebody has taken the port
	}
}

// Delay makes every answer, and every event of a watch, come so much later; zero makes the link fast again.
func (k *Link) Delay(by time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delay = by
}

func (k *Link) flows() bool {
	select {
	case <-k.flow:
		return true
	default:
		return false
	}
}

// listenAnywhere takes a port below those that outgoing connections use, as one of them might take it during a cut.
func (k *Link) listenAnywhere() (err error) {
	for range 100 {
		if err = k.listen(fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(10000))); err == nil {
			return nil
		}
	}
	return err
}

func (k *Link) listen(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	k.listener, k.address = listener, address
	k.serving.Go(func() { k.accept(listener) })
	return nil
}

func (k *Link) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return // closed by Cut
		}
		k.serving.Go(func() { k.serve(client, listener) })
	}
}

// serve passes bytes both ways until one end has closed.
func (k *Link) serve(client net.Conn, accepted net.Listener) {
	server, err := net.Dial("tcp", k.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client: client, server: server, ended: make(chan struct{})}
	defer p.end()
	if !k.add(p, accepted) {
		return
	}
	defer k.remove(p)
	var copying sync.WaitGroup
	copying.Go(func() { k.pass(p, p.server, p.client, func() time.Duration { return 0 }) })
	copying.Go(func() { k.pass(p, p.client, p.server, k.late) })
	copying.Wait()
}

// add counts the pair among those that Cut breaks. It is too late if the link was cut since the client was accepted.
func (k *Link) add(p *pair, accepted net.Listener) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listener != accepted {
		return false
	}
	k.pairs[p] = struct{}{}
	return true
}

func (k *Link) remove(p *pair) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pairs, p)
}

func (k *Link) late() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.delay
}

// chunk is what was read at once, or the end, and when it is to be passed on.
type chunk struct {
	bytes []byte
	at    time.Time
	err   error
}

// pass passes on what it reads, each chunk late by its own: what is slow is the way, not its width.
func (k *Link) pass(p *pair, to, from net.Conn, late func() time.Duration) {
	defer p.end()
	chunks := make(chan chunk, 1024)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			select {
			case chunks <- chunk{buffer[:n], time.Now().Add(late()), err}:
			case <-p.ended:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		if !k.awaitTime(p, c.at) || !k.awaitFlow(p) {
			return
		}
		if len(c.bytes) > 0 {
			if _, err := to.Write(c.bytes); err != nil {
				return
			}
		}
		if c.err != nil {
			return
		}
	}
}

// awaitTime returns at a time, with false if the pair has ended before.
func (k *Link) awaitTime(p *pair, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return true
	}
	select {
	case <-time.After(wait):
		return true
	case <-p.ended:
		return false
	}
}

// awaitFlow returns when bytes may pass, with false if the pair has ended before.
func (k *Link) awaitFlow(p *pair) bool {
	k.mu.Lock()
	flow := k.flow
	k.mu.Unlock()
	select {
	case <-flow:
		return true
	case <-p.ended:
		return false
	}
}

func (p *pair) end() {
	p.once.Do(func() {
		close(p.ended)
		_ = p.client.Close()
		_ = p.server.Close()
	})
}

func (k *Link) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.Cut()
	k.serving.Wait()
}
