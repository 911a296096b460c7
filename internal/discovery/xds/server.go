// Package xds answers: how do Envoy, gRPC clients and other load balancers learn which endpoints a service of all clusters has? It is an
// xDS server (version 3; ADS, state of the world and delta) of what internal/discovery/xds/translate makes of a balance.Model.
package xds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/meter"
)

// Options of a Server.
type Options struct {
	// Address to listen at, HOST:PORT.
	Address string
	// Listening is told where the server listens; may be nil.
	Listening func(net.Addr)
	// TLS is asked for each connection; nil is without, and then Address must be on loopback.
	TLS func() (*tls.Config, error)
	// Tell takes what people should know, once: a reason of internal/glossary and a text.
	Tell func(reason, text string)
	Log  logr.Logger
	// Metrics is where the metrics are registered; nil is nowhere.
	Metrics *meter.Set
}

// Server hands out a model. It keeps what it was set until it is set anew.
type Server struct {
	o       Options
	metrics metrics
	told    told

	// pending is the newest model that is not handed out yet; it has room for one.
	pending chan model

	mu     sync.Mutex
	model  *balance.Model
	places places
}

// model and when it was set.
type model struct {
	balance.Model
	set time.Time
}

// New returns a server that Run starts.
func New(o Options) *Server {
	s := &Server{o: o, pending: make(chan model, 1), places: places{}}
	s.metrics = newMetrics(o.Metrics, s.look)
	return s
}

var _ balance.Feed = (*Server)(nil)

// Set implements balance.Feed. Of models that come faster than they can be handed out the newest counts.
func (s *Server) Set(m balance.Model) {
	next := model{m, time.Now()}
	for {
		select {
		case s.pending <- next:
			return
		default:
		}
		select {
		case old := <-s.pending:
			next.set = old.set // who waits has waited since then
		default:
		}
	}
}

// Run serves until the context ends. It does not listen before there is a model: a client that gets no answer keeps what it has, and one
// that gets an empty one does not.
func (s *Server) Run(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case m := <-s.pending:
		s.apply(m)
	}
	l := s.listen(ctx)
	if l == nil {
		return
	}
	g := s.register(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := g.Serve(l); err != nil {
			s.o.Log.Error(err, "the xDS server has ended", "address", l.Addr())
		}
	}()
	s.o.Log.Info("serving xDS", "address", l.Addr().String(), "tls", s.o.TLS != nil)
	for {
		select {
		case <-ctx.Done():
			g.Stop() // streams do not end by themselves
			<-served
			return
		case m := <-s.pending:
			s.apply(m)
		}
	}
}

// listenRetry is how long a server waits for an address that is in use.
const listenRetry = 2 * time.Second

func (s *Server) listen(ctx context.Context) net.Listener {
	for first := true; ; first = false {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.o.Address)
		if err == nil {
			if s.o.Listening != nil {
				s.o.Listening(l.Addr())
			}
			return l
		}
		if first && ctx.Err() == nil {
			s.o.Log.Error(err, "cannot serve xDS; trying again", "address", s.o.Address)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(listenRetry):
		}
	}
}

func (s *Server) register(ctx context.Context) *grpc.Server {
	g := grpc.NewServer(
		grpc.Creds(s.credentials()),
		// A client that is gone without a word is noticed, and one may ask as often.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	handler := server.NewServer(ctx, &cache{s}, s.callbacks(), sotw.WithOrderedADS())
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, handler)
	return g
}

func (s *Server) credentials() credentials.TransportCredentials {
	if s.o.TLS == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.o.TLS() },
	})
}

// apply hands a model out to every place that has clients.
func (s *Server) apply(m model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model = &m.Model
	var all []string
	for _, g := range s.places {
		all = append(all, g.apply(m.Model)...)
	}
	s.metrics.push.Observe(time.Since(m.set).Seconds())
	s.tellProblems(all)
}

// Loopback returns an error unless an address can be reached from this machine only.
func Loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("read address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%w: %s", errNotLoopback, address)
}

var errNotLoopback = errors.New("without TLS only an address of loopback is allowed, such as 127.0.0.1:18000")

// callbacks count the streams of each place and hear of refusals.
func (s *Server) callbacks() server.Callbacks {
	var streams sync.Map // by id: the place that it counts for
	open := func(id int64, node *corev3.Node) error {
		if _, known := streams.Load(id); known || node == nil {
			return nil
		}
		p := placeOf(node)
		err := s.enter(p)
		if err == nil {
			streams.Store(id, p)
		}
		return err
	}
	closed := func(id int64) {
		if p, known := streams.LoadAndDelete(id); known {
			s.leave(p.(placeKey))
		}
	}
	return server.CallbackFuncs{
		StreamRequestFunc: func(id int64, r *discoveryv3.DiscoveryRequest) error {
			if r.GetErrorDetail() != nil {
				s.refused(r.GetNode(), r.GetTypeUrl(), r.GetErrorDetail().GetMessage())
			}
			return open(id, r.GetNode())
		},
		StreamClosedFunc: func(id int64, _ *corev3.Node) { closed(id) },
		// The ids of the two kinds of stream are counted apart.
		StreamDeltaRequestFunc: func(id int64, r *discoveryv3.DeltaDiscoveryRequest) error {
			if r.GetErrorDetail() != nil {
				s.refused(r.GetNode(), r.GetTypeUrl(), r.GetErrorDetail().GetMessage())
			}
			return open(-id, r.GetNode())
		},
		DeltaStreamClosedFunc: func(id int64, _ *corev3.Node) { closed(-id) },
	}
}
