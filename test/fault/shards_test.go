package fault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
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
	f.eventually(patiently, fmt.Sprintf("%d shards", want), func(ctx context.Context) error { return f.shares(ctx, want) })
}

func (f *federation) shares(ctx context.Context, want int) error {
	var ring coordinationv1.Lease
	if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: fedv1.ShardsLeaseName}, &ring); err != nil {
		return err
	}
	shards := strings.Split(ring.Annotations[fedv1.ShardsAnnotation], ",")
	if len(shards) != want {
		return fmt.Errorf("the ring is %q", shards)
	}
	var all coordinationv1.LeaseList
	if err := f.List(ctx, &all, client.InNamespace(fedv1.DefaultNamespace), client.HasLabels{fedv1.ShardLabel}); err != nil {
		return err
	}
	for _, l := range all.Items {
		if slices.Contains(shards, ptr.Deref(l.Spec.HolderIdentity, "")) && l.Annotations[fedv1.EpochAnnotation] == ring.Annotations[fedv1.EpochAnnotation] {
			want--
		}
	}
	if want != 0 {
		return fmt.Errorf("%d of %d do not follow the newest ring", want, len(shards))
	}
	return nil
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

// TestFromOneManagerToShardsAndBack: managers of both kinds run beside each other. They take turns, what is declared comes true with either,
// and nothing that is there already is written again.
func TestFromOneManagerToShardsAndBack(t *testing.T) {
	f := prepare(t)
	f.m1, f.m2 = f.join(linked(t, "m1", "m1")), f.join(linked(t, "m2", "m2"))
	f.starts(f.managersConfig(), "host")
	f.federatesNamespace()
	f.createsMap("first", "1", "m1", "m2")
	f.placedIn(2, "first")

	one := startManager(t, f.Client, f.managersConfig(), "host", "--shards")
	other := startManager(t, f.Client, f.managersConfig(), "host", "--shards")
	f.setsValue("first", "2")
	f.placedIn(2, "first")
	if err := f.shares(t.Context(), 2); err == nil {
		t.Error("managers share the members although another leads that has them all")
	}
	f.stop()
	f.sharedOver(2)
	f.createsMap("second", "1", "m1", "m2")
	f.placedIn(2, "second")

	f.start()
	f.eventually(soon, "the manager to say that it waits", func(context.Context) error {
		if !strings.Contains(f.words(), "waiting to lead: the manager") {
			return fmt.Errorf("it says nothing")
		}
		return nil
	})
	one.stop()
	f.createsMap("third", "1", "m1", "m2")
	f.placedIn(2, "third")
	other.stop()
	f.createsMap("fourth", "1", "m1", "m2")
	f.placedIn(2, "fourth")
	for name, writes := range map[string]int{"first": 2, "second": 1, "third": 1, "fourth": 1} {
		for _, cluster := range []string{"m1", "m2"} {
			if by := f.writersIn(cluster, name); len(by) != writes {
				t.Errorf("%s was written %d times in %s, by %q; want %d", name, len(by), cluster, by, writes)
			}
		}
	}
	one.start()
	other.start() // as they are to be found at the end
}

// TestAShardMeetsItsFate: a shard that has work in hand dies, stands still, or leaves properly. The others do what is left, and no
// object is written by both.
func TestAShardMeetsItsFate(t *testing.T) {
	for name, fate := range map[string]func(*federation, *manager){
		"killed": func(_ *federation, m *manager) { m.kill() },
		"stopped for a while": func(f *federation, m *manager) {
			f.must(m.cmd.Process.Signal(syscall.SIGSTOP))
			f.sharedOver(2)
			f.Cleanup(func() { _ = m.cmd.Process.Signal(syscall.SIGCONT) })
		},
		"shut down": func(_ *federation, m *manager) { m.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			f := prepare(t)
			f.m1, f.m2 = f.join(linked(t, "m1", "m1")), f.join(linked(t, "m2", "m2"))
			slowly := []string{"--shards", "--member-qps", "10", "--member-burst", "1"}
			f.starts(f.managersConfig(), "host", slowly...)
			all := []*manager{f.manager, startManager(t, f.Client, f.managersConfig(), "host", slowly...), startManager(t, f.Client, f.managersConfig(), "host", slowly...)}
			f.sharedOver(3)
			f.federatesNamespace()
			for n := range backlog {
				f.createsMap(fmt.Sprintf("o%03d", n), "x", "m1")
			}
			f.eventually(soon, "the first copies", func(context.Context) error {
				if n := len(f.writersIn("m1", "")); n < 3 {
					return fmt.Errorf("there are %d", n)
				}
				return nil
			})
			owner := f.writersIn("m1", "")[0]
			n := slices.IndexFunc(all, func(m *manager) bool { return strings.Contains(m.words(), `identity="`+owner) })
			if n < 0 {
				t.Fatalf("%q wrote, which is none of the managers", owner)
			}
			fate(f, all[n])
			if left := backlog - len(f.writersIn("m1", "")); left < backlog/2 {
				t.Fatalf("only %d of %d objects were left to be done: too little is to be seen", left, backlog)
			}
			f.sharedOver(2)
			for n := range backlog {
				f.holds(patiently, f.m1, fmt.Sprintf("o%03d", n), "x")
			}
			_ = all[n].cmd.Process.Signal(syscall.SIGCONT)
			f.comesBack(all[n])
			f.setsValue("o000", "new")
			f.holds(soon, f.m1, "o000", "new")
			for n := range backlog {
				if by := f.writersIn("m1", fmt.Sprintf("o%03d", n)); n > 0 && len(by) != 1 {
					t.Errorf("o%03d was written %d times, by %q", n, len(by), by)
				}
			}
		})
	}
}

// comesBack waits until a shard whose fate has ended is one of three again. One that has led ends by itself.
func (f *federation) comesBack(m *manager) {
	f.Helper()
	f.eventually(patiently, "the shard to be back", func(ctx context.Context) error {
		if !m.runs() {
			m.start()
		}
		return f.shares(ctx, 3)
	})
}

// writersIn are the processes that have written ConfigMaps of this federation in a member, all or those of a name: one for each write.
func (f *federation) writersIn(cluster, name string) (identities []string) {
	for _, r := range clusters.Requests(f, cluster, func(r lab.Request) bool {
		return writes(r) && r.Namespace == f.namespace && r.Resource == "configmaps" && (name == "" || r.Name == name)
	}) {
		_, identity, _ := strings.Cut(r.UserAgent, "(")
		identities = append(identities, strings.TrimSuffix(identity, ")"))
	}
	return identities
}
