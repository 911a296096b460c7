package member_test

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/bench/member"
	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/apply/conformance"
	"github.com/hansa-io/hansa/internal/plan"
)

// A simulated member does with writes what a real one does: the suite that internal/apply passes on a real API server passes here.
func TestConformance(t *testing.T) {
	s, err := member.Start(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	config := &rest.Config{Host: s.URL(0), TLSClientConfig: rest.TLSClientConfig{CAData: s.CA()}, QPS: -1}
	config.ContentType = "application/json"
	conformance.RunSimple(t, config, func(config *rest.Config, r schema.GroupVersionResource, kind string) (conformance.Writer, error) {
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
