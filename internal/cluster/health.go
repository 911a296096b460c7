package cluster

import "github.com/hansa-io/hansa/internal/settings"

// Health is how members are probed.
type Health = settings.Health

// streak counts probes with the same result in a row. Whichever is not zero is the last result.
type streak struct{ good, bad int }

func (s streak) next(good bool) streak {
	if good {
		return streak{good: s.good + 1}
	}
	return streak{bad: s.bad + 1}
}
