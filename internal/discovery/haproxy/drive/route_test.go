package drive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// one is a service with one server, which answers with the service's name.
func one(t *testing.T, name string, net int) haproxy.Service {
	return haproxy.Service{Name: name, Levels: []level{{place(1, cluster(t, name, net, 1))}}}
}

func to(services ...string) (out []haproxy.Target) {
	for _, s := range services {
		out = append(out, haproxy.Target{Service: s, Weight: 1})
	}
	return out
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := haproxy.Config{
		Services: []haproxy.Service{one(t, "any", 46), one(t, "cart", 47), one(t, "beta", 48), one(t, "sub", 49), {Name: "empty"}},
		Listeners: []haproxy.Listener{{Name: "l", Address: "127.0.0.1", Port: p.port, Mode: haproxy.HTTP, Hosts: []haproxy.Host{
			{Names: []string{"*"}, Routes: []haproxy.Route{{Prefix: "/", Targets: to("any")}}},
			{Names: []string{"*.example.com"}, Routes: []haproxy.Route{{Exact: "/only", Targets: to("sub")}}},
			{Names: []string{"shop.example.com"}, Routes: []haproxy.Route{
				{Segments: "/cart", Method: "POST", Targets: to("beta")},
				{Segments: "/cart", Headers: []haproxy.Header{{Name: "x-version", Value: `it's } "$HOME" -f #`}}, Targets: to("beta")},
				{Segments: "/cart", Targets: to("cart")},
				{Prefix: "/pre", Targets: to("cart")},
				{Exact: "/none", Targets: nil},
				{Exact: "/teapot", Status: 418},
				{Exact: "/empty", Targets: to("empty")},
			}},
		}}},
	}
	p.set(c)
	for _, ask := range []struct{ method, host, path, version, want string }{
		{"GET", "elsewhere.org", "/x", "", "200 any"},
		{"GET", "127.0.0.1:80", "/x", "", "200 any"},
		{"GET", "a.example.com", "/only", "", "200 sub"},
		{"GET", "a.b.example.com:8080", "/only?q=1", "", "200 sub"},
		{"GET", "example.com", "/only", "", "200 any"},
		{"GET", "a.example.com", "/only/more", "", "404 no route"},
		{"GET", "SHOP.example.com:99", "/cart", "", "200 cart"},
		{"GET", "shop.example.com", "/cart/7", "", "200 cart"},
		{"GET", "shop.example.com", "/cartoon", "", "404 no route"},
		{"GET", "shop.example.com", "/prefix", "", "200 cart"},
		{"POST", "shop.example.com", "/cart", "", "200 beta"},
		{"GET", "shop.example.com", "/cart", `it's } "$HOME" -f #`, "200 beta"},
		{"GET", "shop.example.com", "/cart", "it's", "200 cart"},
		{"GET", "shop.example.com", "/none", "", "500 no backend"},
		{"GET", "shop.example.com", "/teapot", "", "418 no backend"},
		{"GET", "shop.example.com", "/empty", "", "503"},
		{"GET", "shop.example.com", "/only", "", "404 no route"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), ask.method, strings.TrimSuffix(p.url(), "/")+ask.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = ask.host
		if ask.version != "" {
			r.Header.Set("X-Version", ask.version)
		}
		answer, err := clientOf(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if got := fmt.Sprint(answer.StatusCode, " ", string(body)); !strings.HasPrefix(got, ask.want) {
			t.Errorf("%s %s%s: %s, want %s", ask.method, ask.host, ask.path, got, ask.want)
		}
	}
}

// Connections of a TCP listener go to one cluster as long as that is there, and those of a client to one endpoint if that is asked for.
func TestTCP(t *testing.T) {
	t.Parallel()
	p := start(t)
	here, there := cluster(t, "here", 50, 3), cluster(t, "there", 51, 1)
	for i, b := range here {
		b.cluster = fmt.Sprint("here", i)
	}
	c := haproxy.Config{
		Listeners: []haproxy.Listener{{Name: "l", Address: "127.0.0.1", Port: p.port, Mode: haproxy.TCP, Targets: to("s")}},
		Services:  []haproxy.Service{{Name: "s", Balance: haproxy.Source, Levels: []level{{place(1, here)}, {place(1, there)}}}},
	}
	p.set(c)
	asked := func(from string, n int) map[string]int {
		got := map[string]int{}
		for range n {
			d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			transport := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
			body, err := get(t.Context(), &http.Client{Transport: transport}, p.url())
			if err != nil {
				t.Errorf("from %s: %v", from, err)
			}
			got[body]++
		}
		return got
	}
	used := map[string]bool{}
	for i := range 20 {
		got := asked(fmt.Sprintf("127.0.0.%d", i+1), 3)
		if len(got) != 1 {
			t.Errorf("one client's connections went to %v, want one endpoint", got)
		}
		for name := range got {
			used[name] = true
		}
	}
	if len(used) < 2 || used["there"] {
		t.Errorf("20 clients used %v, want several endpoints, all here", used)
	}
	for _, b := range here {
		b.kill()
	}
	if got := asked("127.0.0.1", 5); got["there"] != 5 {
		t.Errorf("with all endpoints here dead: %v, want all from there", got)
	}
}

// Calls of gRPC, which is HTTP/2 on both sides, go through an HTTP listener.
func TestGRPC(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.71.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)

	p := start(t)
	c := p.web(level{{Endpoints: []haproxy.Endpoint{{Address: "127.0.71.1", Port: uint32(l.Addr().(*net.TCPAddr).Port), Usable: true}}}})
	c.Services[0].HTTP2 = true
	p.set(c)
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", p.port), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 10 {
		if got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Fatalf("%v, %v", got, err)
		}
	}
}

// The levels after the second are used as well, and left again.
func TestFarLevels(t *testing.T) {
	t.Parallel()
	p := start(t)
	region, far, farther := cluster(t, "region", 52, 1), cluster(t, "far", 53, 1), cluster(t, "farther", 54, 1)
	p.set(p.web(level{}, level{place(1, region)}, level{place(1, far)}, level{place(1, farther)}))
	is := func(want string) {
		t.Helper()
		failed := 0
		eventually(t, want+" answers", func() bool {
			got, err := get(t.Context(), clientOf(t), p.url())
			if err != nil {
				failed++
			}
			return got == want
		})
		t.Logf("%s answers after %d failed requests", want, failed)
		if failed > 1 {
			t.Errorf("%d requests failed until %s answered, want 1 at most", failed, want)
		}
	}
	is("region")
	region[0].kill()
	is("far")
	far[0].kill()
	is("farther")
	far[0].start(t)
	is("far")
	region[0].start(t)
	is("region")
}

// A restart of HAProxy begins where it ended, with no driver; a driver that finds all as it should be does nothing.
func TestRestarts(t *testing.T) {
	t.Parallel()
	p := start(t)
	a, b := cluster(t, "a", 55, 1), cluster(t, "b", 56, 1)
	p.set(p.web(level{place(1, a)}))
	c := p.web(level{place(1, b)}, level{place(1, a)})
	p.set(c)
	p.stop()

	p.kill()
	eventually(t, "HAProxy is back with the endpoints that it had", func() bool {
		got, err := get(t.Context(), clientOf(t), p.url())
		return err == nil && got == "b"
	})

	p.drive()
	p.set(c)
	if s := p.driver.Stats(); s.Commands+s.Reloads+s.FileWrites != 0 {
		t.Errorf("a driver that was started anew sent %d commands, reloaded %d times and wrote %d files, want nothing", s.Commands, s.Reloads, s.FileWrites)
	}

	// HAProxy lost what the file has, because somebody changed it by hand.
	if err := os.WriteFile(p.path("haproxy.cfg"), []byte(p.web(level{place(1, a)}).File(haproxy.Files{State: p.path("state"), Socket: p.path("admin")})), 0o600); err != nil {
		t.Fatal(err)
	}
	p.kill()
	eventually(t, "HAProxy has what it should have again", func() bool {
		got, err := get(t.Context(), clientOf(t), p.url())
		return err == nil && got == "b"
	})
}

// kill kills all of HAProxy.
func (p *proxy) kill() {
	p.t.Helper()
	var conn net.Conn
	eventually(p.t, "HAProxy's master answers", func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", p.path("master"))
		return err == nil
	})
	defer conn.Close()
	fmt.Fprintln(conn, "show proc")
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn)
	killed := 0
	for line := range strings.Lines(string(answer)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil && pid > 1 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	if killed < 2 {
		p.t.Fatalf("killed %d processes of HAProxy, want a master and a worker: %s", killed, answer)
	}
}

// A configuration that HAProxy does not take changes nothing, is told, and does not keep endpoints from changing.
func TestRefused(t *testing.T) {
	t.Parallel()
	p := start(t)
	a, b := cluster(t, "a", 57, 1), cluster(t, "b", 58, 1)
	good := p.web(level{place(1, a)})
	p.set(good)
	l := generate(t, 4, p.url())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p.stop()
	reload := p.options.Reload
	p.options.Reload, p.options.ReloadTime = func(context.Context) error { return errors.New("no permission to reload") }, 100*time.Millisecond
	p.drive()

	with := func(name string, port uint32, m haproxy.Mode) haproxy.Config {
		c := good
		c.Listeners = append(slices.Clone(good.Listeners), haproxy.Listener{Name: name, Address: "127.0.0.1", Port: port, Mode: m})
		return c
	}
	free := with("free", freePort(t), haproxy.TCP)
	for i, c := range []haproxy.Config{
		with("taken", uint32(taken.Addr().(*net.TCPAddr).Port), haproxy.TCP),
		with("twice", p.port, haproxy.TCP),
		with("wrong", freePort(t), "unheard-of"),
		free,
	} {
		p.driver.Set(c)
		eventually(t, "the refusal is told", func() bool { return p.driver.Stats().ReloadErrors == uint64(i+1) })
		l.more(t, 200)
		if p.driver.Stats().Current {
			t.Error("a configuration that was refused counts as the one that runs")
		}
	}
	if s := p.driver.Stats(); s.Reloads != 1 {
		t.Errorf("%d reloads, want 1: the others could be seen to be in vain", s.Reloads)
	}
	_, failed := l.reset()
	none(t, "refused configurations", failed)

	free.Services = p.web(level{place(1, b)}).Services
	p.driver.Set(free)
	eventually(t, "the endpoints of what runs still change", func() bool {
		got, err := get(t.Context(), clientOf(t), p.url())
		return err == nil && got == "b"
	})
	eventually(t, "the file is one that HAProxy can start with, with those endpoints", func() bool {
		content, err := os.ReadFile(p.path("haproxy.cfg"))
		return err == nil && string(content) == p.web(level{place(1, b)}).File(p.options.Files)
	})

	p.stop()
	p.options.Reload, p.options.ReloadTime = reload, 10*time.Second
	p.drive()
	p.set(free)
	_, failed = l.reset()
	none(t, "accepted at last", failed)
}
