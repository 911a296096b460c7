// Package chart proves the Helm chart with Helm's own library on real API servers. It is a module of its own, so that the control plane
// does not depend on Helm; `make chart-test` runs it.
package chart

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const home = "kube-federation-system"

// hansa is the chart as it is in the repository.
func hansa(t testing.TB) *chartv2.Chart { return load(t, "../../charts/hansa") }

func load(t testing.TB, dir string) *chartv2.Chart {
	t.Helper()
	c, err := loader.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads YAML.
func values(t testing.TB, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// template is `helm template`.
func template(t testing.TB, c *chartv2.Chart, namespace, text string) (*release.Release, error) {
	t.Helper()
	i := action.NewInstall(action.NewConfiguration())
	i.DryRunStrategy, i.ReleaseName, i.Namespace = action.DryRunClient, "hansa", namespace
	i.KubeVersion = &common.KubeVersion{Version: "v1.37.2", Major: "1", Minor: "37"} // Helm's build sets it, its library does not
	return released(i.Run(c, values(t, text)))
}

// render is template of the chart, which must not fail: the objects by kind and name, without those of hooks, and the notes.
func render(t testing.TB, namespace, text string) (map[string]*unstructured.Unstructured, string) {
	t.Helper()
	r, err := template(t, hansa(t), namespace, text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return parse(t, r.Manifest), r.Info.Notes
}

func parse(t testing.TB, manifest string) map[string]*unstructured.Unstructured {
	t.Helper()
	out := map[string]*unstructured.Unstructured{}
	for _, document := range strings.Split("\n"+manifest, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(o.Object) == 0 {
			continue
		}
		name := o.GetKind() + " " + o.GetName()
		if out[name] != nil {
			t.Errorf("%s is rendered twice", name)
		}
		out[name] = o
	}
	return out
}

func names(objects map[string]*unstructured.Unstructured) []string {
	return slices.Sorted(maps.Keys(objects))
}

func released(r any, err error) (*release.Release, error) {
	got, ok := r.(*release.Release)
	if err == nil && !ok {
		err = fmt.Errorf("got %T", r)
	}
	return got, err
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
