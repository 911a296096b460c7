package rfc2136

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hansa-io/hansa/internal/meter"
)

type metrics struct {
	took             *prometheus.HistogramVec
	records, refused *prometheus.GaugeVec
	panics           prometheus.Counter
}

func newMetrics(s *meter.Set) metrics {
	return metrics{
		took: s.Histogram(meter.DNSPublishTime), records: s.Gauge(meter.DNSRecords), refused: s.Gauge(meter.DNSRefused),
		panics: s.Counter(meter.Panics).WithLabelValues("dnsproviders"),
	}
}

func (m metrics) published(provider string, out Outcome, took time.Duration) {
	result := "ok"
	if out.Fault != nil {
		result = "failed"
	}
	m.took.WithLabelValues(provider, result).Observe(took.Seconds())
	if out.Owned != nil {
		m.records.WithLabelValues(provider).Set(float64(*out.Owned))
		m.refused.WithLabelValues(provider).Set(float64(len(out.Refused)))
	}
}

// gone forgets a provider.
func (m metrics) gone(provider string) {
	meter.Drop("provider", provider, m.took, m.records, m.refused)
}
