package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kind is a type of object to write.
type kind struct {
	name, resource string
	gvr            schema.GroupVersionResource
	apiVersion     string
	// template of an object; revision is in it, so that an update changes it.
	template func(revision string) map[string]any
	// path of the revision in an object.
	path []string
}

var kinds = map[string]kind{
	"ConfigMap": {
		name: "ConfigMap", resource: "configmaps", gvr: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, apiVersion: "v1",
		template: func(revision string) map[string]any {
			return map[string]any{"data": map[string]any{"revision": revision, "text": strings.Repeat("x", 1024)}}
		},
		path: []string{"data", "revision"},
	},
	"Secret": {
		name: "Secret", resource: "secrets", gvr: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, apiVersion: "v1",
		template: func(revision string) map[string]any {
			return map[string]any{"type": "Opaque", "data": map[string]any{"revision": revision}}
		},
		path: []string{"data", "revision"},
	},
	"Deployment": {
		name: "Deployment", resource: "deployments", gvr: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, apiVersion: "apps/v1",
		template: func(revision string) map[string]any {
			labels := map[string]any{"app": "bench"}
			return map[string]any{"spec": map[string]any{
				"replicas": int64(0), "paused": true, "selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{
					"metadata": map[string]any{"labels": labels, "annotations": map[string]any{"revision": revision}},
					"spec":     map[string]any{"containers": []any{map[string]any{"name": "c", "image": "none:1"}}},
				},
			}}
		},
		path: []string{"spec", "template", "metadata", "annotations", "revision"},
	},
}

func objectName(n int) string { return fmt.Sprintf("b%05d", n) }

// object is what goes to a member.
func (k kind) object(n int, revision string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: k.template(revision)}
	o.SetAPIVersion(k.apiVersion)
	o.SetKind(k.name)
	o.SetName(objectName(n))
	o.SetNamespace(namespace)
	return o
}

// federated is what goes to the host.
func (k kind) federated(n int, revision string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"template":  k.template(revision),
		"placement": map[string]any{"clusterSelector": map[string]any{"matchLabels": map[string]any{}}},
	}}}
	o.SetAPIVersion("types.kubefed.io/v1beta1")
	o.SetKind("Federated" + k.name)
	o.SetName(objectName(n))
	o.SetNamespace(namespace)
	return o
}

// each calls f for 0 … n-1, with so many calls at the same time, and returns the first error.
func each(n, workers int, f func(int) error) error {
	var (
		wg    sync.WaitGroup
		next  = make(chan int)
		once  sync.Once
		first error
	)
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

// act is one write of an object in a cluster, at a resource of it.
type act func(ctx context.Context, s site, gvr schema.GroupVersionResource, o *unstructured.Unstructured) error

func create(ctx context.Context, s site, gvr schema.GroupVersionResource, o *unstructured.Unstructured) error {
	_, err := s.client.Resource(gvr).Namespace(namespace).Create(ctx, o, metav1.CreateOptions{})
	return err
}

// update replaces what differs by a merge patch, which needs no read before it.
func update(ctx context.Context, s site, gvr schema.GroupVersionResource, o *unstructured.Unstructured) error {
	body, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = s.client.Resource(gvr).Namespace(namespace).Patch(ctx, o.GetName(), types.MergePatchType, body, metav1.PatchOptions{})
	return err
}

func remove(ctx context.Context, s site, gvr schema.GroupVersionResource, o *unstructured.Unstructured) error {
	return s.client.Resource(gvr).Namespace(namespace).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
}

// status writes what KubeFed's API has a federation tell of an object that is in all members; it is another for each revision.
func (f *federation) status(ctx context.Context, k kind, n int, revision string) error {
	clusters := make([]map[string]any, len(f.members))
	for i, s := range f.members {
		clusters[i] = map[string]any{"name": s.name}
	}
	now := time.Now().UTC().Format(time.RFC3339)
	body, err := json.Marshal(map[string]any{"status": map[string]any{
		"observedGeneration": slices.Index([]string{first, second, third}, revision) + 1, "clusters": clusters,
		"conditions": []any{map[string]any{"type": "Propagation", "status": "True", "lastUpdateTime": now, "lastTransitionTime": now}},
	}})
	if err != nil {
		return err
	}
	_, err = f.host.client.Resource(federated(k.resource)).Namespace(namespace).Patch(ctx, objectName(n), types.MergePatchType, body, metav1.PatchOptions{}, "status")
	return err
}

// release takes the finalizer off, without which a deletion that the federation misses would be lost. A host that sets none at admission
// has nothing left to release.
func release(ctx context.Context, s site, gvr schema.GroupVersionResource, o *unstructured.Unstructured) error {
	body := []byte(`{"metadata":{"finalizers":null}}`)
	_, err := s.client.Resource(gvr).Namespace(namespace).Patch(ctx, o.GetName(), types.MergePatchType, body, metav1.PatchOptions{})
	return client.IgnoreNotFound(err)
}

// arrivals counts, in one cluster, the objects that hold a revision, or that are gone.
type arrivals struct {
	mu    sync.Mutex
	read  func(*unstructured.Unstructured) string
	state map[string]string // name → revision; absent is gone
	heard map[string]int    // name → events
	moved chan struct{}
}

// revision of an object in a member.
func (k kind) revision(o *unstructured.Unstructured) string {
	revision, _, _ := unstructured.NestedString(o.Object, k.path...)
	return revision
}

// watchArrivals watches the objects of a resource in a cluster until the context ends. read gives an object's revision.
func watchArrivals(ctx context.Context, s site, gvr schema.GroupVersionResource, read func(*unstructured.Unstructured) string) (*arrivals, error) {
	a := &arrivals{read: read, state: map[string]string{}, heard: map[string]int{}, moved: make(chan struct{}, 1)}
	w, err := s.client.Resource(gvr).Namespace(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	go func() {
		for e := range w.ResultChan() {
			if o, ok := e.Object.(*unstructured.Unstructured); ok && strings.HasPrefix(o.GetName(), "b0") {
				a.note(e.Type, o)
			}
		}
	}()
	return a, nil
}

func (a *arrivals) note(e watch.EventType, o *unstructured.Unstructured) {
	revision := a.read(o)
	a.mu.Lock()
	a.heard[o.GetName()]++
	if e == watch.Deleted {
		delete(a.state, o.GetName())
	} else {
		a.state[o.GetName()] = revision
	}
	a.mu.Unlock()
	select {
	case a.moved <- struct{}{}:
	default:
	}
}

// all waits until done is true of what has arrived.
func (a *arrivals) all(ctx context.Context, done func(state map[string]string) bool) error {
	for {
		a.mu.Lock()
		ok := done(a.state)
		a.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not all have arrived: %w", ctx.Err())
		case <-a.moved:
		case <-time.After(time.Second):
		}
	}
}

// have waits for n objects of a revision; the empty revision means that none is left.
func (a *arrivals) have(ctx context.Context, n int, revision string) error {
	return a.all(ctx, func(state map[string]string) bool {
		if revision == "" {
			return len(state) == 0
		}
		count := 0
		for _, r := range state {
			if r == revision {
				count++
			}
		}
		return count >= n
	})
}

// back waits until an object has changed twice since so many events, and holds a revision.
func (a *arrivals) back(ctx context.Context, name string, since int, revision string) error {
	return a.all(ctx, func(state map[string]string) bool { return a.heard[name] >= since+2 && state[name] == revision })
}

// events is how many there were of an object.
func (a *arrivals) events(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.heard[name]
}

// has waits for one object.
func (a *arrivals) has(ctx context.Context, name, revision string) error {
	return a.all(ctx, func(state map[string]string) bool { return state[name] == revision })
}
