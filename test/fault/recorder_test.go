package fault

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/lab"
)

// The recorder reads the audit logs: what was asked of a cluster by the control plane, whatever became of it.

// ofHansa are the requests of control planes.
func ofHansa(r lab.Request) bool { return strings.HasPrefix(r.UserAgent, "hansa/") }

// ofLease are those that keep the leader the leader.
func ofLease(r lab.Request) bool { return strings.HasPrefix(r.Resource, "leases.") }

// writes of a control plane, its Lease aside. What the server refused has written nothing.
func writes(r lab.Request) bool {
	return ofHansa(r) && r.Mutates() && !ofLease(r) && r.Code < http.StatusMultipleChoices
}

// removals are requests to delete, refused ones too.
func removals(r lab.Request) bool {
	return ofHansa(r) && (r.Verb == "delete" || r.Verb == "deletecollection")
}

func within(namespace string, match func(lab.Request) bool) func(lab.Request) bool {
	return func(r lab.Request) bool {
		return match(r) && (r.Namespace == namespace || r.Resource == "namespaces" && r.Name == namespace)
	}
}

// mark is a place in a cluster's audit log.
type mark struct {
	t       testing.TB
	cluster string
	match   func(lab.Request) bool
	from    int
}

// record begins to record the matching requests of a cluster.
func record(t testing.TB, cluster string, match func(lab.Request) bool) mark {
	t.Helper()
	flush(t, cluster)
	return mark{t, cluster, match, len(clusters.Requests(t, cluster, match))}
}

// since are the requests since the recording began.
func (m mark) since() []lab.Request {
	m.t.Helper()
	flush(m.t, m.cluster)
	return clusters.Requests(m.t, m.cluster, m.match)[m.from:]
}

// none fails the test if there were any.
func (m mark) none(why string) {
	m.t.Helper()
	for _, r := range m.since() {
		m.t.Errorf("%s: in %s there was %s", why, m.cluster, line(r))
	}
}

func line(r lab.Request) string {
	return fmt.Sprintf("%s %s %s/%s by %s (%d)", r.Verb, r.Resource, r.Namespace, r.Name, r.UserAgent, r.Code)
}

var flushes atomic.Int64

// flush waits until the audit log tells of a request that is made now: then it has told of all before.
func flush(t testing.TB, cluster string) {
	t.Helper()
	config := clusters.Config(cluster)
	config.UserAgent = fmt.Sprintf("flush/%d", flushes.Add(1))
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("flush the audit log of %s: %v", cluster, err)
	}
	_ = resp.Body.Close()
	lab.Eventually(t, 10*time.Second, "the audit log of "+cluster, func(context.Context) error {
		if len(clusters.Requests(t, cluster, func(r lab.Request) bool { return r.UserAgent == config.UserAgent })) == 0 {
			return fmt.Errorf("it lags")
		}
		return nil
	})
}

// rests waits until a control plane has written nothing for some time.
func rests(t testing.TB, still time.Duration) {
	t.Helper()
	last, since := -1, time.Now()
	lab.Eventually(t, time.Minute, "the control plane to be at rest", func(context.Context) error {
		n := 0
		for _, c := range []string{"host", "m1", "m2"} {
			n += len(clusters.Requests(t, c, writes))
		}
		if n != last {
			last, since = n, time.Now()
		}
		if d := time.Since(since); d < still {
			return fmt.Errorf("it has written %d times, the last time %v ago", n, d)
		}
		return nil
	})
}
