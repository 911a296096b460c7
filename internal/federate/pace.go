package federate

import (
	"maps"
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
)

// breath is how long counts that move in the members are gathered before they are written: a rollout moves them with every Pod.
const breath = time.Second

// pace remembers which statuses have been written within the last breath.
type pace struct {
	mu      sync.Mutex
	written map[intent.Key]time.Time
	swept   time.Time
}

// wait says how long a status that holds little that is new is to wait.
func (p *pace) wait(key intent.Key, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(breath-now.Sub(p.written[key]), 0)
}

// wrote notes a write, and forgets those that are longer ago.
func (p *pace) wrote(key intent.Key, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.swept) > breath {
		maps.DeleteFunc(p.written, func(_ intent.Key, at time.Time) bool { return now.Sub(at) > breath })
		p.swept = now
	}
	p.written[key] = now
}
