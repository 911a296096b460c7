package conformance

import (
	"fmt"
	"net/http"
	"sync"
)

// counter counts requests on the wire. A write that the server refused has written nothing, and does not count as one.
type counter struct {
	mu            sync.Mutex
	reads, writes int
	lines         []string
	// afterRead is called once, after the next read.
	afterRead func()
}

func (c *counter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if then := c.note(r, resp); then != nil {
			then()
		}
		return resp, err
	})
}

func (c *counter) note(r *http.Request, resp *http.Response) (then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	code := 0
	if resp != nil {
		code = resp.StatusCode
	}
	c.lines = append(c.lines, fmt.Sprintf("%s %s: %d", r.Method, r.URL.Path, code))
	switch {
	case r.Method == http.MethodGet:
		c.reads++
		then, c.afterRead = c.afterRead, nil
	case code < 300:
		c.writes++
	}
	return then
}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads, c.writes, c.lines = 0, 0, nil
}

func (c *counter) counts() (reads, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads, c.writes
}

func (c *counter) log() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.lines...)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
