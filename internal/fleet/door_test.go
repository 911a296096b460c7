package fleet

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDoor: while the first request has not been answered, no other is sent; then all are, and all that come later.
func TestDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor()
		var sent atomic.Int32
		request := func(takes time.Duration) {
			answered := d.pass(t.Context())
			sent.Add(1)
			time.Sleep(takes)
			answered()
		}
		want := func(n int32) {
			t.Helper()
			synctest.Wait()
			if got := sent.Load(); got != n {
				t.Errorf("%d requests were sent, want %d", got, n)
			}
		}
		for range 10 {
			go request(time.Second)
		}
		want(1)
		time.Sleep(time.Second)
		want(10)
		go request(0)
		want(11)
		time.Sleep(time.Second)
	})
}

// TestDoorOfOneThatHangs: the others wait for the first no longer than is fit, and not beyond their own context.
func TestDoorOfOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor()
		d.pass(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		d.pass(ctx)()
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %v beyond the context", took)
		}
		start = time.Now()
		d.pass(t.Context())()
		if took := time.Since(start); took != doorPatience {
			t.Errorf("waited %v", took)
		}
	})
}
