package discovery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/observe"
)

// listing are members of which some lists may be under way.
type listing struct {
	Members
	observe.Signal
	settled bool
}

func (l *listing) Settled() bool                      { return l.settled }
func (l *listing) Moved() <-chan struct{}             { return l.Next() }
func (l *listing) Keys() []types.NamespacedName       { return nil }
func (l *listing) Watch(func(types.NamespacedName))   {}
func (l *listing) Concerns(types.NamespacedName) bool { return true }

// TestSettle: whenever the gate is switched on, services are decided on from the moment at which all members have been read, without a
// clock; and after the patience with members whose lists never end.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, on := &listing{}, false
		c := New(Options{
			Members: l, Settings: func() (plan.Settings, bool) { return plan.Settings{}, on },
			Workers: 1, Metrics: meter.NewSet(prometheus.NewRegistry(), false), Log: logr.Discard(),
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			c.settle(ctx)
			close(done)
		}()
		defer func() {
			stop()
			<-done
			c.queue.ShutDown()
		}()
		at := func(what string, want bool, after time.Duration) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := c.settled.Load(); got != want {
				t.Errorf("%s: settled is %t", what, got)
			}
		}
		at("the gate is off", false, 2*patience)
		on = true
		c.Turned()
		at("the gate is on, lists are under way", false, 0)
		l.Signal.Moved()
		at("some have been read", false, 0)
		l.settled = true
		l.Signal.Moved()
		at("all have been read", true, 0)
		on, l.settled = false, false
		c.Turned()
		at("the gate is off again", false, 0)
		on = true
		c.Turned()
		at("the gate is on again, lists are under way", false, patience-1)
		at("they never end", true, 1)
	})
}
