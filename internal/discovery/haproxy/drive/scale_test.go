package drive_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// What a change of one endpoint costs among 15,000 of 1,000 services.
func TestScale(t *testing.T) {
	if os.Getenv("HANSA_LONG") == "" {
		t.Skip("takes a minute of both cores: HANSA_LONG=1 runs it")
	}
	// HAProxy wants a file descriptor for the check of each, and 20,000 is a limit that many machines have.
	const services, endpoints = 1000, 15
	l := serve(t, "all", "0.0.0.0")
	p := start(t)
	c := haproxy.Config{Listeners: []haproxy.Listener{{Name: "l", Address: "127.0.0.1", Port: p.port, Mode: haproxy.HTTP}}}
	for i := range services {
		name := fmt.Sprintf("s%d.shop.svc.clusterset.local:80", i)
		host := fmt.Sprintf("s%d.example.com", i)
		c.Listeners[0].Hosts = append(c.Listeners[0].Hosts, haproxy.Host{Names: []string{host}, Routes: []haproxy.Route{{Prefix: "/", Targets: to(name)}}})
		s := haproxy.Service{Name: name, Check: haproxy.Check{Interval: time.Minute}}
		for j := range endpoints {
			e := haproxy.Place{Weight: 100, Endpoints: []haproxy.Endpoint{{Address: fmt.Sprintf("127.%d.%d.%d", 100+j, i/250, 1+i%250), Port: l.port, Usable: true}}}
			s.Levels = [][]haproxy.Place{append(slices.Concat(s.Levels...), e)}
		}
		c.Services = append(c.Services, s)
	}
	began := time.Now()
	topology, file := c.Topology(), c.File(p.options.Files)
	t.Logf("the file: %v, %d KB, topology %s", time.Since(began), len(file)>>10, topology)
	t.Logf("from nothing: %v", p.set(c))
	var slowest time.Duration
	for i := range 10 {
		changed := c
		changed.Services = slices.Clone(c.Services)
		first := changed.Services[i].Levels[0]
		changed.Services[i].Levels = [][]haproxy.Place{first[:len(first)-1]}
		slowest = max(slowest, p.set(changed), p.set(c))
	}
	t.Logf("one endpoint gone and back: %v at most of 20", slowest)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = fmt.Sprintf("s%d.example.com", services-1)
	answer, err := clientOf(t).Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("the last service: %v, %v", answer, err)
	} else {
		answer.Body.Close()
	}
	t.Logf("memory of HAProxy's worker: %d MB", resident(p))
}

// resident is the memory of the largest process of HAProxy, in MB.
func resident(p *proxy) (most int) {
	processes, _ := os.ReadDir("/proc")
	for _, d := range processes {
		args, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		status, _ := os.ReadFile("/proc/" + d.Name() + "/status")
		for line := range strings.Lines(string(status)) {
			var kb int
			if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 && strings.Contains(string(args), p.dir) {
				most = max(most, kb>>10)
			}
		}
	}
	return most
}
