package federate

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/observe"
)

// Kinds are the federated types that are watched on the host, with their objects.
type Kinds struct {
	host dynamic.Interface
	// namespace restricts the watches; empty means all.
	namespace string
	wake      func(intent.Key)
	// held visits every object of a type that some member holds.
	held func(typeName string, visit func(intent.Key))
	// types and inNamespace wake all objects of a type, and all in a namespace.
	types, inNamespace *flurry

	mu sync.RWMutex
	m  map[string]kind

	// moved tells that the answer of synced may differ.
	moved observe.Signal
}

// kind is one type with its objects.
type kind struct {
	intent.Type
	store *observe.Store[*intent.Intent]
	stop  context.CancelFunc
}

// NewKinds returns an empty table. wake takes the keys of objects whose world may have changed.
func NewKinds(host dynamic.Interface, namespace string, wake func(intent.Key), held func(string, func(intent.Key))) *Kinds {
	k := &Kinds{host: host, namespace: namespace, wake: wake, held: held, m: map[string]kind{}}
	k.types, k.inNamespace = newFlurry(k.wakeType), newFlurry(k.wakeNamespace)
	return k
}

// Start watches a type until the context ends or Stop is called. A type that is watched already is changed if it differs.
func (k *Kinds) Start(ctx context.Context, t intent.Type) {
	k.mu.Lock()
	old, ok := k.m[t.Name]
	if ok && old.Federated == t.Federated && old.Target == t.Target {
		old.Type = t
		k.m[t.Name] = old
		k.mu.Unlock()
		k.WakeType(t.Name)
		return
	}
	if ok {
		old.stop()
	}
	ctx, stop := context.WithCancel(ctx)
	started := kind{Type: t, stop: stop, store: k.newStore(t)}
	k.m[t.Name] = started
	k.mu.Unlock()
	go started.store.Run(ctx, t.Federated.Resource, &unstructured.Unstructured{}, k.lister(t))
}

func (k *Kinds) newStore(t intent.Type) *observe.Store[*intent.Intent] {
	return observe.New(
		func(o metav1.Object) *intent.Intent {
			i := intent.Parse(o.(*unstructured.Unstructured)) //nolint:forcetypeassert // the dynamic client gives nothing else
			i.Seen = time.Now()
			return i
		},
		func(namespace, name string, _ bool) {
			k.wake(intent.Key{Type: t.Name, Namespace: namespace, Name: name})
			if t.IsNamespace() {
				k.WakeNamespace(namespace)
			}
		},
		func() {
			k.moved.Moved()
			if k.WakeType(t.Name); t.IsNamespace() {
				k.WakeAll()
			}
		})
}

func (k *Kinds) lister(t intent.Type) observe.Lister {
	from := k.host.Resource(t.Federated.GroupVersionResource).Namespace(k.namespace)
	return observe.Lister{
		List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return from.List(ctx, o) },
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
	}
}

// Stop ends the watch of a type.
func (k *Kinds) Stop(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := k.m[name]; ok {
		old.stop()
		delete(k.m, name)
	}
	k.moved.Moved()
}

func (k *Kinds) kind(name string) (kind, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	found, ok := k.m[name]
	return found, ok
}

func (k *Kinds) namespaces() (kind, bool) { return k.kind(fedv1.NamespacesTypeName) }

func (k *Kinds) all() []kind {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]kind, 0, len(k.m))
	for _, found := range k.m {
		out = append(out, found)
	}
	return out
}

// WakeType wakes every object of a type: those that the host has, and those that only a member has.
func (k *Kinds) WakeType(name string) { k.types.want(name) }

func (k *Kinds) wakeType(name string) {
	found, ok := k.kind(name)
	if !ok {
		return
	}
	k.visit(found, k.wake)
}

// visit calls f with every object of a type: those that the host has, and those that only a member has.
func (k *Kinds) visit(of kind, f func(intent.Key)) {
	of.store.Names("", func(namespace, object string) { f(intent.Key{Type: of.Name, Namespace: namespace, Name: object}) })
	k.held(of.Name, func(key intent.Key) {
		if _, visited := of.store.Value(key.Namespace, key.Name); !visited {
			f(key)
		}
	})
}

// synced says whether the objects of all types have been read in full.
func (k *Kinds) synced() bool {
	for _, found := range k.all() {
		if !found.store.State().Synced {
			return false
		}
	}
	return true
}

// WakeAll wakes every object of every type.
func (k *Kinds) WakeAll() {
	for _, found := range k.all() {
		k.WakeType(found.Name)
	}
}

// WakeNamespace wakes every object in a namespace.
func (k *Kinds) WakeNamespace(namespace string) { k.inNamespace.want(namespace) }

func (k *Kinds) wakeNamespace(namespace string) {
	for _, found := range k.all() {
		if found.Target.Namespaced {
			found.store.Names(namespace, func(ns, name string) {
				k.wake(intent.Key{Type: found.Name, Namespace: ns, Name: name})
			})
		}
	}
}
