package federate

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// flurry gathers what is to be done again and again for the same names. A member that comes or goes wakes all objects; when a thousand do,
// what they ask for is done at once, and then once more for all that have asked meanwhile.
type flurry struct {
	do func(name string)

	mu     sync.Mutex
	wanted map[string]bool
	busy   bool
}

// The pause after it was done is flurryPause, or, where much is to be done, so long that doing it takes a tenth of the time.
const (
	flurryPause = 5 * time.Millisecond
	flurryShare = 9
)

func newFlurry(do func(name string)) *flurry { return &flurry{do: do, wanted: map[string]bool{}} }

// want has something done soon: all of it after this call. It does not wait for it.
func (f *flurry) want(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted[name] = true
	if !f.busy {
		f.busy = true
		go f.run() // it ends when nothing is wanted
	}
}

func (f *flurry) run() {
	for {
		names := f.take()
		if len(names) == 0 {
			return
		}
		start := time.Now()
		for _, name := range names {
			f.do(name)
		}
		time.Sleep(max(flurryShare*time.Since(start), flurryPause))
	}
}

func (f *flurry) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := slices.Sorted(maps.Keys(f.wanted))
	clear(f.wanted)
	f.busy = len(names) > 0
	return names
}
