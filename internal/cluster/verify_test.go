package cluster

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

func TestAdmit(t *testing.T) {
	for name, tc := range map[string]struct {
		want, got types.UID
		err       error
		admitted  bool
		suspected bool
	}{
		"nobody is expected":        {"", "A", nil, false, false},
		"the expected":              {"A", "A", nil, true, false},
		"by the KubeFed namespace":  {NamespaceID("N"), "N", nil, true, false},
		"another":                   {"A", "B", nil, false, true},
		"another KubeFed namespace": {NamespaceID("N"), "M", nil, false, true},
		"no answer":                 {"A", "", io.EOF, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			suspected := false
			i := &identity{
				ask:     func(string, string) (types.UID, error) { return tc.got, tc.err },
				suspect: func() { suspected = true },
			}
			i.expect("/ns", tc.want)
			if err := i.admit(); (err == nil) != tc.admitted || suspected != tc.suspected {
				t.Errorf("error %v, suspected %v", err, suspected)
			}
			if _, want, _ := i.expected(); tc.suspected != (want == "" && tc.want != "") {
				t.Errorf("afterwards %q is expected", want)
			}
		})
	}
}

// An address that leads to another cluster after a reconnect gets no request but the question who it is.
func TestNoRequestToAnotherCluster(t *testing.T) {
	var uid atomic.Value
	var arrived atomic.Int64
	uid.Store("A")
	s, ca := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == systemNamespacePath {
			_, _ = fmt.Fprintf(w, `{"metadata":{"uid":%q}}`, uid.Load())
			return
		}
		arrived.Add(1)
	})
	l, err := (*link)(nil).follow(aCluster(func(c *fedv1.KubeFedCluster) {
		c.Spec.APIEndpoint, c.Spec.CABundle = s.URL, ca
	}), aSecret("t"), ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	client, err := rest.HTTPClientFor(l.config)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method string) error {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	if err := send(http.MethodPost); !errors.Is(err, ErrNotVerified) {
		t.Fatalf("before the first probe: %v", err)
	}
	l.identity.expect(systemNamespacePath, "A")
	for range 3 {
		if err := send(http.MethodDelete); err != nil {
			t.Fatalf("to the right cluster: %v", err)
		}
	}
	uid.Store("B")
	s.CloseClientConnections()
	_ = send(http.MethodGet) // may find the old connection closed
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPost} {
		if err := send(method); !errors.Is(err, ErrNotVerified) {
			t.Errorf("%s to another cluster: %v", method, err)
		}
	}
	if arrived.Load() != 3 {
		t.Errorf("%d requests arrived, want 3", arrived.Load())
	}
	l.identity.expect(systemNamespacePath, "B")
	if err := send(http.MethodGet); err != nil {
		t.Errorf("to the cluster that is expected now: %v", err)
	}
}
