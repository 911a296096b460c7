package feed_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/feed"
)

// control is a control plane: a real xDS server, whose resources a test sets.
type control struct {
	t       *testing.T
	cache   cache.SnapshotCache
	address string
	server  *grpc.Server
	version int

	mu      sync.Mutex
	refused []string
}

func newControl(t *testing.T, waits bool) *control {
	c := &control{t: t, cache: cache.NewSnapshotCache(waits, everybody{}, nil)}
	c.start()
	t.Cleanup(func() { c.server.Stop() })
	return c
}

// everybody gets the same.
type everybody struct{}

func (everybody) ID(*corev3.Node) string { return "all" }

func (c *control) start() {
	c.t.Helper()
	if c.address == "" {
		c.address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.address = l.Addr().String()
	c.server = grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(c.server, server.NewServer(c.t.Context(), c.cache, server.CallbackFuncs{
		StreamRequestFunc: func(_ int64, r *discoveryv3.DiscoveryRequest) error {
			if e := r.GetErrorDetail(); e != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.refused = append(c.refused, e.GetMessage())
			}
			return nil
		},
	}))
	go func() { _ = c.server.Serve(l) }()
}

func (c *control) nacks() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// set publishes resources.
func (c *control) set(resources ...types.Resource) {
	c.t.Helper()
	by := map[resource.Type][]types.Resource{}
	for _, r := range resources {
		of := "type.googleapis.com/" + string(r.ProtoReflect().Descriptor().FullName())
		by[of] = append(by[of], r)
	}
	c.version++
	s, err := cache.NewSnapshot(fmt.Sprint(c.version), by)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cache.SetSnapshot(c.t.Context(), "all", s); err != nil {
		c.t.Fatal(err)
	}
}

// follow starts a client and returns where its newest configuration is.
func (c *control) follow(patience time.Duration) (*feed.Client, *newest) {
	credentials, err := feed.Plain([]string{c.address})
	if err != nil {
		c.t.Fatal(err)
	}
	n := &newest{t: c.t}
	client := feed.New(feed.Options{
		Addresses: []string{c.address}, Credentials: credentials, Node: &corev3.Node{Id: "test"}, Set: n.set, Log: logr.Discard(), Patience: patience,
	})
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		client.Run(ctx)
	}()
	c.t.Cleanup(func() { cancel(); <-done })
	return client, n
}

type newest struct {
	t      *testing.T
	mu     sync.Mutex
	config haproxy.Config
	count  int
}

func (n *newest) set(c haproxy.Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.config, n.count = c, n.count+1
}

func (n *newest) get() (haproxy.Config, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.config, n.count
}

// becomes waits until the file for HAProxy has a text in it, or has not.
func (n *newest) becomes(text string, has bool) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("has %q: %v", text, has), func() bool {
		c, count := n.get()
		return count > 0 && strings.Contains(c.File(haproxy.Files{}), text) == has
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain after 30 s: " + what)
		}
	}
}

func TestFollow(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("the server waits for all names: %v", waits), func(t *testing.T) {
			c := newControl(t, waits)
			_, got := c.follow(time.Minute)
			c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.1"), apiListener("other", "others"), routes("others", "other"), cluster("other"), endpoints("other", "10.0.0.9"))
			got.becomes("server 10.0.0.1:8080", true)

			c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.2"), apiListener("other", "others"), routes("others", "other"), cluster("other"), endpoints("other", "10.0.0.9"))
			got.becomes("server 10.0.0.2:8080", true)
			got.becomes("server 10.0.0.1:8080", false)

			// One more listener and what belongs to it; what nobody refers to is not there.
			c.set(listener("web", 80, "routes"), listener("more", 81, "others"), routes("routes", "web"), routes("others", "other"), cluster("web"), endpoints("web", "10.0.0.2"), cluster("other"), endpoints("other", "10.0.0.9"))
			got.becomes("server 10.0.0.9:8080", true)
			c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.2"))
			got.becomes("frontend more", false)

			// The control plane is away, comes back with the same, and then with something else.
			c.server.Stop()
			_, before := got.get()
			c.start()
			c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.3"))
			got.becomes("server 10.0.0.3:8080", true)
			if _, after := got.get(); after != before+1 {
				t.Errorf("%d configurations after the control plane came back, want 1: the change", after-before)
			}
			if n := c.nacks(); len(n) > 0 {
				t.Errorf("refused: %v", n)
			}
		})
	}
}

// What cannot be used is refused with the reason; the rest of the answer is used, and what was there before stays.
func TestRefuse(t *testing.T) {
	c := newControl(t, false)
	client, got := c.follow(time.Minute)
	c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.1"))
	got.becomes("server 10.0.0.1:8080", true)

	c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "no/address"))
	eventually(t, "the control plane is told", func() bool { return len(c.nacks()) > 0 })
	if n := c.nacks()[0]; !strings.Contains(n, `web: endpoint "no/address" is neither an IP address nor a host name`) {
		t.Errorf("refused with %q", n)
	}
	got.becomes("server 10.0.0.1:8080", true)

	bad := cluster("web")
	bad.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	c.set(listener("web", 80, "routes"), listener("more", 81, "others"), routes("routes", "web"), routes("others", "other"), bad, cluster("other"), endpoints("web", "10.0.0.4"), endpoints("other", "10.0.0.9"))
	got.becomes("server 10.0.0.9:8080", true)
	got.becomes("server 10.0.0.4:8080", true)
	if client.Stats().Refused < 2 {
		t.Errorf("%d refused, want 2 at least", client.Stats().Refused)
	}
}

// A listener whose endpoints are not sent is held back for a while, and then has none.
func TestIncomplete(t *testing.T) {
	c := newControl(t, false)
	_, got := c.follow(300 * time.Millisecond)
	c.set(listener("web", 80, "routes"), routes("routes", "web"), cluster("web"), endpoints("web", "10.0.0.1"))
	got.becomes("server 10.0.0.1:8080", true)
	c.set(listener("web", 80, "routes"), listener("more", 81, "others"), routes("routes", "web"), routes("others", "absent"), cluster("web"), endpoints("web", "10.0.0.1"))
	got.becomes("frontend more", true)
	got.becomes("server 10.0.0.1:8080", true)
}

func listener(name string, port uint32, routes string) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:         name,
		Address:      address("127.0.0.1", port),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: wrap(manager(routes))}}}}},
	}
}

func apiListener(name, routes string) *listenerv3.Listener {
	return &listenerv3.Listener{Name: name, ApiListener: &listenerv3.ApiListener{ApiListener: wrap(manager(routes))}}
}

func manager(routes string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: "x",
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			RouteConfigName: routes, ConfigSource: &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}},
		}},
	}
}

func routes(name, cluster string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
		Name: "all", Domains: []string{"*"},
		Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
		}},
	}}}
}

func cluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}},
	}
}

func endpoints(cluster string, addresses ...string) *endpointv3.ClusterLoadAssignment {
	l := &endpointv3.LocalityLbEndpoints{LoadBalancingWeight: wrapperspb.UInt32(100)}
	for _, a := range addresses {
		l.LbEndpoints = append(l.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(a, 8080)}}})
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{l}}
}

func address(ip string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
}

func wrap(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return a
}
