package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// What a gate switches runs while the gate is on, never twice at the same time, and ends with the process.
func TestGated(t *testing.T) {
	var on, running atomic.Bool
	began, ended := make(chan struct{}), make(chan struct{})
	g := newGated(logr.Discard(), on.Load, func(ctx context.Context) error {
		if !running.CompareAndSwap(false, true) {
			return errors.New("it runs already")
		}
		began <- struct{}{}
		<-ctx.Done()
		running.Store(false)
		ended <- struct{}{}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- g.Start(ctx) }()
	wait := func(c chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			t.Fatal("it does not happen")
		}
	}
	for range 3 {
		on.Store(true)
		g.turned()
		wait(began)
		g.turned() // nothing has changed
		on.Store(false)
		g.turned()
		wait(ended)
	}
	on.Store(true)
	g.turned()
	wait(began)
	cancel()
	wait(ended)
	if err := <-over; err != nil {
		t.Error(err)
	}
}
