package discovery

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// breath is how long changes of endpoints are gathered before they are written again: a rollout moves them with every Pod.
const breath = 500 * time.Millisecond

// pace remembers for which services endpoints have been written within the last breath. The first change goes at once.
type pace struct {
	mu      sync.Mutex
	written map[types.NamespacedName]time.Time
	swept   time.Time
}

// wait says how long a plan is to wait; one that does more than change endpoints never waits.
func (p *pace) wait(key types.NamespacedName, made plan.Plan, now time.Time) time.Duration {
	changes, all := count(made)
	if changes == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if rest := breath - now.Sub(p.written[key]); rest > 0 && changes == all {
		return rest
	}
	if p.written == nil || now.Sub(p.swept) > breath {
		maps.DeleteFunc(p.written, func(_ types.NamespacedName, at time.Time) bool { return now.Sub(at) > breath })
		p.swept = now
	}
	if p.written == nil {
		p.written = map[types.NamespacedName]time.Time{}
	}
	p.written[key] = now
	return 0
}

// count tells how many acts only change the endpoints of what is there, and how many there are.
func count(made plan.Plan) (changes, all int) {
	for _, step := range made.Steps {
		for _, a := range step.Acts {
			all++
			if a.Verb == plan.Apply && a.Slice != nil && a.Reason == plan.Changed {
				changes++
			}
		}
	}
	return changes, all
}
