package cluster

import (
	"time"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Health is how members are probed.
type Health struct {
	// Period between two probes of a member.
	Period time.Duration
	// Timeout of each request of a probe.
	Timeout time.Duration
	// FailureThreshold is the number of failures in a row after which a ready member is not ready.
	FailureThreshold int
	// SuccessThreshold is the number of successes in a row after which it is ready again.
	SuccessThreshold int
}

// HealthOf returns the settings in a KubeFedConfig, with KubeFed's defaults where it has none; nil has none.
func HealthOf(c *fedv1.ClusterHealthCheckConfig) Health {
	h := Health{Period: 10 * time.Second, Timeout: 3 * time.Second, FailureThreshold: 3, SuccessThreshold: 1}
	if c == nil {
		return h
	}
	if c.Period != nil && c.Period.Duration > 0 {
		h.Period = c.Period.Duration
	}
	if c.Timeout != nil && c.Timeout.Duration > 0 {
		h.Timeout = c.Timeout.Duration
	}
	if c.FailureThreshold != nil && *c.FailureThreshold > 0 {
		h.FailureThreshold = int(*c.FailureThreshold)
	}
	if c.SuccessThreshold != nil && *c.SuccessThreshold > 0 {
		h.SuccessThreshold = int(*c.SuccessThreshold)
	}
	return h
}

// streak counts probes with the same result in a row. Whichever is not zero is the last result.
type streak struct{ good, bad int }

func (s streak) next(good bool) streak {
	if good {
		return streak{good: s.good + 1}
	}
	return streak{bad: s.bad + 1}
}
