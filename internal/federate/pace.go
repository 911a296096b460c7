package federate

import (
	"maps"
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/rollup"
)

// breath is how long counts that move in the members are gathered before they are written: a rollout moves them with every Pod. While
// members are still at work, each that a status lists makes it longer: the status is written as a whole, and will move with each of them.
const (
	breath       = time.Second
	breathEach   = 10 * time.Millisecond
	breathAtMost = 10 * time.Second
)

// breathOf is how long a status is to wait after the last one.
func breathOf(t rollup.Told) time.Duration {
	switch {
	case t.Afoot:
		return min(breath+time.Duration(len(t.Status.Clusters))*breathEach, breathAtMost)
	case t.Minor:
		return breath
	default:
		return 0
	}
}

// pace remembers which statuses have been written within the longest breath.
type pace struct {
	mu      sync.Mutex
	written map[intent.Key]time.Time
	swept   time.Time
}

// wait says how long a status is still to wait, of so long after the last one.
func (p *pace) wait(key intent.Key, now time.Time, after time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(after-now.Sub(p.written[key]), 0)
}

// wrote notes a write, and forgets those that are longer ago.
func (p *pace) wrote(key intent.Key, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.swept) > breath {
		maps.DeleteFunc(p.written, func(_ intent.Key, at time.Time) bool { return now.Sub(at) > breathAtMost })
		p.swept = now
	}
	p.written[key] = now
}
