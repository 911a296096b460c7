package discovery

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/meter"
)

type metrics struct {
	decide *prometheus.HistogramVec
	write  *prometheus.HistogramVec
	panics *prometheus.CounterVec
}

func newMetrics(s *meter.Set) *metrics {
	return &metrics{decide: s.Histogram(meter.ServiceDecisionTime), write: s.Histogram(meter.ServiceWriteTime), panics: s.Counter(meter.Panics)}
}

func (m *metrics) decided(took time.Duration) { m.decide.WithLabelValues().Observe(took.Seconds()) }

func (m *metrics) wrote(member string, a plan.Act, err error, took time.Duration) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	m.write.WithLabelValues(member, kindOf(a), string(a.Verb), result).Observe(took.Seconds())
}

func kindOf(a plan.Act) string {
	switch {
	case a.Import != nil:
		return "ServiceImport"
	case a.Export != nil:
		return "ServiceExport"
	case a.Derived != nil:
		return "Service"
	default:
		return "EndpointSlice"
	}
}
