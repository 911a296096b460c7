package xds

import (
	"path"
	"slices"
	"strings"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hansa-io/hansa/internal/meter"
)

type metrics struct {
	push     prometheus.Observer
	refusals *prometheus.CounterVec
}

func newMetrics(s *meter.Set, look func(meter.Emit)) metrics {
	s.Looked(look, meter.XDSStreams, meter.XDSResources)
	return metrics{push: s.Histogram(meter.XDSPushTime).WithLabelValues(), refusals: s.Counter(meter.XDSRefusals)}
}

// look says how many clients there are and what is held for them.
func (s *Server) look(emit meter.Emit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := map[string]int{"grpc": 0, "proxy": 0}
	for p, g := range s.places {
		if p.GRPC {
			streams["grpc"] += g.streams
		} else {
			streams["proxy"] += g.streams
		}
	}
	for kind, n := range streams {
		emit(meter.XDSStreams, float64(n), kind)
	}
	for t, n := range s.places.sizes() {
		emit(meter.XDSResources, float64(n), short(t))
	}
}

// short is the name of a type of resources without its package.
func short(typeURL string) string {
	ext := path.Ext(typeURL)
	if ext == "" {
		return typeURL
	}
	return ext[1:]
}

// Reasons of events.
const (
	// ReasonRefused says that a client has refused a resource.
	ReasonRefused = "ConfigurationRefused"
	// ReasonNotBalanced says that something of the model cannot be handed out.
	ReasonNotBalanced = "NotBalanced"
)

// told remembers what people were told, so that they are told it once.
type told struct {
	mu       sync.Mutex
	refusals map[string]bool
	problems []string
}

// mostRefusals bounds what clients can make a server remember.
const mostRefusals = 1000

// refused takes a refusal: the client stays with what it had.
func (s *Server) refused(n *corev3.Node, typeURL, why string) {
	typ := cut(short(typeURL), 50)
	if s.metrics.known(typ) {
		s.metrics.refusals.WithLabelValues(typ).Inc()
	}
	s.told.mu.Lock()
	defer s.told.mu.Unlock()
	if s.told.refusals == nil || len(s.told.refusals) >= mostRefusals {
		s.told.refusals = map[string]bool{}
	}
	agent, client, why := cut(n.GetUserAgentName(), 50), cut(n.GetId(), 100), cut(why, 600)
	key := typ + " " + agent + " " + why
	if s.told.refusals[key] {
		return
	}
	s.told.refusals[key] = true
	s.o.Log.Info("a client has refused what it was sent and goes on with what it had", "type", typ, "client", client, "agent", agent, "why", why)
	s.tell(ReasonRefused, "a load balancer ("+agent+" "+client+") has refused a "+typ+" and goes on with what it had: "+why)
}

// cut bounds a text that somebody else has made; an event has room for 1024 bytes.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// known says that a type is one of ours: clients must not make up labels of metrics.
func (metrics) known(typ string) bool {
	return slices.Contains([]string{"Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"}, typ)
}

func (s *Server) tell(reason, text string) {
	if s.o.Tell != nil {
		s.o.Tell(reason, text)
	}
}

// tellProblems tells those that were not there before. Who calls it holds the lock of the server.
func (s *Server) tellProblems(all []string) {
	slices.Sort(all)
	all = slices.Compact(all)
	s.told.mu.Lock()
	defer s.told.mu.Unlock()
	for _, p := range all {
		if _, known := slices.BinarySearch(s.told.problems, p); !known {
			s.o.Log.Info("something of the model cannot be handed out", "what", p)
			s.tell(ReasonNotBalanced, cut(p, 900))
		}
	}
	s.told.problems = all
}
