package lead

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// ErrNotLeading says that this process may not write: it does not lead, or it has not been able to renew its Lease for too long.
var ErrNotLeading = errors.New("this process does not hold the leader's Lease")

// Term is the time that this process may act as the leader: from each renewal of the Lease on for a while. It asks no API server, so it
// also ends for a process that was stopped, cut off or starved while another took over. There are two ends. From the renew deadline on
// no write begins. When the Lease has run out, not one byte leaves by a guarded connection, not even of a request that had begun: the
// time between is for what is under way.
type Term struct {
	// renew and lease are how long after a renewal the two ends come.
	renew, lease time.Duration
	// began is when the request for the last renewal was begun; nil if this process never led, or has given the Lease back.
	began atomic.Pointer[time.Time]
	// led says that it once did.
	led atomic.Bool
	now func() time.Time
}

// NewTerm returns a term that has not begun. The lease is what others wait for, in whole seconds.
func NewTerm(renew, lease time.Duration) *Term {
	return &Term{renew: renew, lease: lease.Truncate(time.Second), now: time.Now}
}

// Renewed begins the term anew. The moment is that before the request was sent: nobody else counts from an earlier one.
func (t *Term) Renewed(began time.Time) {
	t.began.Store(&began)
	t.led.Store(true)
}

// End ends the term at once.
func (t *Term) End() { t.began.Store(nil) }

// Write fails when no write may begin any more.
func (t *Term) Write() error { return t.within(t.renew) }

// Leads says whether this process may write.
func (t *Term) Leads() bool { return t.Write() == nil }

// Send fails when nothing may be sent any more by a process that led. One that never did may: it only reads.
func (t *Term) Send() error {
	if !t.led.Load() {
		return nil
	}
	return t.within(t.lease)
}

func (t *Term) within(limit time.Duration) error {
	began := t.began.Load()
	if began == nil || t.age(*began) >= limit {
		return ErrNotLeading
	}
	return nil
}

// age is the longer of what two clocks say: the steady one stands still while a machine sleeps, the other may be set back.
func (t *Term) age(began time.Time) time.Duration {
	now := t.now()
	return max(now.Sub(began), now.Round(0).Sub(began.Round(0)))
}

// Requests guards the requests that write; next makes them.
func (t *Term) Requests(next http.RoundTripper) http.RoundTripper { return requests{t, next} }

// Dial guards connections; dial makes them.
func (t *Term) Dial(dial Dialer) Dialer { return guardedBy(t, dial) }

// Either is the time in which one of some terms runs.
type Either []*Term

// Write fails when no write may begin any more.
func (e Either) Write() error {
	for _, t := range e {
		if t.Write() == nil {
			return nil
		}
	}
	return ErrNotLeading
}

// Send fails when nothing may be sent any more by a process that once could write. One that never could may: it only reads.
func (e Either) Send() error {
	led := false
	for _, t := range e {
		if t.led.Load() {
			if led = true; t.Send() == nil {
				return nil
			}
		}
	}
	if !led {
		return nil
	}
	return ErrNotLeading
}

// Requests guards the requests that write; next makes them.
func (e Either) Requests(next http.RoundTripper) http.RoundTripper { return requests{e, next} }

// Dial guards connections; dial makes them.
func (e Either) Dial(dial Dialer) Dialer { return guardedBy(e, dial) }

// Dialer opens connections, as net.Dialer.DialContext does.
type Dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// term has the two ends of a Term.
type term interface {
	Write() error
	Send() error
}

func guardedBy(t term, dial Dialer) Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn{c, t}, nil
	}
}

type requests struct {
	term term
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (r requests) RoundTrip(req *http.Request) (*http.Response, error) {
	if changes(req) {
		if err := r.term.Write(); err != nil {
			return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
		}
	}
	return r.next.RoundTrip(req)
}

// WrappedRoundTripper lets client-go find the transport below.
func (r requests) WrappedRoundTripper() http.RoundTripper { return r.next }

// changes says whether a request is the leader's to make. Questions that are asked by POST are not, and neither are events: who waits
// has something to tell, too.
func changes(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	path := req.URL.Path
	return !strings.HasPrefix(path, "/apis/authentication.k8s.io/") && !strings.HasPrefix(path, "/apis/authorization.k8s.io/") &&
		!strings.HasPrefix(path, "/apis/events.k8s.io/")
}

// conn is asked at the last moment before bytes leave: between the begin of a request and its sending a process may have stood still
// for any time.
type conn struct {
	net.Conn
	term term
}

// Write implements net.Conn.
func (c conn) Write(b []byte) (int, error) {
	if err := c.term.Send(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
