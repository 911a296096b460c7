package fleet

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// The pace of a lane.
const (
	// laneDeadline bounds one step: a member that hangs gives its place in the lane back.
	laneDeadline = 20 * time.Second
	// firstRetry and lastRetry bound the wait after a step that failed; it doubles from one to the other.
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// fightWindow and fightLimit: an object that had to be put back more often than this in this time is being fought over.
	fightWindow = time.Minute
	fightLimit  = 6
)

// lane is the only writer to one member. It holds at most one step for each object, the newest, and takes them in the order in which
// they came, some at a time. Workers exist only while there is work.
type lane struct {
	do      func(context.Context, intent.Key, plan.Step) apply.Result
	wake    func(intent.Key)
	workers int
	// begin and end are told of each step that is under way, queued or running, once.
	begin, end func(intent.Key)
	// panicked is told of a panic, took of every step that was taken while the member stayed, if they are set.
	panicked func(error)
	took     func(intent.Key, plan.Step, apply.Result, time.Duration)

	mu      sync.Mutex
	tasks   map[intent.Key]*task
	queue   []intent.Key
	running int
	ctx     context.Context // of the member, while it is ready; nil if it is not
}

// task is what a lane knows of one object.
type task struct {
	step            plan.Step
	queued, running bool
	// again says that another step came while one was running.
	again   bool
	outcome plan.Outcome
	// due says that a failed step may be tried again.
	due      bool
	attempts int
	retry    *time.Timer
	lesson
	// news says that nobody has been told of the lesson yet.
	news bool
	// repairs are the times at which the same version was applied again.
	repairs []time.Time
}

// lesson is what the last step taught about an object beyond what the watch has told.
type lesson struct {
	// record of the last apply.
	record *plan.Record
	// absent after a step that found, or left, nothing of ours; released if the object itself is still there.
	absent, released bool
}

func newLane(workers int, do func(context.Context, intent.Key, plan.Step) apply.Result, wake func(intent.Key)) *lane {
	none := func(intent.Key) {}
	return &lane{do: do, wake: wake, begin: none, end: none, workers: workers, tasks: map[intent.Key]*task{}}
}

// open lets the lane work until the context ends.
func (l *lane) open(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx = ctx
}

// close forgets all steps. What is running ends with the context that open was given. What was learnt is kept.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx, l.queue = nil, nil
	for key, t := range l.tasks {
		t.stop()
		l.unqueue(key, t)
		if t.record == nil && !t.running {
			delete(l.tasks, key)
			continue
		}
		t.again, t.outcome, t.step = false, plan.Outcome{}, plan.Step{}
	}
}

// unqueue takes a task back that has not been begun. The caller holds the lock.
func (l *lane) unqueue(key intent.Key, t *task) {
	if t.queued {
		t.queued = false
		l.end(key)
	}
}

// forget forgets what was learnt as well.
func (l *lane) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, t := range l.tasks {
		t.stop()
		l.unqueue(key, t)
	}
	clear(l.tasks)
}

// drained returns when no step is under way any more in a lane that was closed, or when the context ends.
func (l *lane) drained(ctx context.Context) {
	const look = 5 * time.Millisecond // members move seldom
	for ctx.Err() == nil {
		l.mu.Lock()
		busy := l.running > 0
		l.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(look):
		}
	}
}

func (t *task) stop() {
	if t.retry != nil {
		t.retry.Stop()
		t.retry = nil
	}
}

// learnt returns what the last step taught about an object.
func (l *lane) learnt(key intent.Key) lesson {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tasks[key]; t != nil {
		return t.lesson
	}
	return lesson{}
}

// tried says that the last step for an object failed or was refused.
func (l *lane) tried(key intent.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tasks[key]
	return t != nil && (t.outcome.State == plan.Failed || t.outcome.State == plan.Refused)
}

// settle forgets an object that needs nothing more; published says that the host's record is the lane's.
func (l *lane) settle(key intent.Key, published bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tasks[key]
	if t == nil || t.running {
		return
	}
	t.stop()
	l.unqueue(key, t)
	t.outcome, t.step, t.attempts = plan.Outcome{}, plan.Step{}, 0
	t.repairs = recent(t.repairs)
	if published && len(t.repairs) == 0 {
		delete(l.tasks, key)
	}
}

// submit takes the newest step for an object and says what is known of it.
func (l *lane) submit(key intent.Key, s plan.Step) plan.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		return plan.Outcome{Member: s.Member, State: plan.Pending}
	}
	t := l.tasks[key]
	if t == nil {
		t = &task{}
		l.tasks[key] = t
	}
	news := t.news
	t.news = false
	switch {
	case news && outdated(s, t.record): // it was decided before that outcome was known: the wake that is under way decides anew
		if t.outcome.State != plan.Done {
			return plan.Outcome{Member: s.Member, State: plan.Pending}
		}
		return t.outcome
	case !same(t.step, s):
		t.stop()
		t.step, t.outcome, t.attempts, t.absent = s, plan.Outcome{}, 0, false
		return l.push(key, t)
	case t.queued || t.running:
		s.Since = t.step.Since
		t.step = s
		return plan.Outcome{Member: s.Member, State: plan.Pending}
	case t.outcome.State == plan.Done && t.step.Seen == s.Seen:
		return t.outcome // the watch has not told yet
	case t.outcome.State == plan.Done || t.due || t.outcome.State == "":
		if t.due {
			s.Since = t.step.Since // it has been wanted all the time
		}
		t.step = s
		return l.push(key, t)
	default:
		return t.outcome
	}
}

// same says whether two steps ask for the same.
func same(a, b plan.Step) bool {
	return a.Verdict == b.Verdict && a.Version == b.Version && a.UID == b.UID && a.Confirm == b.Confirm && a.Reason == b.Reason && a.Owner == b.Owner && a.Adopt == b.Adopt
}

// outdated says whether a step rests on another record than the last.
func outdated(s plan.Step, last *plan.Record) bool {
	return last != nil && (s.Record == nil || *s.Record != *last)
}

// push queues a task, unless it is being fought over.
func (l *lane) push(key intent.Key, t *task) plan.Outcome {
	t.due = false
	if wait := t.fighting(); wait > 0 {
		t.outcome = plan.Outcome{
			Member: t.step.Member, State: plan.Failed, Reason: "Fighting",
			Message: "another manager keeps changing fields that the federated object sets: see metadata.managedFields in the cluster",
		}
		l.retryIn(key, t, wait)
		return t.outcome
	}
	if t.running {
		t.again = true
	} else if !t.queued {
		t.queued = true
		l.begin(key)
		l.queue = append(l.queue, key)
		if l.running < l.workers {
			l.running++
			go l.work(l.ctx)
		}
	}
	return plan.Outcome{Member: t.step.Member, State: plan.Pending}
}

// fighting says how long to wait before the same version is put back once more.
func (t *task) fighting() time.Duration {
	if t.repairs = recent(t.repairs); t.step.Verdict != plan.Place || len(t.repairs) < fightLimit {
		return 0
	}
	return time.Until(t.repairs[0].Add(fightWindow))
}

func recent(times []time.Time) []time.Time {
	for len(times) > 0 && time.Since(times[0]) > fightWindow {
		times = times[1:]
	}
	return times
}

// work takes steps until there are none.
func (l *lane) work(ctx context.Context) {
	for {
		key, step, ok := l.take(ctx)
		if !ok {
			return
		}
		start := time.Now()
		r := l.attempt(ctx, key, step)
		if l.took != nil && ctx.Err() == nil {
			l.took(key, step, r, time.Since(start))
		}
		l.done(ctx, key, step, r)
		l.wake(key)
		l.end(key)
	}
}

// attempt takes one step. A panic is a failure of that step alone.
func (l *lane) attempt(ctx context.Context, key intent.Key, s plan.Step) (r apply.Result) {
	ctx, cancel := context.WithTimeout(ctx, laneDeadline)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r = apply.Result{
				Err:     fmt.Errorf("%s %v in %s: panic: %v\n%s", s.Verdict, key, s.Member, p, debug.Stack()),
				Outcome: plan.Outcome{Member: s.Member, State: plan.Failed, Reason: "Panic", Message: "the control plane cannot handle this object: see its log"},
			}
			if l.panicked != nil {
				l.panicked(r.Err)
			}
		}
	}()
	return l.do(ctx, key, s)
}

func (l *lane) take(ctx context.Context) (intent.Key, plan.Step, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ctx.Err() == nil && len(l.queue) > 0 {
		key := l.queue[0]
		l.queue = l.queue[1:]
		if t := l.tasks[key]; t != nil && t.queued && !t.running {
			t.queued, t.running = false, true
			return key, t.step, true
		}
	}
	l.running--
	if l.ctx != nil && l.ctx != ctx && len(l.queue) > 0 && l.running < l.workers {
		// The member came back while all workers were still busy with how it was before.
		l.running++
		go l.work(l.ctx)
	}
	return intent.Key{}, plan.Step{}, false
}

// done records what came of a step.
func (l *lane) done(ctx context.Context, key intent.Key, s plan.Step, r apply.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tasks[key]
	if t == nil {
		return
	}
	t.running = false
	if r.State == plan.Done {
		if r.Record != nil && t.record != nil && *r.Record == *t.record {
			t.repairs = append(t.repairs, time.Now())
		}
		t.lesson, t.news = lesson{record: r.Record, absent: r.Gone, released: r.Did == plan.DidRelease || s.Confirm && r.Gone && t.released}, true
	}
	if l.ctx != ctx || ctx.Err() != nil {
		t.again, t.outcome = false, plan.Outcome{}
		return // the member has left or is away: its plan will be another
	}
	if t.again || !same(t.step, s) {
		// What came meanwhile was decided without knowing what came of this: the wake that follows decides anew.
		t.again, t.step, t.outcome = false, plan.Step{}, plan.Outcome{}
		return
	}
	t.outcome = r.Outcome
	switch r.State {
	case plan.Failed:
		l.retryIn(key, t, backoff(t.attempts))
		t.attempts++
	case plan.Refused:
		l.retryIn(key, t, lastRetry)
	default:
		t.attempts = 0
	}
}

func backoff(attempts int) time.Duration {
	if attempts > 8 {
		return lastRetry
	}
	return min(firstRetry<<attempts, lastRetry)
}

// retryIn wakes the object's key later: a retry is decided anew, it does not repeat an old decision.
func (l *lane) retryIn(key intent.Key, t *task, wait time.Duration) {
	t.stop()
	t.retry = time.AfterFunc(wait, func() {
		l.mu.Lock()
		t.due = true
		l.mu.Unlock()
		l.wake(key)
	})
}
