package federate

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/observe"
	"github.com/hansa-io/hansa/internal/plan"
)

// listing are members of which some lists may be under way.
type listing struct {
	Members
	observe.Signal
	settled bool
}

func (l *listing) Settled() bool          { return l.settled }
func (l *listing) Moved() <-chan struct{} { return l.Next() }

// TestSurveyWaitsForNoClock: removals are allowed at the moment at which the last list has been read, whichever it is, and after the
// patience with lists that never end.
func TestSurveyWaitsForNoClock(t *testing.T) {
	read := map[string]func(*listing, *Reconciler){
		"members": func(l *listing, _ *Reconciler) { l.settled = true; l.Signal.Moved() },
		"debts":   func(_ *listing, r *Reconciler) { _ = r.debts.store.Replace(nil, "1") },
		"types":   func(_ *listing, r *Reconciler) { k, _ := r.kinds.kind("configmaps"); _ = k.store.Replace(nil, "1") },
	}
	for name := range read {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, r := newSurvey()
				for other, f := range read {
					if other != name {
						f(l, r)
					}
				}
				start := time.Now()
				done := make(chan struct{})
				go func() {
					r.Survey(t.Context())
					close(done)
				}()
				synctest.Wait()
				if reason, _ := r.recovery.why(); reason != plan.Observing {
					t.Fatalf("removals before all lists have been read: %q", reason)
				}
				read[name](l, r)
				<-done
				if reason, _ := r.recovery.why(); reason != "" || time.Since(start) != 0 {
					t.Errorf("held back by %q after %v", reason, time.Since(start))
				}
				time.Sleep(time.Minute) // until all that was woken has come to rest
			})
		})
	}
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, r := newSurvey()
			start := time.Now()
			if r.Survey(t.Context()); time.Since(start) != surveyPatience {
				t.Errorf("waited %v", time.Since(start))
			}
			time.Sleep(time.Minute)
		})
	})
}

func newSurvey() (*listing, *Reconciler) {
	l, nobody := &listing{}, func(intent.Key) {}
	r := &Reconciler{members: l, recovery: NewRecovery("", func(string) {}), debts: &Debts{}}
	r.kinds = NewKinds(nil, "", nobody, func(string, func(intent.Key)) {})
	r.debts.store = observe.New(parseDebtor, func(string, string, bool) {}, r.debts.moved.Moved)
	configMaps := intent.Type{Name: "configmaps"}
	r.kinds.m["configmaps"] = kind{Type: configMaps, store: r.kinds.newStore(configMaps), stop: func() {}}
	return l, r
}
