package drive_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/hansa-io/hansa/internal/discovery/haproxy/drive"
)

// An HAProxy that somebody else has configured, and that reads a folder besides: what a package or a Pod with two containers has.
func TestBeside(t *testing.T) {
	t.Parallel()
	p := unstarted(t)
	if err := os.Mkdir(p.path("conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := freePort(t)
	base := fmt.Sprintf("global\n  stats socket %s level admin expose-fd listeners\n"+
		"frontend other\n  mode http\n  timeout client 10s\n  bind 127.0.0.1:%d\n  http-request return status 200 content-type text/plain string other\n", p.path("admin"), other)
	if err := os.WriteFile(p.path("base.cfg"), []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(p.path("base.cfg"), p.path("conf"))
	eventually(t, "HAProxy has started", func() bool {
		got, err := get(t.Context(), clientOf(t), fmt.Sprintf("http://127.0.0.1:%d/", other))
		return err == nil && got == "other"
	})
	p.options.File, p.options.Files.Socket, p.options.Check = p.path("conf/hansa.cfg"), "", drive.CheckBy("")
	p.drive()
	a := cluster(t, "a", 68, 1)
	p.set(p.web(level{place(1, a)}))
	for url, want := range map[string]string{p.url(): "a", fmt.Sprintf("http://127.0.0.1:%d/", other): "other"} {
		if got, err := get(t.Context(), clientOf(t), url); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", url, got, err, want)
		}
	}
	if s := p.driver.Stats(); s.Reloads != 1 {
		t.Errorf("%d reloads, want 1", s.Reloads)
	}
}

// The recipe of the guide for an HAProxy that asks DNS by itself.
func TestRecipe(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../../../docs/guide/haproxy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, ok := strings.Cut(string(guide), "```text\nresolvers clusterset\n")
	recipe, _, ended := strings.Cut(recipe, "```")
	if !ok || !ended {
		t.Fatal("the guide has no recipe")
	}
	a, b := cluster(t, "a", 69, 2), cluster(t, "b", 70, 2)
	address := nameServer(t, append(a, b...))

	p := unstarted(t)
	config := "global\n  stats socket " + p.path("admin") + " level admin\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n" +
		"resolvers clusterset\n" + strings.Replace(recipe, "10.96.0.10:53", address, 1) +
		fmt.Sprintf("frontend web\n  bind 127.0.0.1:%d\n  default_backend web\n", p.port)
	if err := os.WriteFile(p.path("haproxy.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(p.path("haproxy.cfg"))
	from := map[string]int{}
	eventually(t, "both clusters answer", func() bool {
		if got, err := get(t.Context(), clientOf(t), p.url()); err == nil {
			from[got]++
		}
		return from["a"] > 3 && from["b"] > 3
	})
	t.Logf("answers by cluster: %v", from)
}

// nameServer answers for a headless service with all servers.
func nameServer(t *testing.T, servers []*backend) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const name = "web.shop.svc.clusterset.local."
	records := func(q dns.Question) (answer, extra []dns.RR) {
		for i, s := range servers {
			host := fmt.Sprintf("h%d.%s", i, name)
			a := &dns.A{Hdr: dns.RR_Header{Name: host, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.ParseIP(s.address)}
			switch {
			case q.Qtype == dns.TypeSRV && q.Name == "_http._tcp."+name:
				answer = append(answer, &dns.SRV{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeSRV, Class: dns.ClassINET, Ttl: 5}, Weight: 1, Port: uint16(s.port), Target: host})
				extra = append(extra, a)
			case q.Qtype == dns.TypeA && q.Name == host:
				answer = append(answer, a)
			}
		}
		return answer, extra
	}
	d := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.Answer, m.Extra = records(r.Question[0])
		_ = w.WriteMsg(m)
	})}
	go func() { _ = d.ActivateAndServe() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = d.ShutdownContext(ctx)
	})
	return packets.LocalAddr().String()
}
