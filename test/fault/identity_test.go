package fault

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// TestAnAddressLeadsElsewhere [F12]: when a member's address leads to another cluster, nothing is written there, and the KubeFedCluster
// says why; when it leads back, work goes on.
func TestAnAddressLeadsElsewhere(t *testing.T) {
	f := prepare(t)
	m1, g := gated(t, "m1", "m1")
	f.m1 = f.join(m1)
	f.starts(f.managersConfig(), "host")
	f.federatesNamespace()
	f.createsMap("web", "old", "m1")
	f.createsMap("deleted", "old", "m1")
	made := f.holds(soon, f.m1, "web", "old")
	deleted := f.holds(soon, f.m1, "deleted", "old")
	f.restoredIn(linked(t, "elsewhere", "m2"), made, deleted) // as in a cluster that was restored from the other's backup
	f.isReady(f.m1, true)
	wrote := record(t, "m2", within(f.namespace, writes))

	g.leadTo(t, "m2")
	f.setsValue("web", "new")
	f.removes("ConfigMap", "deleted")
	f.createsMap("created", "new", "m1")
	f.conditionIs(f.m1, fedv1.ClusterIdentityVerified, "IdentityMismatch")
	f.says(soon, "ConfigMap", "web", "m1", "ClusterNotReady")
	wrote.none("through an address that leads to another cluster")
	f.keeps(f.m1, made)

	g.leadTo(t, "m1")
	f.holds(patiently, f.m1, "web", "new")
	f.holds(patiently, f.m1, "created", "new")
	f.lacks(patiently, f.m1, "ConfigMap", "deleted")
	f.keeps(f.m1, made)
	wrote.none("through an address that led to another cluster")
}

// TestAClusterJoinsTwice [F51]: of two KubeFedClusters for one cluster the younger is refused, and nothing is written through it.
func TestAClusterJoinsTwice(t *testing.T) {
	f := federate(t)
	f.createsMap("web", "x", "m1", "m2")
	made := f.holds(soon, f.m1, "web", "x")
	f.isReady(f.m1, true)
	twin, g := gated(t, "m3", "m1")
	f.join(twin)
	var wrote atomic.Int64
	g.onWrite(func(moment, *http.Request) { wrote.Add(1) })

	f.conditionIs(twin, fedv1.ClusterIdentityVerified, "DuplicateCluster")
	f.places("web", "m3")
	f.says(soon, "ConfigMap", "web", "m3", "ClusterNotReady")
	f.lacks(soon, f.m1, "ConfigMap", "web") // m1 is not meant any more, under the name that counts
	f.places("web", "m1", "m2", "m3")
	if again := f.holds(soon, f.m1, "web", "x"); again.GetUID() == made.GetUID() {
		t.Error("it never left")
	}
	if wrote.Load() > 0 {
		t.Errorf("%d writes went through the younger name", wrote.Load())
	}
}

// conditionIs waits until a KubeFedCluster has this reason in a condition.
func (f *federation) conditionIs(m *member, kind fedv1.ClusterConditionType, reason string) {
	f.Helper()
	f.eventually(soon, fmt.Sprintf("%s=%s of %s", kind, reason, m.name), func(ctx context.Context) error {
		var k fedv1.KubeFedCluster
		if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: m.name}, &k); err != nil {
			return err
		}
		for _, c := range k.Status.Conditions {
			if c.Type == kind && c.Reason != nil && *c.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("its status is %+v", k.Status)
	})
}

// restoredIn makes copies of objects, with all their marks, in a cluster that has not joined.
func (f *federation) restoredIn(m *member, objects ...*unstructured.Unstructured) {
	f.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
	f.must(m.Create(f.Context(), ns))
	f.Cleanup(func() { _ = m.Delete(context.Background(), ns) }) // nobody waits for its end
	for _, o := range objects {
		o := o.DeepCopy()
		o.SetResourceVersion("")
		o.SetUID("")
		f.must(m.Create(f.Context(), o))
	}
}
