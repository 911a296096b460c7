package plan

import "testing"

func TestARepairAppliesWhatWasAppliedBefore(t *testing.T) {
	applied := &Record{UID: "u", Version: "inputs.fields"}
	for name, c := range map[string]struct {
		step Step
		want bool
	}{
		"changed in the member":         {Step{Verdict: Place, Needed: true, UID: "u", Version: "inputs", Record: applied}, true},
		"removed in the member":         {Step{Verdict: Place, Needed: true, Version: "inputs", Record: applied}, true},
		"changed on the host":           {Step{Verdict: Place, Needed: true, UID: "u", Version: "others", Record: applied}, false},
		"never applied":                 {Step{Verdict: Place, Needed: true, Version: "inputs"}, false},
		"applied by KubeFed, no inputs": {Step{Verdict: Place, Needed: true, Record: &Record{UID: "u"}}, false},
		"as it should be":               {Step{Verdict: Place, Version: "inputs", Record: applied}, false},
		"to be removed":                 {Step{Verdict: Withdraw, Needed: true, Version: "inputs", Record: applied}, false},
	} {
		if got := c.step.Repairs(); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
