package observe

import "sync"

// Signal tells whoever waits that something has moved. What has become of it, they look at themselves: take the channel of Next first, look,
// and wait for it to be closed if there is nothing to see yet. The zero value is ready.
type Signal struct {
	mu   sync.Mutex
	next chan struct{}
}

// Next returns a channel that is closed by the next call of Moved.
func (s *Signal) Next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// Moved wakes all who wait. It does not block.
func (s *Signal) Moved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
