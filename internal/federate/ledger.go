package federate

import (
	"sync"
	"time"

	"github.com/hansa-io/hansa/internal/guard"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// Limits of the deletion budget: in a window, of one type in one cluster, at most Least or Share of its copies, whichever is more.
type Limits struct {
	Window time.Duration
	Least  int
	// Share of the copies, from 0 to 1. Both Least and Share zero switch the budget off.
	Share float64
}

// DefaultLimits are generous: they stop a mistake, not a day's work.
var DefaultLimits = Limits{Window: 5 * time.Minute, Least: 50, Share: 0.1}

// Ledger keeps count of removals.
type Ledger struct {
	limits   Limits
	count    func(member, typeName string) int
	approved func(member, typeName string) bool

	mu       sync.Mutex
	accounts map[account]*spending
}

type account struct{ member, typeName string }

type spending struct {
	used   map[intent.Key]time.Time
	paused map[intent.Key]bool
}

// NewLedger returns an empty ledger. count says how many copies of a type a member holds, approved whether someone has approved of
// all removals there.
func NewLedger(limits Limits, count func(member, typeName string) int, approved func(member, typeName string) bool) *Ledger {
	return &Ledger{limits: limits, count: count, approved: approved, accounts: map[account]*spending{}}
}

// Guard restrains a plan, and books what it lets through. The intent is the one that the plan is of; nil if there is none.
func (l *Ledger) Guard(p plan.Plan, of *intent.Intent) plan.Plan {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.recall(p, of)
	l.forget(p)
	guarded := guard.Apply(p, l.budget(p, now))
	for n, s := range guarded.Steps {
		l.book(account{s.Member, p.Key.Type}, p.Key, p.Steps[n], s, now)
	}
	return guarded
}

// forget strikes out what was held in members that an object has nothing to do with any more.
func (l *Ledger) forget(p plan.Plan) {
	for at, a := range l.accounts {
		if _, ok := p.Step(at.member); !ok && at.typeName == p.Key.Type {
			delete(a.paused, p.Key)
		}
	}
}

// recall holds again what a process before this one has held, as the object's status tells: a restart must not be a new budget.
func (l *Ledger) recall(p plan.Plan, of *intent.Intent) {
	if of == nil || l.limits.Least == 0 && l.limits.Share == 0 {
		return
	}
	for _, s := range p.Steps {
		told, _ := of.Status.Cluster(s.Member)
		if !guard.Counts(s) || told.Status != string(plan.DeletionPaused) {
			continue
		}
		if a := l.account(account{s.Member, p.Key.Type}); a.used[p.Key].IsZero() {
			a.paused[p.Key] = true
		}
	}
}

func (l *Ledger) account(at account) *spending {
	if l.accounts[at] == nil {
		l.accounts[at] = &spending{used: map[intent.Key]time.Time{}, paused: map[intent.Key]bool{}}
	}
	return l.accounts[at]
}

func (l *Ledger) budget(p plan.Plan, now time.Time) guard.Budget {
	b := guard.Budget{}
	for _, s := range p.Steps {
		if !guard.Counts(s) {
			continue
		}
		a := l.accounts[account{s.Member, p.Key.Type}]
		if a == nil || l.approved(s.Member, p.Key.Type) {
			continue
		}
		for key, at := range a.used {
			if now.Sub(at) > l.limits.Window {
				delete(a.used, key)
			}
		}
		if _, again := a.used[p.Key]; again {
			continue // it has been let through, and is not done yet
		}
		limit := max(l.limits.Least, int(l.limits.Share*float64(l.count(s.Member, p.Key.Type)+len(a.used))))
		b[s.Member] = guard.Allowance{Used: len(a.used), Limit: limit, Paused: len(a.paused) > 0}
	}
	return b
}

func (l *Ledger) book(at account, key intent.Key, wanted, got plan.Step, now time.Time) {
	if l.accounts[at] == nil && !guard.Counts(wanted) {
		return
	}
	a := l.account(at)
	delete(a.paused, key)
	switch {
	case got.Reason == plan.DeletionPaused:
		a.paused[key] = true
	case guard.Counts(got) && a.used[key].IsZero():
		a.used[key] = now
	}
}
