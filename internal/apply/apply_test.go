package apply_test

import (
	"context"
	"testing"

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
