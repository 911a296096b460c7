package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/xds"
)

// What goes together, and what a user is told who forgets something.
func TestBalancerFlags(t *testing.T) {
	tls := "--ca a --cert b --key c "
	for flags, want := range map[string]string{
		"--config f --run --xds h:1 " + tls:                            "",
		"--config f --run --xds 127.0.0.1:1 --insecure":                "",
		"--config f --socket s --master m --xds h:1 " + tls:            "",
		"--config f --socket s --reload r --xds h:1 --xds i:1 " + tls:  "",
		"--run --xds h:1 " + tls:                                       "--config is needed",
		"--config f --run " + tls:                                      "--xds is needed",
		"--config f --run --xds h " + tls:                              `--xds "h" is not HOST:PORT`,
		"--config f --master m --xds h:1 " + tls:                       "--socket is needed",
		"--config f --socket s --xds h:1 " + tls:                       "either --master or --reload",
		"--config f --socket s --master m --reload r --xds h:1 " + tls: "either --master or --reload",
		"--config f --run --reload r --xds h:1 " + tls:                 "--reload is for an HAProxy that somebody else starts",
		"--config f --run --xds h:1":                                   "--ca, --cert and --key are needed",
		"--config f --run --xds h:1 --ca a":                            "--ca, --cert and --key are needed",
		"--config f --run --xds h:1 --insecure " + tls:                 "--ca, --cert and --key are needed",
	} {
		var b balancer
		c := haproxyCommand(&b)
		if err := c.ParseFlags(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		_, err := b.complete()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}

// The command with --run: requests are answered, metrics are there, and all ends with it.
func TestBalancerRuns(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			t.Skip("no haproxy on this machine: test/packages.sh installs it")
		}
	}
	dir, err := os.MkdirTemp("", "hap") // a path of t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })}
	l, err := net.Listen("tcp", "127.0.67.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })

	web, port := balance.Backend{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "web"}, Port: 80, Weight: 1}, freePort(t)
	listening := make(chan net.Addr, 1)
	control := xds.New(xds.Options{Address: "127.0.0.1:0", Listening: func(a net.Addr) { listening <- a }, Log: logr.Discard(), Tell: func(string, string) {}})
	go control.Run(t.Context())
	control.Set(balance.Model{
		Listeners: []balance.Listener{{Name: "shop/public/web", Address: "127.0.0.1", Port: port, Protocol: balance.HTTP, Routes: []balance.Route{{Backends: []balance.Backend{web}}}}},
		Services: []balance.Service{{NamespacedName: web.NamespacedName, Port: 80, Localities: []balance.Locality{
			{Cluster: "a", Weight: 100, Endpoints: []balance.Endpoint{{Address: "127.0.67.1", Port: int32(l.Addr().(*net.TCPAddr).Port), Ready: true, Serving: true}}},
		}}},
	})

	metrics := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	ctx, cancel := context.WithCancel(t.Context())
	c := haproxyCommand(&balancer{})
	c.SetArgs([]string{
		"--run", "--haproxy", program, "--config", filepath.Join(dir, "haproxy.cfg"), "--xds", (<-listening).String(), "--insecure",
		"--metrics-addr", metrics, "--grace", "1s",
	})
	ended := make(chan error, 1)
	go func() { ended <- c.ExecuteContext(ctx) }()
	answers(t, fmt.Sprintf("http://127.0.0.1:%d/", port), "hello")
	answers(t, "http://"+metrics+"/readyz", "")
	answers(t, "http://"+metrics+"/metrics", "kubefed_haproxy_current 1\n")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// The workers of a master that had to be killed see that by themselves.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("HAProxy goes on after the command has ended")
		}
	}
}

// answers waits until a URL answers with a text.
func answers(t *testing.T, url, text string) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		answer, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if last = string(body); answer.StatusCode == http.StatusOK && strings.Contains(last, text) {
			return
		}
	}
	t.Fatalf("%s answers %q, want %q", url, last, text)
}

func freePort(t *testing.T) int32 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}
