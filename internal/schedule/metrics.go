package schedule

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
	"github.com/hansa-io/hansa/internal/meter"
)

type metrics struct {
	look   prometheus.Observer
	moved  *prometheus.CounterVec
	panics prometheus.Counter
}

func newMetrics(s *meter.Set) metrics {
	m := metrics{
		look:   s.Histogram(meter.ScheduleTime).WithLabelValues(),
		moved:  s.Counter(meter.Moved),
		panics: s.Counter(meter.Panics).WithLabelValues("preferences"),
	}
	m.moved.WithLabelValues(ClusterNotReady) // so that the first failover is an increase
	return m
}

func (m metrics) looked(start time.Time) { m.look.Observe(time.Since(start).Seconds()) }

// wrote counts what a division that was written has moved.
func (m metrics) wrote(before map[string]int64, now []schedv1.ClusterReplicas) {
	for reason, n := range moved(before, now) {
		m.moved.WithLabelValues(reason).Add(float64(n))
	}
}

// moved says how many replicas have gone from one cluster to another, by why the one that they left has what it has now. What is only
// added or only taken away has not moved. now is sorted by name.
func moved(before map[string]int64, now []schedv1.ClusterReplicas) map[string]int64 {
	var added int64
	for _, c := range now {
		added += max(c.Replicas-before[c.Name], 0)
	}
	out := map[string]int64{}
	for _, c := range now {
		if n := min(before[c.Name]-c.Replicas, added); n > 0 {
			out[c.Reason] += n
			added -= n
		}
	}
	return out
}
