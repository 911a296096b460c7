package xds_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/haproxy"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/feed"
	xdsserver "github.com/hansa-io/hansa/internal/discovery/xds"
	"github.com/hansa-io/hansa/internal/discovery/xds/certs"
	"github.com/hansa-io/hansa/internal/meter"
)

// proxyModel has two services and a listener for the first.
func proxyModel(addresses ...string) balance.Model {
	s := balance.Service{NamespacedName: types.NamespacedName{Namespace: "prod", Name: "web"}, Port: 80, Localities: []balance.Locality{{Cluster: "a", Weight: 100}}}
	for _, a := range addresses {
		s.Localities[0].Endpoints = append(s.Localities[0].Endpoints, balance.Endpoint{Address: a, Port: 8080, Ready: true})
	}
	other := s
	other.Name = "other"
	return balance.Model{
		Services: []balance.Service{other, s},
		Listeners: []balance.Listener{{
			Name: "prod/web/http", Port: 80, Protocol: balance.HTTP,
			Routes: []balance.Route{{Name: "prod/web", Backends: []balance.Backend{{NamespacedName: s.NamespacedName, Port: 80, Weight: 1}}}},
		}},
	}
}

func connect(t testing.TB, at string, creds credentials.TransportCredentials) (context.Context, discoveryv3.AggregatedDiscoveryServiceClient) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	c, err := grpc.NewClient(at, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = c.Close() })
	return ctx, discoveryv3.NewAggregatedDiscoveryServiceClient(c)
}

var proxy = &corev3.Node{Id: "proxy-1", UserAgentName: "envoy"}

// names of the resources in an answer.
func names(t *testing.T, r *discoveryv3.DiscoveryResponse) []string {
	var out []string
	for _, a := range r.GetResources() {
		m, err := a.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case interface{ GetName() string }:
			out = append(out, m.GetName())
		case *endpointv3.ClusterLoadAssignment:
			out = append(out, m.GetClusterName())
		}
	}
	slices.Sort(out)
	return out
}

// TestProxy: a proxy that asks for everything gets what its listeners need, in the order that leaves no gap, and later only what changes.
func TestProxy(t *testing.T) {
	p := newPlane(t, proxyModel("192.0.2.1"), nil)
	ctx, c := connect(t, p.at, insecure.NewCredentials())
	s, err := c.StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Of the two services only one is used.
	web := "web.prod.svc.clusterset.local:80"
	for _, ask := range []struct{ typ, name string }{
		{resource.ClusterType, ""}, {resource.EndpointType, web}, {resource.ListenerType, ""}, {resource.RouteType, "prod/web/http"},
	} {
		want := []string{"prod/web/http"}
		if ask.typ == resource.ClusterType || ask.typ == resource.EndpointType {
			want = []string{web}
		}
		r := &discoveryv3.DiscoveryRequest{Node: proxy, TypeUrl: ask.typ}
		if ask.name != "" {
			r.ResourceNames = []string{ask.name}
		}
		got := exchange(t, s, r)
		if n := names(t, got); !slices.Equal(n, want) {
			t.Errorf("%s: got %v, want %v", ask.typ, n, want)
		}
		send(t, s, &discoveryv3.DiscoveryRequest{TypeUrl: ask.typ, ResourceNames: r.GetResourceNames(), VersionInfo: got.GetVersionInfo(), ResponseNonce: got.GetNonce()})
	}

	p.server.Set(proxyModel("192.0.2.1", "192.0.2.2"))
	got, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got.GetTypeUrl() != resource.EndpointType {
		t.Errorf("a new endpoint changes %s", got.GetTypeUrl())
	}
	send(t, s, &discoveryv3.DiscoveryRequest{TypeUrl: got.GetTypeUrl(), ResourceNames: []string{web}, VersionInfo: got.GetVersionInfo(), ResponseNonce: got.GetNonce()})

	// What is gone leaves in the order of who refers to it, and nothing else was sent in between.
	p.server.Set(proxyModel("192.0.2.1", "192.0.2.2"))
	p.server.Set(balance.Model{})
	for _, want := range []string{resource.ListenerType, resource.ClusterType} {
		got, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got.GetTypeUrl() != want || len(got.GetResources()) != 0 {
			t.Errorf("got %d of %s, want none of %s", len(got.GetResources()), got.GetTypeUrl(), want)
		}
	}
}

func send(t testing.TB, s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient, r *discoveryv3.DiscoveryRequest) {
	t.Helper()
	if err := s.Send(r); err != nil {
		t.Fatal(err)
	}
}

func exchange(t testing.TB, s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient, r *discoveryv3.DiscoveryRequest) *discoveryv3.DiscoveryResponse {
	t.Helper()
	send(t, s, r)
	got, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got.GetTypeUrl() != r.GetTypeUrl() {
		t.Fatalf("asked for %s, got %s", r.GetTypeUrl(), got.GetTypeUrl())
	}
	return got
}

// TestRefusal: who refuses is told of once and counted each time, is not sent the same again, and gets what comes next.
func TestRefusal(t *testing.T) {
	registry := prometheus.NewRegistry()
	p := newPlane(t, proxyModel("192.0.2.1"), func(o *xdsserver.Options) { o.Metrics = meter.NewSet(registry, false) })
	ctx, c := connect(t, p.at, insecure.NewCredentials())
	s, err := c.StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := exchange(t, s, &discoveryv3.DiscoveryRequest{Node: proxy, TypeUrl: resource.ListenerType})
	for port := range int32(2) {
		send(t, s, &discoveryv3.DiscoveryRequest{TypeUrl: resource.ListenerType, ResponseNonce: got.GetNonce(), ErrorDetail: &status.Status{Message: "cannot bind"}})
		eventually(t, "the refusal to be counted", func() bool { return metric(t, registry, "kubefed_xds_refusals_total") == float64(port+1) })
		m := proxyModel("192.0.2.1")
		m.Listeners[0].Port = 8000 + port
		p.server.Set(m)
		if got, err = s.Recv(); err != nil {
			t.Fatal(err)
		}
		var l listenerv3.Listener
		if err := got.GetResources()[0].UnmarshalTo(&l); err != nil || l.GetAddress().GetSocketAddress().GetPortValue() != uint32(8000+port) {
			t.Errorf("after a refusal comes %v, %v, not what is new", &l, err)
		}
	}
	if told := p.told.all(); len(told) != 1 || !strings.HasPrefix(told[0], "ConfigurationRefused: ") || !strings.Contains(told[0], "proxy-1") || !strings.Contains(told[0], "cannot bind") {
		t.Errorf("told: %q", told)
	}
	if n := metric(t, registry, "kubefed_xds_streams"); n != 1 {
		t.Errorf("%v streams are counted, want 1", n)
	}
	for _, name := range []string{"kubefed_xds_resources", "kubefed_xds_push_duration_seconds"} {
		if metric(t, registry, name) == 0 {
			t.Errorf("%s says that there was nothing", name)
		}
	}
}

// metric is the sum over its series, of a histogram that of what it counted.
func metric(t *testing.T, from prometheus.Gatherer, name string) float64 {
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// TestDelta: a client that asks for differences gets them, and after a reconnect only what it does not have.
func TestDelta(t *testing.T) {
	p := newPlane(t, proxyModel("192.0.2.1"), nil)
	ctx, c := connect(t, p.at, insecure.NewCredentials())
	s, err := c.DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := &discoveryv3.DeltaDiscoveryRequest{Node: proxy, TypeUrl: resource.ClusterType, ResourceNamesSubscribe: []string{"*"}}
	first := delta(t, s, ask)
	if len(first.GetResources()) != 1 {
		t.Fatalf("got %d clusters, want 1", len(first.GetResources()))
	}
	had := first.GetResources()[0]
	if err := s.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResponseNonce: first.GetNonce()}); err != nil {
		t.Fatal(err)
	}
	// A new process gives the same content the same version.
	p.stop()
	m := proxyModel("192.0.2.1")
	m.Listeners[0].Routes[0].Backends = append(m.Listeners[0].Routes[0].Backends, balance.Backend{NamespacedName: types.NamespacedName{Namespace: "prod", Name: "other"}, Port: 80, Weight: 1})
	p.start(m, nil)
	ctx, c = connect(t, p.at, insecure.NewCredentials())
	if s, err = c.DeltaAggregatedResources(ctx); err != nil {
		t.Fatal(err)
	}
	again := proto.Clone(ask).(*discoveryv3.DeltaDiscoveryRequest)
	again.InitialResourceVersions = map[string]string{had.GetName(): had.GetVersion()}
	second := delta(t, s, again)
	if len(second.GetResources()) != 1 || second.GetResources()[0].GetName() != "other.prod.svc.clusterset.local:80" || len(second.GetRemovedResources()) != 0 {
		t.Errorf("got %v, want only what is new", second)
	}
}

func delta(t *testing.T, s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, r *discoveryv3.DeltaDiscoveryRequest) *discoveryv3.DeltaDiscoveryResponse {
	t.Helper()
	if err := s.Send(r); err != nil {
		t.Fatal(err)
	}
	got, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestCertificates: only who shows a certificate of the authority is answered, the client of gRPC among them, also after a renewal.
func TestCertificates(t *testing.T) {
	a := newMember(t, "a", "eu", "127.0.31", 1)
	now := time.Now()
	ours, err := certs.NewAuthority("ours", now)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := certs.NewAuthority("theirs", now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := writePair(t, dir, "server", must(ours.Server([]string{"127.0.0.1"}, now)))
	ca := filepath.Join(dir, "ca.crt")
	write(t, ca, ours.Cert)
	server := certs.Files{Cert: files.Cert, Key: files.Key, ClientCA: ca}
	p := newPlane(t, modelOf(a), func(o *xdsserver.Options) { o.TLS = server.Config })

	client, stranger := must(ours.Client(now)), must(theirs.Client(now))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ours.Cert)
	for name, c := range map[string]struct {
		show []tls.Certificate
		ok   bool
	}{
		"none":     {nil, false},
		"theirs":   {[]tls.Certificate{pair(t, stranger)}, false},
		"a server": {[]tls.Certificate{pair(t, must(ours.Server([]string{"127.0.0.1"}, now)))}, false},
		"ours":     {[]tls.Certificate{pair(t, client)}, true},
	} {
		ctx, ads := connect(t, p.at, credentials.NewTLS(&tls.Config{RootCAs: pool, Certificates: c.show}))
		s, err := ads.StreamAggregatedResources(ctx)
		if err == nil {
			_ = s.Send(&discoveryv3.DiscoveryRequest{Node: proxy, TypeUrl: resource.ListenerType})
			_, err = s.Recv()
		}
		if (err == nil) != c.ok {
			t.Errorf("a client that shows %s: %v", name, err)
		}
	}
	// Without TLS there is no answer either.
	ctx, ads := connect(t, p.at, insecure.NewCredentials())
	if s, err := ads.StreamAggregatedResources(ctx); err == nil {
		if _, err := s.Recv(); err == nil {
			t.Error("a client without TLS is answered")
		}
	}

	// The server's certificate is renewed in place.
	writePair(t, dir, "server", must(ours.Server([]string{"127.0.0.1", "renewed"}, now)))
	shown, err := tls.Dial("tcp", p.at, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair(t, client)}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer shown.Close()
	if names := shown.ConnectionState().PeerCertificates[0].DNSNames; !slices.Contains(names, "renewed") {
		t.Errorf("after a renewal the server shows a certificate for %v", names)
	}
	mine := writePair(t, dir, "client", client)
	creds := map[string]any{"type": "tls", "config": map[string]any{"certificate_file": mine.Cert, "private_key_file": mine.Key, "ca_certificate_file": ca}}
	if name, err := who(t.Context(), dial(t, service, bootstrap(t, p.at, creds, nodeIn("a", "eu")))); err != nil || name != "a" {
		t.Errorf("gRPC with a certificate: %q, %v", name, err)
	}
}

func must(p certs.Pair, err error) certs.Pair {
	if err != nil {
		panic(err)
	}
	return p
}

func pair(t *testing.T, p certs.Pair) tls.Certificate {
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, name string, data []byte) {
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func writePair(t *testing.T, dir, name string, p certs.Pair) certs.Files {
	f := certs.Files{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	write(t, f.Cert, p.Cert)
	write(t, f.Key, p.Key)
	return f
}

func TestLoopback(t *testing.T) {
	for address, ok := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "127.1.2.3:0": true, ":1": false, "0.0.0.0:1": false, "example.com:1": false, "127.0.0.1": false} {
		if err := xdsserver.Loopback(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestDriverOfHAProxy: the driver of HAProxy takes all kinds of listeners, and follows.
func TestDriverOfHAProxy(t *testing.T) {
	m := proxyModel("192.0.2.1")
	web := m.Listeners[0].Routes[0].Backends[0]
	other := balance.Backend{NamespacedName: types.NamespacedName{Namespace: "prod", Name: "other"}, Port: 80, Weight: 3}
	m.Services[0].Affinity = true
	m.Services[0].AppProtocol = "kubernetes.io/h2c"
	m.Services[0].Localities[0].Endpoints = append(m.Services[0].Localities[0].Endpoints, balance.Endpoint{Address: "lb.example.com", Port: 80, Ready: true})
	m.Listeners = append(m.Listeners,
		balance.Listener{Name: "prod/gate/routes", Port: 81, Protocol: balance.HTTP, Routes: []balance.Route{
			{Name: "prod/a", Hosts: []string{"*.example.com", "example.com"}, Matches: []balance.Match{{Exact: "/a"}, {Prefix: "/b", Method: "GET", Headers: []balance.Header{{Name: "X", Value: "y"}}}}, Backends: []balance.Backend{web, other}},
			{Name: "prod/none"},
		}},
		balance.Listener{Name: "prod/gate/tcp", Address: "192.0.2.9", Port: 82, Protocol: balance.TCP, Routes: []balance.Route{{Backends: []balance.Backend{web, other}}}},
		balance.Listener{Name: "prod/gate/void", Port: 83, Protocol: balance.TCP, Routes: []balance.Route{{}}},
	)
	p := newPlane(t, m, nil)
	got := make(chan haproxy.Config, 100)
	c := feed.New(feed.Options{
		Addresses: []string{p.at}, Node: &corev3.Node{Id: "haproxy-1", UserAgentName: "hansa-haproxy"}, Log: testr.New(t),
		Credentials: func() (credentials.TransportCredentials, error) { return insecure.NewCredentials(), nil },
		Set:         func(c haproxy.Config) { got <- c },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	await := func(what string, ok func(haproxy.Config) bool) {
		t.Helper()
		for deadline := time.After(30 * time.Second); ; {
			select {
			case c := <-got:
				if ok(c) {
					return
				}
			case <-deadline:
				t.Fatalf("the driver does not get %s", what)
			}
		}
	}
	await("four listeners and what they need", func(c haproxy.Config) bool { return len(c.Listeners) == 4 && len(c.Services) == 3 })
	m.Listeners = m.Listeners[:1]
	p.server.Set(m)
	await("fewer listeners", func(c haproxy.Config) bool { return len(c.Listeners) == 1 && len(c.Services) == 1 })
	if n := c.Stats().Refused; n != 0 {
		t.Errorf("the driver has refused %d answers: %q", n, p.told.all())
	}
}
