package intent_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/intent"
)

func parse(t *testing.T, text string) *intent.Intent {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	obj := map[string]any{}
	if err := utiljson.Unmarshal(raw, &obj); err != nil {
		t.Fatal(err)
	}
	return intent.Parse(&unstructured.Unstructured{Object: obj})
}

func TestParse(t *testing.T) {
	i := parse(t, `
metadata:
  namespace: shop
  name: web
  uid: u1
  resourceVersion: "7"
  generation: 3
  finalizers: [a/b, kubefed.io/sync-controller]
  deletionTimestamp: "2026-01-01T12:00:00Z"
  annotations:
    kubefed.io/orphan: adopted
    kubefed.io/deleteoption: '{"gracePeriodSeconds": 3}'
spec:
  retainReplicas: true
  template: {spec: {big: 9007199254740993}}
  placement: {clusters: [{name: b}, {name: a}, {name: b}]}
  overrides:
  - clusterName: a
    clusterOverrides: [{path: /spec/big, value: 9007199254740995}, {op: remove, path: /spec/x}]
status:
  observedGeneration: 2
  conditions: [{type: Ready, status: "True"}]
  clusters: [{name: a, uid: c1, version: v.f, remoteStatus: {phase: Up}}, {name: b, status: ClusterNotReady}]
`)
	if len(i.Problems) != 0 {
		t.Fatal(i.Problems)
	}
	switch {
	case i.Namespace != "shop", i.Name != "web", i.UID != "u1", i.ResourceVersion != "7", i.Generation != 3:
		t.Errorf("identity: %+v", i)
	case !i.Held || len(i.Finalizers) != 2 || !i.IsDeleting() || !i.Deleting.Equal(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)):
		t.Errorf("deletion: %+v", i)
	case i.Orphan != intent.OrphanAdopted || *i.DeleteOptions.GracePeriodSeconds != 3 || !i.RetainReplicas:
		t.Errorf("wishes: %+v", i)
	case string(i.Template) != `{"spec":{"big":9007199254740993}}`:
		t.Errorf("template: %s", i.Template) // whole numbers stay whole, also above 2^53
	}
	if diff := cmp.Diff([]string{"a", "b"}, i.Placement.Clusters); diff != "" || !i.Placement.ByName {
		t.Error("placement", diff)
	}
	want := map[string][]intent.Override{"a": {{Op: "replace", Path: "/spec/big", Value: int64(9007199254740995)}, {Op: "remove", Path: "/spec/x"}}}
	if diff := cmp.Diff(want, i.Overrides); diff != "" {
		t.Error("overrides", diff)
	}
	if c, ok := i.Status.Cluster("a"); !ok || c.UID != "c1" || c.Version != "v.f" || string(c.RemoteStatus) != `{"phase":"Up"}` {
		t.Errorf("status: %+v", i.Status)
	}
	if _, ok := i.Status.Cluster("c"); ok || i.Status.ObservedGeneration != 2 {
		t.Errorf("status: %+v", i.Status)
	}
	if c, ok := i.Status.Condition("Ready"); !ok || c.Status != "True" {
		t.Errorf("status: %+v", i.Status)
	}
}

// TestProblems: each names the field, and says what to do about it. Together they are all told, sorted.
func TestProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		object string
		want   []string
	}{
		"all at once": {
			"spec: {retainReplicas: 1, template: [], placement: {clusters: {}}, overrides: {}}",
			[]string{
				"spec.overrides: must be a list", "spec.placement.clusters: must be a list", "spec.retainReplicas: must be true or false",
				"spec.template: must be an object",
			},
		},
		"spec":                {"spec: x", []string{"spec: must be an object", "spec: must be an object"}},
		"placement":           {"spec: {placement: [a]}", []string{"spec.placement: must be an object"}},
		"selector":            {"spec: {placement: {clusterSelector: x}}", []string{"spec.placement.clusterSelector: must be an object"}},
		"cluster":             {"spec: {placement: {clusters: [a]}}", []string{"spec.placement.clusters[0].name: must be the name of a cluster"}},
		"template metadata":   {"spec: {template: {metadata: []}}", []string{"spec.template.metadata: must be an object"}},
		"delete options":      {`metadata: {annotations: {kubefed.io/deleteoption: "[]"}}`, []string{"metadata.annotations[kubefed.io/deleteoption]: must be DeleteOptions as JSON: json: cannot unmarshal array into Go value of type v1.DeleteOptions"}},
		"override":            {"spec: {overrides: [{clusterName: a, clusterOverrides: [x]}]}", []string{"spec.overrides[0].clusterOverrides[0].path: path must not be empty: it would replace the whole object"}},
		"the first of a part": {"spec: {overrides: [1, 2]}", []string{"spec.overrides[0]: must be an object", "spec.overrides[1]: must be an object"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			i := parse(t, tc.object)
			for _, p := range i.Problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			for _, p := range i.Problems {
				if first, ok := i.Problem(p.Part); !ok || first.Path > p.Path {
					t.Errorf("%s: %v is not the first of its part", p.Part, first)
				}
			}
		})
	}
}

// TestPodSelector: which Pods are a workload's is read from its template; what is no selector is none, and no problem of ours.
func TestPodSelector(t *testing.T) {
	for selector, want := range map[string]string{
		"{matchLabels: {app: web, tier: a}}":                               "app=web,tier=a",
		"{matchExpressions: [{key: app, operator: In, values: [b, a]}]}":   "app in (a,b)",
		"{matchExpressions: [{key: app, operator: Near, values: [b, a]}]}": "",
		"{app: web}": "", "{}": "", "7": "", "{matchLabels: 7}": "",
	} {
		i := parse(t, "spec: {template: {spec: {selector: "+selector+"}}}")
		if i.PodSelector != want || len(i.Problems) > 0 {
			t.Errorf("%s: %q, want %q; %v", selector, i.PodSelector, want, i.Problems)
		}
	}
}

func TestDropped(t *testing.T) {
	for name, tc := range map[string]struct {
		metadata string
		want     []string
	}{
		"annotations and finalizers": {"{finalizers: [a/b], annotations: {a: b}}", []string{"annotations", "finalizers"}},
		"empty ones":                 {"{finalizers: [], annotations: {}, labels: {}}", nil},
		"null ones":                  {"{finalizers: null, annotations: null, labels: null}", nil},
		"of another shape":           {"{annotations: x}", []string{"annotations"}},
		"other names":                {"{name: a, namespace: b}", []string{"name", "namespace"}},
		"its own names":              {"{name: web, namespace: shop}", nil},
		"what the cluster manages":   {"{uid: x, ownerReferences: [{}], generateName: g}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			i := parse(t, "metadata: {namespace: shop, name: web}\nspec: {template: {status: {phase: Up}, metadata: "+tc.metadata+"}}")
			if diff := cmp.Diff(tc.want, i.Dropped); diff != "" || len(i.Problems) > 0 {
				t.Error(diff, i.Problems)
			}
			if string(i.Template) != "{}" {
				t.Errorf("template: %s", i.Template)
			}
		})
	}
}

// TestClustersInAnyOrder: every member's entry is found, in whatever order the host has them, and of two for one member the first.
func TestClustersInAnyOrder(t *testing.T) {
	i := parse(t, `
status:
  clusters: [{name: c, uid: c1}, {name: a, uid: a1}, {name: d, uid: d1}, {name: a, uid: a2}, {name: b, uid: b1}]
`)
	for _, name := range []string{"a", "b", "c", "d"} {
		if c, ok := i.Status.Cluster(name); !ok || string(c.UID) != name+"1" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for _, name := range []string{"", "aa", "e"} {
		if c, ok := i.Status.Cluster(name); ok {
			t.Errorf("%q: %+v", name, c)
		}
	}
}

// TestStatusOfAnyShape: what cannot be read is as if never told; it spoils nothing else.
func TestStatusOfAnyShape(t *testing.T) {
	for _, status := range []string{"x", "[]", "{clusters: x}", "{clusters: [x]}", "{conditions: {}}", "{observedGeneration: many}", "null", "{ready: 3}"} {
		i := parse(t, "spec: {placement: {clusterSelector: {}}}\nstatus: "+status)
		if len(i.Problems) > 0 || !reflect.DeepEqual(i.Status, intent.Status{}) || i.Placement.Selector == nil {
			t.Errorf("%s: %+v", status, i)
		}
	}
}

// FuzzParse: whatever the API holds, there is an intent, the same each time, and the object is not touched.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spec":null}`, `{"spec":"x","status":"y","metadata":"z"}`, `{"spec":{"template":{"metadata":{"annotations":1,"labels":[]}}}}`,
		`{"spec":{"placement":{"clusters":[{"name":1},null,{}],"clusterSelector":{"matchLabels":1}}}}`,
		`{"spec":{"placement":{"clusterSelector":{"matchExpressions":[{"key":"","operator":"In"}]}}}}`,
		`{"spec":{"overrides":[{"clusterName":"a","clusterOverrides":[{"op":"add","path":"/a","value":1e400}]},null]}}`,
		`{"metadata":{"deletionTimestamp":"null","annotations":{"kubefed.io/deleteoption":"{"}}}`,
		`{"metadata":{"deletionTimestamp":1,"generation":1.5,"finalizers":["kubefed.io/sync-controller",1]}}`,
		`{"status":{"clusters":[{"name":"a","remoteStatus":[]}],"observedGeneration":"1"}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var object map[string]any
		if utiljson.Unmarshal([]byte(raw), &object) != nil || object == nil {
			t.Skip()
		}
		before := runtime.DeepCopyJSON(object)
		i := intent.Parse(&unstructured.Unstructured{Object: object})
		again := intent.Parse(&unstructured.Unstructured{Object: object})
		if !reflect.DeepEqual(before, object) {
			t.Fatal("the object was changed")
		}
		if !reflect.DeepEqual(i, again) {
			t.Fatalf("the same object is read otherwise: %s", cmp.Diff(i, again))
		}
		if len(i.Template) > 0 && !json.Valid(i.Template) {
			t.Fatalf("template: %s", i.Template)
		}
		for _, ops := range i.Overrides {
			for _, o := range ops {
				if o.Op != "add" && o.Op != "remove" && o.Op != "replace" || len(o.Path) < 2 || o.Path[0] != '/' {
					t.Fatalf("override: %+v", o)
				}
			}
		}
	})
}
