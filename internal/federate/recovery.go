package federate

import (
	"context"
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/guard"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// Recovery keeps everything where it is while the host knows less than what the members have seen of it: its etcd was restored from a
// backup, or an API server answers from an old state. Whatever was wanted since, and is missing now, must not be removed.
type Recovery struct {
	// tell is called with the newest revision that some member has seen and the host has not; empty when there is none any more.
	tell func(revision string)

	mu       sync.Mutex
	surveyed bool
	ahead    map[intent.Key][]plan.Ahead // of objects whose copies are ahead
	told     string
}

// NewRecovery returns a recovery that has surveyed nothing yet: until then nothing is removed. told is what a process before this one has
// told last.
func NewRecovery(told string, tell func(revision string)) *Recovery {
	return &Recovery{told: told, tell: tell, ahead: map[intent.Key][]plan.Ahead{}}
}

// Guard restrains a plan, and takes note of what the world that it was made from says of the host.
func (r *Recovery) Guard(p plan.Plan, w plan.World) plan.Plan {
	r.note(w)
	switch reason, message := r.why(); reason {
	case "":
		return p
	default:
		return guard.Freeze(p, reason, message)
	}
}

func (r *Recovery) note(w plan.World) {
	ahead := plan.AheadOf(w)
	r.mu.Lock()
	if len(ahead) > 0 {
		r.ahead[w.Key] = ahead
	} else {
		delete(r.ahead, w.Key)
	}
	newest := r.told
	for _, a := range ahead {
		if plan.Newer(a.Revision, newest) {
			newest = a.Revision
		}
	}
	if len(r.ahead) == 0 {
		newest = ""
	}
	news := r.surveyed && newest != r.told
	if news {
		r.told = newest
	}
	r.mu.Unlock()
	if news {
		r.tell(newest)
	}
}

// why says why nothing may be removed now; empty if it may.
func (r *Recovery) why() (plan.Reason, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.surveyed:
		return plan.Observing, ""
	case len(r.ahead) > 0:
		return plan.RecoveryHold, plan.RecoveryMessage
	default:
		return "", ""
	}
}

func (r *Recovery) survey(done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.surveyed = done
}

// surveyPatience bounds the wait for what members hold: one that never finishes its lists must not keep the others from removing.
const surveyPatience = 30 * time.Second

// Survey looks at everything that the host and the members hold, and allows removals when it knows whether the host has gone back
// in time: once, and where members move between shards, again when some have come.
func (r *Reconciler) Survey(ctx context.Context) {
	r.recovery.survey(false)
	if r.read(ctx); ctx.Err() != nil {
		return
	}
	for _, k := range r.kinds.all() {
		r.kinds.visit(k, func(key intent.Key) {
			if w, ok := r.gather(key); ok {
				r.recovery.note(w)
			}
		})
	}
	r.recovery.survey(true)
	r.kinds.WakeAll()
}

// read waits until no list is under way any more, but no longer than it has patience, and not after the end of the context.
func (r *Reconciler) read(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, surveyPatience)
	defer stop()
	for {
		members, kinds, debts := r.members.Moved(), r.kinds.moved.Next(), r.debts.moved.Next()
		if r.members.Settled() && r.kinds.synced() && r.debts.synced() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-members:
		case <-kinds:
		case <-debts:
		}
	}
}
