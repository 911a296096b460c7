package fleet

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/plan"
)

// metrics are those of lanes, and of the requests to members.
type metrics struct {
	dispatch, propagation, requests *prometheus.HistogramVec
	repairs, panics                 *prometheus.CounterVec
}

func newMetrics(s *meter.Set, f *Fleet) *metrics {
	s.Looked(f.measure, meter.LaneSteps, meter.LaneAge, meter.Drifted)
	return &metrics{
		dispatch: s.Histogram(meter.DispatchTime), propagation: s.Histogram(meter.PropagationTime), requests: s.Histogram(meter.RequestTime),
		repairs: s.Counter(meter.Repairs), panics: s.Counter(meter.Panics),
	}
}

// actions are KubeFed's words for what is done in a member.
var actions = map[plan.Did]string{plan.DidCreate: "create", plan.DidAdopt: "update", plan.DidUpdate: "update", plan.DidDelete: "delete"}

// took measures a step that was taken.
func (m *metrics) took(key intent.Key, s plan.Step, r apply.Result, took time.Duration) {
	if r.State != plan.Done || r.Did == plan.DidNothing {
		return
	}
	if action := actions[r.Did]; action != "" {
		m.dispatch.WithLabelValues(action).Observe(took.Seconds())
	}
	m.propagation.WithLabelValues(key.Type, s.Member, strings.ToLower(string(r.Did))).Observe(time.Since(s.Since).Seconds())
	if s.Repairs() {
		m.repairs.WithLabelValues(key.Type, s.Member).Inc()
	}
}

// drop forgets a member that left, or a type.
func (m *metrics) drop(label, value string) {
	meter.Drop(label, value, m.propagation, m.repairs)
	if label == "cluster" {
		meter.Drop(label, value, m.requests)
	}
}

// through measures the requests by a configuration, until the member leaves: what is cut off then says nothing.
func (m *metrics) through(ctx context.Context, member string, config *rest.Config) *rest.Config {
	out := rest.CopyConfig(config)
	out.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return timed{RoundTripper: next, told: func(req *http.Request, code string, took time.Duration) {
			if ctx.Err() == nil {
				m.requests.WithLabelValues(member, verbOf(req), code).Observe(took.Seconds())
			}
		}}
	})
	return out
}

type timed struct {
	http.RoundTripper
	told func(req *http.Request, code string, took time.Duration)
}

// RoundTrip implements http.RoundTripper.
func (t timed) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := t.RoundTripper.RoundTrip(req)
	code := "error"
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
	}
	t.told(req, code, time.Since(start))
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below.
func (t timed) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }

// verbOf is what a request is to an API server.
func verbOf(req *http.Request) string {
	switch req.Method {
	case http.MethodGet:
		switch {
		case req.URL.Query().Get("watch") == "true" || req.URL.Query().Get("watch") == "1":
			return "watch"
		case isCollection(req.URL.Path):
			return "list"
		}
		return "get"
	case http.MethodPatch:
		if strings.HasPrefix(req.Header.Get("Content-Type"), "application/apply-patch") {
			return "apply"
		}
		return "patch"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	default:
		return "delete"
	}
}

// isCollection says whether a path is one of many objects: …/api/v1/pods, …/apis/g/v/namespaces/n/pods.
func isCollection(path string) bool {
	_, rest, ok := strings.Cut(path, "/api/v1/")
	if !ok {
		_, rest, ok = strings.Cut(path, "/apis/")
		parts := strings.SplitN(rest, "/", 3)
		if !ok || len(parts) < 3 {
			return false // discovery
		}
		rest = parts[2]
	}
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	return len(parts) == 1
}

// measure looks at all lanes. What they hold is what is under way or failing, not what they have done.
func (f *Fleet) measure(emit meter.Emit) {
	f.mu.RLock()
	sorted, types := f.sorted, slices.Collect(maps.Keys(f.types))
	f.mu.RUnlock()
	for _, m := range sorted {
		s := m.lane.look()
		for _, state := range []string{laneQueued, laneRunning, laneFailed} {
			emit(meter.LaneSteps, float64(s.steps[state]), m.name, state)
		}
		emit(meter.LaneAge, s.age.Seconds(), m.name)
		for _, typeName := range types {
			emit(meter.Drifted, float64(s.drifted[typeName]), typeName, m.name)
		}
	}
}

// States of the steps of a lane.
const (
	laneQueued  = "queued"
	laneRunning = "running"
	laneFailed  = "failed"
)

// backlog is what a lane has to do.
type backlog struct {
	steps   map[string]int // by state
	age     time.Duration  // of the oldest that is queued or running
	drifted map[string]int // steps that repair, by type
}

func (l *lane) look() backlog {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := backlog{steps: map[string]int{}, drifted: map[string]int{}}
	for key, t := range l.tasks {
		active := t.queued || t.running
		switch {
		case t.running:
			b.steps[laneRunning]++
		case t.queued:
			b.steps[laneQueued]++
		case t.outcome.State == plan.Failed || t.outcome.State == plan.Refused:
			b.steps[laneFailed]++
		}
		if active && !t.step.Since.IsZero() {
			b.age = max(b.age, time.Since(t.step.Since))
		}
		if t.step.Repairs() && t.outcome.State != plan.Done {
			b.drifted[key.Type]++
		}
	}
	return b
}
