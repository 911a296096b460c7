package fleet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// track is a lane to a member that does as it is told, and what came of it.
type track struct {
	*lane
	t      *testing.T
	cancel context.CancelFunc
	// answer is what the member does with a step; nil means that it is done at once.
	answer func(context.Context, intent.Key, plan.Step) apply.Result

	mu    sync.Mutex
	did   []string
	woken []intent.Key
	// busy counts the steps that run now, by key; most is the most that ever ran at a time.
	busy     map[intent.Key]int
	running  int
	most     int
	overlaps int
	// begun counts the steps that have begun and not ended, by key.
	begun map[intent.Key]int
	// wants is what a conductor submits again whenever it is woken.
	wants map[intent.Key]plan.Step
}

// onLane tests a lane in a bubble in which time is free. In the end the member leaves, and no goroutine may be left.
func onLane(t *testing.T, workers int, f func(*track)) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	synctest.Test(t, func(t *testing.T) {
		tr := &track{t: t, busy: map[intent.Key]int{}, begun: map[intent.Key]int{}, wants: map[intent.Key]plan.Step{}}
		tr.lane = newLane(workers, tr.do, tr.wake)
		tr.begin, tr.end = tr.count(1), tr.count(-1)
		tr.join()
		f(tr)
		tr.leave()
		synctest.Wait()
		if tr.lane.running != 0 {
			t.Errorf("%d workers are left", tr.lane.running)
		}
		for key, n := range tr.begun {
			if n != 0 {
				t.Errorf("%s: %d steps have begun and not ended", key.Name, n)
			}
		}
		if tr.overlaps > 0 {
			t.Errorf("%d times two writers had the same object", tr.overlaps)
		}
	})
	goleak.VerifyNone(t, before)
}

func (tr *track) join() {
	var ctx context.Context
	ctx, tr.cancel = context.WithCancel(tr.t.Context())
	tr.open(ctx)
}

func (tr *track) count(by int) func(intent.Key) {
	return func(key intent.Key) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if tr.begun[key] += by; tr.begun[key] < 0 {
			tr.t.Errorf("%s: more steps have ended than begun", key.Name)
		}
	}
}

func (tr *track) leave() {
	tr.cancel()
	tr.close()
}

func (tr *track) do(ctx context.Context, key intent.Key, s plan.Step) apply.Result {
	tr.mu.Lock()
	tr.did = append(tr.did, key.Name+" "+s.Version)
	if tr.busy[key]++; tr.busy[key] > 1 {
		tr.overlaps++
	}
	tr.running++
	tr.most = max(tr.most, tr.running)
	answer := tr.answer
	tr.mu.Unlock()
	defer func() {
		tr.mu.Lock()
		tr.busy[key]--
		tr.running--
		tr.mu.Unlock()
	}()
	if answer == nil {
		return done(s)
	}
	return answer(ctx, key, s)
}

func (tr *track) wake(key intent.Key) {
	tr.mu.Lock()
	tr.woken = append(tr.woken, key)
	s, conducted := tr.wants[key]
	tr.mu.Unlock()
	if conducted {
		s.Record = tr.learnt(key).record
		tr.submit(key, s)
	}
}

// want submits a step, now and whenever the lane wakes its key.
func (tr *track) want(key intent.Key, s plan.Step) {
	tr.mu.Lock()
	tr.wants[key] = s
	tr.mu.Unlock()
	tr.submit(key, s)
}

// takeDid returns what was done since it was last asked.
func (tr *track) takeDid() []string {
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	did := tr.did
	tr.did = nil
	return did
}

func (tr *track) takeWoken() int {
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	n := len(tr.woken)
	tr.woken = nil
	return n
}

func (tr *track) wantDid(want ...string) {
	tr.t.Helper()
	if got := tr.takeDid(); !slices.Equal(got, want) {
		tr.t.Errorf("did %q, want %q", got, want)
	}
}

// wantDidInAnyOrder is for lanes of several workers, which start in order and may be overtaken.
func (tr *track) wantDidInAnyOrder(want ...string) {
	tr.t.Helper()
	if got := slices.Sorted(slices.Values(tr.takeDid())); !slices.Equal(got, want) {
		tr.t.Errorf("did %q, want %q", got, want)
	}
}

func (tr *track) wantState(key intent.Key, s plan.Step, want plan.State) {
	tr.t.Helper()
	if got := tr.submit(key, s); got.State != want {
		tr.t.Errorf("%s %s: %+v, want %s", key.Name, s.Version, got, want)
	}
}

func done(s plan.Step) apply.Result {
	return apply.Result{Outcome: plan.Outcome{Member: s.Member, State: plan.Done, Record: &plan.Record{UID: "c1", Version: s.Version + ".f"}}}
}

func fails(reason plan.Reason, state plan.State) func(context.Context, intent.Key, plan.Step) apply.Result {
	return func(_ context.Context, _ intent.Key, s plan.Step) apply.Result {
		return apply.Result{Outcome: plan.Outcome{Member: s.Member, State: state, Reason: reason}}
	}
}

// until waits for a channel or for the context, as a call to a member does.
func until(released <-chan struct{}) func(context.Context, intent.Key, plan.Step) apply.Result {
	return func(ctx context.Context, _ intent.Key, s plan.Step) apply.Result {
		select {
		case <-released:
			return done(s)
		case <-ctx.Done():
			return apply.Result{Outcome: plan.Outcome{Member: s.Member, State: plan.Failed, Reason: "UpdateFailed", Message: ctx.Err().Error()}}
		}
	}
}

func key(name string) intent.Key {
	return intent.Key{Type: "configmaps", Namespace: "shop", Name: name}
}

func step(version string) plan.Step {
	return plan.Step{Member: "m", Verdict: plan.Place, Reason: plan.Updating, Needed: true, Version: version, UID: "c1", Owner: "u1"}
}

func TestLaneDoesAndTells(t *testing.T) {
	onLane(t, 2, func(tr *track) {
		tr.wantState(key("a"), step("1"), plan.Pending)
		tr.wantDid("a 1")
		if n := tr.takeWoken(); n != 1 {
			t.Errorf("woken %d times", n)
		}
		tr.wantState(key("a"), step("1"), plan.Done) // and the watch has not told yet
		if l := tr.learnt(key("a")); l.record == nil || l.record.Version != "1.f" || l.absent || tr.tried(key("a")) {
			t.Errorf("learnt %+v", l)
		}
		tr.wantDid()
		tr.settle(key("a"), true)
		if tr.learnt(key("a")).record != nil {
			t.Error("what the host has on record is remembered here")
		}
	})
}

// TestLaneNewestStepWins: of several steps for an object that wait, the newest is done; what was decided while one ran is decided anew.
func TestLaneNewestStepWins(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		released := make(chan struct{})
		tr.answer = until(released)
		tr.wantState(key("a"), step("1"), plan.Pending)
		tr.wantState(key("b"), step("1"), plan.Pending)
		synctest.Wait()
		tr.wantState(key("a"), step("2"), plan.Pending) // while 1 is running
		tr.wantState(key("a"), step("3"), plan.Pending)
		tr.wantState(key("b"), step("2"), plan.Pending) // while 1 is queued
		tr.wantState(key("b"), step("2"), plan.Pending)
		close(released)
		tr.wantDid("a 1", "b 2")
		if n := tr.takeWoken(); n != 2 {
			t.Errorf("woken %d times", n)
		}
		tr.wantState(key("b"), step("2"), plan.Done)
		newest := step("3")
		newest.Record = tr.learnt(key("a")).record
		tr.wantState(key("a"), newest, plan.Pending)
		tr.wantDid("a 3")
	})
}

// TestLaneComesToRest: with a conductor that is woken, the last intent is the last thing done, one writer at a time for an object.
func TestLaneComesToRest(t *testing.T) {
	onLane(t, 8, func(tr *track) {
		tr.answer = func(_ context.Context, _ intent.Key, s plan.Step) apply.Result {
			time.Sleep(time.Millisecond)
			return done(s)
		}
		for n := range 200 {
			tr.want(key(fmt.Sprint(n%3)), step(fmt.Sprint(n)))
			if n%7 == 0 {
				time.Sleep(time.Millisecond / 3)
			}
		}
		time.Sleep(time.Second)
		for n := 197; n < 200; n++ {
			tr.wantState(key(fmt.Sprint(n%3)), step(fmt.Sprint(n)), plan.Done)
		}
		tr.takeDid()
		time.Sleep(time.Hour)
		tr.wantDid()
	})
}

func TestLaneWorkersAreBounded(t *testing.T) {
	onLane(t, 3, func(tr *track) {
		released := make(chan struct{})
		tr.answer = until(released)
		for n := range 10 {
			tr.submit(key(fmt.Sprint(n)), step("1"))
		}
		synctest.Wait()
		if len(tr.did) != 3 {
			t.Errorf("%d steps run at a time", len(tr.did))
		}
		close(released)
		if n := len(tr.takeDid()); n != 10 || tr.most != 3 {
			t.Errorf("%d steps done, %d at a time", n, tr.most)
		}
	})
}

// TestLaneHungMember: a member that hangs gives its place back after the deadline, and no other lane has waited for it.
func TestLaneHungMember(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.answer = until(nil)
		other := &track{t: tr.t, busy: map[intent.Key]int{}}
		other.lane = newLane(1, other.do, other.wake)
		other.join()
		defer other.leave()
		start := time.Now()
		tr.submit(key("a"), step("1"))
		tr.submit(key("b"), step("1"))
		other.submit(key("a"), step("1"))
		other.wantDid("a 1")
		if !time.Now().Equal(start) {
			t.Error("another lane has waited")
		}
		time.Sleep(laneDeadline)
		tr.wantDid("a 1", "b 1")
		tr.wantState(key("a"), step("1"), plan.Failed)
		if n := tr.takeWoken(); n != 1 {
			t.Errorf("woken %d times", n)
		}
	})
}

// TestLaneRetriesByWaking: a step that fails is decided anew after a while, which doubles up to five minutes; it is not repeated by itself.
func TestLaneRetriesByWaking(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.answer = fails("UpdateFailed", plan.Failed)
		tr.submit(key("a"), step("1"))
		tr.wantDid("a 1")
		tr.takeWoken()
		for n := range 12 {
			wait := min(time.Second<<n, lastRetry)
			tr.wantState(key("a"), step("1"), plan.Failed)
			time.Sleep(wait - time.Millisecond)
			if tr.takeWoken() != 0 {
				t.Fatalf("attempt %d: woken before %v", n, wait)
			}
			tr.wantState(key("a"), step("1"), plan.Failed)
			time.Sleep(time.Millisecond)
			if tr.takeWoken() != 1 {
				t.Fatalf("attempt %d: not woken after %v", n, wait)
			}
			tr.wantDid()
			tr.wantState(key("a"), step("1"), plan.Pending)
			tr.wantDid("a 1")
			tr.takeWoken()
		}
		if !tr.tried(key("a")) {
			t.Error("what has failed was tried")
		}
		tr.wantState(key("a"), step("2"), plan.Pending) // another intent does not wait
		tr.wantDid("a 2")
		time.Sleep(firstRetry)
		if tr.takeWoken() != 2 {
			t.Error("another intent starts with a short wait")
		}
	})
}

func TestLaneRefused(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.answer = fails(plan.AlreadyExists, plan.Refused)
		tr.submit(key("a"), step("1"))
		tr.wantDid("a 1")
		tr.takeWoken()
		time.Sleep(lastRetry - time.Second)
		tr.wantState(key("a"), step("1"), plan.Refused)
		if tr.takeWoken() != 0 {
			t.Error("a refusal is looked at again too soon")
		}
		time.Sleep(time.Second)
		if tr.takeWoken() != 1 {
			t.Error("a refusal is never looked at again")
		}
		tr.wantState(key("a"), step("1"), plan.Pending)
		tr.wantDid("a 1")
	})
}

// TestLaneFighting: what has to be put back again and again is put back some times a minute, and told.
func TestLaneFighting(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		s, applied := step("1"), 0
		var last plan.Outcome
		for n := range 120 { // someone changes it each second
			s.Seen = fmt.Sprint(n)
			last = tr.submit(key("a"), s)
			applied += len(tr.takeDid())
			time.Sleep(time.Second)
		}
		if last.State != plan.Failed || last.Reason != "Fighting" || last.Message == "" {
			t.Errorf("not told: %+v", last)
		}
		if most := 2*fightLimit + 3; applied < fightLimit || applied > most {
			t.Errorf("put back %d times in two minutes, want at most %d", applied, most)
		}
		tr.takeWoken()
		time.Sleep(fightWindow)
		if tr.takeWoken() == 0 {
			t.Error("given up")
		}
		if got := tr.submit(key("a"), s); got.State != plan.Pending {
			t.Errorf("after the fight: %+v", got)
		}
	})
}

// TestLaneWithdrawIsNoFight: only what is put back is fought over.
func TestLaneWithdrawIsNoFight(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		s := step("1")
		for n := range 2 * fightLimit {
			s.Seen = fmt.Sprint(n)
			tr.submit(key("a"), s)
			tr.takeDid()
		}
		tr.wantState(key("a"), plan.Step{Member: "m", Verdict: plan.Withdraw, Needed: true, UID: "c1"}, plan.Pending)
		if len(tr.takeDid()) != 1 {
			t.Error("a removal was held up")
		}
	})
}

// TestLaneConfirmed: a look that finds nothing is remembered as absence until something else is wanted.
func TestLaneConfirmed(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.answer = func(_ context.Context, _ intent.Key, s plan.Step) apply.Result {
			return apply.Result{Gone: true, Outcome: plan.Outcome{Member: s.Member, State: plan.Done}}
		}
		look := plan.Step{Member: "m", Verdict: plan.Withdraw, Needed: true, Confirm: true}
		tr.submit(key("a"), look)
		synctest.Wait()
		if l := tr.learnt(key("a")); l.record != nil || !l.absent || l.released {
			t.Errorf("learnt %+v", l)
		}
		tr.settle(key("a"), false)
		if !tr.learnt(key("a")).absent {
			t.Error("forgotten before the host has it on record")
		}
		tr.answer = until(nil)
		tr.submit(key("a"), step("1"))
		if tr.learnt(key("a")).absent {
			t.Error("still absent though something is on its way")
		}
	})
}

// TestLaneReleased: a look that was decided before a release was known finds nothing of ours, which does not make it a deletion.
func TestLaneReleased(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.answer = func(_ context.Context, _ intent.Key, s plan.Step) apply.Result {
			o := plan.Outcome{Member: s.Member, State: plan.Done}
			if s.Verdict == plan.Release {
				o.Did = plan.DidRelease
			}
			return apply.Result{Gone: true, Outcome: o}
		}
		tr.submit(key("a"), plan.Step{Member: "m", Verdict: plan.Release, Needed: true, UID: "c"})
		synctest.Wait()
		tr.submit(key("a"), plan.Step{Member: "m", Verdict: plan.Withdraw, Needed: true, Confirm: true})
		synctest.Wait()
		if l := tr.learnt(key("a")); !l.absent || !l.released {
			t.Errorf("learnt %+v", l)
		}
	})
}

// TestLaneClosed: while the member is away nothing is done; what was learnt stays, what was to be done is forgotten; a step that runs ends.
func TestLaneClosed(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.submit(key("known"), step("1"))
		tr.takeDid()
		tr.answer = until(nil)
		tr.submit(key("a"), step("1"))
		tr.submit(key("b"), step("1"))
		synctest.Wait()
		tr.leave()
		tr.wantDid("a 1")
		tr.wantState(key("a"), step("1"), plan.Pending)
		tr.wantDid()
		if tr.learnt(key("known")).record == nil {
			t.Error("what was learnt is lost")
		}
		time.Sleep(time.Hour)
		tr.wantDid()

		tr.answer = nil
		tr.join()
		time.Sleep(time.Hour)
		tr.wantDid() // what was to be done is decided anew
		tr.wantState(key("b"), step("2"), plan.Pending)
		tr.wantState(key("a"), step("1"), plan.Pending)
		tr.wantDid("b 2", "a 1")
	})
}

// TestLaneClosedEndsRetries: a member that has left wakes nobody.
func TestLaneClosedEndsRetries(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.answer = fails("UpdateFailed", plan.Failed)
		tr.submit(key("a"), step("1"))
		tr.takeDid()
		tr.leave()
		tr.takeWoken()
		time.Sleep(time.Hour)
		if tr.takeWoken() != 0 {
			t.Error("woken by a member that has left")
		}
	})
}

// TestLaneComesBackWhole: steps that came while every worker still hung in the member as it was before are done when those end.
func TestLaneComesBackWhole(t *testing.T) {
	onLane(t, 2, func(tr *track) {
		stuck := make(chan struct{})
		tr.answer = func(_ context.Context, _ intent.Key, s plan.Step) apply.Result {
			<-stuck // heeds no context
			return apply.Result{Outcome: plan.Outcome{Member: s.Member, State: plan.Failed, Reason: "UpdateFailed"}}
		}
		tr.submit(key("a"), step("1"))
		tr.submit(key("b"), step("1"))
		tr.wantDidInAnyOrder("a 1", "b 1")
		tr.leave()
		tr.join()
		tr.answer = nil
		for _, name := range []string{"c", "d", "e"} {
			tr.submit(key(name), step("1"))
		}
		tr.wantDid()
		close(stuck)
		tr.wantDidInAnyOrder("c 1", "d 1", "e 1")
		tr.wantState(key("e"), step("1"), plan.Done)
	})
}

// TestLaneDrained: a lane that was closed is drained when what runs has ended, whatever it heeds; the patience of who waits has an end.
func TestLaneDrained(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		stuck := make(chan struct{})
		tr.answer = func(_ context.Context, _ intent.Key, s plan.Step) apply.Result {
			<-stuck // heeds no context
			return done(s)
		}
		tr.submit(key("a"), step("1"))
		tr.submit(key("b"), step("1"))
		tr.wantDid("a 1")
		tr.leave()
		patient, end := context.WithTimeout(tr.t.Context(), time.Second)
		defer end()
		if tr.drained(patient); patient.Err() == nil {
			t.Error("drained while a step was under way")
		}
		close(stuck)
		if tr.drained(tr.t.Context()); tr.running != 0 {
			t.Error("not drained")
		}
		tr.wantDid()
		if tr.forget(); tr.learnt(key("a")).record != nil {
			t.Error("what was learnt is not forgotten")
		}
	})
}

// TestLanePanic: a step that panics is a step that failed; the lane and the process go on.
func TestLanePanic(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		tr.answer = func(_ context.Context, k intent.Key, s plan.Step) apply.Result {
			if k.Name == "poison" {
				panic("x")
			}
			return done(s)
		}
		tr.submit(key("poison"), step("1"))
		tr.submit(key("a"), step("1"))
		tr.wantDid("poison 1", "a 1")
		tr.wantState(key("a"), step("1"), plan.Done)
		tr.wantState(key("poison"), step("1"), plan.Failed)
	})
}

// TestLaneReturnCostsNoSecondWrite: a step that came while the one before the member left still ran is done once.
func TestLaneReturnCostsNoSecondWrite(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		stuck := make(chan struct{})
		tr.answer = func(_ context.Context, _ intent.Key, s plan.Step) apply.Result {
			<-stuck
			return apply.Result{Outcome: plan.Outcome{Member: s.Member, State: plan.Failed, Reason: "UpdateFailed"}}
		}
		tr.submit(key("a"), step("1"))
		tr.takeDid()
		tr.leave()
		tr.join()
		tr.answer = nil
		tr.want(key("a"), step("2"))
		close(stuck)
		tr.wantDid("a 2")
	})
}

// TestLaneOutdatedStep: a step that was decided before the last outcome was known, as a watch that is faster than the answer makes it,
// is decided anew and not done; one that is decided with the record is.
func TestLaneOutdatedStep(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		first := step("1")
		first.Verdict, first.Reason, first.UID = plan.Place, plan.Creating, ""
		tr.submit(key("a"), first)
		tr.wantDid("a 1")
		tr.submit(key("a"), step("1")) // it has seen the copy, and knows of no record
		tr.wantDid()
		informed := step("2")
		informed.Record = done(first).Record
		tr.submit(key("a"), informed)
		tr.wantDid("a 2")
	})
}

// TestLaneOutdatedStepsMeanwhile: while the first step runs, the watch tells of the copy twice. What was decided by that, before or after the
// step has ended, is not done: the wake that follows the end decides anew.
func TestLaneOutdatedStepsMeanwhile(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		released := make(chan struct{})
		tr.answer = until(released)
		first := step("1")
		first.Verdict, first.Reason, first.UID = plan.Place, plan.Creating, ""
		tr.submit(key("a"), first)
		tr.wantDid("a 1")
		tr.wantState(key("a"), step("1"), plan.Pending)
		close(released)
		synctest.Wait()
		tr.wantState(key("a"), step("1"), plan.Pending) // decided before it had ended
		tr.wantDid()
		informed := step("2")
		informed.Record = done(first).Record
		tr.wantState(key("a"), informed, plan.Pending)
		tr.wantDid("a 2")
	})
}

// TestLaneSettled: what is not needed any more is not done, if it has not begun.
func TestLaneSettled(t *testing.T) {
	onLane(t, 1, func(tr *track) {
		released := make(chan struct{})
		tr.answer = until(released)
		tr.submit(key("a"), step("1"))
		tr.submit(key("b"), step("1"))
		synctest.Wait()
		tr.settle(key("b"), false)
		close(released)
		tr.wantDid("a 1")
		tr.wantState(key("b"), step("1"), plan.Pending)
		tr.wantDid("b 1")
	})
}
