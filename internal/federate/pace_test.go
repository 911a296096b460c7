package federate

import (
	"fmt"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/rollup"
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
		if got := p.wait(tc.key, start.Add(tc.after), breath); got != tc.want {
			t.Errorf("%s after %v: wait %v, want %v", tc.key.Name, tc.after, got, tc.want)
		}
	}
	for n := range 10_000 {
		p.wrote(intent.Key{Name: fmt.Sprint(n)}, start.Add(time.Duration(n)*breath/100))
	}
	if kept := len(p.written); kept > 1200 {
		t.Errorf("%d writes are remembered, of about 1000 in the longest breath", kept)
	}
}

// TestBreath: a status waits for counts, and for members that are still at work the longer, the more it lists; what is final does not wait.
func TestBreath(t *testing.T) {
	lists := func(members int) intent.Status { return intent.Status{Clusters: make([]intent.ClusterStatus, members)} }
	for name, tc := range map[string]struct {
		told rollup.Told
		want time.Duration
	}{
		"final":                {rollup.Told{Status: lists(1000)}, 0},
		"counts":               {rollup.Told{Status: lists(1000), Minor: true}, breath},
		"two at work":          {rollup.Told{Status: lists(2), Afoot: true}, breath + 2*breathEach},
		"two at work, counts":  {rollup.Told{Status: lists(2), Afoot: true, Minor: true}, breath + 2*breathEach},
		"a thousand at work":   {rollup.Told{Status: lists(1000), Afoot: true}, breathAtMost},
		"ten thousand at work": {rollup.Told{Status: lists(10_000), Afoot: true}, breathAtMost},
	} {
		if got := breathOf(tc.told); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestSooner(t *testing.T) {
	for _, tc := range []struct{ a, b, want time.Duration }{{0, 0, 0}, {0, 3, 3}, {3, 0, 3}, {2, 3, 2}, {3, 2, 2}} {
		if got := sooner(tc.a, tc.b); got != tc.want {
			t.Errorf("%d or %d: %d", tc.a, tc.b, got)
		}
	}
}
