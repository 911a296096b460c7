// Package feed answers: what does the control plane want of this HAProxy? It is a client of the control plane's xDS server (version 3, ADS,
// state of the world), and makes what that sends into a haproxy.Config. What it cannot make use of it refuses, with the reason, and keeps
// what it had instead.
package feed

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// listener is a listener as it was sent. What gRPC clients use has no address.
type listener struct {
	haproxy.Listener
	routes string // name of the RouteConfiguration; empty if it has none or came with the listener
	bound  bool
}

// cluster is a cluster as it was sent.
type cluster struct {
	haproxy.Service
	endpoints string // name of the ClusterLoadAssignment; empty if it came with the cluster
}

func decodeListener(l *listenerv3.Listener) (listener, error) {
	if l.GetApiListener() != nil {
		m := &hcmv3.HttpConnectionManager{}
		if err := l.GetApiListener().GetApiListener().UnmarshalTo(m); err != nil {
			return listener{}, fmt.Errorf("api_listener: %w", err)
		}
		return listener{Listener: haproxy.Listener{Name: l.GetName()}, routes: m.GetRds().GetRouteConfigName()}, nil
	}
	out := listener{Listener: haproxy.Listener{Name: l.GetName()}, bound: true}
	at := l.GetAddress().GetSocketAddress()
	if at == nil || at.GetProtocol() != corev3.SocketAddress_TCP || len(l.GetAdditionalAddresses()) > 0 {
		return out, errors.New("address: one TCP address is needed")
	}
	ip, err := netip.ParseAddr(at.GetAddress())
	if err != nil {
		return out, fmt.Errorf("address: %w", err)
	}
	out.Address = ip.Unmap().String()
	if out.Port, err = port(at.GetPortValue()); err != nil {
		return out, fmt.Errorf("address: %w", err)
	}
	chains := l.GetFilterChains()
	if len(chains) == 0 && l.GetDefaultFilterChain() != nil {
		chains = []*listenerv3.FilterChain{l.GetDefaultFilterChain()}
	}
	if len(l.GetListenerFilters()) > 0 || len(chains) != 1 || chains[0].GetFilterChainMatch() != nil || len(chains[0].GetFilters()) != 1 {
		return out, errors.New("filter_chains: one chain with one filter, for all connections, is all that is supported")
	}
	if chains[0].GetTransportSocket() != nil {
		return out, errors.New("transport_socket: TLS is not supported")
	}
	return out.filter(chains[0].GetFilters()[0].GetTypedConfig())
}

func (l listener) filter(config *anypb.Any) (listener, error) {
	m, err := config.UnmarshalNew()
	if err != nil {
		return l, fmt.Errorf("filter: %w", err)
	}
	switch f := m.(type) {
	case *tcpv3.TcpProxy:
		l.Mode = haproxy.TCP
		l.Targets = []haproxy.Target{{Service: f.GetCluster(), Weight: 1}}
		if w := f.GetWeightedClusters(); w != nil {
			l.Targets = nil
			for _, c := range w.GetClusters() {
				l.Targets = append(l.Targets, haproxy.Target{Service: c.GetName(), Weight: c.GetWeight()})
			}
		}
		return l, nil
	case *hcmv3.HttpConnectionManager:
		l.Mode = haproxy.HTTP
		for _, h := range f.GetHttpFilters() {
			if !strings.HasSuffix(h.GetTypedConfig().GetTypeUrl(), "envoy.extensions.filters.http.router.v3.Router") {
				return l, fmt.Errorf("http_filters: %s is not supported", h.GetName())
			}
		}
		if r := f.GetRds(); r != nil {
			l.routes = r.GetRouteConfigName()
			return l, nil
		}
		l.Hosts, err = decodeHosts(f.GetRouteConfig())
		return l, err
	}
	return l, fmt.Errorf("filter: %s is not supported", config.GetTypeUrl())
}

func port(p uint32) (uint32, error) {
	if p == 0 || p > 65535 {
		return 0, fmt.Errorf("port %d is not between 1 and 65535", p)
	}
	return p, nil
}

// plain says that a value can stand in HAProxy's file.
func plain(what, s string) error {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%s %q has a control character", what, s)
	}
	return nil
}

func decodeCluster(c *clusterv3.Cluster) (cluster, error) {
	out := cluster{Service: haproxy.Service{Name: c.GetName(), Connect: c.GetConnectTimeout().AsDuration()}}
	if t := c.GetTransportSocket(); t != nil {
		return out, errors.New("transport_socket: TLS to endpoints is not supported")
	}
	var err error
	switch {
	case c.GetType() == clusterv3.Cluster_EDS:
		out.endpoints = c.GetEdsClusterConfig().GetServiceName()
		if out.endpoints == "" {
			out.endpoints = c.GetName()
		}
	case slices.Contains([]clusterv3.Cluster_DiscoveryType{clusterv3.Cluster_STATIC, clusterv3.Cluster_STRICT_DNS, clusterv3.Cluster_LOGICAL_DNS}, c.GetType()):
		if out.Levels, err = decodeEndpoints(c.GetLoadAssignment()); err != nil {
			return out, fmt.Errorf("load_assignment: %w", err)
		}
	default:
		return out, fmt.Errorf("type: %s is not supported", c.GetType())
	}
	switch c.GetLbPolicy() {
	case clusterv3.Cluster_ROUND_ROBIN, clusterv3.Cluster_RANDOM:
		out.Balance = haproxy.RoundRobin
	case clusterv3.Cluster_LEAST_REQUEST:
		out.Balance = haproxy.LeastConn
	case clusterv3.Cluster_RING_HASH, clusterv3.Cluster_MAGLEV:
		out.Balance = haproxy.Source
	default:
		return out, fmt.Errorf("lb_policy: %s is not supported", c.GetLbPolicy())
	}
	if out.HTTP2, err = speaksHTTP2(c); err != nil {
		return out, err
	}
	out.Check, err = decodeCheck(c.GetHealthChecks())
	return out, err
}

// speaksHTTP2 says whether that is all that endpoints speak.
func speaksHTTP2(c *clusterv3.Cluster) (bool, error) {
	a, ok := c.GetTypedExtensionProtocolOptions()["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
	if !ok {
		return false, nil
	}
	var o httpv3.HttpProtocolOptions
	if err := a.UnmarshalTo(&o); err != nil {
		return false, fmt.Errorf("typed_extension_protocol_options: %w", err)
	}
	return o.GetExplicitHttpConfig().GetHttp2ProtocolOptions() != nil, nil
}

func decodeCheck(checks []*corev3.HealthCheck) (haproxy.Check, error) {
	var out haproxy.Check
	if len(checks) == 0 {
		return out, nil
	}
	c := checks[0]
	out.Interval = c.GetInterval().AsDuration()
	out.Fall, out.Rise = c.GetUnhealthyThreshold().GetValue(), c.GetHealthyThreshold().GetValue()
	if h := c.GetHttpHealthCheck(); h != nil {
		out.Path, out.Host = h.GetPath(), h.GetHost()
	}
	return out, errors.Join(plain("health_checks: path", out.Path), plain("health_checks: host", out.Host))
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?$`)

// mostLevels is more than anybody needs; Envoy has the same bound.
const mostLevels = 128

func decodeEndpoints(a *endpointv3.ClusterLoadAssignment) ([][]haproxy.Place, error) {
	var out [][]haproxy.Place
	for _, l := range a.GetEndpoints() {
		level := int(l.GetPriority())
		if level > mostLevels {
			return nil, fmt.Errorf("priority %d is above %d", level, mostLevels)
		}
		p := haproxy.Place{Weight: l.GetLoadBalancingWeight().GetValue()}
		for _, e := range l.GetLbEndpoints() {
			v, err := decodeEndpoint(e)
			if err != nil {
				return nil, err
			}
			p.Endpoints = append(p.Endpoints, v)
		}
		for len(out) <= level {
			out = append(out, nil)
		}
		out[level] = append(out[level], p)
	}
	return out, nil
}

func decodeEndpoint(e *endpointv3.LbEndpoint) (haproxy.Endpoint, error) {
	at := e.GetEndpoint().GetAddress().GetSocketAddress()
	out := haproxy.Endpoint{Address: at.GetAddress(), Weight: e.GetLoadBalancingWeight().GetValue()}
	switch e.GetHealthStatus() {
	case corev3.HealthStatus_UNKNOWN, corev3.HealthStatus_HEALTHY, corev3.HealthStatus_DEGRADED:
		out.Usable = true
	}
	var err error
	if out.Port, err = port(at.GetPortValue()); err != nil {
		return out, fmt.Errorf("endpoint %q: %w", at.GetAddress(), err)
	}
	if ip, err := netip.ParseAddr(at.GetAddress()); err == nil && ip.Zone() == "" {
		out.Address = ip.Unmap().String()
		return out, nil
	}
	if !hostName.MatchString(at.GetAddress()) {
		return out, fmt.Errorf("endpoint %q is neither an IP address nor a host name", at.GetAddress())
	}
	out.Named = true
	return out, nil
}

// as returns the message in a resource.
func as[M proto.Message](a *anypb.Any, into M) (M, error) {
	if err := a.UnmarshalTo(into); err != nil {
		return into, fmt.Errorf("read a resource: %w", err)
	}
	return into, nil
}
