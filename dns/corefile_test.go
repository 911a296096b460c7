package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/kubernetes"
	"golang.org/x/tools/txtar"
)

func TestTheCorefileFollowsTheFlags(t *testing.T) {
	for _, c := range []struct {
		args     string
		has, not string
		fails    string
	}{
		{args: "", has: "clusterset.local:53 {", not: "bind"},
		{args: "", not: "kubeconfig"},
		{args: "", not: "ready"},
		{args: "--probes", has: "ready :8181"},
		{args: "--listen 127.0.0.1:5300", has: "bind 127.0.0.1"},
		{args: "--listen [::1]:5300", has: "clusterset.local:5300 {"},
		{args: "--zone fleet.example.", has: "multicluster fleet.example\n"},
		{args: "--kubeconfig a/b --context c", has: "kubeconfig \"a/b\" \"c\"\n"},
		{args: "--kubeconfig a", has: "kubeconfig \"a\"\n"},
		{args: "--zone a_b", fails: "--zone"},
		{args: "--zone .", fails: "--zone"},
		{args: "--listen 53", fails: "--listen"},
		{args: "--kubeconfig a\"b", fails: "--kubeconfig"},
		{args: "--corefile missing", fails: "--corefile"},
	} {
		var o options
		if err := o.flags().Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		text, err := o.corefile()
		switch {
		case c.fails != "":
			if err == nil || !strings.HasPrefix(err.Error(), c.fails) {
				t.Errorf("%s: %v", c.args, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.args, err)
		case !strings.Contains(text, c.has), c.not != "" && strings.Contains(text, c.not):
			t.Errorf("%s:\n%s", c.args, text)
		default:
			understood(t, text, "clusterset.local.")
		}
	}
}

// What package corefile makes of a Corefile is one that CoreDNS itself understands, with the zone where it belongs.
func TestCoreDNSUnderstandsWhatWasAdded(t *testing.T) {
	files, err := filepath.Glob("../internal/discovery/corefile/testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	t.Setenv("DOMAIN", "env.example")
	t.Setenv("PODS", "insecure")
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if f.Name == "after" {
				t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { understood(t, string(f.Data), "clusterset.local.") })
			}
		}
	}
}

// understood checks that CoreDNS parses a Corefile, and that one stanza is about the zone, if the Corefile is.
func understood(t *testing.T, text, zone string) {
	t.Helper()
	blocks, err := caddyfile.Parse("Corefile", strings.NewReader(text), dnsserver.Directives)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	found := !strings.Contains(strings.ToLower(text), zone[:len(zone)-1])
	for _, b := range blocks {
		tokens := b.Tokens["kubernetes"]
		if len(tokens) == 0 {
			continue
		}
		c := &caddy.Controller{Dispenser: caddyfile.NewDispenserTokens("Corefile", tokens), ServerBlockKeys: b.Keys}
		c.Next()
		k, err := kubernetes.ParseStanza(c)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		found = found || slices.Contains(k.Zones, zone)
	}
	if !found {
		t.Errorf("no stanza is about %s:\n%s", zone, text)
	}
}
