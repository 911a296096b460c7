// Package observe answers: what does a cluster hold, as last seen? A Store keeps one small value for each object of one type,
// the newest known, whether it came from the watch or from the answer to a write. It also says whether it may be asked for what is
// not there: only a store that has been listed in full can tell absence from ignorance.
package observe

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// State of a store.
type State struct {
	// Synced says that everything has been listed since the watch was started.
	Synced bool
	// Err is the last error of a list or watch since the last one that succeeded; nil if there was none.
	Err error
}

// Store holds values of one type in one cluster. The zero value is not usable: see New.
type Store[T any] struct {
	parse   func(metav1.Object) T
	changed func(namespace, name string, existence bool)
	moved   func()

	mu    sync.RWMutex
	items map[string]map[string]entry[T]
	// gone remembers what the watch has seen vanish, so that the late answer to a write does not bring it back.
	gone  map[types.NamespacedName]string
	state State
	// listed is the resource version of the last full list, newest that of the newest object or list.
	listed, newest string
}

type entry[T any] struct {
	value T
	rv    string
}

// New returns an empty store. parse makes the value to keep of an object; changed is called after every change of an object, with
// existence true if it appeared or vanished; moved is called after every change of the state. Both may be called from any goroutine
// and must not block.
func New[T any](parse func(metav1.Object) T, changed func(namespace, name string, existence bool), moved func()) *Store[T] {
	return &Store[T]{parse: parse, changed: changed, moved: moved, items: map[string]map[string]entry[T]{}, gone: map[types.NamespacedName]string{}}
}

// Lister lists and watches the objects of one type.
type Lister struct {
	List  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	Watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// Run keeps the store up to date until the context ends. expected is an empty object of the type that the lister gives.
func (s *Store[T]) Run(ctx context.Context, name string, expected runtime.Object, from Lister) {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := from.List(ctx, o)
			s.note(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := from.Watch(ctx, o)
			s.note(ctx, err)
			return w, err
		},
	}
	cache.NewReflectorWithOptions(lw, expected, s, cache.ReflectorOptions{Name: name}).RunWithContext(ctx)
}

// note remembers an error of the list or the watch. An expired watch is no trouble: the list that follows will tell.
func (s *Store[T]) note(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	s.mu.Lock()
	told := s.state.Err != nil && s.state.Err.Error() == err.Error()
	s.state.Err = err
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		// What cannot be listed any more is not known any more.
		s.state.Synced = false
	}
	s.mu.Unlock()
	if !told {
		s.moved()
	}
}

// State returns the state of the store.
func (s *Store[T]) State() State {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state
}

// Forget empties the store and its state: what is seen next is seen anew.
func (s *Store[T]) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items, s.gone, s.state = map[string]map[string]entry[T]{}, map[types.NamespacedName]string{}, State{}
	s.listed, s.newest = "", ""
}

// Newest is the newest resource version that the cluster has told of; empty before the first list. It goes back if the cluster does.
func (s *Store[T]) Newest() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.newest
}

// Value returns what is known of an object; false if it was not seen.
func (s *Store[T]) Value(namespace, name string) (T, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.items[namespace][name]
	return e.value, ok
}

// Len is the number of objects.
func (s *Store[T]) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, names := range s.items {
		n += len(names)
	}
	return n
}

// Values are all values, in no order.
func (s *Store[T]) Values() []T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []T
	for _, names := range s.items {
		for _, e := range names {
			out = append(out, e.value)
		}
	}
	return out
}

// Names calls f with every object in a namespace; the empty namespace means all, with which cluster-scoped objects come too.
func (s *Store[T]) Names(namespace string, f func(namespace, name string)) {
	for _, k := range s.keys(namespace) {
		f(k.Namespace, k.Name)
	}
}

func (s *Store[T]) keys(namespace string) []types.NamespacedName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var keys []types.NamespacedName
	for ns, names := range s.items {
		if namespace != "" && ns != namespace {
			continue
		}
		for name := range names {
			keys = append(keys, types.NamespacedName{Namespace: ns, Name: name})
		}
	}
	return keys
}

// Merge takes the answer to a write or a read. It keeps what is newer.
func (s *Store[T]) Merge(obj metav1.Object) {
	s.mu.Lock()
	rv, vanished := s.gone[nameOf(obj)]
	if vanished && !newer(obj.GetResourceVersion(), rv) {
		s.mu.Unlock()
		return
	}
	existed, fresh := s.put(s.unread(obj))
	s.mu.Unlock()
	if fresh {
		s.changed(obj.GetNamespace(), obj.GetName(), !existed)
	}
}

// sighting is an object as the cluster has given it. Its value is made when it is asked for.
type sighting[T any] struct {
	types.NamespacedName
	rv    string
	value func() T
}

func (s *Store[T]) unread(obj metav1.Object) sighting[T] {
	return sighting[T]{nameOf(obj), obj.GetResourceVersion(), func() T { return s.parse(obj) }}
}

// Transformer implements cache.TransformingStore: of a long list that the cluster streams, what is kept of each object is all that is held
// until its end.
func (s *Store[T]) Transformer() cache.TransformFunc {
	return func(o any) (any, error) {
		obj, err := meta.Accessor(o)
		if err != nil {
			return nil, fmt.Errorf("observe %T: %w", o, err)
		}
		value := s.parse(obj)
		return sighting[T]{nameOf(obj), obj.GetResourceVersion(), func() T { return value }}, nil
	}
}

// put keeps an object if it is newer than what is there.
func (s *Store[T]) put(o sighting[T]) (existed, fresh bool) {
	old, existed := s.items[o.Namespace][o.Name]
	if existed && !newer(o.rv, old.rv) {
		return existed, false
	}
	if s.items[o.Namespace] == nil {
		s.items[o.Namespace] = map[string]entry[T]{}
	}
	s.items[o.Namespace][o.Name] = entry[T]{value: o.value(), rv: o.rv}
	s.moveTo(o.rv)
	delete(s.gone, o.NamespacedName)
	return existed, true
}

// Add implements cache.ReflectorStore.
func (s *Store[T]) Add(o any) error {
	obj, err := meta.Accessor(o)
	if err != nil {
		return fmt.Errorf("observe %T: %w", o, err)
	}
	s.mu.Lock()
	existed, fresh := s.put(s.unread(obj))
	s.mu.Unlock()
	if fresh {
		s.changed(obj.GetNamespace(), obj.GetName(), !existed)
	}
	return nil
}

// Update implements cache.ReflectorStore.
func (s *Store[T]) Update(o any) error { return s.Add(o) }

// Delete implements cache.ReflectorStore.
func (s *Store[T]) Delete(o any) error {
	obj, err := meta.Accessor(o)
	if err != nil {
		return fmt.Errorf("observe %T: %w", o, err)
	}
	s.mu.Lock()
	old, ok := s.items[obj.GetNamespace()][obj.GetName()]
	if ok && newer(old.rv, obj.GetResourceVersion()) {
		s.mu.Unlock()
		return nil
	}
	s.drop(nameOf(obj), obj.GetResourceVersion())
	s.mu.Unlock()
	s.changed(obj.GetNamespace(), obj.GetName(), true)
	return nil
}

// Lost removes what a delete or a read of the cluster itself showed to be gone, if it is still the value that was meant.
func (s *Store[T]) Lost(namespace, name string, meant func(T) bool) {
	s.mu.Lock()
	e, ok := s.items[namespace][name]
	if ok = ok && meant(e.value); ok {
		s.drop(types.NamespacedName{Namespace: namespace, Name: name}, e.rv)
	}
	s.mu.Unlock()
	if ok {
		s.changed(namespace, name, true)
	}
}

// maxGone bounds the memory of what has vanished; a late answer comes within seconds.
const maxGone = 10_000

func (s *Store[T]) drop(k types.NamespacedName, rv string) {
	if delete(s.items[k.Namespace], k.Name); len(s.items[k.Namespace]) == 0 {
		delete(s.items, k.Namespace)
	}
	if len(s.gone) >= maxGone {
		clear(s.gone)
	}
	s.gone[k] = rv
	s.moveTo(rv)
}

func (s *Store[T]) moveTo(rv string) {
	if s.newest != "" && newer(rv, s.newest) {
		s.newest = rv
	}
}

// Replace implements cache.ReflectorStore: a full list, as of a resource version.
func (s *Store[T]) Replace(list []any, rv string) error {
	type change struct {
		types.NamespacedName
		existence bool
	}
	var changes []change
	listed := make(map[types.NamespacedName]bool, len(list))
	s.mu.Lock()
	if s.listed != "" && !newer(rv, s.listed) && rv != s.listed {
		// The cluster went back in time, as after a restore: what was known is void.
		s.items, s.gone = map[string]map[string]entry[T]{}, map[types.NamespacedName]string{}
	}
	s.listed, s.newest = rv, rv
	for _, o := range list {
		one, streamed := o.(sighting[T])
		if !streamed {
			obj, err := meta.Accessor(o)
			if err != nil {
				s.mu.Unlock()
				return fmt.Errorf("observe %T: %w", o, err)
			}
			one = s.unread(obj)
		}
		listed[one.NamespacedName] = true
		if existed, fresh := s.put(one); fresh {
			changes = append(changes, change{one.NamespacedName, !existed})
		}
	}
	for ns, names := range s.items {
		for name, e := range names {
			k := types.NamespacedName{Namespace: ns, Name: name}
			if !listed[k] && !newer(e.rv, rv) {
				s.drop(k, rv)
				changes = append(changes, change{k, true})
			}
		}
	}
	s.state = State{Synced: true}
	s.mu.Unlock()
	for _, c := range changes {
		s.changed(c.Namespace, c.Name, c.existence)
	}
	s.moved()
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *Store[T]) Resync() error { return nil }

func nameOf(obj metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// newer says whether a is newer than b. Versions that cannot be compared are taken as they come.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

var _ cache.TransformingStore = (*Store[any])(nil)
