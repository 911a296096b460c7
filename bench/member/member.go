// Package member answers: how does the federation fare with more members than a machine has room for? It is a simulated member: a small API
// server that speaks what a control plane uses of a cluster and nothing else, many of them behind one address. What it does with writes is
// what Kubernetes does: field management is apimachinery's own, and the suite of internal/apply runs against it as against a real one.
// It has no controllers, no defaults, no admission and no memory beyond the process.
package member

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// resource is a type that a member serves.
type resource struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
}

func (r resource) gvk() schema.GroupVersionKind { return r.GroupVersion().WithKind(r.kind) }

var served = func() map[schema.GroupVersionResource]resource {
	out := map[schema.GroupVersionResource]resource{}
	for _, r := range []struct {
		group, version, resource, kind string
		namespaced                     bool
	}{
		{"", "v1", "namespaces", "Namespace", false},
		{"", "v1", "nodes", "Node", false},
		{"", "v1", "configmaps", "ConfigMap", true},
		{"", "v1", "secrets", "Secret", true},
		{"", "v1", "services", "Service", true},
		{"", "v1", "serviceaccounts", "ServiceAccount", true},
		{"apps", "v1", "deployments", "Deployment", true},
		{"apps", "v1", "replicasets", "ReplicaSet", true},
		{"batch", "v1", "jobs", "Job", true},
		{"networking.k8s.io", "v1", "ingresses", "Ingress", true},
		{"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false},
	} {
		gvr := schema.GroupVersionResource{Group: r.group, Version: r.version, Resource: r.resource}
		out[gvr] = resource{gvr, r.kind, r.namespaced}
	}
	return out
}()

var namespacesOf = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// history is how many events of a type are kept for watches that come back.
const history = 1000

// cluster is one member.
type cluster struct {
	mu      sync.Mutex
	version int64
	types   map[schema.GroupVersionResource]*collection
	written map[schema.GroupVersionResource]map[types.NamespacedName]writes
	// away says that it does not answer.
	away bool
}

// writes are the requests that wanted to change an object.
type writes struct {
	count int
	// by is the client of the last, several says that others wrote before.
	by      string
	several bool
}

// note counts a write. The caller holds the lock.
func (c *cluster) note(gvr schema.GroupVersionResource, name types.NamespacedName, by string) {
	of := c.written[gvr]
	if of == nil {
		of = map[types.NamespacedName]writes{}
		c.written[gvr] = of
	}
	w := of[name]
	w.several = w.several || w.count > 0 && w.by != by
	w.count++
	w.by = by
	of[name] = w
}

// collection is all objects of a type, none of which is changed once it is in.
type collection struct {
	items  map[types.NamespacedName]*unstructured.Unstructured
	events []event
	// forgotten is the version of the newest event that is not kept any more.
	forgotten int64
	// news is closed, and made anew, with every event.
	news chan struct{}
}

// event is a change; before or after is nil where there is none.
type event struct {
	version       int64
	before, after *unstructured.Unstructured
}

func newCluster(id types.UID) *cluster {
	c := &cluster{
		version: 1, types: map[schema.GroupVersionResource]*collection{},
		written: map[schema.GroupVersionResource]map[types.NamespacedName]writes{},
	}
	for gvr := range served {
		c.types[gvr] = &collection{items: map[types.NamespacedName]*unstructured.Unstructured{}, news: make(chan struct{})}
	}
	for _, name := range []string{"kube-system", "default"} {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "status": map[string]any{"phase": "Active"}}}
		o.SetName(name)
		o.SetCreationTimestamp(metav1.Now())
		o.SetUID(uuid.NewUUID())
		if name == "kube-system" {
			o.SetUID(id)
		}
		c.put(served[namespacesOf], nil, o)
	}
	return c
}

func nameOf(o *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// get returns an object; nil if there is none. The caller holds the lock.
func (c *cluster) get(r resource, name types.NamespacedName) *unstructured.Unstructured {
	return c.types[r.GroupVersionResource].items[name]
}

// put stores what an object is now; nil is gone. The caller holds the lock.
func (c *cluster) put(r resource, before, after *unstructured.Unstructured) {
	c.version++
	of := c.types[r.GroupVersionResource]
	e := event{version: c.version, before: before, after: after}
	if after != nil {
		after.SetResourceVersion(strconv.FormatInt(c.version, 10))
		of.items[nameOf(after)] = after
	} else {
		e.before = before.DeepCopy()
		e.before.SetResourceVersion(strconv.FormatInt(c.version, 10))
		delete(of.items, nameOf(before))
	}
	of.events = append(of.events, e)
	if len(of.events) > history {
		of.forgotten = of.events[0].version
		of.events = of.events[1:]
	}
	close(of.news)
	of.news = make(chan struct{})
}

// list returns the objects of a type, sorted, and the version of the list. The caller holds the lock.
func (c *cluster) list(r resource, namespace string, wanted func(*unstructured.Unstructured) bool) ([]*unstructured.Unstructured, int64) {
	var out []*unstructured.Unstructured
	items := c.types[r.GroupVersionResource].items
	for _, key := range slices.SortedFunc(maps.Keys(items), func(a, b types.NamespacedName) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	}) {
		if o := items[key]; (namespace == "" || o.GetNamespace() == namespace) && wanted(o) {
			out = append(out, o)
		}
	}
	return out, c.version
}

// since returns the events after a version, and what is closed when there are more; false if they are not kept.
func (c *cluster) since(r resource, version int64) ([]event, <-chan struct{}, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.types[r.GroupVersionResource]
	if version < of.forgotten {
		return nil, nil, false
	}
	first, _ := slices.BinarySearchFunc(of.events, version+1, func(e event, v int64) int { return int(e.version - v) })
	return slices.Clone(of.events[first:]), of.news, true
}

// Name is the n-th member's.
func Name(n int) string { return fmt.Sprintf("sim-%04d", n) }
