package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// TopologyVariable is the variable of HAProxy's environment that tells which topology runs.
const TopologyVariable = "HANSA_TOPOLOGY"

// Files are the paths that the file names.
type Files struct {
	// State is where the states of servers are kept over a reload, so that a dead one does not count as alive again.
	State string
	// Socket is the runtime socket to open; empty where another file of HAProxy's configuration opens it.
	Socket string
}

// File returns the configuration file.
func (c Config) File(f Files) string {
	w, pools := &text{}, c.pools()
	w.line("# Written by hansa haproxy, again with every change: edit another file, and give HAProxy both.")
	w.line("global")
	w.line("  setenv %s %s", TopologyVariable, c.topology(pools))
	w.line("  server-state-file %s", f.State)
	if f.Socket != "" {
		w.line("  stats socket %s mode 600 level admin expose-fd listeners", f.Socket)
	}
	w.line("")
	c.body(w, pools, true)
	return w.String()
}

// Topology names what can only be changed by a reload: equal if and only if that is equal.
func (c Config) Topology() string { return c.topology(c.pools()) }

func (c Config) topology(pools []pool) string {
	w := &text{}
	c.body(w, pools, false)
	sum := sha256.Sum256([]byte(w.String()))
	return hex.EncodeToString(sum[:8])
}

// Refresh returns a file with the endpoints that c has for its backends: what can be brought to a process that runs another topology. What HAProxy
// resolves, and a backend that c does not have, stays.
func (c Config) Refresh(file string) string {
	pools := map[string]pool{}
	for _, p := range c.pools() {
		pools[p.name] = p
	}
	w := &text{}
	for i, section := range strings.Split(file, "\nbackend ") {
		if i > 0 {
			w.WriteString("\nbackend ")
		}
		name, _, _ := strings.Cut(section, " ")
		p, ok := pools[name]
		if i == 0 || !ok {
			w.WriteString(section)
			continue
		}
		servers := map[string]string{}
		for line := range strings.Lines(section) {
			if !strings.HasPrefix(line, "  server ") {
				w.WriteString(line)
			} else if strings.HasSuffix(line, resolved+"\n") {
				servers[strings.Fields(line)[1]] = line
			}
		}
		for _, s := range p.servers {
			if !s.named {
				servers[s.name] = "  server " + s.definition() + "\n"
			}
		}
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			w.WriteString(servers[name])
		}
	}
	return w.String()
}

// Binds returns the addresses of the listeners in a file.
func Binds(file string) (addresses []string) {
	for line := range strings.Lines(file) {
		if a, ok := strings.CutPrefix(line, "  bind "); ok {
			addresses = append(addresses, strings.Fields(a)[0])
		}
	}
	return addresses
}

// body writes all sections but the global one; all are the servers that can be changed at run time, too.
func (c Config) body(w *text, pools []pool, all bool) {
	w.line("defaults hansa")
	for _, l := range defaults {
		w.line("  %s", l)
	}
	if named(pools) {
		w.line("\nresolvers hansa\n  parse-resolv-conf\n  hold valid 10s")
	}
	for _, l := range c.Listeners {
		l.write(w, pools)
	}
	for _, p := range pools {
		p.write(w, all)
	}
}

// What defaults say in all sections. A connection that fails marks its server as down at once, so the many retries do not take long.
var defaults = []string{
	"timeout connect 2s",
	"timeout client 60s",
	"timeout server 60s",
	"timeout http-request 30s",
	"timeout tunnel 1h",
	"retries 10",
	"option redispatch 1",
	"retry-on conn-failure empty-response",
	"option dontlognull",
	"load-server-state-from-file global",
}

func named(pools []pool) bool {
	for _, p := range pools {
		for _, s := range p.servers {
			if s.named {
				return true
			}
		}
	}
	return false
}

func (p pool) write(w *text, all bool) {
	w.line("\nbackend %s from hansa", p.name)
	w.line("  mode %s", p.mode)
	p.service.balance(w)
	w.line("  option allbackups")
	if p.service.Connect > 0 {
		w.line("  timeout connect %s", millis(p.service.Connect, 0))
	}
	if p.mode == TCP {
		w.line("  timeout server 1h")
	} else {
		// What is not idempotent is sent again only if it did not reach a server.
		w.line("  http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE PUT DELETE }")
	}
	p.service.Check.write(w)
	w.line("  default-server %s", p.parameters())
	for _, s := range p.servers {
		if all || s.named {
			w.line("  server %s", s.definition())
		}
	}
}

func (s Service) balance(w *text) {
	b := s.Balance
	if b == "" {
		b = RoundRobin
	}
	w.line("  balance %s", b)
	if b == Source {
		w.line("  hash-type consistent") // the other type has no weights and servers that change
	}
}

func (c Check) write(w *text) {
	if c.Path == "" {
		return
	}
	w.line("  option httpchk")
	send := "  http-check send meth GET uri " + quote(c.Path)
	if c.Host != "" {
		send += " ver HTTP/1.1 hdr Host " + quote(c.Host)
	}
	w.line("%s", send)
}

// parameters are those of each server. A connection that fails counts as much as a check.
func (p pool) parameters() string {
	c := p.service.Check
	out := fmt.Sprintf("check inter %s fastinter 500ms downinter 1s fall %d rise %d observe layer4 error-limit 1 on-error mark-down",
		millis(c.Interval, 2*time.Second), or(c.Fall, 2), or(c.Rise, 1))
	if p.mode == HTTP && p.service.HTTP2 {
		out += " proto h2"
	}
	return out
}

// resolved ends the definition of a server that HAProxy resolves, also later than at its start.
const resolved = " resolvers hansa init-addr last,libc,none"

// definition is what follows the word server in the file.
func (s server) definition() string {
	d := fmt.Sprintf("%s %s weight %d", s.name, s.at, s.weight)
	if s.backup {
		d += " backup"
	}
	if s.named {
		d += resolved
	}
	return d
}

func or(v, otherwise uint32) uint32 {
	if v == 0 {
		return otherwise
	}
	return v
}

func millis(d, otherwise time.Duration) string {
	if d <= 0 {
		d = otherwise
	}
	return fmt.Sprintf("%dms", max(1, d.Milliseconds()))
}

// quote makes one word of what others have chosen. It may not hold control characters; Valid sees to that.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

type text struct{ strings.Builder }

func (t *text) line(format string, a ...any) {
	fmt.Fprintf(t, format, a...)
	t.WriteByte('\n')
}
