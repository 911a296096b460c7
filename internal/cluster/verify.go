package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// ErrNotVerified is why a request to a member was not sent: who is behind the endpoint is not verified, or is another.
var ErrNotVerified = errors.New("the identity of the cluster behind the endpoint is not verified")

// identity says which cluster has to be behind an endpoint. Probes verify that each period. Between two probes an address can be
// pointed to another cluster, but only new connections lead there: so none is used before somebody has asked who is there now.
type identity struct {
	ask     func(path, token string) (types.UID, error) // over a connection of its own
	suspect func()                                      // told that another cluster was found

	mu    sync.Mutex
	path  string // of the namespace whose UID tells
	want  types.UID
	token string
}

// expect lets requests through to a cluster, and to no other.
func (i *identity) expect(path string, want types.UID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.path, i.want = path, want
}

// forbid lets no request through.
func (i *identity) forbid() { i.expect("", "") }

// use sets the token to ask with.
func (i *identity) use(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.token = token
}

func (i *identity) expected() (path string, want types.UID, token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.path, i.want, i.token
}

// admit returns nil if a new connection may be used.
func (i *identity) admit() error {
	path, want, token := i.expected()
	if want == "" {
		return ErrNotVerified
	}
	got, err := i.ask(path, token)
	if err != nil {
		return fmt.Errorf("ask who is behind a new connection: %w", err)
	}
	if byNamespace(want) {
		got = NamespaceID(got)
	}
	if got == want {
		return nil
	}
	i.forbid()
	if i.suspect != nil {
		i.suspect()
	}
	return fmt.Errorf("%w: it is %q, not %q", ErrNotVerified, got, want)
}

// askTimeout bounds the question who is there; slow members are members, too.
const askTimeout = 20 * time.Second

// askAnew reads the UID of a namespace over a new connection.
func (a address) askAnew(path, token string) (types.UID, error) {
	t, err := a.open(nil)
	if err != nil {
		return "", err
	}
	defer t.CloseIdleConnections()
	l := &link{address: a, token: token}
	if l.client, err = rest.HTTPClientFor(l.by(t, ConnectOptions{})); err != nil {
		return "", err
	}
	return l.uid(context.Background(), question{timeout: askTimeout}, path)
}

// gate stops requests over connections that were opened before a cluster turned out to be another.
type gate struct {
	identity *identity
	next     http.RoundTripper
}

func (g gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, want, _ := g.identity.expected(); want != "" {
		return g.next.RoundTrip(req)
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, ErrNotVerified
}

// WrappedRoundTripper lets client-go find the transport below.
func (g gate) WrappedRoundTripper() http.RoundTripper { return g.next }
