package fleet

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
)

// ring counts how often an object is woken.
type ring struct {
	*calls
	t   *testing.T
	mu  sync.Mutex
	did map[intent.Key]int
}

func onCalls(t *testing.T, f func(*ring)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &ring{t: t, did: map[intent.Key]int{}}
		r.calls = newCalls(func(key intent.Key) {
			r.mu.Lock()
			r.did[key]++
			r.mu.Unlock()
		})
		f(r)
		if len(r.m) > 0 {
			t.Errorf("%d objects are left", len(r.m))
		}
	})
}

func (r *ring) want(key intent.Key, wakes int) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.did[key] != wakes {
		r.t.Errorf("%s was woken %d times, want %d", key.Name, r.did[key], wakes)
	}
	delete(r.did, key)
}

var (
	webKey = intent.Key{Type: "configmaps", Namespace: "shop", Name: "web"}
	apiKey = intent.Key{Type: "configmaps", Namespace: "shop", Name: "api"}
)

// TestOneWakeForAllMembers: an object that a thousand members call for is woken once, when the last of its steps has ended; what happens
// in a member while nothing is under way wakes it at once.
func TestOneWakeForAllMembers(t *testing.T) {
	onCalls(t, func(r *ring) {
		const members = 1000
		for range members {
			r.begin(webKey)
		}
		for n := range members {
			r.call(webKey) // the watch
			r.call(webKey) // the lane
			if n == members/2 {
				r.want(webKey, 0)
			}
			r.end(webKey)
		}
		r.want(webKey, 1)
		time.Sleep(2 * callsWithin)
		r.want(webKey, 0)
		r.call(webKey)
		r.want(webKey, 1)
	})
}

// TestSlowMemberHoldsNobodyUp: what other members have to say is heard while one is still at work, and its own word when it has ended.
func TestSlowMemberHoldsNobodyUp(t *testing.T) {
	onCalls(t, func(r *ring) {
		for range 3 {
			r.begin(webKey)
		}
		r.call(webKey)
		r.end(webKey)
		r.want(webKey, 0)
		r.call(apiKey) // which has nothing under way
		r.want(apiKey, 1)
		time.Sleep(3 * callsAfter)
		r.want(webKey, 1)
		r.call(webKey)
		r.end(webKey)
		time.Sleep(2 * callsAfter)
		r.want(webKey, 1)
		time.Sleep(time.Minute)
		r.want(webKey, 0) // nobody calls, nobody is woken
		r.call(webKey)
		r.end(webKey)
		r.want(webKey, 1)
	})
}

// TestLongestWait: however many steps are under way, a call is heard in time.
func TestLongestWait(t *testing.T) {
	onCalls(t, func(r *ring) {
		const members = 100_000
		for range members {
			r.begin(webKey)
		}
		r.call(webKey)
		time.Sleep(callsWithin)
		r.want(webKey, 1)
		for range members {
			r.end(webKey) // silently, as when members leave
		}
		r.want(webKey, 0)
	})
}
