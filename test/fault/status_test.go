package fault

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
)

// TestAStormOfStatus: a status that moves all the time in a member moves the federated object's once per second at most, and what it
// came to in the end is told. Before anybody asks for it, it moves nothing.
func TestAStormOfStatus(t *testing.T) {
	f := federate(t)
	f.collects("services", fedv1.Enabled)
	spec := service("m1", "m2")
	spec["template"].(fields)["spec"].(fields)["type"] = "LoadBalancer"
	f.creates("Service", "web", spec)
	f.reasons(soon, "Service", "web", "Propagated")
	f.exists(f.m1, "Service", "web")
	rests(f, 2*time.Second)
	writes := record(t, "host", within(f.namespace, writes))

	f.storm("web", 100)
	rests(f, 2*time.Second)
	writes.none("after a status that nobody asks for")

	f.gate(fedv1.GateRawResourceStatusCollection, fedv1.Enabled)
	f.tells("web", "192.0.2.100")
	rests(f, 2*time.Second)
	writes = record(t, "host", within(f.namespace, writes.match))
	start := time.Now()
	f.storm("web", 200)
	f.tells("web", "192.0.2.200")
	took := time.Since(start)
	if n := len(writes.since()); n > int(took/time.Second)+2 {
		t.Errorf("the host was written to %d times in %v", n, took)
	}
}

// storm changes the status of a Service in m1, again and again, up to 192.0.2.last.
func (f *federation) storm(name string, last int) {
	f.Helper()
	o := &corev1.Service{}
	o.Namespace, o.Name = f.namespace, name
	for n := last - 99; n <= last; n++ {
		patch := fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.%d"}]}}}`, n)
		f.must(f.m1.Status().Patch(f.Context(), o, client.RawPatch("application/merge-patch+json", []byte(patch)), client.FieldOwner("somebody")))
	}
}

// tells waits until the federated Service says of m1 what its Service there says.
func (f *federation) tells(name, ip string) {
	f.Helper()
	f.eventually(soon, "the address "+ip, func(ctx context.Context) error {
		o := f.federated("Service", name)
		if err := f.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "clusters")
		for _, c := range list {
			entry, _ := c.(map[string]any)
			ingress, _, _ := unstructured.NestedSlice(entry, "remoteStatus", "loadBalancer", "ingress")
			if entry["name"] == "m1" && len(ingress) == 1 && ingress[0].(map[string]any)["ip"] == ip {
				return nil
			}
		}
		return fmt.Errorf("it says %v", list)
	})
}

// collects switches the collection of status of a type, until the story ends.
func (f *federation) collects(name string, mode fedv1.ConfigurationMode) {
	f.Helper()
	set := func(ctx context.Context, mode *fedv1.ConfigurationMode) error {
		var c fedv1.FederatedTypeConfig
		if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: name}, &c); err != nil {
			return err
		}
		c.Spec.StatusCollection = mode
		return f.Update(ctx, &c)
	}
	f.eventually(soon, "status of "+name+" to be collected", func(ctx context.Context) error { return set(ctx, &mode) })
	f.Cleanup(func() {
		lab.Eventually(f, soon, "status of "+name+" to be left", func(context.Context) error { return set(context.Background(), nil) })
	})
}

// gate sets a feature gate, until the story ends.
func (f *federation) gate(name string, mode fedv1.ConfigurationMode) {
	f.Helper()
	set := func(ctx context.Context, gates []fedv1.FeatureGatesConfig) error {
		var c fedv1.KubeFedConfig
		if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: fedv1.ConfigName}, &c); err != nil {
			return err
		}
		c.Spec.FeatureGates = gates
		return f.Update(ctx, &c)
	}
	f.eventually(soon, "gate "+name, func(ctx context.Context) error {
		return set(ctx, []fedv1.FeatureGatesConfig{{Name: name, Configuration: mode}})
	})
	f.Cleanup(func() {
		lab.Eventually(f, soon, "no gates", func(context.Context) error { return set(context.Background(), nil) })
	})
}
