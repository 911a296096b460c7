package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/plan"
)

// seed makes the random stories random in the same way each time.
const seed = 2026

// TestTheManagerIsKilled [F26, F28]: whenever it is killed, the next one brings the members to what is asked for last, forgets no copy,
// and no copy is ever seen whose federated object could go without it.
func TestTheManagerIsKilled(t *testing.T) {
	f := federate(t)
	kills := 15
	if *long {
		kills = 100
	}
	unheld := f.watchesForUnheld(f.m1, f.m2)
	r := rand.New(rand.NewPCG(seed, seed))
	want := wanted{}
	for n := range kills {
		for range 2 + r.IntN(5) {
			f.changes(r, want)
		}
		<-time.After(time.Duration(r.IntN(1500)) * time.Millisecond) // the moment of the kill is the point
		f.restart()
		if n%5 == 4 {
			f.comesTo(want)
		}
	}
	f.comesTo(want)
	for _, problem := range unheld() {
		t.Error(problem)
	}
}

// wanted is what a story has asked for: the value of each object, and the members that are to hold it.
type wanted map[string]wish

type wish struct {
	value   string
	members []string
}

var placements = [][]string{{"m1"}, {"m2"}, {"m1", "m2"}, {}}

// changes does one thing that a user may do to one of a few objects.
func (f *federation) changes(r *rand.Rand, want wanted) {
	f.Helper()
	name, value := fmt.Sprintf("o%d", r.IntN(10)), fmt.Sprint(r.IntN(1000))
	members := placements[r.IntN(len(placements))]
	was, there := want[name]
	switch {
	case !there:
		if err := f.Create(f.Context(), f.mapOf(name, value, members)); err != nil && !apierrors.IsAlreadyExists(err) { // it may still be terminating
			f.Fatal(err)
		} else if err == nil {
			want[name] = wish{value, members}
		}
	case r.IntN(4) == 0:
		f.removes("ConfigMap", name)
		delete(want, name)
	case r.IntN(2) == 0:
		f.setsValue(name, value)
		want[name] = wish{value, was.members}
	default:
		f.places(name, members...)
		want[name] = wish{was.value, members}
	}
}

func (f *federation) mapOf(name, value string, members []string) client.Object {
	o := f.federated("ConfigMap", name)
	o.Object["spec"] = valued(value, members...)
	return o
}

// comesTo waits until the members hold what is wanted, and nothing of ours besides, and the host says so.
func (f *federation) comesTo(want wanted) {
	f.Helper()
	for _, m := range []*member{f.m1, f.m2} {
		f.eventually(patiently, "intent and copies to agree in "+m.name, func(ctx context.Context) error {
			var held corev1.ConfigMapList
			if err := m.List(ctx, &held, client.InNamespace(f.namespace), client.MatchingLabels{fedv1.ManagedLabel: "true"}); err != nil {
				return err
			}
			got := map[string]string{}
			for _, cm := range held.Items {
				got[cm.Name] = cm.Data["value"]
			}
			return want.agree(m.name, got)
		})
	}
	for name, w := range want {
		for _, m := range w.members {
			f.says(patiently, "ConfigMap", name, m, "")
		}
	}
}

func (w wanted) agree(member string, got map[string]string) error {
	for name, o := range w {
		value, held := got[name]
		if meant := slices.Contains(o.members, member); meant != held || meant && value != o.value {
			return fmt.Errorf("%s should be %v and is %q (held: %t)", name, o, value, held)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		return fmt.Errorf("nobody asks for %v", got)
	}
	return nil
}

// watchesForUnheld looks at every copy as it appears, and finds those whose federated object has no finalizer. The returned function
// ends the watch and tells.
func (f *federation) watchesForUnheld(members ...*member) func() []string {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	var mu sync.Mutex
	var found []string
	var watching sync.WaitGroup
	for _, m := range members {
		config := kubernetes.NewForConfigOrDie(clusters.Config(m.cluster))
		w, err := config.CoreV1().ConfigMaps(f.namespace).Watch(ctx, metav1.ListOptions{LabelSelector: fedv1.ManagedLabel + "=true"})
		f.must(err)
		watching.Go(func() {
			for e := range w.ResultChan() {
				if cm, ok := e.Object.(*corev1.ConfigMap); ok && e.Type == watch.Added && f.unheld(ctx, m, cm) {
					mu.Lock()
					found = append(found, fmt.Sprintf("%s holds %s, and its federated object could go without it", m.name, cm.Name))
					mu.Unlock()
				}
			}
		})
	}
	return func() []string {
		cancel()
		watching.Wait()
		return found
	}
}

// unheld says that a copy is there although its federated object has no finalizer.
func (f *federation) unheld(ctx context.Context, m *member, cm *corev1.ConfigMap) bool {
	o := f.federated("ConfigMap", cm.Name)
	err := f.Get(ctx, client.ObjectKeyFromObject(o), o)
	if err != nil && !apierrors.IsNotFound(err) {
		return false // the story is over
	}
	if err == nil && (o.GetUID() != plan.CopyOf(cm).Owner || slices.Contains(o.GetFinalizers(), fedv1.SyncFinalizer)) {
		return false
	}
	var now corev1.ConfigMap
	err = m.Get(ctx, client.ObjectKeyFromObject(cm), &now)
	return err == nil && now.UID == cm.UID && now.DeletionTimestamp == nil
}

// TestTheManagerIsKilledAtAWrite [F27]: right before a write to a member, right after it, and after its answer, for one write after the
// other of a scenario.
func TestTheManagerIsKilledAtAWrite(t *testing.T) {
	f := prepare(t)
	m1, g := gated(t, "m1", "m1")
	f.m1, f.m2 = f.join(m1), f.join(linked(t, "m2", "m2"))
	f.starts(f.managersConfig(), "host")
	f.federatesNamespace()
	f.createsMap("first", "x", "m1", "m2")
	f.holds(soon, f.m1, "first", "x")
	upTo := 2
	if *long {
		upTo = 10
	}
	for k := 1; k <= upTo; k++ {
		for n, at := range []moment{beforeWrite, afterWrite, afterAnswer} {
			f.diesAt(g, k, at, fmt.Sprintf("k%d-%d", k, n))
		}
	}
}

// diesAt plays a scenario of which the manager sees no end, for it is killed at the k-th write to m1.
func (f *federation) diesAt(g *gate, k int, at moment, prefix string) {
	f.Helper()
	name := func(s string) string { return prefix + "-" + s }
	want := wanted{}
	for _, s := range []string{"changed", "deleted", "moved"} {
		f.createsMap(name(s), "old", "m1")
	}
	for _, s := range []string{"changed", "deleted", "moved"} {
		f.holds(soon, f.m1, name(s), "old")
	}
	var seen atomic.Int64
	died := make(chan struct{})
	kill := sync.OnceFunc(func() { f.kill(); close(died) })
	g.onWrite(func(m moment, r *http.Request) {
		if m == beforeWrite {
			*r = *r.WithContext(context.WithValue(r.Context(), nth{}, seen.Add(1)))
		}
		if n, _ := r.Context().Value(nth{}).(int64); n == int64(k) && m == at {
			kill()
		}
	})
	f.setsValue(name("changed"), "new")
	f.removes("ConfigMap", name("deleted"))
	f.places(name("moved"), "m2")
	f.createsMap(name("created"), "new", "m1", "m2")
	want[name("changed")] = wish{"new", []string{"m1"}}
	want[name("moved")] = wish{"old", []string{"m2"}}
	want[name("created")] = wish{"new", []string{"m1", "m2"}}
	select {
	case <-died:
	case <-time.After(5 * time.Second): // the scenario has fewer writes
		kill()
	}
	g.onWrite(nil)
	f.restart()
	want["first"] = wish{"x", []string{"m1", "m2"}}
	f.comesTo(want)
	f.isGone(soon, "ConfigMap", name("deleted"))
	for _, s := range []string{"changed", "moved", "created"} {
		f.removes("ConfigMap", name(s))
		f.isGone(soon, "ConfigMap", name(s))
	}
}

// nth is the key of a write's number in its context.
type nth struct{}
