package drive_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/drive"
)

// program returns the path of HAProxy, or skips the test.
func program(t *testing.T) string {
	t.Helper()
	for _, p := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	t.Skip("no haproxy on this machine: test/packages.sh installs it")
	return ""
}

// eventually waits for a state.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain after 30 s: " + what)
		}
	}
}

// backend is a real server that answers with its cluster's name.
type backend struct {
	cluster, address string
	port             uint32
	server           *http.Server
}

func serve(t *testing.T, cluster, address string) *backend {
	t.Helper()
	b := &backend{cluster: cluster, address: address}
	b.start(t)
	t.Cleanup(b.kill)
	return b
}

func (b *backend) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(b.address, fmt.Sprint(b.port)))
	if err != nil {
		t.Fatal(err)
	}
	b.port = uint32(l.Addr().(*net.TCPAddr).Port)
	b.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, b.cluster) })}
	go func() { _ = b.server.Serve(l) }()
}

// kill closes the listener and all connections, as the kernel does for a process that is killed.
func (b *backend) kill() { b.server.Close() }

func (b *backend) endpoint() haproxy.Endpoint {
	return haproxy.Endpoint{Address: b.address, Port: b.port, Usable: true}
}

// cluster starts n servers.
func cluster(t *testing.T, name string, net, n int) []*backend {
	var out []*backend
	for i := range n {
		out = append(out, serve(t, name, fmt.Sprintf("127.0.%d.%d", net, i+1)))
	}
	return out
}

func place(weight uint32, servers []*backend) haproxy.Place {
	p := haproxy.Place{Weight: weight}
	for _, s := range servers {
		p.Endpoints = append(p.Endpoints, s.endpoint())
	}
	return p
}

func drained(p haproxy.Place) haproxy.Place {
	p.Endpoints = slices.Clone(p.Endpoints)
	for i := range p.Endpoints {
		p.Endpoints[i].Usable = false
	}
	return p
}

// proxy is a real HAProxy and its driver.
type proxy struct {
	t       *testing.T
	dir     string
	port    uint32
	options drive.Options
	driver  *drive.Driver
	stop    func() // ends the driver, not HAProxy
}

// run runs something until the test ends, or until it is told to end.
func run(t *testing.T, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// unstarted has nothing that runs yet.
func unstarted(t *testing.T) *proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "hap") // a path of t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &proxy{t: t, dir: dir, port: freePort(t)}
	p.options = drive.Options{
		Socket: drive.Socket(p.path("admin")), File: p.path("haproxy.cfg"),
		Files:  haproxy.Files{State: p.path("state"), Socket: p.path("admin")},
		Check:  drive.CheckBy(program(t)),
		Reload: drive.ReloadByMaster(drive.Socket(p.path("master"))),
		Log:    logger(), ReloadTime: 10 * time.Second, Resync: 500 * time.Millisecond,
	}
	return p
}

// start runs HAProxy, with no configuration yet, and a driver.
func start(t *testing.T) *proxy {
	t.Helper()
	p := unstarted(t)
	p.run(p.path("haproxy.cfg"))
	p.drive()
	return p
}

// run runs HAProxy.
func (p *proxy) run(files ...string) {
	run(p.t, drive.Child{Program: program(p.t), Files: files, Master: drive.Socket(p.path("master")), Grace: time.Second, Log: logger()}.Run)
}

func (p *proxy) path(name string) string { return filepath.Join(p.dir, name) }

// drive starts a driver.
func (p *proxy) drive() {
	p.driver = drive.New(p.options)
	p.stop = run(p.t, p.driver.Run)
}

// set brings HAProxy to a configuration and waits until it is there.
func (p *proxy) set(c haproxy.Config) time.Duration {
	p.t.Helper()
	began := time.Now()
	p.driver.Set(c)
	eventually(p.t, "HAProxy runs what is wanted", func() bool { return p.driver.Stats().Current })
	return time.Since(began)
}

// web balances one service at one listener.
func (p *proxy) web(levels ...[]haproxy.Place) haproxy.Config {
	return haproxy.Config{
		Listeners: []haproxy.Listener{{
			Name: "shop/public/web", Address: "127.0.0.1", Port: p.port, Mode: haproxy.HTTP,
			Hosts: []haproxy.Host{{Names: []string{"*"}, Routes: []haproxy.Route{{Prefix: "/", Targets: []haproxy.Target{{Service: "web.shop:80", Weight: 1}}}}}},
		}},
		Services: []haproxy.Service{{Name: "web.shop:80", Levels: levels}},
	}
}

func (p *proxy) url() string { return fmt.Sprintf("http://127.0.0.1:%d/", p.port) }

func freePort(t *testing.T) uint32 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint32(l.Addr().(*net.TCPAddr).Port)
}

// load are clients that ask all the time, each on one connection that is kept alive.
type load struct {
	mu          sync.Mutex
	from        map[string]int // answers by cluster
	failed      []string
	lastFailure time.Time
	slowest     time.Duration
	stop        func()
}

func generate(t *testing.T, clients int, url string) *load {
	l := &load{from: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport, Timeout: 20 * time.Second}
			for ctx.Err() == nil {
				l.ask(ctx, c, url)
			}
		})
	}
	l.stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(l.stop)
	return l
}

func (l *load) ask(ctx context.Context, c *http.Client, url string) {
	began := time.Now()
	body, err := get(ctx, c, url)
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, time.Since(began))
	if err != nil {
		l.failed, l.lastFailure = append(l.failed, err.Error()), time.Now()
		return
	}
	l.from[body]++
}

func get(ctx context.Context, c *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", answer.StatusCode, strings.TrimSpace(string(body)))
	}
	return string(body), err
}

// reset begins to count anew and returns what was counted so far.
func (l *load) reset() (from map[string]int, failed []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, failed = l.from, l.failed
	l.from, l.failed, l.slowest = map[string]int{}, nil, 0
	return from, failed
}

// more waits until so many more answers have come.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	want := l.sum() + n
	eventually(t, "clients get answers", func() bool { return l.sum() >= want })
}

func (l *load) sum() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for n := range maps.Values(l.from) {
		sum += n
	}
	return sum
}

// none fails the test if a request has failed.
func none(t *testing.T, when string, failed []string) {
	t.Helper()
	if len(failed) > 0 {
		t.Errorf("%s: %d requests failed, the first with %s", when, len(failed), failed[0])
	}
}

func clientOf(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// logger logs if the test is verbose.
func logger() logr.Logger {
	if !testing.Verbose() {
		return logr.Discard()
	}
	return klog.Background()
}
