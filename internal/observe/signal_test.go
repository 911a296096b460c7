package observe

import "testing"

// TestSignal: all who wait are woken, once, and what moves between a look and the wait is not missed.
func TestSignal(t *testing.T) {
	var s Signal
	s.Moved() // nobody waits
	a, b := s.Next(), s.Next()
	for _, c := range []<-chan struct{}{a, b} {
		select {
		case <-c:
			t.Fatal("woken before anything has moved")
		default:
		}
	}
	s.Moved()
	<-a
	<-b
	select {
	case <-s.Next():
		t.Fatal("woken twice by one move")
	default:
	}
}
