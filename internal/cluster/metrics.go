package cluster

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/meter"
)

// metrics are those of members.
type metrics struct {
	state, joined, conditions, info, expiry *prometheus.GaugeVec
	health, probe, dial, join, unjoin       *prometheus.HistogramVec

	mu    sync.Mutex
	shown map[string]shown
}

// shown is what is exported of a cluster.
type shown struct {
	status fedv1.KubeFedClusterStatus
	end    time.Time
}

func newMetrics(s *meter.Set) *metrics {
	return &metrics{
		state: s.Gauge(meter.ClusterState), joined: s.Gauge(meter.Joined),
		conditions: s.Gauge(meter.ClusterCondition), info: s.Gauge(meter.ClusterInfo), expiry: s.Gauge(meter.ClusterCredentialEnd),
		health: s.Histogram(meter.HealthTime), probe: s.Histogram(meter.ClusterProbeTime), dial: s.Histogram(meter.ConnectTime),
		join: s.Histogram(meter.JoinTime), unjoin: s.Histogram(meter.UnjoinTime),
		shown: map[string]shown{},
	}
}

func (m *metrics) dialled(took time.Duration) { m.dial.WithLabelValues().Observe(took.Seconds()) }

func (m *metrics) probed(name string, took time.Duration) {
	m.health.WithLabelValues().Observe(took.Seconds())
	m.probe.WithLabelValues(name).Observe(took.Seconds())
}

// show replaces what is exported of a cluster, if it is not that. end is when its credential ends, zero if never. To find what is to be
// replaced, all that is exported of all clusters is looked at.
func (m *metrics) show(c *fedv1.KubeFedCluster, end time.Time) {
	s := c.Status
	if !m.news(c.Name, shown{s, end}) {
		return
	}
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

// news notes what is to be exported of a cluster, and says whether it is new.
func (m *metrics) news(name string, now shown) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.shown[name]
	if known && old.end.Equal(now.end) && equality.Semantic.DeepEqual(old.status, now.status) {
		return false
	}
	m.shown[name] = shown{*now.status.DeepCopy(), now.end}
	return true
}

// drop removes what is exported of a cluster that left.
func (m *metrics) drop(name string) {
	m.mu.Lock()
	delete(m.shown, name)
	m.mu.Unlock()
	meter.Drop("cluster", name, m.state, m.probe, m.conditions, m.info, m.expiry)
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
