package fault

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestPoison [F32]: an object that cannot be propagated delays itself only, says so, and can be mended and deleted.
func TestPoison(t *testing.T) {
	f := federate(t)
	everywhere := placedIn("m1", "m2")
	deep := any("bottom")
	for range 2000 {
		deep = fields{"x": deep}
	}
	override := func(ops ...any) []any {
		return []any{fields{"clusterName": "m1", "clusterOverrides": ops}}
	}
	poisons := map[string]fields{
		"no-spec":           {},
		"bad-key":           {"placement": everywhere, "template": fields{"data": fields{"bad key!": "x"}}},
		"data-is-a-list":    {"placement": everywhere, "template": fields{"data": []any{"x"}}},
		"metadata-is-text":  {"placement": everywhere, "template": fields{"metadata": "x"}},
		"labels-are-lists":  {"placement": everywhere, "template": fields{"metadata": fields{"labels": fields{"a": []any{"x"}}}}},
		"unknown-field":     {"placement": everywhere, "template": fields{"nonsense": fields{"a": "x"}}},
		"another-kind":      {"placement": everywhere, "template": fields{"apiVersion": "apps/v1", "kind": "Deployment"}},
		"deep":              {"placement": everywhere, "template": fields{"data": deep}},
		"huge":              {"placement": everywhere, "template": fields{"data": fields{"value": strings.Repeat("x", 1_000_000)}}},
		"override-nowhere":  {"placement": everywhere, "template": fields{}, "overrides": override(fields{"path": "/a/b/c", "value": "x"})},
		"override-to-null":  {"placement": everywhere, "template": fields{"data": fields{"a": "x"}}, "overrides": override(fields{"path": "/data"})},
		"override-to-text":  {"placement": everywhere, "template": fields{"data": fields{"a": "x"}}, "overrides": override(fields{"path": "/metadata/labels", "value": "x"}, fields{"path": "/data/b/c", "value": 1})},
		"override-index":    {"placement": everywhere, "template": fields{"data": []any{}}, "overrides": override(fields{"path": "/data/99999999999999", "value": "x"})},
		"override-identity": {"placement": everywhere, "template": fields{"data": fields{"a": "x"}}, "overrides": override(fields{"path": "/metadata/uid/", "value": "x"})},
		"selector":          {"placement": fields{"clusterSelector": fields{"matchLabels": fields{"a": "not a value!"}}}},
		"status":            {"placement": everywhere, "template": fields{"status": fields{"a": "x"}}},
	}
	healthy := f.latencies("before", "m1 m2", 5)
	accepted := []string{}
	for name, spec := range poisons {
		if err := f.Create(t.Context(), f.poison(name, spec)); err == nil {
			accepted = append(accepted, name)
		}
	}
	t.Logf("the host accepts %v", accepted)
	f.badStatus("selector")
	f.undelayed(healthy, f.latencies("meanwhile", "m1 m2", 5))
	f.reasons(soon, "ConfigMap", "bad-key", "CreationFailed")
	f.reasons(soon, "ConfigMap", "override-nowhere", "ApplyOverridesFailed")
	f.reasons(soon, "ConfigMap", "selector", "ComputePlacementFailed")

	f.restart() // it does not choke on what it finds
	f.undelayed(healthy, f.latencies("afterwards", "m1 m2", 5))
	f.edits("ConfigMap", "bad-key", fields{"spec": fields{"template": fields{"data": fields{"bad key!": nil, "value": "good"}}}})
	f.holds(patiently, f.m1, "bad-key", "good")
	for _, name := range accepted {
		f.removes("ConfigMap", name)
	}
	for _, name := range accepted {
		f.isGone(patiently, "ConfigMap", name)
		f.lacks(soon, f.m1, "ConfigMap", name)
	}
}

func (f *federation) poison(name string, spec fields) client.Object {
	o := f.federated("ConfigMap", name)
	o.Object["spec"] = spec
	return o
}

// badStatus writes a status by hand that no control plane would.
func (f *federation) badStatus(name string) {
	f.Helper()
	patch := `{"status":{"observedGeneration":9223372036854775807,"clusters":[{"name":"m1","uid":"nonsense","version":"v","remoteStatus":{"x":[1]}},{"name":"gone"}]}}`
	f.eventually(soon, "a bad status", func(ctx context.Context) error {
		return f.Status().Patch(ctx, f.federated("ConfigMap", name), client.RawPatch(types.MergePatchType, []byte(patch)))
	})
}
