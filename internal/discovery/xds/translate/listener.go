package translate

import (
	"maps"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// manager is the HTTP connection manager with the routes of a name.
func manager(prefix, routes string) *managerv3.HttpConnectionManager {
	return &managerv3.HttpConnectionManager{
		StatPrefix: prefix,
		RouteSpecifier: &managerv3.HttpConnectionManager_Rds{Rds: &managerv3.Rds{
			ConfigSource: thisStream(), RouteConfigName: routes,
		}},
		HttpFilters: []*managerv3.HttpFilter{{
			Name: "router", ConfigType: &managerv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})},
		}},
	}
}

func httpListener(l balance.Listener) *listenerv3.Listener {
	m := manager(l.Name, l.Name)
	m.UseRemoteAddress = wrapperspb.Bool(true) // the client is who connects, not who a header says it is
	m.StripPortMode = &managerv3.HttpConnectionManager_StripAnyHostPort{StripAnyHostPort: true}
	m.UpgradeConfigs = []*managerv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}}
	return filtered(l, "envoy.filters.network.http_connection_manager", m)
}

// tcpListener has one route. Without a backend it leads nowhere, which closes connections.
func (t *translation) tcpListener(l balance.Listener, routes []resolved) *listenerv3.Listener {
	p := &tcpv3.TcpProxy{StatPrefix: l.Name, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: nowhere}}
	if len(routes) > 0 {
		switch targets := routes[0].targets; len(targets) {
		case 0:
		case 1:
			p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: targets[0].name}
		default:
			w := &tcpv3.TcpProxy_WeightedCluster{}
			for _, to := range targets {
				w.Clusters = append(w.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{Name: to.name, Weight: to.weight})
			}
			p.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: w}
		}
		if t.affine(routes[0].targets) {
			p.HashPolicy = []*typev3.HashPolicy{{PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}}}}
		}
	}
	return filtered(l, "envoy.filters.network.tcp_proxy", p)
}

func filtered(l balance.Listener, name string, filter proto.Message) *listenerv3.Listener {
	address := l.Address
	if address == "" {
		address = "0.0.0.0"
	}
	return &listenerv3.Listener{
		Name: l.Name, Address: socket(address, l.Port),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(filter)},
		}}}},
	}
}

// affine says that some of these services keep a client where it is.
func (t *translation) affine(targets []target) bool {
	return slices.ContainsFunc(targets, func(to target) bool { return t.services[to.name].Affinity })
}

// httpRoutes has a virtual host for each host that routes name, because clients choose the host first: it has, in the order of the
// model, all routes that a request for it can take.
func (t *translation) httpRoutes(name string, routes []resolved) *routev3.RouteConfiguration {
	hosts := map[string]bool{"*": true}
	for _, r := range routes {
		for _, h := range r.Hosts {
			hosts[strings.ToLower(h)] = true
		}
	}
	out := &routev3.RouteConfiguration{Name: name}
	for _, h := range slices.Sorted(maps.Keys(hosts)) {
		v := &routev3.VirtualHost{Name: h, Domains: []string{h}}
		for _, r := range routes {
			if covers(r.Hosts, h) {
				v.Routes = append(v.Routes, t.routes(r)...)
			}
		}
		out.VirtualHosts = append(out.VirtualHosts, v)
	}
	return out
}

// covers says that all requests for host are among those for hosts.
func covers(hosts []string, host string) bool {
	return len(hosts) == 0 || slices.ContainsFunc(hosts, func(h string) bool {
		h = strings.ToLower(h)
		return h == host || h == "*" || strings.HasPrefix(h, "*.") && strings.HasSuffix(host, h[1:])
	})
}

// routes has one for each match.
func (t *translation) routes(r resolved) []*routev3.Route {
	matches := r.Matches
	if len(matches) == 0 {
		matches = []balance.Match{{}}
	}
	var out []*routev3.Route
	for _, m := range matches {
		route := &routev3.Route{Name: r.Name, Match: match(m)}
		if len(r.targets) == 0 {
			route.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 500}}
		} else {
			route.Action = &routev3.Route_Route{Route: t.action(r.targets)}
		}
		out = append(out, route)
	}
	return out
}

func match(m balance.Match) *routev3.RouteMatch {
	out := &routev3.RouteMatch{}
	switch prefix := strings.TrimRight(m.Prefix, "/"); {
	case m.Exact != "":
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: m.Exact}
	case prefix != "":
		out.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}
	default:
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	}
	if m.Method != "" {
		out.Headers = append(out.Headers, exactly(":method", m.Method))
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, exactly(h.Name, h.Value))
	}
	return out
}

func exactly(name, value string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}},
	}}
}

// action sends requests to targets. Only what an endpoint has not begun to work on is tried again, at another one.
func (t *translation) action(targets []target) *routev3.RouteAction {
	a := &routev3.RouteAction{
		Timeout: durationpb.New(0), // how long a request may take is not ours to say
		RetryPolicy: &routev3.RetryPolicy{
			RetryOn: "connect-failure,refused-stream,reset-before-request", NumRetries: wrapperspb.UInt32(3),
			RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
				Name:       "envoy.retry_host_predicates.previous_hosts",
				ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: pack(&previousv3.PreviousHostsPredicate{})},
			}},
			HostSelectionRetryMaxAttempts: 5,
		},
	}
	if t.affine(targets) {
		a.HashPolicy = []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
			ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
		}}}
	}
	if len(targets) == 1 {
		a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: targets[0].name}
		return a
	}
	w := &routev3.WeightedCluster{}
	for _, to := range targets {
		w.Clusters = append(w.Clusters, &routev3.WeightedCluster_ClusterWeight{Name: to.name, Weight: wrapperspb.UInt32(to.weight)})
	}
	a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: w}
	return a
}

// grpcRoutes leads all calls to a service. A call that ends with UNAVAILABLE is tried again: gRPC servers say so when they go away.
func grpcRoutes(s balance.Service) *routev3.RouteConfiguration {
	a := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: Name(s)},
		RetryPolicy: &routev3.RetryPolicy{
			RetryOn: "unavailable", NumRetries: wrapperspb.UInt32(3),
			RetryBackOff: &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(grpcBackOff)},
		},
	}
	if s.Affinity {
		a.HashPolicy = []*routev3.RouteAction_HashPolicy{{PolicySpecifier: &routev3.RouteAction_HashPolicy_FilterState_{
			FilterState: &routev3.RouteAction_HashPolicy_FilterState{Key: "io.grpc.channel_id"},
		}}}
	}
	return &routev3.RouteConfiguration{Name: Name(s), VirtualHosts: []*routev3.VirtualHost{{
		Name: Name(s), Domains: []string{"*"},
		Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: ""}},
			Action: &routev3.Route_Route{Route: a},
		}},
	}}}
}
