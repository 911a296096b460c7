package federate

import (
	"fmt"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
)

// TestPace: counts are written once in a breath, each object by itself, and what is long ago is not remembered.
func TestPace(t *testing.T) {
	p := pace{written: map[intent.Key]time.Time{}}
	a, b := intent.Key{Name: "a"}, intent.Key{Name: "b"}
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p.wrote(a, start)
	for _, tc := range []struct {
		key   intent.Key
		after time.Duration
		want  time.Duration
	}{
		{a, 0, breath}, {a, breath / 4, breath * 3 / 4}, {a, breath, 0}, {a, time.Hour, 0}, {b, 0, 0},
	} {
		if got := p.wait(tc.key, start.Add(tc.after)); got != tc.want {
			t.Errorf("%s after %v: wait %v, want %v", tc.key.Name, tc.after, got, tc.want)
		}
	}
	for n := range 10_000 {
		p.wrote(intent.Key{Name: fmt.Sprint(n)}, start.Add(time.Duration(n)*breath/100))
	}
	if kept := len(p.written); kept > 300 {
		t.Errorf("%d writes are remembered, of about 100 in a breath", kept)
	}
}

func TestSooner(t *testing.T) {
	for _, tc := range []struct{ a, b, want time.Duration }{{0, 0, 0}, {0, 3, 3}, {3, 0, 3}, {2, 3, 2}, {3, 2, 2}} {
		if got := sooner(tc.a, tc.b); got != tc.want {
			t.Errorf("%d or %d: %d", tc.a, tc.b, got)
		}
	}
}
