package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// What a user does to federated objects, and what anybody sees of them.

var (
	typesVersion = schema.GroupVersion{Group: "types.kubefed.io", Version: "v1beta1"}
	targets      = map[string]schema.GroupVersionKind{
		"ConfigMap":  {Version: "v1", Kind: "ConfigMap"},
		"Namespace":  {Version: "v1", Kind: "Namespace"},
		"Service":    {Version: "v1", Kind: "Service"},
		"Deployment": {Group: "apps", Version: "v1", Kind: "Deployment"},
	}
)

type fields = map[string]any

// placedIn is a placement by names.
func placedIn(members ...string) fields {
	list := []any{}
	for _, m := range members {
		list = append(list, fields{"name": m})
	}
	return fields{"clusters": list}
}

// placedWhere is a placement by one label.
func placedWhere(key, value string) fields {
	return fields{"clusterSelector": fields{"matchLabels": fields{key: value}}}
}

func (f *federation) federated(kind, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: fields{}}
	o.SetGroupVersionKind(typesVersion.WithKind("Federated" + kind))
	o.SetNamespace(f.namespace)
	o.SetName(name)
	return o
}

// creates makes a federated object.
func (f *federation) creates(kind, name string, spec fields) *unstructured.Unstructured {
	f.Helper()
	o := f.federated(kind, name)
	o.Object["spec"] = spec
	f.must(f.Create(f.Context(), o))
	return o
}

// edits changes a federated object by a merge patch.
func (f *federation) edits(kind, name string, patch fields) {
	f.Helper()
	body, err := json.Marshal(patch)
	f.must(err)
	f.must(f.Patch(f.Context(), f.federated(kind, name), client.RawPatch(types.MergePatchType, body)))
}

// removes deletes a federated object, without waiting for its end.
func (f *federation) removes(kind, name string) {
	f.Helper()
	f.must(f.Delete(f.Context(), f.federated(kind, name)))
}

// Most stories are about ConfigMaps that hold one value.

func valued(value string, members ...string) fields {
	return fields{"template": fields{"data": fields{"value": value}}, "placement": placedIn(members...)}
}

func (f *federation) createsMap(name, value string, members ...string) *unstructured.Unstructured {
	f.Helper()
	return f.creates("ConfigMap", name, valued(value, members...))
}

func (f *federation) setsValue(name, value string) {
	f.Helper()
	f.edits("ConfigMap", name, fields{"spec": fields{"template": fields{"data": fields{"value": value}}}})
}

func (f *federation) places(name string, members ...string) {
	f.Helper()
	f.edits("ConfigMap", name, fields{"spec": fields{"placement": placedIn(members...)}})
}

// federatesNamespace places the story's namespace everywhere.
func (f *federation) federatesNamespace() {
	f.Helper()
	f.creates("Namespace", f.namespace, fields{"placement": fields{"clusterSelector": fields{}}})
}

// copyIn is what a member holds; nil if nothing.
func (f *federation) copyIn(ctx context.Context, m *member, kind, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(targets[kind])
	key := client.ObjectKey{Namespace: f.namespace, Name: name}
	if kind == "Namespace" {
		key = client.ObjectKey{Name: f.namespace}
	}
	err := m.Get(ctx, key, o)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// holds waits until a member's ConfigMap has a value, and returns it.
func (f *federation) holds(within time.Duration, m *member, name, value string) *unstructured.Unstructured {
	f.Helper()
	var held *unstructured.Unstructured
	f.eventually(within, fmt.Sprintf("%s with %q in %s", name, value, m.name), func(ctx context.Context) (err error) {
		if held, err = f.copyIn(ctx, m, "ConfigMap", name); err != nil {
			return err
		}
		return valueIs(held, value)
	})
	return held
}

func valueIs(o *unstructured.Unstructured, want string) error {
	if o == nil {
		return fmt.Errorf("it is not there")
	}
	if got, _, _ := unstructured.NestedString(o.Object, "data", "value"); got != want {
		return fmt.Errorf("it has %q", got)
	}
	return nil
}

// lacks waits until a member holds no object of this name.
func (f *federation) lacks(within time.Duration, m *member, kind, name string) {
	f.Helper()
	f.eventually(within, name+" to be gone from "+m.name, func(ctx context.Context) error {
		o, err := f.copyIn(ctx, m, kind, name)
		if err == nil && o != nil {
			err = fmt.Errorf("it is still there: marks %v %v, deleted %v", o.GetLabels(), o.GetAnnotations(), o.GetDeletionTimestamp())
		}
		return err
	})
}

// keeps fails the test if a member's object is not the same one, to the UID.
func (f *federation) keeps(m *member, before *unstructured.Unstructured) {
	f.Helper()
	now, err := f.copyIn(f.Context(), m, before.GetKind(), before.GetName())
	f.must(err)
	if now == nil || now.GetUID() != before.GetUID() || now.GetDeletionTimestamp() != nil {
		f.Errorf("%s did not keep %s %s: %v", m.name, before.GetKind(), before.GetName(), now)
	}
}

// isGone waits until a federated object is gone from the host.
func (f *federation) isGone(within time.Duration, kind, name string) {
	f.Helper()
	f.eventually(within, "Federated"+kind+" "+name+" to be gone", func(ctx context.Context) error {
		o := f.federated(kind, name)
		err := f.Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("it has finalizers %v and says %v", o.GetFinalizers(), o.Object["status"])
		}
		return err
	})
}

// says waits until a federated object's status says this of a member; "" that it is as it should be.
func (f *federation) says(within time.Duration, kind, name, memberName, status string) {
	f.Helper()
	f.eventually(within, fmt.Sprintf("the status %q of %s in %s", status, name, memberName), func(ctx context.Context) error {
		o := f.federated(kind, name)
		if err := f.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "clusters")
		i := slices.IndexFunc(list, func(c any) bool { return c.(fields)["name"] == memberName })
		if i < 0 {
			return fmt.Errorf("%s is not listed: %v", memberName, o.Object["status"])
		}
		if got, _ := list[i].(fields)["status"].(string); got != status {
			return fmt.Errorf("it says %v", list[i])
		}
		return nil
	})
}

// reasons waits until the condition Ready has this reason.
func (f *federation) reasons(within time.Duration, kind, name, reason string) {
	f.Helper()
	f.eventually(within, fmt.Sprintf("the reason %s of %s", reason, name), func(ctx context.Context) error {
		o := f.federated(kind, name)
		if err := f.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		for _, c := range list {
			if c.(fields)["type"] == "Ready" && c.(fields)["reason"] == reason {
				return nil
			}
		}
		return fmt.Errorf("its status is %v", o.Object["status"])
	})
}

// debts are the names of the ConfigMaps on the host that hold what is owed.
func (f *federation) debts(ctx context.Context) ([]string, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMapList"})
	err := f.List(ctx, list, client.InNamespace(fedv1.DefaultNamespace), client.HasLabels{"kubefed.io/debt"})
	var out []string
	for _, o := range list.Items {
		out = append(out, fmt.Sprint(o.Object["data"]))
	}
	return out, err
}

// owes waits until so many debts are on record.
func (f *federation) owes(within time.Duration, want int) {
	f.Helper()
	f.eventually(within, fmt.Sprintf("%d debts", want), func(ctx context.Context) error {
		got, err := f.debts(ctx)
		if err == nil && len(got) != want {
			err = fmt.Errorf("there are %d: %v", len(got), got)
		}
		return err
	})
}
