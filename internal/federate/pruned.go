package federate

import (
	"sync"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/rollup"
)

// pruned remembers the statuses of which the host kept only a part: an older definition of the type, as KubeFed's, drops the fields that
// it does not know. Without this, what was told would look untold, and be told again for ever.
type pruned struct {
	mu sync.Mutex
	m  map[intent.Key]pruning
}

type pruning struct{ told, kept intent.Status }

// wrote notes what the host kept of what it was told.
func (p *pruned) wrote(key intent.Key, told, kept intent.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rollup.Same(told, kept) {
		delete(p.m, key)
		return
	}
	p.m[key] = pruning{told, kept}
}

// knows says whether the host was told a status already, and has what it kept of it.
func (p *pruned) knows(key intent.Key, told, kept intent.Status) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.m[key]
	return ok && rollup.Same(last.kept, kept) && rollup.Alike(last.told, told)
}

func (p *pruned) forget(key intent.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.m, key)
}
