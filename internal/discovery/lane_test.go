package discovery

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/discovery/plan"
)

var (
	key    = types.NamespacedName{Namespace: "shop", Name: "web"}
	change = plan.Act{Verb: plan.Apply, Reason: plan.Changed, Slice: &discoveryv1.EndpointSlice{}}
	fresh  = plan.Act{Verb: plan.Apply, Reason: plan.Exported, Import: &mcsv1.ServiceImport{}}
)

// TestPace: the first change of endpoints goes at once, the next ones within the same breath wait for its end, and nothing else ever waits.
func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	made := func(acts ...plan.Act) plan.Plan { return plan.Plan{Steps: []plan.Step{{Acts: acts}}} }
	for n, c := range []struct {
		after time.Duration
		plan  plan.Plan
		want  time.Duration
	}{
		{0, made(change), 0},
		{breath / 5, made(change, change), breath - breath/5},
		{breath / 5, made(), 0},
		{breath / 5, made(fresh), 0},
		{breath, made(change), 0},
		{breath + breath/5, made(change, fresh), 0},
		{breath + breath/2, made(change), breath - breath/2 + breath/5},
		{3 * breath, made(change), 0},
	} {
		if got := p.wait(key, c.plan, now.Add(c.after)); got != c.want {
			t.Errorf("%d: after %v: wait %v, want %v", n, c.after, got, c.want)
		}
	}
	if got := p.wait(types.NamespacedName{Name: "other"}, made(change), now.Add(3*breath)); got != 0 {
		t.Errorf("another service waits %v", got)
	}
}

// TestLane: what fails is told, and tried again later and only then, unless something else is to be done; what is done is forgotten.
func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried, woken atomic.Int32
		var err error
		l := newLane(2, func(types.NamespacedName, []plan.Act) error { tried.Add(1); return err }, func(types.NamespacedName) { woken.Add(1) })
		expect := func(doing string, wantTried, wantWoken int32, wantProblem string) {
			t.Helper()
			synctest.Wait()
			words := ""
			if p := l.problem(key); p != nil {
				words = p.words
			}
			if tried.Load() != wantTried || woken.Load() != wantWoken || words != wantProblem {
				t.Errorf("%s: tried %d, woken %d, problem %q; want %d, %d, %q", doing, tried.Load(), woken.Load(), words, wantTried, wantWoken, wantProblem)
			}
		}
		err = errors.New("no")
		l.submit(key, []plan.Act{change})
		expect("a failure", 1, 1, "no")
		l.submit(key, []plan.Act{change})
		expect("the same at once", 1, 1, "no")
		time.Sleep(firstRetry)
		expect("it is due", 1, 2, "no")
		l.submit(key, []plan.Act{change})
		expect("the same when it is due", 2, 3, "no")
		err = nil
		l.submit(key, []plan.Act{fresh})
		expect("something else", 3, 4, "")
		l.submit(key, nil)
		time.Sleep(lastRetry)
		expect("nothing is left", 3, 4, "")
		if len(l.tasks) > 0 {
			t.Errorf("%d services are remembered", len(l.tasks))
		}
		l.close()
	})
}
