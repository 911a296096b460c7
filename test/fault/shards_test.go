package fault

import (
	"context"
	"fmt"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
)

// TestShardsShareTheMembers: three managers have two members among them. What is declared comes true as with one, each copy is written by
// one of them only, and when one dies, another takes its members over and loses nothing.
func TestShardsShareTheMembers(t *testing.T) {
	f := prepare(t)
	f.m1, f.m2 = f.join(linked(t, "m1", "m1")), f.join(linked(t, "m2", "m2"))
	f.starts(f.managersConfig(), "host", "--shards")
	second := startManager(t, f.Client, f.managersConfig(), "host", "--shards")
	third := startManager(t, f.Client, f.managersConfig(), "host", "--shards")
	f.sharedOver(3)
	f.federatesNamespace()
	f.isReady(f.m1, true)
	f.isReady(f.m2, true)

	f.createsMap("web", "1", "m1", "m2")
	f.holds(soon, f.m1, "web", "1")
	f.holds(soon, f.m2, "web", "1")
	f.placedIn(2, "web")
	f.setsValue("web", "2")
	f.holds(soon, f.m1, "web", "2")
	f.holds(soon, f.m2, "web", "2")
	f.placedIn(2, "web")
	f.places("web", "m2")
	f.lacks(soon, f.m1, "ConfigMap", "web")
	f.placedIn(1, "web")
	f.writtenByOne("web")

	f.createsMap("gone", "1", "m1", "m2")
	f.placedIn(2, "gone")
	f.removes("ConfigMap", "gone")
	f.isGone(soon, "ConfigMap", "gone")
	f.lacks(soon, f.m1, "ConfigMap", "gone")
	f.lacks(soon, f.m2, "ConfigMap", "gone")
	f.writtenByOne("gone")

	third.stop()
	f.sharedOver(2)
	f.createsMap("after", "1", "m1", "m2")
	f.placedIn(2, "after")
	third.start()
	f.sharedOver(3)

	second.kill()
	f.createsMap("late", "1", "m1", "m2")
	f.setsValue("after", "2")
	f.placedIn(2, "late")
	f.holds(patiently, f.m1, "after", "2")
	f.holds(patiently, f.m2, "after", "2")
	f.sharedOver(2)
	f.writtenByOne("late")
	second.start()
	f.sharedOver(3)
}

// sharedOver waits until so many shards follow the ring.
func (f *federation) sharedOver(want int) {
	f.Helper()
	f.eventually(patiently, fmt.Sprintf("%d shards", want), func(ctx context.Context) error {
		var ring coordinationv1.Lease
		if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: fedv1.ShardsLeaseName}, &ring); err != nil {
			return err
		}
		if got := strings.Split(ring.Annotations[fedv1.ShardsAnnotation], ","); len(got) != want {
			return fmt.Errorf("the ring is %q", got)
		}
		var all coordinationv1.LeaseList
		if err := f.List(ctx, &all, client.InNamespace(fedv1.DefaultNamespace), client.HasLabels{fedv1.ShardLabel}); err != nil {
			return err
		}
		following := 0
		for _, l := range all.Items {
			if l.Annotations[fedv1.EpochAnnotation] == ring.Annotations[fedv1.EpochAnnotation] {
				following++
			}
		}
		if following != want {
			return fmt.Errorf("%d of %d follow the newest ring", following, len(all.Items))
		}
		return nil
	})
}

// placedIn waits until the host says that an object is in so many members, and is what is wanted.
func (f *federation) placedIn(members int, name string) {
	f.Helper()
	f.eventually(patiently, name+" to be told", func(ctx context.Context) error {
		o := f.federated("ConfigMap", name)
		if err := f.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		status, _, _ := unstructured.NestedMap(o.Object, "status")
		observed, _, _ := unstructured.NestedInt64(status, "observedGeneration")
		if want := fmt.Sprintf("%d/%d", members, members); status["ready"] != want || observed != o.GetGeneration() {
			return fmt.Errorf("generation %d: %v", o.GetGeneration(), status)
		}
		conditions, _, _ := unstructured.NestedSlice(status, "conditions")
		for _, c := range conditions {
			if c, ok := c.(map[string]any); ok && c["type"] == "Ready" && c["status"] != string(metav1.ConditionTrue) {
				return fmt.Errorf("%v", c)
			}
		}
		return nil
	})
}

// writtenByOne fails if more than one process has written a copy in one member.
func (f *federation) writtenByOne(name string) {
	f.Helper()
	for _, cluster := range []string{"m1", "m2"} {
		by := map[string]int{}
		for _, r := range clusters.Requests(f, cluster, func(r lab.Request) bool {
			return r.Mutates() && r.Namespace == f.namespace && r.Name == name && r.Resource == "configmaps"
		}) {
			by[r.UserAgent]++
		}
		if len(by) != 1 {
			f.Errorf("%s in %s was written by %v", name, cluster, by)
		}
	}
}
