package schedule

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
)

// memory is what the scheduler remembers of each preference from one decision to the next.
type memory struct {
	mu        sync.Mutex
	histories map[types.NamespacedName]history
	limits    map[types.NamespacedName]map[string]*limit
}

func newMemory() *memory {
	return &memory{histories: map[types.NamespacedName]history{}, limits: map[types.NamespacedName]map[string]*limit{}}
}

func (m *memory) history(key types.NamespacedName) history {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.histories[key]
}

// wrote notes a write.
func (m *memory) wrote(key types.NamespacedName, division string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.histories[key] = m.histories[key].wrote(division, now)
}

// limit is what is known of a cluster's capacity. After a restart it is what the status says, so that a restart changes nothing.
func (m *memory) limit(key types.NamespacedName, name string, told schedv1.ReplicaSchedulingPreferenceStatus, now time.Time) *limit {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.limits[key]; ok {
		return known[name]
	}
	for _, c := range told.Clusters {
		if c.Name == name && c.Capacity != nil {
			return &limit{capacity: *c.Capacity, since: now, step: 1}
		}
	}
	return nil
}

// learn notes what is known of all capacities.
func (m *memory) learn(key types.NamespacedName, limits map[string]*limit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limits[key] = limits
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.histories, key)
	delete(m.limits, key)
}
