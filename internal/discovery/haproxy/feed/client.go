package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/go-logr/logr"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// Options of a Client.
type Options struct {
	// Addresses of the control plane, HOST:PORT; only its leader answers, so all that a name leads to are tried.
	Addresses []string
	// Credentials are asked for each connection, so that renewed certificates are used.
	Credentials func() (credentials.TransportCredentials, error)
	// Node says who asks and from where.
	Node *corev3.Node
	// Set takes what is wanted, each time that it has changed.
	Set func(haproxy.Config)
	Log logr.Logger
	// Patience is how long what refers to something that was not sent is held back; 15 s if it is 0.
	Patience time.Duration
}

// Client follows the control plane. What it knows it keeps while that is not there.
type Client struct {
	o     Options
	known known
	told  *haproxy.Config // what Set was told last

	mu    sync.Mutex
	stats Stats
}

// Stats are what a Client has seen.
type Stats struct {
	Connected             bool
	Connections, Received uint64
	Refused               uint64
}

// New returns a Client that Run starts.
func New(o Options) *Client {
	if o.Patience == 0 {
		o.Patience = 15 * time.Second
	}
	return &Client{o: o}
}

// Stats returns what the client has seen so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

func (c *Client) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

const (
	leastWait = 200 * time.Millisecond
	mostWait  = 10 * time.Second
)

// Run follows the control plane until the context ends.
func (c *Client) Run(ctx context.Context) {
	wait := leastWait
	for i := 0; ctx.Err() == nil; i++ {
		to := c.o.Addresses[i%len(c.o.Addresses)]
		before := c.Stats().Received
		err := c.follow(ctx, to)
		c.count(func(s *Stats) { s.Connected = false })
		if c.Stats().Received > before {
			wait = leastWait
		}
		if ctx.Err() != nil {
			return
		}
		c.o.Log.Info("no connection to the control plane; HAProxy goes on with what it has", "address", to, "cause", err.Error(), "again", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait + rand.N(wait/2)): // not all at once
		}
		wait = min(2*wait, mostWait)
	}
}

// follow is one connection.
func (c *Client) follow(ctx context.Context, to string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	creds, err := c.o.Credentials()
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(to, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", to, err)
	}
	defer conn.Close()
	ads, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", to, err)
	}
	answers, failed := make(chan *discoveryv3.DiscoveryResponse), make(chan error, 1)
	go func() {
		for {
			m, err := ads.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case answers <- m:
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
	}()
	err = c.talk(&stream{ads: ads, node: c.o.Node, types: map[string]*subscription{}}, answers, failed)
	if errors.Is(err, io.EOF) {
		err = errors.New("it has ended the connection")
	}
	return err
}

// mostBytes of one answer: 20,000 endpoints are about 2 MB.
const mostBytes = 256 << 20

func (c *Client) talk(s *stream, answers <-chan *discoveryv3.DiscoveryResponse, failed <-chan error) error {
	for _, t := range []string{clusterType, listenerType} {
		if err := s.subscribe(t, nil); err != nil {
			return err
		}
	}
	impatient := time.NewTimer(c.o.Patience)
	defer impatient.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case m := <-answers:
			if err := c.answer(s, m); err != nil {
				return err
			}
			if c.tell(false) {
				impatient.Reset(c.o.Patience)
			}
		case <-impatient.C:
			c.tell(true)
			impatient.Reset(c.o.Patience)
		}
	}
}

// answer takes what was sent, says so, and asks for what that refers to.
func (c *Client) answer(s *stream, m *discoveryv3.DiscoveryResponse) error {
	refused := c.known.take(m.GetTypeUrl(), m.GetResources())
	c.count(func(s *Stats) { s.Connected = true; s.Received++ })
	if refused != nil {
		c.count(func(s *Stats) { s.Refused++ })
		c.o.Log.Error(refused, "what the control plane sent cannot be used; what was there before stays", "type", short(m.GetTypeUrl()), "version", m.GetVersionInfo())
	}
	if err := s.acknowledge(m, refused); err != nil {
		return err
	}
	var err error
	switch m.GetTypeUrl() {
	case clusterType:
		err = s.subscribe(endpointType, c.known.endpointNames())
	case listenerType:
		err = s.subscribe(routeType, c.known.routeNames())
	}
	c.known.prune()
	return err
}

// tell hands on what is wanted if it is complete, or if it has been incomplete for too long. It says whether it was complete.
func (c *Client) tell(anyway bool) bool {
	if c.known.listeners == nil {
		return false // nothing is known: that is not "nothing is wanted"
	}
	config, missing := c.known.config()
	if len(missing) > 0 && !anyway {
		return false
	}
	if c.told == nil || !reflect.DeepEqual(config, *c.told) {
		if len(missing) > 0 {
			c.o.Log.Info("the control plane refers to what it does not send; it counts as empty", "missing", strings.Join(missing, ", "))
		}
		c.told = &config
		c.o.Set(config)
	}
	return len(missing) == 0
}

func short(typeURL string) string { return typeURL[strings.LastIndex(typeURL, ".")+1:] }

// stream is the sending side of a connection.
type stream struct {
	ads interface {
		Send(*discoveryv3.DiscoveryRequest) error
	}
	node  *corev3.Node
	types map[string]*subscription
}

// subscription is what was asked for of one type, and how far it was accepted.
type subscription struct {
	names          []string
	version, nonce string
}

// subscribe asks for resources by name, or for all that there are of listeners and clusters.
func (s *stream) subscribe(typeURL string, names []string) error {
	sub, ok := s.types[typeURL]
	if ok && slices.Equal(sub.names, names) {
		return nil
	}
	if !ok {
		if names != nil && len(names) == 0 {
			return nil
		}
		sub = &subscription{}
		s.types[typeURL] = sub
	}
	sub.names = names
	return s.send(typeURL, sub, nil)
}

// acknowledge says that an answer was taken, or why parts of it were not.
func (s *stream) acknowledge(m *discoveryv3.DiscoveryResponse, refused error) error {
	sub, ok := s.types[m.GetTypeUrl()]
	if !ok {
		return nil
	}
	sub.nonce = m.GetNonce()
	if refused == nil {
		sub.version = m.GetVersionInfo()
	}
	return s.send(m.GetTypeUrl(), sub, refused)
}

func (s *stream) send(typeURL string, sub *subscription, refused error) error {
	r := &discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: sub.names, VersionInfo: sub.version, ResponseNonce: sub.nonce, Node: s.node}
	if refused != nil {
		r.ErrorDetail = &status.Status{Code: int32(codes.InvalidArgument), Message: refused.Error()}
	}
	s.node = nil // once is enough
	if err := s.ads.Send(r); err != nil {
		return fmt.Errorf("ask for %s: %w", short(typeURL), err)
	}
	return nil
}
