package lead

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
)

// Who is to have all members does not lead while shards are alive, and says once whom it waits for. A shard waits for none.
func TestOneForAllWaitsForShards(t *testing.T) {
	config := clusters(t).Config("host")
	ns := lab.Namespace(t, config, "shards")
	leases := shardLeases{t, kubernetes.NewForConfigOrDie(config).CoordinationV1().Leases(ns)}
	leases.renew("a", 1)
	leases.renew("b", 3)
	waits := make(chan Holder, 100)
	one := elect(t, config, Options{Namespace: ns, Identity: "one", Alone: true, Waiting: func(h Holder) { waits <- h }})
	for range 8 { // longer than any of them lasts
		leases.renew("a", 1)
		leases.renew("b", 3)
		select {
		case <-one:
			t.Fatal("it leads beside living shards")
		case <-time.After(500 * time.Millisecond):
		}
	}
	if h := <-waits; len(waits) != 0 || !h.Shard() || h.Identity != "of-a" || h.Namespace != ns || h.Name != "a" {
		t.Errorf("it was told to wait for %v, and %d times more", h, len(waits))
	}
	leads(t, 10*time.Second, "a shard beside others", elect(t, config, Options{Namespace: ns, Identity: "shard"}))
}

// A shard that has left is not waited for, one that is silent no longer than its Lease lasts: by whoever has seen that, only once.
func TestShardsThatAreGoneHoldUpNobody(t *testing.T) {
	config := clusters(t).Config("host")
	ns := lab.Namespace(t, config, "shards")
	leases := shardLeases{t, kubernetes.NewForConfigOrDie(config).CoordinationV1().Leases(ns)}
	leases.renew("leaves", 600)
	first, end := elects(t, config, Options{Namespace: ns, Identity: "first", Alone: true})
	time.Sleep(time.Second) // it has seen the Lease
	leases.remove("leaves")
	leads(t, 2*time.Second, "who waited for a shard that has left", first)

	const lasts = 6
	leases.renew("dies", lasts)
	second, _ := elects(t, config, Options{Namespace: ns, Identity: "second", Alone: true})
	time.Sleep((lasts + 2) * time.Second)
	end() // the Lease is given back
	leads(t, lasts/2*time.Second, "who has seen a shard silent for long", second)

	third, _ := elects(t, config, Options{Namespace: ns, Identity: "third", Alone: true})
	select {
	case <-third:
		t.Error("two lead")
	case <-time.After(time.Second):
	}
}

func leads(t *testing.T, within time.Duration, who string, won <-chan struct{}) {
	t.Helper()
	select {
	case <-won:
	case <-time.After(within):
		t.Fatalf("%s does not lead after %v", who, within)
	}
}

// shardLeases are Leases as shards have them.
type shardLeases struct {
	*testing.T
	coordinationclient.LeaseInterface
}

func (l shardLeases) renew(name string, lasts int32) {
	l.Helper()
	lease, err := l.Get(l.Context(), name, metav1.GetOptions{})
	if err == nil {
		lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
		_, err = l.Update(l.Context(), lease, metav1.UpdateOptions{})
	} else {
		_, err = l.Create(l.Context(), &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{fedv1.ShardLabel: "true"}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("of-" + name), LeaseDurationSeconds: &lasts, RenewTime: ptr.To(metav1.NowMicro())},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		l.Fatal(err)
	}
}

func (l shardLeases) remove(name string) {
	l.Helper()
	if err := l.Delete(l.Context(), name, metav1.DeleteOptions{}); err != nil {
		l.Fatal(err)
	}
}
