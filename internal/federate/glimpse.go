package federate

import (
	"context"
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
)

// fresh is how old an answer of the host may be on which a removal rests.
const fresh = 500 * time.Millisecond

// glimpses are what the host has lately answered about objects that are being deleted. What is being deleted stays so, and is removed from
// all members at about the same moment: one read serves them all. Only an answer that says so is kept.
type glimpses struct {
	mu    sync.Mutex
	m     map[intent.Key]*glimpse
	swept time.Time
}

// glimpse is one read, under way or done.
type glimpse struct {
	began time.Time
	done  chan struct{}
	found *intent.Intent
	err   error
}

// of returns what the host says of an object: by a read of its own, or by one that has begun a moment ago and found the object deleted.
func (g *glimpses) of(ctx context.Context, key intent.Key, read func(context.Context) (*intent.Intent, error)) (*intent.Intent, error) {
	last, mine := g.take(key)
	if !mine {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-last.done:
		}
		if last.err == nil && last.found != nil && last.found.IsDeleting() && time.Since(last.began) < fresh {
			return last.found, nil
		}
		return read(ctx)
	}
	defer close(last.done)
	last.found, last.err = read(ctx)
	return last.found, last.err
}

// take returns the last read of an object if it is fresh; else a new one, which the caller has to do.
func (g *glimpses) take(key intent.Key) (last *glimpse, mine bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if last := g.m[key]; last != nil && now.Sub(last.began) < fresh {
		return last, false
	}
	if now.Sub(g.swept) > fresh {
		for k, old := range g.m {
			if now.Sub(old.began) > fresh {
				delete(g.m, k)
			}
		}
		g.swept = now
	}
	last = &glimpse{began: now, done: make(chan struct{})}
	if g.m == nil {
		g.m = map[intent.Key]*glimpse{}
	}
	g.m[key] = last
	return last, true
}
