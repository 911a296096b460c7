package federate

import (
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// turns keep shards that have something to tell of the same object at the same moment out of each other's way: one of them would write, and
// the others find out that they have to fold and write anew. Each waits for those before it that have not told yet, but not long: they
// may have nothing to tell soon.
type turns struct {
	mu sync.Mutex
	m  map[intent.Key]turn
}

// turn is since when a shard has had something to tell of a version of an object.
type turn struct {
	version string
	since   time.Time
}

// eachTurn is longer than a write of a status takes, also while many are written. Who is next does not wait for its end: it is woken when
// what the one before has told comes by the watch.
const eachTurn = 100 * time.Millisecond

// wait says how long a shard with so many others before it is still to wait.
func (t *turns) wait(key intent.Key, version string, before int, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before == 0 {
		return 0
	}
	mine := t.m[key]
	if mine.version != version {
		mine = turn{version, now}
		if t.m == nil {
			t.m = map[intent.Key]turn{}
		}
		t.m[key] = mine
	}
	return max(time.Duration(before)*eachTurn-now.Sub(mine.since), 0)
}

// over notes that there is nothing to tell any more.
func (t *turns) over(key intent.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, key)
}

// awaited are the members whose shards have not told yet.
func awaited(p plan.Plan) (members []string) {
	for _, s := range p.Steps {
		if s.Reason == plan.Awaited {
			members = append(members, s.Member)
		}
	}
	return members
}
