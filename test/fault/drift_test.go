package fault

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestDriftIsRepaired: what others do to a copy is undone as far as the template names it, and left alone where it does not.
func TestDriftIsRepaired(t *testing.T) {
	f := federate(t)
	f.createsMap("web", "mine", "m1", "m2")
	made := f.holds(soon, f.m1, "web", "mine")

	t.Run("a field of ours", func(*testing.T) {
		f.patchesIn(f.m1, "ConfigMap", "web", `{"data":{"value":"theirs","other":"theirs"}}`)
		o := f.holds(soon, f.m1, "web", "mine")
		if got, _, _ := unstructured.NestedString(o.Object, "data", "other"); got != "theirs" {
			t.Errorf("a field that the template does not name has gone: %v", o.Object["data"])
		}
		f.keeps(f.m1, made)
	})
	t.Run("our label", func(t *testing.T) {
		for _, value := range []string{"null", `"no"`} {
			f.patchesIn(f.m1, "ConfigMap", "web", `{"metadata":{"labels":{"kubefed.io/managed":`+value+`}}}`)
			f.has(f.m1, "ConfigMap", "web", `true`, "metadata", "labels", "kubefed.io/managed")
		}
		f.keeps(f.m1, made)
	})
	t.Run("all our marks", func(*testing.T) {
		f.patchesIn(f.m1, "ConfigMap", "web", `{"metadata":{"labels":null,"annotations":null}}`)
		f.has(f.m1, "ConfigMap", "web", `true`, "metadata", "labels", "kubefed.io/managed")
		f.keeps(f.m1, made)
	})
	t.Run("the object", func(t *testing.T) {
		f.must(f.m1.Delete(f.Context(), made))
		if again := f.holds(soon, f.m1, "web", "mine"); again.GetUID() == made.GetUID() {
			t.Error("it was not deleted")
		}
	})
	t.Run("a copy for which nobody asks any more is not brought back", func(*testing.T) {
		f.places("web", "m2")
		f.lacks(soon, f.m1, "ConfigMap", "web")
	})
}

// TestWhatAMemberDecidesStays: replicas that an autoscaler sets, fields of other managers, addresses and ports that were allocated.
func TestWhatAMemberDecidesStays(t *testing.T) {
	f := federate(t)
	spec := deployment(2, "m1", "m2")
	spec["retainReplicas"] = true
	f.creates("Deployment", "web", spec)
	f.creates("Service", "web", service("m1", "m2"))
	f.has(f.m1, "Deployment", "web", "2", "spec", "replicas")
	f.patchesIn(f.m1, "Deployment", "web", `{"spec":{"replicas":7}}`) // as an autoscaler does
	f.patchesIn(f.m1, "Deployment", "web",
		`{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"INJECTED","value":"x"}]},{"name":"sidecar","image":"injected"}]}}}}`)
	f.exists(f.m1, "Service", "web")
	before := f.exists(f.m1, "Service", "web")

	f.edits("Deployment", "web", fields{"spec": fields{"template": fields{"spec": fields{"minReadySeconds": 3}}}})
	f.edits("Service", "web", fields{"spec": fields{"template": fields{"spec": fields{"sessionAffinity": "ClientIP"}}}})
	f.has(f.m1, "Deployment", "web", "3", "spec", "minReadySeconds")
	f.has(f.m1, "Service", "web", "ClientIP", "spec", "sessionAffinity")
	f.has(f.m1, "Deployment", "web", "7", "spec", "replicas")
	f.has(f.m2, "Deployment", "web", "2", "spec", "replicas")
	containers, _, _ := unstructured.NestedSlice(f.exists(f.m1, "Deployment", "web").Object, "spec", "template", "spec", "containers")
	if len(containers) != 2 || fmt.Sprint(containers[0].(fields)["env"]) != "[map[name:INJECTED value:x]]" {
		t.Errorf("what was injected has gone: %v", containers)
	}
	after := f.exists(f.m1, "Service", "web")
	for _, path := range [][]string{{"spec", "clusterIP"}, {"spec", "ports"}} {
		was, _, _ := unstructured.NestedFieldNoCopy(before.Object, path...)
		is, _, _ := unstructured.NestedFieldNoCopy(after.Object, path...)
		if fmt.Sprint(was) != fmt.Sprint(is) {
			t.Errorf("%v of the Service was %v and is %v", path, was, is)
		}
	}
}

// patchesIn is what somebody in a member does, past the federation.
func (f *federation) patchesIn(m *member, kind, name, patch string) {
	f.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(targets[kind])
	o.SetNamespace(f.namespace)
	o.SetName(name)
	patchType := types.MergePatchType
	if kind == "Deployment" {
		patchType = types.StrategicMergePatchType
	}
	f.must(m.Patch(f.Context(), o, client.RawPatch(patchType, []byte(patch)), client.FieldOwner("somebody")))
}

// exists waits until a member holds an object, and returns it.
func (f *federation) exists(m *member, kind, name string) *unstructured.Unstructured {
	f.Helper()
	var found *unstructured.Unstructured
	f.eventually(soon, kind+" "+name+" in "+m.name, func(ctx context.Context) (err error) {
		if found, err = f.copyIn(ctx, m, kind, name); err == nil && found == nil {
			err = fmt.Errorf("it is not there")
		}
		return err
	})
	return found
}

// has waits until a field of a member's object is so, and fails the test if it is not.
func (f *federation) has(m *member, kind, name, want string, path ...string) {
	f.Helper()
	f.eventually(soon, fmt.Sprintf("%v=%s of %s %s in %s", path, want, kind, name, m.name), func(ctx context.Context) error {
		o, err := f.copyIn(ctx, m, kind, name)
		if err != nil || o == nil {
			return fmt.Errorf("it is not there (%w)", err)
		}
		if got, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...); fmt.Sprint(got) != want {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// TestAChangeIsWrittenOnce: what a user does once costs one write in each member it concerns.
func TestAChangeIsWrittenOnce(t *testing.T) {
	f := federate(t)
	f.createsMap("first", "x", "m1", "m2") // from here on everything is there
	f.holds(soon, f.m1, "first", "x")
	names := []string{}
	for n := range 30 {
		names = append(names, fmt.Sprintf("o%02d", n))
	}
	for _, c := range []struct {
		what string
		do   func(name string)
		done func(name string)
	}{
		{"a creation", func(name string) { f.createsMap(name, "old", "m1") }, func(name string) { f.holds(soon, f.m1, name, "old") }},
		{"a change", func(name string) { f.setsValue(name, "new") }, func(name string) { f.holds(soon, f.m1, name, "new") }},
		{"a new placement", func(name string) { f.places(name, "m2") }, func(name string) { f.lacks(soon, f.m1, "ConfigMap", name) }},
	} {
		wrote := record(t, "m1", within(f.namespace, writes))
		for _, name := range names {
			c.do(name)
		}
		for _, name := range names {
			c.done(name)
		}
		rests(t, time.Second)
		if got := wrote.since(); len(got) != len(names) {
			t.Errorf("%s costs %d writes for %d objects", c.what, len(got), len(names))
		}
	}
}
