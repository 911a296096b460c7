package fleet

import (
	"context"
	"sync/atomic"
	"time"
)

// door lets one request through to a member that has just become ready, and the others when that has been answered. All types are listed
// at once, and as long as there is no connection, each request opens one of its own and asks who is there, although they then share one.
type door struct {
	taken atomic.Bool
	open  chan struct{}
}

// doorPatience is how long the others wait for the first: they may be answered although it is not.
const doorPatience = 5 * time.Second

func newDoor() *door { return &door{open: make(chan struct{})} }

// pass waits until a request may be sent. It returns what is to be called when it has been answered.
func (d *door) pass(ctx context.Context) (answered func()) {
	if d.taken.CompareAndSwap(false, true) {
		return func() { close(d.open) }
	}
	select {
	case <-d.open:
		return func() {}
	default:
	}
	patience := time.NewTimer(doorPatience)
	defer patience.Stop()
	select {
	case <-d.open:
	case <-ctx.Done():
	case <-patience.C:
	}
	return func() {}
}
