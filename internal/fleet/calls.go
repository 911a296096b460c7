package fleet

import (
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
)

// An object is called for by every member in which a step of it has ended, and by the watch of every member. Each call makes its plan anew
// for all members, so that what comes of one change would cost the square of their number. While steps of an object are under way, calls
// are gathered: it is woken when the last step has ended, or, as one member may be slow, after a while that is longer the more steps are
// still to come.
//
//	submit        steps of members 1 … N under way                last one ends      conductor
//	  ├──────────── call ─ call ─── call ─── … ────────────────────────┤── wake ──────►
//	                └──── at the latest: callsAfter for each step ────────── wake ──────►
const (
	callsAfter  = 5 * time.Millisecond
	callsWithin = time.Second
)

// calls are those of a fleet.
type calls struct {
	wake func(intent.Key)

	mu sync.Mutex
	m  map[intent.Key]*call // of objects with steps under way
}

type call struct {
	steps int
	// held wakes the object; nil while nobody has called.
	held *time.Timer
}

func newCalls(wake func(intent.Key)) *calls { return &calls{wake: wake, m: map[intent.Key]*call{}} }

// begin notes that a step of an object is under way.
func (c *calls) begin(key intent.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m[key] == nil {
		c.m[key] = &call{}
	}
	c.m[key].steps++
}

// end notes that a step of an object is not under way any more: each that has begun ends once.
func (c *calls) end(key intent.Key) {
	c.mu.Lock()
	o := c.m[key]
	o.steps--
	last := o.steps == 0
	if last {
		delete(c.m, key)
	}
	due := last && o.held != nil && o.held.Stop() // else it is waking the object now
	c.mu.Unlock()
	if due {
		c.wake(key)
	}
}

// call wakes an object, now or soon.
func (c *calls) call(key intent.Key) {
	c.mu.Lock()
	o := c.m[key]
	if o != nil && o.held == nil {
		o.held = time.AfterFunc(min(time.Duration(o.steps)*callsAfter, callsWithin), func() {
			c.mu.Lock()
			o.held = nil
			c.mu.Unlock()
			c.wake(key)
		})
	}
	c.mu.Unlock()
	if o == nil {
		c.wake(key)
	}
}
