package cluster

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// metrics are those of members. The first two are KubeFed's.
type metrics struct {
	state      *prometheus.GaugeVec
	health     prometheus.Histogram
	probe      *prometheus.HistogramVec
	conditions *prometheus.GaugeVec
	info       *prometheus.GaugeVec
	expiry     *prometheus.GaugeVec
}

// kubefedBuckets are KubeFed's, so that its dashboards go on.
var kubefedBuckets = []float64{0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20, 22.5, 25, 27.5, 30, 50, 75, 100, 1000}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		state: gauge("kubefedcluster_total", "1 for the state a cluster is in: ready, notready or offline.", "state", "cluster"),
		health: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "cluster_health_status_duration_seconds", Help: "Time of one probe of one cluster.", Buckets: kubefedBuckets,
		}),
		probe: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kubefed_cluster_probe_duration_seconds", Help: "Time of one probe of a cluster.",
		}, []string{"cluster"}),
		conditions: gauge("kubefed_cluster_status_condition", "1 for the status that a condition of a cluster has.", "cluster", "condition", "status"),
		info:       gauge("kubefed_cluster_info", "What is known of a cluster; several zones are joined by commas.", "cluster", "version", "region", "zone"),
		expiry: gauge("kubefed_cluster_credential_expiry_timestamp_seconds",
			"When the credential of a cluster ends; absent where it never does.", "cluster"),
	}
	return m, errors.Join(
		register(r, &m.state), register(r, &m.health), register(r, &m.probe),
		register(r, &m.conditions), register(r, &m.info), register(r, &m.expiry))
}

// register registers a collector, or takes the one that is registered already, for a process may have several Controllers in turn.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	if known := (prometheus.AlreadyRegisteredError{}); errors.As(err, &known) {
		old, ok := known.ExistingCollector.(C)
		if !ok {
			return fmt.Errorf("register metrics of clusters: %w", err)
		}
		*c, err = old, nil
	}
	return err
}

func (m *metrics) probed(name string, took time.Duration) {
	m.health.Observe(took.Seconds())
	m.probe.WithLabelValues(name).Observe(took.Seconds())
}

// show replaces what is exported of a cluster. end is when its credential ends, zero if never.
func (m *metrics) show(c *fedv1.KubeFedCluster, end time.Time) {
	s := c.Status
	state := stateOf(s)
	for _, is := range []string{"ready", "notready", "offline"} {
		m.state.WithLabelValues(is, c.Name).Set(truth(is == state))
	}
	of := prometheus.Labels{"cluster": c.Name}
	m.conditions.DeletePartialMatch(of)
	for _, cond := range s.Conditions {
		for _, is := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown} {
			m.conditions.WithLabelValues(c.Name, string(cond.Type), strings.ToLower(string(is))).Set(truth(cond.Status == is))
		}
	}
	m.info.DeletePartialMatch(of)
	m.info.WithLabelValues(c.Name, s.KubernetesVersion, text(s.Region), strings.Join(s.Zones, ",")).Set(1)
	m.expiry.DeletePartialMatch(of)
	if !end.IsZero() {
		m.expiry.WithLabelValues(c.Name).Set(float64(end.Unix()))
	}
}

// drop removes what is exported of a cluster that left.
func (m *metrics) drop(name string) {
	of := prometheus.Labels{"cluster": name}
	for _, v := range []interface{ DeletePartialMatch(prometheus.Labels) int }{m.state, m.probe, m.conditions, m.info, m.expiry} {
		v.DeletePartialMatch(of)
	}
}

// stateOf returns KubeFed's word for a status.
func stateOf(s fedv1.KubeFedClusterStatus) string {
	offline, _ := find(s.Conditions, fedv1.ClusterOffline)
	ready, _ := wasReady(s)
	switch {
	case ready:
		return "ready"
	case offline.Status == metav1.ConditionTrue:
		return "offline"
	}
	return "notready"
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
