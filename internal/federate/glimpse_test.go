package federate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
)

// TestGlimpses: one read of the host serves all members out of which a deleted object goes, as long as it is fresh and says that the object
// is being deleted; every other answer is asked for anew.
func TestGlimpses(t *testing.T) {
	deleted, alive := &intent.Intent{Deleting: time.Unix(1000, 0)}, &intent.Intent{}
	for name, c := range map[string]struct {
		answer     *intent.Intent
		err        error
		takes, gap time.Duration // of a read, and until the second member asks
		reads      int
	}{
		"at the same time":                    {answer: deleted, takes: fresh / 10, reads: 1},
		"a moment later":                      {answer: deleted, takes: fresh / 10, gap: fresh / 2, reads: 1},
		"too late":                            {answer: deleted, gap: fresh, reads: 2},
		"the read took too long":              {answer: deleted, takes: fresh, gap: fresh / 2, reads: 2},
		"the read failed":                     {err: errors.New("no answer"), takes: fresh / 10, reads: 2},
		"the object is not deleted":           {answer: alive, reads: 2},
		"there is no object":                  {reads: 2},
		"it was not there, at the same time":  {takes: fresh / 10, reads: 2},
		"it was not deleted, a moment before": {answer: alive, takes: fresh / 10, gap: fresh / 2, reads: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g glimpses
				reads := 0
				ask := func() {
					got, err := g.of(t.Context(), intent.Key{Name: "web"}, func(context.Context) (*intent.Intent, error) {
						reads++
						time.Sleep(c.takes)
						return c.answer, c.err
					})
					if got != c.answer || !errors.Is(err, c.err) {
						t.Errorf("got %v, %v", got, err)
					}
				}
				go ask()
				synctest.Wait()
				time.Sleep(c.gap)
				ask()
				synctest.Wait()
				if reads != c.reads {
					t.Errorf("%d reads, want %d", reads, c.reads)
				}
				time.Sleep(2 * fresh)
				g.take(intent.Key{Name: "other"})
				if len(g.m) != 1 {
					t.Errorf("%d reads are remembered for ever", len(g.m)-1)
				}
			})
		})
	}
}
