package meter

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Set is where metrics are registered. What a nil Set gives out measures, and nobody sees it.
type Set struct {
	to prometheus.Registerer
	// legacy says whether KubeFed's metrics are among them.
	legacy bool
	errs   []error
}

// NewSet returns a set that registers with a registry, legacy metrics too if they are wanted.
func NewSet(to prometheus.Registerer, legacy bool) *Set { return &Set{to: to, legacy: legacy} }

// Err says what could not be registered.
func (s *Set) Err() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.errs...)
}

// Gauge gives out a metric of that kind.
func (s *Set) Gauge(m Metric) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
	return registered(s, m, v, func() { v.WithLabelValues() })
}

// Counter gives out a metric of that kind.
func (s *Set) Counter(m Metric) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
	return registered(s, m, v, func() { v.WithLabelValues() })
}

// Histogram gives out a metric of that kind.
func (s *Set) Histogram(m Metric) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.Buckets}, m.Labels)
	return registered(s, m, v, func() { v.WithLabelValues() })
}

// registered registers a collector, or takes the one that is registered already, for a process may have several controllers in turn.
// A metric without labels is there from the start.
func registered[C prometheus.Collector](s *Set, m Metric, c C, begin func()) C {
	if len(m.Labels) == 0 {
		begin()
	}
	if s == nil || m.Legacy && !s.legacy {
		return c
	}
	err := s.to.Register(c)
	if known := (prometheus.AlreadyRegisteredError{}); errors.As(err, &known) {
		if old, ok := known.ExistingCollector.(C); ok {
			return old
		}
	}
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("register metric %s: %w", m.Name, err))
	}
	return c
}

// Emit takes one value of a gauge, with the values of its labels in their order.
type Emit func(m Metric, value float64, labels ...string)

// Looked registers gauges whose values are looked up whenever somebody asks for the metrics.
func (s *Set) Looked(look func(Emit), metrics ...Metric) {
	if s == nil {
		return
	}
	l := looked{look: look, descs: map[string]*prometheus.Desc{}}
	for _, m := range metrics {
		l.descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	}
	s.to.Unregister(l) // that of an earlier one of the same process
	if err := s.to.Register(l); err != nil {
		s.errs = append(s.errs, fmt.Errorf("register metric %s: %w", metrics[0].Name, err))
	}
}

type looked struct {
	look  func(Emit)
	descs map[string]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (l looked) Describe(out chan<- *prometheus.Desc) {
	for _, d := range l.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (l looked) Collect(out chan<- prometheus.Metric) {
	l.look(func(m Metric, value float64, labels ...string) {
		if v, err := prometheus.NewConstMetric(l.descs[m.Name], prometheus.GaugeValue, value, labels...); err == nil {
			out <- v // a label that is no text, as only a foreign name could be, costs that series
		}
	})
}

// dropper is what every metric with labels is.
type dropper interface {
	DeletePartialMatch(prometheus.Labels) int
}

// Drop removes the series of whom one label names, as of a member that has left.
func Drop(label, value string, from ...dropper) {
	for _, v := range from {
		v.DeletePartialMatch(prometheus.Labels{label: value})
	}
}
