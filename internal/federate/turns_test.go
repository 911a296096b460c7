package federate

import (
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/intent"
)

// TestTurns: a shard waits a turn for each that is before it, from when it has had something to tell of this version; a version that another
// has written begins anew, and who is first does not wait.
func TestTurns(t *testing.T) {
	var turns turns
	start := time.Now()
	a, b := intent.Key{Name: "a"}, intent.Key{Name: "b"}
	for n, tc := range []struct {
		key     intent.Key
		version string
		before  int
		after   time.Duration
		want    time.Duration
	}{
		{a, "1", 3, 0, 3 * eachTurn},
		{b, "1", 0, 0, 0},
		{a, "1", 3, eachTurn, 2 * eachTurn},
		{a, "1", 3, 3 * eachTurn, 0},
		{a, "2", 2, 3 * eachTurn, 2 * eachTurn},
		{a, "3", 0, 4 * eachTurn, 0},
		{a, "2", 2, time.Hour, 0},
	} {
		if got := turns.wait(tc.key, tc.version, tc.before, start.Add(tc.after)); got != tc.want {
			t.Errorf("%d: wait %v, want %v", n, got, tc.want)
		}
	}
	if turns.over(a); len(turns.m) != 0 {
		t.Errorf("%d objects are remembered", len(turns.m))
	}
}
