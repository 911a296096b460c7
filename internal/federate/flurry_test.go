package federate

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestFlurry: what is wanted is done at once, what is wanted meanwhile once afterwards, and nothing that was wanted is forgotten.
func TestFlurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		did := map[string]int{}
		f := newFlurry(func(name string) {
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			did[name]++
		})
		want := func(name string, times int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if did[name] != times {
				t.Errorf("%s was done %d times, want %d", name, did[name], times)
			}
		}
		f.want("a")
		time.Sleep(5 * time.Millisecond)
		for range 1000 { // while it is being done for the first time: too late for that
			f.want("a")
			f.want("b")
		}
		time.Sleep(6 * time.Millisecond)
		want("a", 1)
		want("b", 0)
		time.Sleep(time.Second)
		want("a", 2)
		want("b", 1)
		f.want("b")
		time.Sleep(11 * time.Millisecond)
		want("b", 2)
		time.Sleep(time.Second) // it ends by itself, or the bubble would not
	})
}
