package main

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/xds"
)

// The server listens while the gate is on, there is a certificate, and there is a model.
func TestXDSFollowsTheGate(t *testing.T) {
	var on, keeps atomic.Bool
	listening := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	x := &xdsPart{on: on.Load, turned: make(chan struct{}, 1), keep: func(context.Context) bool { return keeps.Load() }}
	x.server = xds.New(xds.Options{
		Address: "127.0.0.1:0", Log: logr.Discard(),
		Listening: func(a net.Addr) {
			select {
			case listening <- a.String():
			case <-ctx.Done():
			}
		},
	})
	ended := make(chan error)
	go func() { ended <- x.run(ctx) }()
	turn := func(to bool) { on.Store(to); x.turn() }

	keeps.Store(true)
	for range 2 {
		turn(true)
		x.server.Set(balance.Model{})
		at := await(t, listening)
		if c, err := net.Dial("tcp", at); err != nil {
			t.Fatal(err)
		} else {
			_ = c.Close()
		}
		turn(false)
		deadline := time.Now().Add(20 * time.Second)
		for {
			c, err := net.Dial("tcp", at)
			if err != nil {
				break
			}
			_ = c.Close()
			if time.Now().After(deadline) {
				t.Fatal("the server listens although the gate is off")
			}
			time.Sleep(time.Millisecond)
		}
	}
	keeps.Store(false)
	turn(true)
	x.server.Set(balance.Model{})
	keeps.Store(true)
	x.turn() // instead of the time to the next try
	await(t, listening)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func await(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("waited in vain")
		return ""
	}
}

func TestXDSFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--xds-addr=:18000 --xds-insecure":                                     "loopback",
		"--xds-cert=a --xds-key=b":                                             "needed together",
		"--xds-cert=a --xds-key=b --xds-client-ca=c --xds-server-names=x":      "no use",
		"--xds-addr=127.0.0.1:0 --xds-insecure --kubeconfig=/nowhere":          "/nowhere",
		"--xds-cert=a --xds-key=b --xds-client-ca=c --kubeconfig=/nowhere":     "/nowhere",
		"--xds-addr=:18000 --xds-server-names=x,1.2.3.4 --kubeconfig=/nowhere": "/nowhere",
	} {
		c := managerCommand()
		c.SetArgs(strings.Fields(args))
		c.SilenceErrors, c.SilenceUsage = true, true
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
