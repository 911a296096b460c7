package fault

import (
	"context"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestADefinitionThatDropsFields: with the definition of a type as KubeFed made it, the host keeps only a part of each status. The control
// plane works with that, and comes to rest.
func TestADefinitionThatDropsFields(t *testing.T) {
	f := prepare(t)
	f.asKubeFedDefined("federatedconfigmaps.types.kubefed.io")
	f.m1, f.m2 = f.join(linked(t, "m1", "m1")), f.join(linked(t, "m2", "m2"))
	f.starts(clusters.Kubeconfig(), "host")
	f.federatesNamespace()
	f.createsMap("old", "x", "m1", "m2")
	f.holds(soon, f.m1, "old", "x")
	f.holds(soon, f.m2, "old", "x")
	rests(f, 4*time.Second)
	before := record(t, "host", writes)
	f.edits("ConfigMap", "old", fields{"metadata": fields{"labels": fields{"looked": "at"}}})
	f.setsValue("old", "y")
	f.holds(soon, f.m2, "old", "y")
	rests(f, 4*time.Second)
	if n := len(before.since()); n > 4 {
		t.Errorf("%d writes to the host for one change", n)
	}
}

// asKubeFedDefined takes what KubeFed does not have out of the status of a definition until the story ends.
func (f *federation) asKubeFedDefined(name string) {
	f.Helper()
	var now apiextensionsv1.CustomResourceDefinition
	f.must(f.Get(f.Context(), client.ObjectKey{Name: name}, &now))
	before := now.DeepCopy()
	status := now.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
	for _, field := range []string{"ready", "replicas"} {
		delete(status.Properties, field)
	}
	for _, field := range []string{"uid", "version", "message", "health"} {
		delete(status.Properties["clusters"].Items.Schema.Properties, field)
	}
	for _, field := range []string{"message", "observedGeneration"} {
		delete(status.Properties["conditions"].Items.Schema.Properties, field)
	}
	f.must(f.Update(f.Context(), &now))
	f.Cleanup(func() {
		var then apiextensionsv1.CustomResourceDefinition
		ctx := context.Background()
		if err := f.Get(ctx, client.ObjectKey{Name: name}, &then); err != nil {
			f.Error(err)
			return
		}
		then.Spec = before.Spec
		if err := f.Update(ctx, &then); err != nil {
			f.Error(err)
		}
	})
}
