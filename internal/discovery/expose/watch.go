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

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
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

// passed are the annotations of a FederatedService that count for its export as well: they say what stays in the members.
var passed = []string{fedv1.OrphanAnnotation, fedv1.DeletionPolicyAnnotation}

func passedOf(o metav1.Object) map[string]string {
	var out map[string]string
	for _, name := range passed {
		if value, ok := o.GetAnnotations()[name]; ok {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}

// serviceOf keeps of a FederatedService what counts. Of most nothing is asked.
func serviceOf(o metav1.Object) exposure.Service {
	s := exposure.Service{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), Deleting: o.GetDeletionTimestamp() != nil}
	s.Expose, s.Domain = o.GetAnnotations()[fedv1.ExposeAnnotation], o.GetAnnotations()[fedv1.DomainAnnotation]
	if s.Expose == "" {
		return s
	}
	s.Passed = passedOf(o)
	content := o.(*unstructured.Unstructured).Object //nolint:forcetypeassert // the dynamic client gives nothing else
	s.Type, _, _ = unstructured.NestedString(content, "spec", "template", "spec", "type")
	s.Placement = placementOf(content)
	return s
}

func placementOf(content map[string]any) map[string]any {
	p, _, _ := unstructured.NestedMap(content, "spec", "placement")
	return p
}

// neighbourOf keeps what an export and a record have in common. Its owner is a FederatedService of its name, if there is one.
func neighbourOf(o metav1.Object) exposure.Neighbour {
	n := exposure.Neighbour{UID: o.GetUID(), Deleting: o.GetDeletionTimestamp() != nil}
	if owner := metav1.GetControllerOf(o); owner != nil && owner.Name == o.GetName() {
		n.Owner = owner.UID
	}
	return n
}

func exportOf(o metav1.Object) exposure.Neighbour {
	n := neighbourOf(o)
	n.Placement, n.Passed = placementOf(o.(*unstructured.Unstructured).Object), passedOf(o) //nolint:forcetypeassert // the dynamic client gives nothing else
	return n
}

func recordOf(o metav1.Object) exposure.Neighbour {
	n := neighbourOf(o)
	n.Domain, _, _ = unstructured.NestedString(o.(*unstructured.Unstructured).Object, "spec", "domainRef") //nolint:forcetypeassert // the dynamic client gives nothing else
	return n
}

// ownedBy is a reference that makes the garbage collector take an object after its FederatedService.
func ownedBy(s exposure.Service, kind schema.GroupVersionKind) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: s.Name, UID: s.UID, Controller: &yes}
}

// is says whether an object is the one that was decided on, and was made for the service.
func is(o metav1.Object, n exposure.Neighbour, owner types.UID) bool {
	return o.GetUID() == n.UID && neighbourOf(o).Owner == owner
}
