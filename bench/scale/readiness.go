package main

import (
	"context"
	"errors"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// readiness is what the host says of the members, as watched.
type readiness struct {
	mu      sync.Mutex
	ready   map[string]bool
	changes int
	ended   error
}

// watchReadiness watches the KubeFedClusters until the context ends.
func watchReadiness(ctx context.Context, host dynamic.Interface) (*readiness, error) {
	from := host.Resource(clusters).Namespace(system)
	list, err := from.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	w, err := watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
	})
	if err != nil {
		return nil, err
	}
	r := &readiness{ready: map[string]bool{}}
	go func() {
		for e := range w.ResultChan() {
			if o, ok := e.Object.(*unstructured.Unstructured); ok {
				r.see(o)
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = errors.New("the watch of KubeFedClusters has ended")
	}()
	return r, nil
}

func (r *readiness) see(o *unstructured.Unstructured) {
	is := isReady(o)
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, known := r.ready[o.GetName()]; known && was != is {
		r.changes++
	}
	r.ready[o.GetName()] = is
}

// count is how many members are ready, and how often one of them has become so, or ceased to be.
func (r *readiness) count() (ready, changes int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, is := range r.ready {
		if is {
			ready++
		}
	}
	return ready, r.changes, r.ended
}

func isReady(o *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Ready" {
			return m["status"] == "True"
		}
	}
	return false
}
