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

// TestDo puts Do through the suite that every writer passes.
func TestDo(t *testing.T) {
	conformance.Run(t, clusters(t).Config("member"), func(config *rest.Config, r schema.GroupVersionResource, kind string) (conformance.Writer, error) {
		clients, err := apply.NewClients(config)
		if err != nil {
			return nil, err
		}
		w := clients.For("member", r, kind)
		return func(ctx context.Context, s plan.Step, confirm apply.Confirm) apply.Result {
			return apply.Do(ctx, w, s, confirm)
		}, nil
	})
}

// TestWhole: where status is collected, what an apply gives back is the whole object, and the record of it is the same.
func TestWhole(t *testing.T) {
	l := clusters(t)
	ns := lab.Namespace(t, l.Config("member"), "whole")
	clients, err := apply.NewClients(l.Config("member"))
	if err != nil {
		t.Fatal(err)
	}
	w := clients.For("member", schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, "ConfigMap")
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "b"},
		"metadata": map[string]any{
			"name": "web", "namespace": ns, "labels": map[string]any{"kubefed.io/managed": "true"},
			"annotations": map[string]any{"kubefed.io/owner": "cp/u1", "kubefed.io/applied": "v"},
		},
	}}
	step := plan.Step{Member: "member", Verdict: plan.Place, Needed: true, Namespace: ns, Name: "web", Object: object, Version: "v", ControlPlane: "cp", Owner: "u1", Adopt: true}
	half := apply.Do(t.Context(), w, step, nil)
	w.Whole = true
	whole := apply.Do(t.Context(), w, step, nil) // it is there, and ours: taken over, and not changed
	if half.Err != nil || whole.Err != nil {
		t.Fatal(half.Err, whole.Err)
	}
	if got, ok := whole.Object.(*unstructured.Unstructured); !ok || got.Object["data"] == nil || got.GetResourceVersion() != half.Object.GetResourceVersion() {
		t.Errorf("%T: %v", whole.Object, whole.Object)
	}
	if *half.Record != *whole.Record {
		t.Errorf("%v, and in full %v", half.Record, whole.Record)
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
