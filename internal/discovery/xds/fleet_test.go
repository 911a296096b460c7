package xds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	xdsserver "github.com/hansa-io/hansa/internal/discovery/xds"
)

// service is what the clients of these tests dial.
const service = "web.prod.svc.clusterset.local"

// member is a cluster with gRPC servers that say who they are.
type member struct {
	t         *testing.T
	cluster   string
	region    string
	weight    int
	drain     bool
	servers   []*grpc.Server
	addresses []net.Addr
}

// newMember starts servers on loopback addresses of the cluster's own.
func newMember(t *testing.T, cluster, region, network string, servers int) *member {
	m := &member{t: t, cluster: cluster, region: region, weight: 100}
	for i := range servers {
		l, err := net.Listen("tcp", fmt.Sprintf("%s.%d:0", network, i+1))
		if err != nil {
			t.Fatal(err)
		}
		m.addresses = append(m.addresses, l.Addr())
		m.servers = append(m.servers, serve(t, l, cluster))
	}
	return m
}

// serve answers every call with a name.
func serve(t *testing.T, l net.Listener, name string) *grpc.Server {
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Who", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Is",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(&emptypb.Empty{}); err != nil {
				return nil, err
			}
			return wrapperspb.String(name), nil
		},
	}}}, nil)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return s
}

// kill ends the servers as a crash does.
func (m *member) kill() {
	for _, s := range m.servers {
		s.Stop()
	}
}

// revive starts them again where they were.
func (m *member) revive() {
	for i, at := range m.addresses {
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			m.t.Fatal(err)
		}
		m.servers[i] = serve(m.t, l, m.cluster)
	}
}

func (m *member) locality() balance.Locality {
	l := balance.Locality{Cluster: m.cluster, Region: m.region, Weight: m.weight, Drain: m.drain}
	for _, a := range m.addresses {
		at := a.(*net.TCPAddr)
		l.Endpoints = append(l.Endpoints, balance.Endpoint{Address: at.IP.String(), Port: int32(at.Port), Ready: true, Serving: true})
	}
	return l
}

// modelOf has one service, of these members.
func modelOf(members ...*member) balance.Model {
	s := balance.Service{NamespacedName: types.NamespacedName{Namespace: "prod", Name: "web"}, Port: 80, PortName: "grpc", AppProtocol: "grpc"}
	for _, m := range members {
		s.Localities = append(s.Localities, m.locality())
	}
	return balance.Model{Services: []balance.Service{s}}
}

// plane is a control plane: an xDS server that can be stopped and started at the same address.
type plane struct {
	t      testing.TB
	server *xdsserver.Server
	at     string
	stop   func()
	told   *heard
}

// heard is what people were told.
type heard struct {
	mu   sync.Mutex
	list []string
}

func (h *heard) tell(reason, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, reason+": "+text)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// newPlane serves a model.
func newPlane(t testing.TB, m balance.Model, change func(*xdsserver.Options)) *plane {
	p := &plane{t: t, at: "127.0.0.1:0", told: &heard{}}
	p.start(m, change)
	t.Cleanup(func() { p.stop() })
	return p
}

// start serves a model where it was served before, if it was.
func (p *plane) start(m balance.Model, change func(*xdsserver.Options)) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening := make(chan string, 1)
	o := xdsserver.Options{
		Address: p.at, Listening: func(a net.Addr) { listening <- a.String() }, Tell: p.told.tell, Log: testr.NewWithInterface(p.t, testr.Options{}),
	}
	if change != nil {
		change(&o)
	}
	p.server = xdsserver.New(o)
	ended := make(chan struct{})
	go func() { defer close(ended); p.server.Run(ctx) }()
	p.stop = sync.OnceFunc(func() { cancel(); <-ended })
	p.server.Set(m)
	select {
	case p.at = <-listening:
	case <-time.After(20 * time.Second):
		p.t.Fatal("the xDS server does not listen")
	}
}

// bootstrap of a gRPC client.
func bootstrap(t *testing.T, server string, creds, node map[string]any) []byte {
	b, err := json.Marshal(map[string]any{
		"xds_servers": []any{map[string]any{"server_uri": server, "channel_creds": []any{creds}, "server_features": []any{"xds_v3"}}},
		"node":        node,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var plain = map[string]any{"type": "insecure"}

// nodeIn is a client at a place.
func nodeIn(cluster, region string) map[string]any {
	return map[string]any{"id": "client-of-" + cluster, "locality": map[string]any{"region": region}, "metadata": map[string]any{"cluster": cluster}}
}

// dial connects a client by xDS.
func dial(t *testing.T, target string, bootstrap []byte) *grpc.ClientConn {
	r, err := xds.NewXDSResolverWithConfigForTesting(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	c, err := grpc.NewClient("xds:///"+target, grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func who(ctx context.Context, c *grpc.ClientConn) (string, error) {
	var name wrapperspb.StringValue
	err := c.Invoke(ctx, "/test.Who/Is", &emptypb.Empty{}, &name, grpc.WaitForReady(true))
	return name.GetValue(), err
}

// load calls without a pause until it is stopped.
type load struct {
	mu     sync.Mutex
	counts map[string]int
	first  map[string]time.Time // since the last mark
	last   map[string]time.Time
	errs   []error
	calls  atomic.Int64
	wg     sync.WaitGroup
	cancel context.CancelFunc
}

func newLoad(t *testing.T, c *grpc.ClientConn, workers int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	l.mark()
	for range workers {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				name, err := who(ctx, c)
				if ctx.Err() != nil {
					return
				}
				l.note(name, err)
			}
		})
	}
	t.Cleanup(func() { cancel(); l.wg.Wait() })
	return l
}

func (l *load) note(name string, err error) {
	l.calls.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	now := time.Now()
	if l.counts[name]++; l.counts[name] == 1 {
		l.first[name] = now
	}
	l.last[name] = now
}

// mark begins to count anew.
func (l *load) mark() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts, l.first, l.last, l.errs = map[string]int{}, map[string]time.Time{}, map[string]time.Time{}, nil
	return time.Now()
}

// seen is what was counted since the last mark.
func (l *load) seen() (map[string]int, []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts), slices.Clone(l.errs)
}

// after waits for some calls more.
func (l *load) after(t *testing.T, n int64) {
	t.Helper()
	until := l.calls.Load() + n
	eventually(t, fmt.Sprintf("%d calls more", n), func() bool { return l.calls.Load() >= until })
}

// only waits until nobody but one has answered for many calls in a row, and returns what came before.
func (l *load) only(t *testing.T, name string) {
	t.Helper()
	eventually(t, "all calls to be answered by "+name, func() bool {
		before, _ := l.seen()
		l.after(t, 300)
		now, _ := l.seen()
		for other, n := range now {
			if other != name && n != before[other] {
				return false
			}
		}
		return now[name] > before[name]
	})
}

func (l *load) noErrors(t *testing.T) {
	t.Helper()
	if _, errs := l.seen(); len(errs) != 0 {
		t.Errorf("%d errors, %s", len(errs), firstOf(errs))
	}
}

// moved logs how long after some moment calls came to one and left the other.
func (l *load) moved(t *testing.T, what string, since time.Time, from, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%s: first call at %s after %v, last at %s after %v; %d errors %s", what, to, l.first[to].Sub(since).Round(10*time.Microsecond),
		from, l.last[from].Sub(since).Round(10*time.Microsecond), len(l.errs), firstOf(l.errs))
}

func firstOf(errs []error) string {
	if len(errs) == 0 {
		return ""
	}
	return "such as " + strings.TrimSpace(errs[0].Error())
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
