// Package dnslab gives tests real DNS servers on loopback: BIND and Knot, with zones that take dynamic updates signed by a key.
package dnslab

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/miekg/dns"
)

// KeyName and Algorithm are those of the key that every server knows.
const (
	KeyName   = "hansa-test"
	Algorithm = "hmac-sha256"
)

// T is a test that has a server; any testing.TB is one.
type T interface {
	Helper()
	Skipf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	TempDir() string
	Cleanup(f func())
}

// Options of a server.
type Options struct {
	// Zones that the server is the primary of.
	Zones []string
	// Records are lines of zone files, with full names, that are there from the start.
	Records []string
	// NoTransfer refuses AXFR, NoUpdate updates.
	NoTransfer, NoUpdate bool
}

// Server is a DNS server at work.
type Server struct {
	// Address is host:port, for UDP and TCP.
	Address string
	// Secret of the key in base64.
	Secret string

	t       T
	dir     string
	command []string
	options Options
	process *exec.Cmd
	output  *bytes.Buffer
}

// Kinds are the servers that there are, by name.
var Kinds = map[string]func(T, Options) *Server{"bind": Bind, "knot": Knot}

// Bind starts BIND. The test is skipped where it is not installed.
func Bind(t T, o Options) *Server {
	return start(t, o, "named", "-f", bindConfig, func(dir string) []string { return []string{"-n", "1", "-c", dir + "/conf"} })
}

// Knot starts Knot DNS. The test is skipped where it is not installed.
func Knot(t T, o Options) *Server {
	return start(t, o, "knotd", "", knotConfig, func(dir string) []string { return []string{"-c", dir + "/conf"} })
}

func start(t T, o Options, program, foreground, config string, args func(string) []string) *Server {
	t.Helper()
	path := find(program)
	if path == "" {
		t.Skipf("%s is not installed: see test/packages.sh", program)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	s := &Server{t: t, Address: free(t), Secret: base64.StdEncoding.EncodeToString(secret), dir: t.TempDir(), options: o}
	s.command = append([]string{path}, args(s.dir)...)
	if foreground != "" {
		s.command = append(s.command, foreground)
	}
	for _, zone := range o.Zones {
		text := fmt.Sprintf("$TTL 60\n%[1]s. SOA ns.%[1]s. admin.%[1]s. 1 60 60 600 60\n%[1]s. NS ns.%[1]s.\nns.%[1]s. A 127.0.0.1\n", zone)
		for _, r := range o.Records {
			if name, _, _ := strings.Cut(r, " "); strings.HasSuffix("."+name, "."+zone+".") {
				text += r + "\n"
			}
		}
		s.write(zone+".zone", text)
	}
	host, port, _ := net.SplitHostPort(s.Address)
	var conf bytes.Buffer
	err := template.Must(template.New(program).Parse(config)).Execute(&conf, map[string]any{
		"dir": s.dir, "host": host, "port": port, "key": KeyName, "algorithm": Algorithm, "secret": s.Secret, "o": o,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.write("conf", conf.String())
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// find looks for a program where users and where administrators have theirs; empty if it is not there.
func find(program string) string {
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// free is an address at which both UDP and TCP are free.
func free(t T) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			p.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// Start starts the server again after Stop, with what it held, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.output = &bytes.Buffer{}
	s.process = exec.Command(s.command[0], s.command[1:]...)
	s.process.Stdout, s.process.Stderr = s.output, s.output
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for _, zone := range s.options.Zones {
		for {
			_, code, err := s.ask(zone, dns.TypeSOA)
			if err == nil && code == dns.RcodeSuccess {
				break
			}
			if time.Now().After(deadline) {
				s.t.Fatalf("%s does not answer for %s: %v %s\n%s", s.command[0], zone, err, dns.RcodeToString[code], s.output)
			}
			time.Sleep(10 * time.Millisecond) // until it is there
		}
	}
}

// Stop ends the server; it keeps what it holds.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(os.Interrupt) // it may have ended by itself
	_ = s.process.Wait()
	s.process = nil
}

func (s *Server) ask(name string, kind uint16) (*dns.Msg, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	m.RecursionDesired = false
	answer, _, err := new(dns.Client).ExchangeContext(ctx, m, s.Address)
	if err != nil {
		return nil, 0, err
	}
	return answer, answer.Rcode, nil
}

// Look asks the server for a name by UDP, as anybody would: the values, sorted, each with its TTL; an error says NXDOMAIN or the like.
func (s *Server) Look(name, kind string) ([]string, error) {
	answer, code, err := s.ask(name, dns.StringToType[kind])
	if err != nil {
		return nil, err
	}
	if code != dns.RcodeSuccess {
		return nil, fmt.Errorf("%s %s: %s", name, kind, dns.RcodeToString[code])
	}
	var out []string
	for _, rr := range answer.Answer {
		h := rr.Header()
		out = append(out, fmt.Sprintf("%d %s %s", h.Ttl, dns.TypeToString[h.Rrtype], strings.TrimPrefix(rr.String(), h.String())))
	}
	slices.Sort(out)
	return out, nil
}

// Edit changes a zone as somebody else would; lines are "add|delete <record>".
func (s *Server) Edit(zone string, lines ...string) {
	s.t.Helper()
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(zone))
	for _, line := range lines {
		verb, text, _ := strings.Cut(line, " ")
		rr, err := dns.NewRR(text)
		if err != nil {
			s.t.Fatal(err)
		}
		if verb == "add" {
			m.Insert([]dns.RR{rr})
		} else {
			m.RemoveRRset([]dns.RR{rr})
		}
	}
	c := &dns.Client{Net: "tcp", TsigSecret: map[string]string{dns.Fqdn(KeyName): s.Secret}}
	m.SetTsig(dns.Fqdn(KeyName), dns.Fqdn(Algorithm), 300, time.Now().Unix())
	answer, _, err := c.Exchange(m, s.Address)
	if err != nil || answer.Rcode != dns.RcodeSuccess {
		s.t.Fatalf("edit %s: %v %v", zone, answer, err)
	}
}

const bindConfig = `
options {
  directory "{{.dir}}";
  listen-on port {{.port}} { {{.host}}; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile none;
  recursion no;
  dnssec-validation no;
  notify no;
  allow-transfer { none; };
};
controls { };
key "{{.key}}" { algorithm {{.algorithm}}; secret "{{.secret}}"; };
{{range .o.Zones}}
zone "{{.}}" {
  type primary;
  file "{{.}}.zone";
  {{if not $.o.NoUpdate}}allow-update { key "{{$.key}}"; };{{end}}
  {{if not $.o.NoTransfer}}allow-transfer { key "{{$.key}}"; };{{end}}
};
{{end}}`

const knotConfig = `
server:
  rundir: "{{.dir}}"
  listen: "{{.host}}@{{.port}}"
  tcp-workers: 1
  udp-workers: 1
  background-workers: 1
database:
  storage: "{{.dir}}"
log:
  - target: stderr
    any: warning
key:
  - id: "{{.key}}"
    algorithm: {{.algorithm}}
    secret: "{{.secret}}"
acl:
  - id: transfer
    key: "{{.key}}"
    action: [{{if .o.NoTransfer}}notify{{else}}transfer{{end}}]
  - id: update
    key: "{{.key}}"
    action: [{{if .o.NoUpdate}}notify{{else}}update{{end}}]
zone:
{{range .o.Zones}}
  - domain: "{{.}}"
    storage: "{{$.dir}}"
    file: "{{.}}.zone"
    acl: [transfer, update]
{{end}}`

// Silent is the address of a server that takes connections and says nothing.
func Silent(t T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
