package story

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hansa-io/hansa/internal/discovery/rfc2136/dnslab"
)

// servers are the DNS servers of stories, by their scripts.
type servers map[*testscript.TestScript]*dnslab.Server

// start runs BIND as the primary of zones, and tells the script how to reach it:
//
//	nameserver ZONE...
//
// sets DNS to its address, DNS_KEY to the name of its key and DNS_SECRET to that in base64.
func (s servers) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: nameserver ZONE...")
	}
	one := dnslab.Bind(script{ts}, dnslab.Options{Zones: args})
	s[ts] = one
	ts.Setenv("DNS", one.Address)
	ts.Setenv("DNS_KEY", dnslab.KeyName)
	ts.Setenv("DNS_SECRET", one.Secret)
}

// answers asks the server again and again until its answer matches:
//
//	answers NAME TYPE 'regexp'
func (s servers) answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || s[ts] == nil {
		ts.Fatalf("usage, after nameserver: answers NAME TYPE REGEXP")
	}
	want, err := regexp.Compile(args[2])
	ts.Check(err)
	deadline := time.Now().Add(time.Minute)
	for {
		got, err := s[ts].Look(args[0], args[1])
		text := strings.Join(got, ", ")
		if err != nil {
			text = err.Error()
		}
		if want.MatchString(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s %s: %s, not %s", args[0], args[1], text, args[2])
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// script is a story as the DNS server's package takes it.
type script struct{ *testscript.TestScript }

func (s script) Helper()                          {}
func (s script) Fatal(args ...any)                { s.Fatalf("%s", fmt.Sprint(args...)) }
func (s script) Skipf(format string, args ...any) { s.Fatalf(format, args...) } // the script looks before it asks for one
func (s script) Cleanup(f func())                 { s.Defer(f) }

func (s script) TempDir() string {
	dir, err := os.MkdirTemp("", "hansa-dns-")
	s.Check(err)
	s.Defer(func() { _ = os.RemoveAll(dir) })
	return dir
}
