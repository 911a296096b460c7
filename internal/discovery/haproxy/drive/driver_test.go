package drive_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

type level = []haproxy.Place

func TestUnderLoad(t *testing.T) {
	p := start(t)
	here, there := cluster(t, "here", 41, 3), cluster(t, "there", 42, 3)
	both := p.web(level{place(100, here)}, level{place(100, there)})
	p.set(both)
	l := generate(t, 16, p.url())

	l.more(t, 2000)
	from, failed := l.reset()
	none(t, "steady", failed)
	if from["there"] != 0 {
		t.Errorf("steady: %v, want all answers from here", from)
	}
	reloads := p.driver.Stats().Reloads

	// Endpoints come and go.
	var slowest time.Duration
	for i := range 10 {
		slowest = max(slowest, p.set(p.web(level{place(100, here[:1+i%3])}, level{place(100, there)})))
		l.more(t, 200)
	}
	p.set(both)
	from, failed = l.reset()
	none(t, "endpoints added and removed", failed)
	t.Logf("endpoints added and removed 10 times: %d requests, 0 failed; until HAProxy had them: %v at most", from["here"], slowest)

	// The cluster is drained, and comes back.
	took := p.set(p.web(level{drained(place(100, here))}, level{place(100, there)}))
	l.reset()
	l.more(t, 2000)
	from, failed = l.reset()
	none(t, "drained", failed)
	if from["here"] > 16 { // one request of each client may have been under way
		t.Errorf("drained: %v, want no answers from here", from)
	}
	t.Logf("drained within %v: %v, 0 failed", took, from)
	p.set(both)
	l.more(t, 200)

	// All servers of the cluster are killed: HAProxy finds out by itself.
	l.reset()
	began := time.Now()
	for _, b := range here {
		b.kill()
	}
	eventually(t, "the other cluster answers", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.from["there"] > 0
	})
	first := time.Since(began)
	l.more(t, 2000)
	l.mu.Lock()
	count, last, slow := len(l.failed), l.lastFailure, l.slowest
	if count > 0 {
		t.Logf("killed: %v", l.failed)
	}
	l.mu.Unlock()
	recovery := time.Duration(0)
	if count > 0 {
		recovery = last.Sub(began)
	}
	t.Logf("three servers killed under 16 clients: %d requests failed, the last %v after; first answer from the other cluster after %v; slowest request %v", count, recovery, first, slow)
	if count > 16 {
		t.Errorf("killed: %d requests failed, want one for each connection at most", count)
	}

	// They are back.
	l.reset()
	for _, b := range here {
		b.start(t)
	}
	eventually(t, "all answers come from here again", func() bool {
		l.reset()
		l.more(t, 100)
		from, _ := l.reset()
		return from["there"] == 0
	})
	_, failed = l.reset()
	none(t, "back", failed)

	if got := p.driver.Stats(); got.Reloads != reloads || got.CommandErrors != 0 {
		t.Errorf("%d reloads and %d refused commands for changes of endpoints, want none", got.Reloads-reloads, got.CommandErrors)
	}
}

func TestWeights(t *testing.T) {
	p := start(t)
	a, b := cluster(t, "a", 43, 3), cluster(t, "b", 44, 2)
	p.set(p.web(level{place(100, a), place(100, b)}))
	l := generate(t, 8, p.url())
	for _, want := range []struct{ a, b uint32 }{{100, 100}, {300, 100}, {1, 9}, {0, 100}} {
		p.set(p.web(level{place(want.a, a), place(want.b, b)}))
		l.more(t, 100)
		l.reset()
		l.more(t, 4000)
		from, failed := l.reset()
		none(t, "weights", failed)
		got := float64(from["a"]) / float64(from["a"]+from["b"])
		asked := float64(want.a) / float64(want.a+want.b)
		t.Logf("weights %d:%d: %v, share of a %.3f", want.a, want.b, from, got)
		if math.Abs(got-asked) > 0.03 {
			t.Errorf("weights %d:%d: the share of a is %.3f, want %.3f", want.a, want.b, got, asked)
		}
	}
}

// A new listener needs a reload, which no request notices.
func TestReload(t *testing.T) {
	p := start(t)
	a := cluster(t, "a", 45, 2)
	c := p.web(level{place(100, a)})
	p.set(c)
	l := generate(t, 8, p.url())
	l.more(t, 500)
	before := p.driver.Stats().Reloads
	for i := range 3 {
		more := c.Listeners[0]
		more.Name, more.Port = fmt.Sprintf("shop/public/web%d", i), freePort(t)
		c.Listeners = append(c.Listeners, more)
		took := p.set(c)
		l.more(t, 500)
		if _, err := get(t.Context(), clientOf(t), fmt.Sprintf("http://127.0.0.1:%d/", more.Port)); err != nil {
			t.Errorf("new listener: %v", err)
		}
		t.Logf("reload: %v", took)
	}
	_, failed := l.reset()
	none(t, "reload", failed)
	if got := p.driver.Stats(); got.Reloads != before+3 || got.ReloadErrors != 0 {
		t.Errorf("%d reloads, %d of them failed, want 3", got.Reloads-before, got.ReloadErrors)
	}
}
