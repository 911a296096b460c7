package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ErrNotVerified is why a write to a member was not sent: its identity is not verified, or is another's.
var ErrNotVerified = errors.New("the identity of the cluster behind the endpoint is not verified")

// identity says which cluster is to be behind an endpoint, and up to which connection that was verified. A probe verifies it each
// period; between two probes an address can be pointed to another cluster, but only new connections lead there. So the first write after
// a new connection asks who is there.
type identity struct {
	handshakes atomic.Int64 // TLS connections opened so far

	mu       sync.Mutex
	path     string // of the namespace whose UID is asked for
	want     types.UID
	verified int64  // the number of handshakes that the verification covers
	suspect  func() // told that another cluster was found
}

// expect opens the gate to the cluster that was verified when there had been so many handshakes.
func (i *identity) expect(path string, want types.UID, handshakes int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.path, i.want, i.verified = path, want, handshakes
}

// forbid closes the gate.
func (i *identity) forbid() { i.expect("", "", 0) }

// identityTimeout bounds the question who is there.
const identityTimeout = 10 * time.Second

// check returns nil if a write may go. ask returns the UID found at a path.
func (i *identity) check(ask func(path string) (types.UID, error)) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for range 3 {
		before := i.handshakes.Load()
		switch {
		case i.want == "":
			return ErrNotVerified
		case before == i.verified:
			return nil
		}
		if err := i.verify(ask); err != nil {
			return err
		}
		if after := i.handshakes.Load(); after-before <= 1 { // the question itself may have opened the connection that it went by
			i.verified = after
			return nil
		}
	}
	return fmt.Errorf("%w: new connections keep coming", ErrNotVerified)
}

func (i *identity) verify(ask func(path string) (types.UID, error)) error {
	got, err := ask(i.path)
	if err != nil {
		return fmt.Errorf("verify the cluster's identity before a write: %w", err)
	}
	if byNamespace(i.want) {
		got = NamespaceID(got)
	}
	if got == i.want {
		return nil
	}
	err = fmt.Errorf("%w: it is %q, not %q", ErrNotVerified, got, i.want)
	i.path, i.want = "", ""
	if i.suspect != nil {
		i.suspect()
	}
	return err
}

// gate holds back the writes to a member whose identity is not verified. Reads pass.
type gate struct {
	endpoint string
	identity *identity
	next     http.RoundTripper
}

func (g gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return g.next.RoundTrip(req)
	}
	ask := func(path string) (types.UID, error) { return g.ask(req, path) }
	if err := g.identity.check(ask); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	return g.next.RoundTrip(req)
}

// WrappedRoundTripper lets client-go find the transport below.
func (g gate) WrappedRoundTripper() http.RoundTripper { return g.next }

// ask reads a namespace's UID with the credential of a request that is to follow.
func (g gate) ask(write *http.Request, path string) (types.UID, error) {
	ctx, cancel := context.WithTimeout(write.Context(), identityTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.endpoint+path, nil)
	if err != nil {
		return "", err
	}
	for _, h := range []string{"Authorization", "User-Agent"} {
		req.Header[h] = write.Header[h]
	}
	req.Header.Set("Accept", acceptMetadata)
	body, err := answer(g.next.RoundTrip(req))
	if err != nil {
		return "", err
	}
	var m metav1.PartialObjectMetadata
	if err := json.Unmarshal(body, &m); err != nil {
		return "", fmt.Errorf("GET %s: %w", path, err)
	}
	return m.UID, nil
}
