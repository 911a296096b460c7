package plan_test

import (
	"encoding/json"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"pgregory.net/rapid"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// operations reads a list of overrides as nobody has checked them.
func operations(raw string) ([]intent.Override, bool) {
	var ops []intent.Override
	if utiljson.Unmarshal([]byte(raw), &ops) != nil {
		return nil, false
	}
	for n := range ops {
		value, err := json.Marshal(ops[n].Value)
		if err != nil || utiljson.Unmarshal(value, &ops[n].Value) != nil {
			return nil, false
		}
	}
	return ops, true
}

// FuzzPatch: overrides never panic, never change what they are applied to, and do not share values with it.
func FuzzPatch(f *testing.F) {
	for _, ops := range []string{
		`[{"op":"add","path":"/a/0","value":{"x":[1]}}]`,
		`[{"op":"remove","path":"/a/-1"},{"op":"replace","path":"/b/c","value":null}]`,
		`[{"path":""}]`, `[{"op":"add","path":"/","value":1}]`, `[{"op":"replace","path":"b/c"}]`, `[{"op":"remove","path":"/a/99999999999999999999"}]`,
		`[{"op":"add","path":"/a/-"},{"op":"add","path":"/a/-/x"},{"op":"test","path":"/a"}]`, `[{"op":"remove","path":"/b/~0~1~2"}]`,
	} {
		f.Add(`{"a":[1,2.5,"x"],"b":{"c":null,"~/~2":true}}`, ops)
	}
	f.Fuzz(func(t *testing.T, raw, rawOps string) {
		var doc map[string]any
		ops, ok := operations(rawOps)
		if utiljson.Unmarshal([]byte(raw), &doc) != nil || !ok {
			t.Skip()
		}
		before, opsBefore := runtime.DeepCopyJSON(doc), runtime.DeepCopyJSONValue(values(ops))
		out, err := plan.Patch(doc, ops)
		if (err == nil) != (out != nil) && doc != nil {
			t.Fatalf("out %v, err %v", out, err)
		}
		scribble(out)
		if !reflect.DeepEqual(before, doc) || !reflect.DeepEqual(opsBefore, values(ops)) {
			t.Fatal("what was given has changed")
		}
	})
}

func values(ops []intent.Override) any {
	out := make([]any, len(ops))
	for n, o := range ops {
		out[n] = o.Value
	}
	return out
}

// scribble changes everything in a value.
func scribble(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			scribble(v[k])
			v[k] = "scribbled"
		}
	case []any:
		for n := range v {
			scribble(v[n])
			v[n] = "scribbled"
		}
	}
}

// FuzzRender: whatever the template and the overrides, even ones that intent.Parse would refuse, what is rendered is the federated
// object's own target, and carries our marks (K1).
func FuzzRender(f *testing.F) {
	for _, ops := range []string{
		`[]`,
		`[{"path":"/metadata","value":{"name":"other","namespace":"other","uid":"x"}}]`,
		`[{"path":"/metadata","value":null}]`,
		`[{"op":"remove","path":"/metadata"}]`,
		`[{"path":"/metadata/namespace","value":"kube-system"},{"path":"/kind","value":"ClusterRoleBinding"},{"path":"/apiVersion","value":"rbac.authorization.k8s.io/v1"}]`,
		`[{"path":"/apiVersion","value":{}}]`,
		`[{"path":"/metadata/labels","value":null},{"path":"/metadata/annotations","value":{"kubefed.io/owner":"x"}}]`,
		`[{"op":"add","path":"/metadata/ownerReferences","value":[{}]},{"op":"add","path":"/status","value":{}}]`,
		`[{"path":"","value":{"kind":"ClusterRoleBinding"}}]`,
	} {
		f.Add(`{"metadata":{"labels":{"a":"b"},"name":"other"},"spec":{"replicas":3,"clusterIP":"1.2.3.4","ports":[{"nodePort":1},null,2]}}`, ops, true)
	}
	f.Add(`{"metadata":null,"spec":[]}`, `[]`, false)
	f.Add(`[]`, `[]`, true)
	f.Fuzz(func(t *testing.T, template, rawOps string, exists bool) {
		ops, ok := operations(rawOps)
		if !ok {
			t.Skip()
		}
		for _, kind := range []string{"FederatedService", "FederatedDeployment", "FederatedNamespace", "FederatedClusterRole"} {
			renderAnything(t, kinds[kind], template, ops, exists)
		}
	})
}

func renderAnything(t interface {
	Helper()
	Errorf(string, ...any)
	Fatal(...any)
}, of intent.Type, template string, ops []intent.Override, exists bool,
) {
	t.Helper()
	m := plan.Member{Name: "a", Ready: true, View: plan.ViewSynced}
	if exists {
		m.Copy = &plan.Copy{UID: "c1", ControlPlane: "cp", Owner: "u1", OwnsReplicas: true}
	}
	w := plan.World{
		Key: of.KeyOf("shop", "web"), Type: of, Members: []plan.Member{m}, MembersKnown: true, Settings: plan.Settings{ControlPlane: "cp"},
		Intent: &intent.Intent{
			Namespace: "shop", Name: "web", UID: "u1", Template: []byte(template), Overrides: map[string][]intent.Override{"a": ops},
			Placement: intent.Placement{ByName: true, Clusters: []string{"a"}}, RetainReplicas: exists,
		},
	}
	if of.IsNamespace() {
		w.Key = of.KeyOf("", "shop")
	}
	p := plan.Make(w)
	checkIdentity(t, w, p)
	if len(p.Steps) != 1 || p.Steps[0].Verdict == plan.Place && p.Steps[0].Object == nil {
		t.Fatal("one member, one step:", printPlan(p))
	}
	if o := p.Steps[0].Object; o != nil {
		if _, err := json.Marshal(o.Object); err != nil {
			t.Fatal("what is rendered cannot be sent:", err)
		}
	}
}

// TestIdentityWhateverTheOverrides puts paths together that overrides could try.
func TestIdentityWhateverTheOverrides(t *testing.T) {
	parts := []string{
		"metadata", "name", "namespace", "kind", "apiVersion", "labels", "annotations", "uid", "ownerReferences", "status", "spec", "ports", "0", "-", "",
		"kubefed.io~1managed", "kubefed.io~1owner", "generateName", "resourceVersion", "deletionTimestamp", "managedFields",
	}
	values := []any{
		nil, "other", "false", int64(1),
		[]any{},
		[]any{"x"},
		map[string]any{},
		map[string]any{"name": "other", "namespace": "other", "uid": "x", "labels": nil},
		map[string]any{"kubefed.io/managed": "false", "kubefed.io/owner": "other/u9"},
		"rbac.authorization.k8s.io/v1",
	}
	rapid.Check(t, func(t *rapid.T) {
		var ops []intent.Override
		for range rapid.IntRange(1, 4).Draw(t, "operations") {
			path := ""
			for range rapid.IntRange(0, 3).Draw(t, "depth") {
				path += "/" + oneOf(t, "part", parts...)
			}
			ops = append(ops, intent.Override{Op: oneOf(t, "op", "add", "remove", "replace"), Path: path, Value: oneOf(t, "value", values...)})
		}
		template := oneOf(t, "template", "", `{}`, `{"metadata":{"labels":{"a":"b"}},"spec":{"ports":[{"nodePort":1}]}}`, `{"kind":"Other","metadata":{"name":"other"}}`)
		for _, of := range kinds {
			renderAnything(t, of, template, ops, rapid.Bool().Draw(t, "exists"))
		}
	})
}

// FuzzCopyOf: what a member says of an object is data of a stranger.
func FuzzCopyOf(f *testing.F) {
	f.Add("cp/u1", "v", []byte(`{"f:spec":{"f:replicas":{},"f:paused":{}},"f:data":{".":{},"f:a":{}}}`))
	f.Add("/", "", []byte(`{"f:spec":{"f:replicas":{}}}`))
	f.Add("cp/u1/u2", ".", []byte(`{"f:spec":null}`))
	f.Add("", "", []byte(`{"f:spec":{"f:replicas":`))
	f.Add("x", "", []byte(`[]`))
	f.Add("x", "", []byte{})
	f.Fuzz(func(t *testing.T, owner, applied string, fields []byte) {
		m := &metav1.ObjectMeta{
			UID: "c1", ResourceVersion: "7", Labels: map[string]string{fedv1.ManagedLabel: "true"},
			Annotations:   map[string]string{fedv1.OwnerAnnotation: owner, fedv1.AppliedAnnotation: applied},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: fedv1.FieldManager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(string(fields))}},
		}
		before := string(fields)
		c := plan.CopyOf(m)
		if again := plan.CopyOf(m); !reflect.DeepEqual(c, again) || string(fields) != before {
			t.Fatal("a second look tells something else")
		}
		if plan.RecordOf(c).UID != "c1" {
			t.Fatal("another object")
		}
	})
}

// TestFieldsMoveWithOurs: the hash of our fields moves when one of them is taken, but for spec.replicas, which is told by itself.
func TestFieldsMoveWithOurs(t *testing.T) {
	look := func(manager string, op metav1.ManagedFieldsOperationType, subresource, fields string) *plan.Copy {
		return plan.CopyOf(&metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: "other", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)},
			{Manager: manager, Operation: op, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)},
		}})
	}
	ours := func(fields string) *plan.Copy {
		return look(fedv1.FieldManager, metav1.ManagedFieldsOperationApply, "", fields)
	}
	all := ours(`{"f:data":{"f:a":{},"f:b":{}},"f:spec":{"f:paused":{},"f:replicas":{}}}`)
	for name, tc := range map[string]struct {
		got            *plan.Copy
		same, replicas bool
	}{
		"the same in another order":  {ours(`{"f:spec": {"f:replicas":{},"f:paused":{}}, "f:data":{"f:b":{},"f:a":{}}}`), true, true},
		"replicas taken":             {ours(`{"f:data":{"f:a":{},"f:b":{}},"f:spec":{"f:paused":{}}}`), true, false},
		"another field taken":        {ours(`{"f:data":{"f:a":{}},"f:spec":{"f:paused":{},"f:replicas":{}}}`), false, true},
		"an update of the same name": {look(fedv1.FieldManager, metav1.ManagedFieldsOperationUpdate, "", `{"f:data":{}}`), false, false},
		"a subresource":              {look(fedv1.FieldManager, metav1.ManagedFieldsOperationApply, "status", `{"f:status":{}}`), false, false},
		"another manager's":          {look("other", metav1.ManagedFieldsOperationApply, "", `{"f:spec":{"f:replicas":{}}}`), false, false},
	} {
		if same := tc.got.Fields == all.Fields; same != tc.same || tc.got.OwnsReplicas != tc.replicas {
			t.Errorf("%s: same %t, owns replicas %t", name, same, tc.got.OwnsReplicas)
		}
	}
	only := ours(`{"f:spec":{"f:replicas":{}}}`)
	if none := ours(`{}`); only.Fields != none.Fields {
		t.Error("with spec.replicas alone, spec itself is not ours to miss")
	}
}

// TestMayAdopt: what a step may take over that it did not expect (K6, D1, D8).
func TestMayAdopt(t *testing.T) {
	for name, tc := range map[string]struct {
		adopt bool
		found plan.Copy
		want  plan.Reason
	}{
		"a stranger, adoption on":             {true, plan.Copy{}, ""},
		"a stranger, adoption off":            {false, plan.Copy{}, plan.AlreadyExists},
		"KubeFed's, adoption off":             {false, plan.Copy{Managed: "true"}, ""},
		"ours, adoption off":                  {false, plan.Copy{Managed: "true", ControlPlane: "cp"}, ""},
		"ours without the label":              {false, plan.Copy{ControlPlane: "cp"}, ""},
		"another control plane's":             {true, plan.Copy{Managed: "true", ControlPlane: "other"}, plan.OwnedByOther},
		"hands off":                           {true, plan.Copy{Managed: "false"}, plan.ManagedLabelFalse},
		"hands off, though marked as ours":    {true, plan.Copy{Managed: "false", ControlPlane: "cp"}, plan.ManagedLabelFalse},
		"hands off, and another's for us too": {true, plan.Copy{Managed: "false", ControlPlane: "other"}, plan.ManagedLabelFalse},
	} {
		got, message := plan.Step{ControlPlane: "cp", Adopt: tc.adopt}.MayAdopt(&tc.found)
		if got != tc.want || (message == "") != (tc.want == "") {
			t.Errorf("%s: %q %q, want %q", name, got, message, tc.want)
		}
	}
}
