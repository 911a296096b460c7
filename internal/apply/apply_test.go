package apply_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/apply/conformance"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/plan"
)

var clusters = lab.Shared(lab.Options{}, "member")

// TestDo puts Do through the suite that every writer passes, whether it gets metadata back or, where status is collected, all.
func TestDo(t *testing.T) {
	for name, whole := range map[string]bool{"metadata": false, "whole": true} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, clusters(t).Config("member"), func(config *rest.Config, r schema.GroupVersionResource, kind string) (conformance.Writer, error) {
				clients, err := apply.NewClients(config)
				if err != nil {
					return nil, err
				}
				w := clients.For("member", r, kind)
				w.Whole = whole
				return func(ctx context.Context, s plan.Step, confirm apply.Confirm) apply.Result {
					got := apply.Do(ctx, w, s, confirm)
					if _, all := got.Object.(*unstructured.Unstructured); got.Record != nil && all != whole {
						t.Errorf("%s gave back %T", s.Verdict, got.Object)
					}
					return got
				}, nil
			})
		})
	}
}

// TestWords: what a failure is called does not differ from one attempt to the next, or every attempt would be news.
func TestWords(t *testing.T) {
	address := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	for _, c := range []struct {
		err  func(attempt int) error
		want string
	}{
		{func(n int) error {
			reset := &net.OpError{Op: "read", Net: "tcp", Source: address(n), Addr: address(443), Err: syscall.ECONNRESET}
			return &url.Error{Op: "Get", URL: fmt.Sprintf("https://m1/api?timeout=%d", n), Err: reset}
		}, "read: connection reset by peer"},
		{func(n int) error {
			return &url.Error{Op: "Get", URL: fmt.Sprintf("https://m1/api?timeout=%d", n), Err: errors.New("http2: client connection lost")}
		}, "http2: client connection lost"},
		{func(int) error { return &url.Error{Op: "Get", URL: "https://m1", Err: context.DeadlineExceeded} }, "the cluster did not answer in time"},
		{func(int) error { return &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }, "the cluster refuses connections"},
		{func(int) error { return fmt.Errorf("list: %w", apierrors.NewBadRequest("no such field")) }, "no such field"},
	} {
		for n := range 2 {
			if got := apply.Words(c.err(n)); got != c.want {
				t.Errorf("%v is called %q, want %q", c.err(n), got, c.want)
			}
		}
	}
}
