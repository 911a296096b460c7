package lead

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A term has two ends, both counted from before the request for the last renewal; without one, nothing is written.
func TestTerm(t *testing.T) {
	start := time.Now()
	now := start
	term := NewTerm(10*time.Second, 15900*time.Millisecond)
	term.now = func() time.Time { return now }
	check := func(when string, write, send bool) {
		t.Helper()
		if got := term.Write() == nil; got != write {
			t.Errorf("%s: may write is %t", when, got)
		}
		if got := term.Send() == nil; got != send {
			t.Errorf("%s: may send is %t", when, got)
		}
	}
	check("a process that never led", false, true)
	term.Renewed(start)
	check("renewed", true, true)
	now = start.Add(10*time.Second - 1)
	check("just before the renew deadline", true, true)
	now = start.Add(10 * time.Second)
	check("at the renew deadline", false, true)
	now = start.Add(15*time.Second - 1)
	check("just before others may lead", false, true)
	now = start.Add(15 * time.Second)
	check("when others may lead", false, false)
	term.Renewed(now)
	check("renewed after all", true, true)
	term.End()
	check("given back", false, false)
}

// A steady clock stands still while a machine sleeps: then the other one counts.
func TestTermSeesASleep(t *testing.T) {
	start := time.Now()
	term := NewTerm(10*time.Second, 15*time.Second)
	term.Renewed(start)
	term.now = func() time.Time { return start.Round(0).Add(time.Hour) } // no steady reading
	if term.Write() == nil {
		t.Error("a process writes that has slept for an hour")
	}
}

func TestRequestsThatWriteAreGuarded(t *testing.T) {
	passed := 0
	guarded := NewTerm(time.Second, 2*time.Second).Requests(roundTripper(func(*http.Request) (*http.Response, error) {
		passed++
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	for _, c := range []struct {
		method, path string
		passes       bool
	}{
		{"GET", "/api/v1/configmaps", true},
		{"PATCH", "/api/v1/namespaces/a/configmaps/b", false},
		{"POST", "/api/v1/namespaces/a/configmaps", false},
		{"PUT", "/api/v1/namespaces/a/configmaps/b", false},
		{"DELETE", "/api/v1/namespaces/a/configmaps/b", false},
		{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", true},
		{"POST", "/apis/authentication.k8s.io/v1/tokenreviews", true},
		{"POST", "/apis/events.k8s.io/v1/namespaces/a/events", true},
		{"POST", "/api/v1/namespaces/a/serviceaccounts/b/token", false},
		{"PATCH", "/apis/types.kubefed.io/v1beta1/namespaces/events/federatedevents/events", false},
	} {
		passed = 0
		req, err := http.NewRequestWithContext(t.Context(), c.method, "https://host"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := guarded.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if c.passes != (passed == 1) || !c.passes && !errors.Is(err, ErrNotLeading) {
			t.Errorf("%s %s: passed %d times, %v", c.method, c.path, passed, err)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Not one byte leaves by a connection that was opened in time, when the time is over.
func TestConnectionsAreGuarded(t *testing.T) {
	term := NewTerm(time.Minute, 2*time.Minute)
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	c := conn{near, term}
	term.Renewed(time.Now())
	if _, err := c.Write([]byte("in time")); err != nil {
		t.Fatal(err)
	}
	term.Renewed(time.Now().Add(-3 * time.Minute))
	if n, err := c.Write([]byte("late")); n != 0 || !errors.Is(err, ErrNotLeading) {
		t.Errorf("sent %d bytes, %v", n, err)
	}
}
