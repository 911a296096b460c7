package admission

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/lab"
)

func target(group, version, kind, plural string, scope fedv1.ResourceScope) enable.Target {
	return enable.Target{APIResource: fedv1.APIResource{Group: group, Version: version, Kind: kind, PluralName: plural, Scope: scope}}
}

// federated is an object of a type of this test.
func federated(kind, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetAPIVersion(enable.Group + "/" + enable.Version)
	o.SetKind(kind)
	o.SetNamespace("shop")
	o.SetName(name)
	return o
}

// served waits until the type of an object is.
func served(t testing.TB, c client.Client, o *unstructured.Unstructured) {
	t.Helper()
	lab.Eventually(t, time.Minute, o.GetKind()+" is served", func(ctx context.Context) error {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(o.GroupVersionKind())
		return c.List(ctx, list, client.InNamespace("shop"))
	})
}

// A type that is enabled later is checked as the others are, with what its FederatedTypeConfig says of its target; bindings and roles
// more strictly, as nothing in a member keeps the federation from granting.
func TestTypesThatAreEnabledLater(t *testing.T) {
	t.Parallel()
	h := clusters(t)
	const rbac = "rbac.authorization.k8s.io"
	for _, kind := range []string{"Role", "RoleBinding"} {
		pair := target(rbac, "v1", kind, strings.ToLower(kind)+"s", fedv1.ScopeNamespaced)
		crd, typeConfig := enable.CRD(pair, enable.Group, enable.Version), enable.TypeConfig(pair, enable.Group, enable.Version, fedv1.DefaultNamespace)
		if err := h.admin.Create(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		if err := h.admin.Create(t.Context(), typeConfig); err != nil {
			t.Fatal(err)
		}
	}
	role := federated("FederatedRole", "reader", map[string]any{})
	binding := func(role string, overrides ...any) *unstructured.Unstructured {
		return federated("FederatedRoleBinding", "reader", map[string]any{
			"template": map[string]any{"roleRef": map[string]any{"apiGroup": rbac, "kind": "Role", "name": role}}, "overrides": overrides,
		})
	}
	served(t, h.admin, role)
	served(t, h.admin, binding(""))
	lab.Eventually(t, time.Minute, "the API server knows FederatedTypeConfigs", func(ctx context.Context) error {
		return h.admin.Create(ctx, role.DeepCopy(), client.DryRunAll)
	})
	override := map[string]any{"clusterName": "a", "clusterOverrides": []any{map[string]any{"path": "/roleRef/name", "value": "other"}}}
	for name, c := range map[string]struct {
		object *unstructured.Unstructured
		says   string
	}{
		"a role":              {role, `user "roles" may not escalate roles.rbac.authorization.k8s.io "reader" in namespace "shop"`},
		"a binding of a role": {binding("other"), `user "roles" may not bind Role "other"`},
		"a binding of a role that the user may bind": {binding("bindable"), ""},
		"a binding with another role somewhere":      {binding("bindable", override), `user "roles" may not bind ClusterRole ""`},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if c.says != "" {
				want = []string{c.says}
			}
			judge(t, "refused", want, h.as(t, "roles", nil).Create(t.Context(), c.object.DeepCopy(), client.DryRunAll))
		})
	}
}

// kubectl scale goes past the object itself; it asks for the right to scale the target.
func TestScalingIsAskedFor(t *testing.T) {
	t.Parallel()
	h := clusters(t)
	o := federated("FederatedDeployment", "scaled", map[string]any{"template": map[string]any{"spec": map[string]any{"replicas": int64(2)}}})
	if err := h.admin.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	scale := func(user string) error {
		to := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
		return h.as(t, user, nil).SubResource("scale").Update(t.Context(), o.DeepCopy(), client.WithSubResourceBody(to), client.DryRunAll)
	}
	judge(t, "refused", nil, scale("editor"))
	judge(t, "refused", []string{`user "federated-only" may not update deployments.apps "scaled" in namespace "shop"`}, scale("federated-only"))
}

// What KubeFed stored stays, and may be changed in other places, although it would not be let in any more.
func TestWhatIsStoredStays(t *testing.T) {
	t.Parallel()
	h := clusters(t)
	strict := enable.CRD(target("example.com", "v1", "Widget", "widgets", fedv1.ScopeNamespaced), enable.Group, enable.Version)
	loose := strict.DeepCopy()
	spec := apiextv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}
	loose.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = spec
	if err := h.admin.Create(t.Context(), loose); err != nil {
		t.Fatal(err)
	}
	stored := federated("FederatedWidget", "old", map[string]any{
		"template":  map[string]any{"kind": "Gadget", "metadata": map[string]any{"labels": map[string]any{fedv1.ManagedLabel: "false"}}},
		"placement": map[string]any{"clusterSelector": map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "Near"}}}},
		"overrides": []any{map[string]any{"clusterName": "a", "clusterOverrides": []any{map[string]any{"path": "/metadata/name", "value": "x"}}}},
	})
	served(t, h.admin, stored)
	if err := h.admin.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(loose), loose); err != nil {
		t.Fatal(err)
	}
	loose.Spec = strict.Spec
	if err := h.admin.Update(t.Context(), loose); err != nil {
		t.Fatal(err)
	}
	fresh := federated("FederatedWidget", "new", stored.Object["spec"].(map[string]any))
	lab.Eventually(t, time.Minute, "the new definition counts", func(ctx context.Context) error {
		if err := h.admin.Create(ctx, fresh.DeepCopy(), client.DryRunAll); !apierrors.IsInvalid(err) {
			return fmt.Errorf("a new object of that content: %w", err)
		}
		return nil
	})
	for name, c := range map[string]struct {
		patch   map[string]any
		refused []string
	}{
		"a label":            {map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}, nil},
		"a finalizer":        {map[string]any{"metadata": map[string]any{"finalizers": []string{fedv1.SyncFinalizer}}}, nil},
		"other content":      {map[string]any{"spec": map[string]any{"template": map[string]any{"data": "x"}}}, nil},
		"one more cluster":   {map[string]any{"spec": map[string]any{"overrides": append([]any{map[string]any{"clusterName": "b"}}, stored.Object["spec"].(map[string]any)["overrides"].([]any)...)}}, nil},
		"another wrong kind": {map[string]any{"spec": map[string]any{"template": map[string]any{"kind": "Thing"}}}, []string{"spec.template.kind"}},
		"another wrong path": {map[string]any{"spec": map[string]any{"overrides": []any{map[string]any{"clusterName": "b", "clusterOverrides": []any{map[string]any{"path": "/kind"}}}}}}, []string{"overrides may not change identity"}},
	} {
		t.Run(name, func(t *testing.T) {
			judge(t, "refused", c.refused, h.admin.Patch(t.Context(), stored.DeepCopy(), merge(c.patch), client.DryRunAll))
		})
	}
}

// The policies of a control plane of one namespace are about nothing outside of it. Each warns once, so warnings tell how many there are.
func TestPoliciesOfANamespaceStayThere(t *testing.T) {
	t.Parallel()
	h := clusters(t)
	objects, err := config.Objects("team", fedv1.ScopeNamespaced)
	if err != nil {
		t.Fatal(err)
	}
	i := install.Installer{Client: h.admin, At: fail.Place{Context: "host"}, Told: func(*unstructured.Unstructured, install.Result) {}}
	if err := i.Install(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
	status := map[string]any{"template": map[string]any{"status": map[string]any{"a": "b"}}}
	role := federated("FederatedClusterRole", "reader", status)
	role.SetNamespace("")
	elsewhere := federated("FederatedConfigMap", "web", status)
	there := elsewhere.DeepCopy()
	there.SetNamespace("team")
	lab.Eventually(t, time.Minute, "the policies of the namespace count", func(ctx context.Context) error {
		if heard := h.warnings(ctx, t, there); heard != 2 {
			return fmt.Errorf("%d warnings", heard)
		}
		return nil
	})
	for _, o := range []*unstructured.Unstructured{role, elsewhere} {
		if heard := h.warnings(t.Context(), t, o); heard != 1 {
			t.Errorf("%s: %d warnings", o.GetKind(), heard)
		}
	}
}

// warnings counts what the server warns of when an object is created.
func (h *host) warnings(ctx context.Context, t *testing.T, o *unstructured.Unstructured) int {
	t.Helper()
	heard := &warnings{}
	if err := h.as(t, "", heard).Create(ctx, o.DeepCopy(), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	return len(heard.texts)
}

// Overrides are applied in their order, so the order in which they were written last must be kept, whoever writes.
func TestOverridesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	h := clusters(t)
	apply := func(paths ...string) []string {
		var ops []any
		for _, p := range paths {
			ops = append(ops, map[string]any{"op": "add", "path": p, "value": "x"})
		}
		o := federated("FederatedConfigMap", "ordered", map[string]any{"overrides": []any{map[string]any{"clusterName": "a", "clusterOverrides": ops}}})
		if err := h.admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "spec", "overrides")
		var got []string
		for _, op := range list[0].(map[string]any)["clusterOverrides"].([]any) {
			got = append(got, op.(map[string]any)["path"].(string))
		}
		return got
	}
	for _, paths := range [][]string{{"/a", "/b", "/c"}, {"/c", "/a", "/b"}, {"/d", "/b", "/a"}, {"/a", "/d", "/e", "/b"}} {
		if got := apply(paths...); strings.Join(got, " ") != strings.Join(paths, " ") {
			t.Errorf("applied %v, stored %v", paths, got)
		}
	}
}

// The bounds are far above what people write, and an object at the bounds is still within what the API server spends on rules (B14).
func TestBounds(t *testing.T) {
	t.Parallel()
	h := clusters(t)
	object := func(clusters, paths int) *unstructured.Unstructured {
		var all, names []any
		for c := range clusters {
			var ops []any
			for p := range paths {
				ops = append(ops, map[string]any{"path": fmt.Sprintf("/data/key-%d", p), "value": "x"})
			}
			names = append(names, map[string]any{"name": fmt.Sprintf("member-%d", c)})
			all = append(all, map[string]any{"clusterName": fmt.Sprintf("member-%d", c), "clusterOverrides": ops})
		}
		return federated("FederatedConfigMap", "large", map[string]any{"overrides": all, "placement": map[string]any{"clusters": names}})
	}
	for name, c := range map[string]struct {
		clusters, paths int
		refused         []string
	}{
		"1000 clusters, 10 overrides each": {1000, 10, nil},
		"100 overrides":                    {100, 100, nil},
		"101 overrides":                    {1, 101, []string{"spec.overrides[0].clusterOverrides: Too many: 101: must have at most 100 items"}},
		"1001 clusters":                    {1001, 1, []string{"spec.overrides: Too many: 1001: must have at most 1000 items"}},
		"more than 1.5 MiB":                {1000, 100, []string{"too large"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := object(c.clusters, c.paths)
			if len(c.refused) > 0 && c.refused[0] == "too large" {
				judge(t, "refused", c.refused, h.admin.Create(t.Context(), o)) // the store of the API server says so
				return
			}
			judge(t, "refused", c.refused, h.admin.Create(t.Context(), o, client.DryRunAll))
		})
	}
}
