package main

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/rollup"
)

// Good news of a burst is told at this pace, so that the host's API has its time for the burst itself. More than waiting of them are not
// kept: an event is no record, the status is.
const (
	newsPerSecond = 25
	newsAtOnce    = 100
	newsWaiting   = 10_000
)

// news is one event that waits.
type news struct {
	about *metav1.PartialObjectMetadata
	event rollup.Event
}

// teller writes events about federated objects: warnings at once, the rest at its pace.
type teller struct {
	to        events.EventRecorder
	namespace string
	waiting   chan news
}

func newTeller(to events.EventRecorder, namespace string) *teller {
	return &teller{to: to, namespace: namespace, waiting: make(chan news, newsWaiting)}
}

func (t *teller) tell(kind intent.Type, i *intent.Intent, list []rollup.Event) {
	about := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: i.Namespace, Name: i.Name, UID: i.UID, ResourceVersion: i.ResourceVersion}}
	about.SetGroupVersionKind(kind.Federated.GVK())
	for _, e := range list {
		if e.Warning {
			t.write("Warning", news{about, e})
			continue
		}
		select {
		case t.waiting <- news{about, e}:
		default:
		}
	}
}

func (t *teller) write(kind string, n news) {
	t.to.Eventf(n.about, related(n.event.Cluster, t.namespace), kind, n.event.Reason, "Propagate", "%s", n.event.Message)
}

// run tells what waits, until the context ends.
func (t *teller) run(ctx context.Context) error {
	pace := flowcontrol.NewTokenBucketRateLimiter(newsPerSecond, newsAtOnce)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-t.waiting:
			if pace.Wait(ctx) != nil {
				return nil
			}
			t.write("Normal", n)
		}
	}
}
