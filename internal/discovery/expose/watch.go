package expose

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/hansa-io/hansa/internal/discovery/plan/exposure"
	"github.com/hansa-io/hansa/internal/observe"
)

// watched are the objects of one kind in the host, while they are watched. A watch that was stopped has seen nothing.
type watched[T any] struct {
	fresh func() *observe.Store[T]

	mu    sync.RWMutex
	of    schema.GroupVersionResource
	store *observe.Store[T]
	stop  context.CancelFunc
}

func newWatched[T any](parse func(metav1.Object) T, changed func(namespace, name string, existence bool), moved func()) *watched[T] {
	w := &watched[T]{fresh: func() *observe.Store[T] { return observe.New(parse, changed, moved) }}
	w.store = w.fresh()
	return w
}

// follow watches a resource from now on; the zero resource is none. It says whether that is another one than before.
func (w *watched[T]) follow(ctx context.Context, host dynamic.Interface, r schema.GroupVersionResource, namespace string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == r {
		return false
	}
	if w.stop != nil {
		w.stop()
	}
	w.of, w.stop, w.store = r, nil, w.fresh()
	if r.Empty() {
		return true
	}
	ctx, w.stop = context.WithCancel(ctx)
	from := host.Resource(r).Namespace(namespace)
	go w.store.Run(ctx, r.Resource, &unstructured.Unstructured{}, observe.Lister{
		List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return from.List(ctx, o) },
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
	})
	return true
}

func (w *watched[T]) now() *observe.Store[T] {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.store
}

func (w *watched[T]) value(namespace, name string) (T, bool) { return w.now().Value(namespace, name) }

func (w *watched[T]) state() observe.State { return w.now().State() }

func (w *watched[T]) names(f func(namespace, name string)) { w.now().Names("", f) }

// values are all values, and whether they have been read.
func (w *watched[T]) values() ([]T, bool) {
	s := w.now()
	return s.Values(), s.State().Synced
}

// ownedBy is a reference that makes the garbage collector take an object after its FederatedService.
func ownedBy(s exposure.Service, kind schema.GroupVersionKind) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: s.Name, UID: s.UID, Controller: &yes}
}

// is says whether an object is the one that was decided on, and was made for the service.
func is(o metav1.Object, n exposure.Neighbour, owner types.UID) bool {
	return o.GetUID() == n.UID && exposure.NeighbourOf(o).Owner == owner
}

// content is what the dynamic client gives.
func content(o metav1.Object) *unstructured.Unstructured {
	return o.(*unstructured.Unstructured) //nolint:forcetypeassert // the dynamic client gives nothing else
}
