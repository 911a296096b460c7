package feed_test

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Each resource that HAProxy cannot follow is refused by what is at fault in it: to leave that out would send requests where they must not go.
func TestUnsupported(t *testing.T) {
	c := newControl(t, false)
	_, got := c.follow(time.Minute)
	c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.1"))
	got.becomes("server 10.0.0.1:8080", true)
	for want, r := range map[string]types.Resource{
		"transport_socket: TLS is not supported": edit(listener("web", 80, "routes"), func(l *listenerv3.Listener) {
			l.FilterChains[0].TransportSocket = &corev3.TransportSocket{Name: "tls"}
		}),
		"filter_chains: one chain": edit(listener("web", 80, "routes"), func(l *listenerv3.Listener) {
			l.FilterChains[0].FilterChainMatch = &listenerv3.FilterChainMatch{}
		}),
		"address: port 0": listener("web", 0, "routes"),
		"address: one TCP address": edit(listener("web", 80, "routes"), func(l *listenerv3.Listener) {
			l.Address.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
		}),
		"transport_socket: TLS to endpoints": edit(cluster("web"), func(c *clusterv3.Cluster) { c.TransportSocket = &corev3.TransportSocket{Name: "tls"} }),
		"type: ORIGINAL_DST": edit(cluster("web"), func(c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
		}),
		"port 70000": edit(endpoints("web", "10.0.0.1"), func(a *endpointv3.ClusterLoadAssignment) {
			a.Endpoints[0].LbEndpoints[0].GetEndpoint().Address = address("10.0.0.1", 70000)
		}),
		"neither an IP address nor a host name": endpoints("web", "10.0.0.1 check backup"),
		"priority 1000": edit(endpoints("web", "10.0.0.1"), func(a *endpointv3.ClusterLoadAssignment) {
			a.Endpoints[0].Priority = 1000
		}),
		"only prefix, path and path_separated_prefix": route(func(r *routev3.Route) {
			r.Match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: ".*"}}
		}),
		"match: path \"/x\\n  use_backend y\" has a control character": route(func(r *routev3.Route) {
			r.Match.PathSpecifier = &routev3.RouteMatch_Path{Path: "/x\n  use_backend y"}
		}),
		"header x-user \"a\\x00\" has a control character": route(func(r *routev3.Route) { r.Match.Headers = []*routev3.HeaderMatcher{header("x-user", "a\x00")} }),
		"header \"x) -m found\" cannot be matched":         route(func(r *routev3.Route) { r.Match.Headers = []*routev3.HeaderMatcher{header("x) -m found", "a")} }),
		"header x-user: only an exact value": route(func(r *routev3.Route) {
			r.Match.Headers = []*routev3.HeaderMatcher{{Name: "x-user", HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}}}
		}),
		"rewriting is not supported":        route(func(r *routev3.Route) { r.GetRoute().PrefixRewrite = "/y" }),
		"changing headers is not supported": route(func(r *routev3.Route) { r.RequestHeadersToRemove = []string{"x"} }),
		"only route and direct_response":    route(func(r *routev3.Route) { r.Action = &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{}} }),
		"direct_response: status 100": route(func(r *routev3.Route) {
			r.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 100}}
		}),
		"domain \"a b\" is neither a host name": edit(routes("routes", "web"), func(r *routev3.RouteConfiguration) { r.VirtualHosts[0].Domains = []string{"a b"} }),
	} {
		seen := len(c.nacks())
		c.set(r)
		eventually(t, "refused: "+want, func() bool {
			n := c.nacks()
			return len(n) > seen && strings.Contains(n[len(n)-1], want)
		})
		c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.1"))
	}
	got.becomes("server 10.0.0.1:8080", true)
}

// What the control plane can say of an HTTP route, a TCP listener, and a cluster with health checks and host names.
func TestMeaning(t *testing.T) {
	c := newControl(t, false)
	_, got := c.follow(time.Minute)
	tcp := listener("db", 5432, "")
	tcp.FilterChains[0].Filters[0].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: wrap(&tcpv3.TcpProxy{
		StatPrefix: "x", ClusterSpecifier: &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: &tcpv3.TcpProxy_WeightedCluster{
			Clusters: []*tcpv3.TcpProxy_WeightedCluster_ClusterWeight{{Name: "db", Weight: 2}, {Name: "named", Weight: 1}},
		}},
	})}
	db := cluster("db")
	db.LbPolicy = clusterv3.Cluster_RING_HASH
	db.HealthChecks = []*corev3.HealthCheck{{
		Interval: durationpb.New(3 * time.Second), UnhealthyThreshold: wrapperspb.UInt32(4),
		HealthChecker: &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{Path: "/healthz", Host: "db"}},
	}}
	named := cluster("named")
	named.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
	named.LoadAssignment = endpoints("named", "lb.example.com")
	draining := endpoints("db", "10.0.0.1", "fd00:0::1", "10.0.0.3")
	draining.Endpoints[0].LbEndpoints[0].HealthStatus = corev3.HealthStatus_DRAINING
	draining.Endpoints[0].LbEndpoints[2].HealthStatus = corev3.HealthStatus_UNHEALTHY
	c.set(tcp, db, named, draining,
		listener("web", 80, "routes"), cluster("web"), endpoints("web", "10.0.0.1"), route(func(r *routev3.Route) {
			r.Match.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: "/cart"}
			r.Match.Headers = []*routev3.HeaderMatcher{header(":method", "POST"), header("X-User", "it's")}
		}))
	for _, want := range []string{
		"set-var(txn.to) str(db.tcp) if !{ var(txn.to) -m found } { rand(3) lt 2 }",
		"balance source",
		"http-check send meth GET uri '/healthz' ver HTTP/1.1 hdr Host 'db'",
		"check inter 3000ms fastinter 500ms downinter 1s fall 4 rise 1",
		"server lb.example.com:8080 lb.example.com:8080 weight 256 resolvers hansa",
		"server fd00::1:8080 [fd00::1]:8080 weight 256",
		"acl h0.r0.path path -m beg -- '/cart/'",
		"acl h0.r0.method method -m str -- 'POST'",
		`acl h0.r0.header0 req.fhdr(x-user) -m str -- 'it'\''s'`,
	} {
		got.becomes(want, true)
	}
	got.becomes("server 10.0.0.3:8080", false)
	if n := c.nacks(); len(n) > 0 {
		t.Errorf("refused: %v", n)
	}
}

func edit[R any](r R, f func(R)) R {
	f(r)
	return r
}

// route is the route of "routes" with a change.
func route(f func(*routev3.Route)) *routev3.RouteConfiguration {
	return edit(routes("routes", "web"), func(c *routev3.RouteConfiguration) { f(c.VirtualHosts[0].Routes[0]) })
}

func header(name, value string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}},
	}}
}
