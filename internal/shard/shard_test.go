package shard

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/lead"
)

var clusters = lab.Shared(lab.Options{}, "host")

var quick = Times{Duration: 6 * time.Second, Renew: 4 * time.Second, Retry: time.Second}

// Shards come, tell each other something, leave and die: what was one's goes to the others, at once or when it has run out.
func TestShardsHandOver(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	a, b, c := f.start("a"), f.start("b"), f.start("c")
	a.Lead()
	f.sharedBy(time.Minute, a, b, c)

	a.Tell("word", "hello")
	lab.Eventually(t, 10*time.Second, "what a tells to come to the others", func(context.Context) error {
		for _, s := range []*member{b, c} {
			heard := s.Others()
			if n := slices.IndexFunc(heard, func(o State) bool { return o.Identity == "a" }); n < 0 || heard[n].Told["word"] != "hello" {
				return fmt.Errorf("%s has heard %v", s.id, heard)
			}
		}
		return nil
	})

	left := time.Now()
	b.leave()
	f.sharedBy(quick.Duration, a, c)
	if took := time.Since(left); took >= quick.Duration-quick.period() { // it had renewed its Lease at most a period before
		t.Errorf("the others have waited %v for one that left", took)
	} else {
		t.Logf("handed over in %v", took.Round(time.Millisecond))
	}
	if leases := f.leases(); len(leases) != 2 {
		t.Errorf("there are %q", leases)
	}

	c.dies()
	died := time.Now()
	f.sharedBy(time.Minute, a)
	if took := time.Since(died); took < quick.Duration-quick.period()-time.Second {
		t.Errorf("it was taken over after %v", took)
	} else {
		t.Logf("taken over after %v", took.Round(time.Millisecond))
	}
	lab.Eventually(t, 10*time.Second, "its Lease to be removed", func(context.Context) error {
		if leases := f.leases(); len(leases) != 1 {
			return fmt.Errorf("there are %q", leases)
		}
		return nil
	})
}

// What a shard has lost is no other's before Stop has returned.
func TestOthersWaitForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	a := f.start("a")
	a.Lead()
	f.sharedBy(time.Minute, a)
	a.busy.Store(true)
	b := f.start("b")
	lab.Eventually(t, 20*time.Second, "a to yield", func(context.Context) error {
		if f.owned(a) == len(f.members) || !slices.Equal(b.Status().Shards, []string{"a", "b"}) {
			return fmt.Errorf("it has %d, and b follows %v", f.owned(a), b.Status().Shards)
		}
		return nil
	})
	for until := time.Now().Add(quick.Duration + time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if n := f.owned(b); n != 0 {
			t.Fatalf("b owns %d members while a has something under way in them", n)
		}
	}
	if f.owned(a) == 0 {
		t.Error("a has let go of what is its own")
	}
	a.busy.Store(false)
	f.sharedBy(10*time.Second, a, b)
}

// What somebody removed by hand is made anew, and none owns what is another's meanwhile: that is watched all the time.
func TestLeasesThatAreRemovedAreMadeAnew(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	a, b := f.start("a"), f.start("b")
	a.Lead()
	f.sharedBy(time.Minute, a, b)
	if err := f.client.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: fedv1.ShardLabel}); err != nil {
		t.Fatal(err)
	}
	if err := f.client.Delete(t.Context(), fedv1.ShardsLeaseName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, 20*time.Second, "both to notice", func(context.Context) error {
		if n := f.owned(a) + f.owned(b); n != 0 {
			return fmt.Errorf("they own %d", n)
		}
		return nil
	})
	f.sharedBy(time.Minute, a, b)
}

// federation is members, and shards that have them among them. The first is the leader, for as long as the test goes on.
type federation struct {
	*testing.T
	config    *rest.Config
	namespace string
	client    leases
	members   []string
	shards    []*member
}

type leases interface {
	List(context.Context, metav1.ListOptions) (*coordinationv1.LeaseList, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
	DeleteCollection(context.Context, metav1.DeleteOptions, metav1.ListOptions) error
}

// member is one of the shards.
type member struct {
	*Shards
	id    string
	leave func()
	dies  func()
	// busy says that something is under way that Stop has to wait for.
	busy atomic.Bool
}

func newFederation(t *testing.T) *federation {
	config := clusters(t).Config("host")
	f := &federation{T: t, config: config, namespace: lab.Namespace(t, config, "shards")}
	client := kubernetes.NewForConfigOrDie(config).CoordinationV1().Leases(f.namespace)
	f.client = client
	for n := range 40 {
		f.members = append(f.members, fmt.Sprint("m", n))
	}
	lease, err := client.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: fedv1.LockName}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: ptr.To("a"), LeaseDurationSeconds: ptr.To(int32(quick.Duration / time.Second)), RenewTime: ptr.To(metav1.NowMicro()),
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.everyNow(quick.Retry, func() {
		lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
		if next, err := client.Update(t.Context(), lease, metav1.UpdateOptions{}); err == nil {
			lease = next
		}
	})
	return f
}

// everyNow does something again and again until the test ends.
func (f *federation) everyNow(period time.Duration, do func()) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			do()
			select {
			case <-ctx.Done():
			case <-time.After(period):
			}
		}
	}()
	f.Cleanup(func() { stop(); <-ended })
}

func (f *federation) start(identity string) *member {
	f.Helper()
	m := &member{id: identity}
	var err error
	m.Shards, err = New(Options{
		Config: f.config, Namespace: f.namespace, Identity: identity, Times: quick, Term: lead.NewTerm(quick.Renew, quick.Duration),
		Log: testr.New(f.T).WithName(identity),
		Stop: func(ctx context.Context, _ func(string) bool) error {
			for m.busy.Load() {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(10 * time.Millisecond):
				}
			}
			return nil
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = m.Run(ctx); close(ended) }()
	m.dies = func() { stop(); <-ended }
	m.leave = func() {
		m.dies()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := m.Leave(ctx); err != nil {
			f.Error(err)
		}
	}
	f.Cleanup(m.dies)
	f.shards = append(f.shards, m)
	all := slices.Clone(f.shards)
	f.everyNow(5*time.Millisecond, func() { f.atMostOne(all) })
	return m
}

// atMostOne fails if two shards own a member at the same moment: the one that is asked twice has it all the time.
func (f *federation) atMostOne(shards []*member) {
	for _, name := range f.members {
		for _, one := range shards {
			for _, other := range shards {
				if one != other && one.Owns(name) && other.Owns(name) && one.Owns(name) {
					f.Errorf("%s is owned by %s and by %s", name, one.id, other.id)
				}
			}
		}
	}
}

func (f *federation) owned(s *member) (n int) {
	for _, name := range f.members {
		if s.Owns(name) {
			n++
		}
	}
	return n
}

// sharedBy waits until these have all members, each some of them.
func (f *federation) sharedBy(within time.Duration, shards ...*member) {
	f.Helper()
	lab.Eventually(f.T, within, fmt.Sprintf("%d shards to have all members", len(shards)), func(context.Context) error {
		var told []string
		sum, least := 0, len(f.members)
		for _, s := range shards {
			n := f.owned(s)
			sum, least = sum+n, min(least, n)
			told = append(told, fmt.Sprintf("%s has %d, %+v", s.id, n, s.Status()))
		}
		if sum != len(f.members) || least == 0 {
			return fmt.Errorf("%s", strings.Join(told, "; "))
		}
		return nil
	})
}

// leases are the names of the shards' Leases.
func (f *federation) leases() (names []string) {
	f.Helper()
	found, err := f.client.List(f.Context(), metav1.ListOptions{LabelSelector: fedv1.ShardLabel})
	if err != nil {
		f.Fatal(err)
	}
	for _, l := range found.Items {
		names = append(names, l.Name)
	}
	return names
}
