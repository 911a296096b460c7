package plan_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain has the properties tried on a thousand worlds: the rarer faults do not show in a hundred.
func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "1000")     // a flag of the command line, parsed later, wins
	_ = flag.Set("rapid.nofailfile", "true") // the seed in the output is enough to see it again
	os.Exit(m.Run())
}
