package lead

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
)

var clusters = lab.Shared(lab.Options{}, "host")

// While a KubeFed manager renews its lock, of whichever kind, ours does not lead and says once who does; when that manager is gone,
// ours leads and holds that lock as well.
func TestLockSucceedsKubeFed(t *testing.T) {
	config := clusters(t).Config("host")
	for kind, resource := range map[string]string{"ConfigMap": "configmaps", "Endpoints": "endpoints"} {
		t.Run(kind, func(t *testing.T) {
			ns := lab.Namespace(t, config, "lock")
			old := oldManager{t, kubernetes.NewForConfigOrDie(config).CoreV1().RESTClient(), ns, resource}
			old.create()
			waits := make(chan Holder, 10)
			leads := elect(t, config, Options{Namespace: ns, Identity: "ours", Waiting: func(h Holder) { waits <- h }})

			for n := range 6 { // twice as long as its lock lasts
				old.renew(n)
				select {
				case <-leads:
					t.Fatal("it leads beside a living KubeFed manager")
				case <-time.After(500 * time.Millisecond):
				}
			}
			if len(waits) != 1 {
				t.Fatalf("it has told %d times that it waits", len(waits))
			}
			if h := <-waits; h.Identity != "pod-1_abc" || h.Kind != kind {
				t.Errorf("it waits for %v", h)
			}
			select {
			case <-leads:
			case <-time.After(20 * time.Second):
				t.Fatal("it does not lead after the KubeFed manager has ended")
			}
			lab.Eventually(t, 5*time.Second, "KubeFed's lock to be held", func(context.Context) error {
				if got := old.record(); got.HolderIdentity != "ours" {
					return fmt.Errorf("it is held by %q", got.HolderIdentity)
				}
				return nil
			})
		})
	}
}

// The old one learns at once that another leads, and may not write any more.
func TestTheLoserLearns(t *testing.T) {
	config := clusters(t).Config("host")
	ns := lab.Namespace(t, config, "lost")
	term, lost := NewTerm(2*time.Second, 3*time.Second), make(chan string, 1)
	first, err := New(config, Options{Namespace: ns, Identity: "first", Term: term, Lost: func(who string) { lost <- who }})
	if err != nil {
		t.Fatal(err)
	}
	record := resourcelock.LeaderElectionRecord{HolderIdentity: "first", LeaseDurationSeconds: 60, RenewTime: metav1.Now(), AcquireTime: metav1.Now()}
	if err := first.Create(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if term.Write() != nil {
		t.Fatal("who took the Lease may not write")
	}
	second, err := New(config, Options{Namespace: ns, Identity: "second", Term: NewTerm(time.Second, time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := second.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	record.HolderIdentity = "second"
	if err := second.Update(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if _, _, err := first.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if who := <-lost; who != "second" || term.Write() == nil {
		t.Errorf("it learnt of %q, and may write: %v", who, term.Write())
	}
}

// elect runs an election until the test ends; the channel is closed when it is won.
func elect(t *testing.T, config *rest.Config, o Options) <-chan struct{} {
	t.Helper()
	won, _ := elects(t, config, o)
	return won
}

// elects is elect with an early end.
func elects(t *testing.T, config *rest.Config, o Options) (won chan struct{}, stop func()) {
	t.Helper()
	o.Term = NewTerm(2*time.Second, 3*time.Second)
	lock, err := New(config, o)
	if err != nil {
		t.Fatal(err)
	}
	won = make(chan struct{})
	ended := make(chan struct{})
	e, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { close(won) }, OnStoppedLeading: func() {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { e.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return won, stop
}

// oldManager renews one of KubeFed's locks.
type oldManager struct {
	t                   *testing.T
	client              rest.Interface
	namespace, resource string
}

func (o oldManager) raw(n int) []byte {
	record, err := json.Marshal(resourcelock.LeaderElectionRecord{
		HolderIdentity: "pod-1_abc", LeaseDurationSeconds: 1, LeaderTransitions: n, RenewTime: metav1.Now(), AcquireTime: metav1.Now(),
	})
	if err != nil {
		o.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"name": fedv1.LockName, "annotations": map[string]any{resourcelock.LeaderElectionRecordAnnotationKey: string(record)},
	}})
	if err != nil {
		o.t.Fatal(err)
	}
	return body
}

func (o oldManager) create() {
	o.t.Helper()
	if err := o.client.Post().Namespace(o.namespace).Resource(o.resource).SetHeader("Content-Type", "application/json").Body(o.raw(0)).Do(o.t.Context()).Error(); err != nil {
		o.t.Fatal(err)
	}
}

func (o oldManager) renew(n int) {
	o.t.Helper()
	if err := o.client.Patch(types.MergePatchType).Namespace(o.namespace).Resource(o.resource).Name(fedv1.LockName).Body(o.raw(n)).Do(o.t.Context()).Error(); err != nil {
		o.t.Fatal(err)
	}
}

func (o oldManager) record() (r resourcelock.LeaderElectionRecord) {
	var found corev1.ConfigMap // what counts is the same in both
	raw, err := o.client.Get().Namespace(o.namespace).Resource(o.resource).Name(fedv1.LockName).SetHeader("Accept", "application/json").Do(context.Background()).Raw()
	if err == nil {
		err = json.Unmarshal(raw, &found)
	}
	if err == nil {
		err = json.Unmarshal([]byte(found.Annotations[resourcelock.LeaderElectionRecordAnnotationKey]), &r)
	}
	if err != nil {
		o.t.Error(err)
	}
	return r
}
