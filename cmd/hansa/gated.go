package main

import (
	"context"
	"time"

	"github.com/go-logr/logr"
)

// gated runs something as long as it is switched on.
type gated struct {
	on   func() bool
	run  func(context.Context) error
	log  logr.Logger
	turn chan struct{}
}

func newGated(log logr.Logger, on func() bool, run func(context.Context) error) *gated {
	return &gated{on: on, run: run, log: log, turn: make(chan struct{}, 1)}
}

// turned says that the switch may have been moved.
func (g *gated) turned() {
	select {
	case g.turn <- struct{}{}:
	default: // it will look anyway
	}
}

// NeedLeaderElection says that only the leader runs it.
func (g *gated) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (g *gated) Start(ctx context.Context) error {
	const pause = 5 * time.Second // before what has failed is tried again
	for ctx.Err() == nil {
		if g.on() {
			if err := g.once(ctx); err != nil && ctx.Err() == nil {
				g.log.Error(err, "what a feature gate has switched on has failed")
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-g.turn:
		}
	}
	return nil
}

// once runs it until it is switched off, or ends by itself.
func (g *gated) once(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- g.run(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case <-g.turn:
			if !g.on() {
				stop()
			}
		}
	}
}
