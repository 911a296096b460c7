package federate

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	corev1alpha1 "github.com/hansa-io/hansa/api/core/v1alpha1"
	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/observe"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/propagated"
	"github.com/hansa-io/hansa/internal/rollup"
)

// Versions keeps KubeFed's PropagatedVersions while a gate says so, for programs that read them and for a way back to KubeFed. Nothing
// that Hansa decides rests on them.
type Versions struct {
	host dynamic.Interface
	// namespace restricts the records; empty means all.
	namespace string
	on        func() bool
	kinds     *Kinds
	wakeAll   func()
	log       logr.Logger
	turned    chan struct{}

	mu    sync.RWMutex
	kept  map[bool]*observe.Store[*record] // by whether the records live in namespaces; nil while the gate is off
	leave context.CancelFunc
}

// record is a PropagatedVersion or ClusterPropagatedVersion as last seen.
type record struct {
	uid, owner types.UID
	status     corev1alpha1.PropagatedVersionStatus
}

// NewVersions returns Versions that follow a gate. wakeAll is called when the records have been read.
func NewVersions(host dynamic.Interface, namespace string, on func() bool, kinds *Kinds, wakeAll func(), log logr.Logger) *Versions {
	return &Versions{host: host, namespace: namespace, on: on, kinds: kinds, wakeAll: wakeAll, log: log, turned: make(chan struct{}, 1)}
}

// Turned tells that the gate may have moved. It does not block.
func (v *Versions) Turned() {
	select {
	case v.turned <- struct{}{}:
	default:
	}
}

// Run watches the records while the gate is on, until the context ends.
func (v *Versions) Run(ctx context.Context) {
	for {
		v.follow(ctx)
		select {
		case <-ctx.Done():
			v.stop()
			return
		case <-v.turned:
		}
	}
}

func (v *Versions) follow(ctx context.Context) {
	v.mu.RLock()
	running := v.kept != nil
	v.mu.RUnlock()
	switch on := v.on(); {
	case on && !running:
		v.start(ctx)
	case !on && running:
		v.stop()
	}
}

func (v *Versions) start(ctx context.Context) {
	ctx, leave := context.WithCancel(ctx)
	kept := map[bool]*observe.Store[*record]{true: observe.New(recordOf, v.changed, v.wakeAll)}
	if v.namespace == "" {
		kept[false] = observe.New(recordOf, v.changed, v.wakeAll)
	}
	v.mu.Lock()
	v.kept, v.leave = kept, leave
	v.mu.Unlock()
	for namespaced, store := range kept {
		from := v.host.Resource(versionsOf(namespaced)).Namespace(v.namespace)
		go store.Run(ctx, versionsOf(namespaced).Resource, &unstructured.Unstructured{}, observe.Lister{
			List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return from.List(ctx, o) },
			Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
		})
	}
}

func (v *Versions) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.leave != nil {
		v.leave()
	}
	v.kept, v.leave = nil, nil
}

// changed wakes the objects that a record may be of: its name begins with the kind of the target.
func (v *Versions) changed(namespace, name string, _ bool) {
	for _, k := range v.kinds.all() {
		if of, ok := strings.CutPrefix(name, strings.ToLower(k.Target.Kind)+"-"); ok && k.Federated.Namespaced == (namespace != "") {
			v.kinds.wake(intent.Key{Type: k.Name, Namespace: namespace, Name: of})
		}
	}
}

func versionsOf(namespaced bool) schema.GroupVersionResource {
	if namespaced {
		return corev1alpha1.GroupVersion.WithResource("propagatedversions")
	}
	return corev1alpha1.GroupVersion.WithResource("clusterpropagatedversions")
}

func recordOf(o metav1.Object) *record {
	r := &record{uid: o.GetUID()}
	if owners := o.GetOwnerReferences(); len(owners) == 1 {
		r.owner = owners[0].UID
	}
	if u, ok := o.(*unstructured.Unstructured); ok {
		status, _, _ := unstructured.NestedMap(u.Object, "status")
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(status, &r.status) // what is no record is put right
	}
	return r
}

// keep writes the record of an object if it is not what it should be. What is not known of a member stays as it is recorded.
func (v *Versions) keep(ctx context.Context, p plan.Plan, w plan.World) error {
	v.mu.RLock()
	store := v.kept[w.Type.Federated.Namespaced]
	v.mu.RUnlock()
	unknown := p.Pending || p.Silent || p.Reason != "" || w.Intent == nil || w.Intent.IsDeleting() || w.Intent.Hashes == (propagated.Hashes{})
	if store == nil || unknown || !store.State().Synced {
		return nil
	}
	name := propagated.Name(w.Type.Target.Kind, w.Key.Name)
	old, found := store.Value(w.Key.Namespace, name)
	if found && old.owner != w.Intent.UID {
		return nil // of an object of this name that is gone, as it soon will be
	}
	if !found {
		old = &record{}
	}
	next := propagated.Next(old.status, w.Intent.Hashes, versionsIn(p, w))
	if found && propagated.Same(old.status, next) {
		return nil
	}
	if err := v.write(ctx, store, w, name, old, next); err != nil {
		return fmt.Errorf("write %s %s/%s: %w", versionsOf(w.Type.Federated.Namespaced).Resource, w.Key.Namespace, name, err)
	}
	return nil
}

// recordAgain is when a record that could not be written is tried again.
const recordAgain = 10 * time.Second

// keepVersions brings KubeFed's record up to date when nothing is under way any more.
func (r *Reconciler) keepVersions(ctx context.Context, p plan.Plan, w plan.World, told rollup.Told) error {
	if !told.Settled && !r.waiting.late(p.Key) {
		return nil
	}
	return r.versions.keep(ctx, p, w)
}

// versionsIn are the versions of the copies in the members that are meant; "" where the copy is not as it should be, or not seen.
func versionsIn(p plan.Plan, w plan.World) map[string]string {
	out := map[string]string{}
	for _, m := range w.Members {
		s, ok := p.Step(m.Name)
		switch {
		case !ok || !s.Selected:
		case s.Verdict == plan.Place && !s.Needed && m.Copy != nil:
			out[m.Name] = propagated.VersionOf(m.Copy.Generation, m.Copy.ResourceVersion)
		default:
			out[m.Name] = ""
		}
	}
	return out
}

// write makes the record, as KubeFed does first without a status, and then writes its status.
func (v *Versions) write(ctx context.Context, store *observe.Store[*record], w plan.World, name string, old *record, next corev1alpha1.PropagatedVersionStatus) error {
	to := v.host.Resource(versionsOf(w.Type.Federated.Namespaced)).Namespace(w.Key.Namespace)
	uid := old.uid
	if uid == "" {
		made, err := to.Create(ctx, newRecord(w, name), metav1.CreateOptions{FieldManager: fedv1.FieldManager})
		if apierrors.IsAlreadyExists(err) {
			made, err = to.Get(ctx, name, metav1.GetOptions{})
		}
		if err != nil {
			return err
		}
		store.Merge(made)
		if r := recordOf(made); r.owner != w.Intent.UID {
			return nil // see keep
		}
		uid = made.GetUID()
	}
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": uid},
		{"op": "add", "path": "/status", "value": next},
	})
	if err != nil {
		return err
	}
	done, err := to.Patch(ctx, name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager}, "status")
	if err == nil {
		store.Merge(done)
	}
	return err
}

func newRecord(w plan.World, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	kind := "ClusterPropagatedVersion"
	if w.Type.Federated.Namespaced {
		kind = "PropagatedVersion"
	}
	o.SetGroupVersionKind(corev1alpha1.GroupVersion.WithKind(kind))
	o.SetNamespace(w.Key.Namespace)
	o.SetName(name)
	owner := w.Type.Federated.GVK()
	o.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: owner.GroupVersion().String(), Kind: owner.Kind, Name: w.Intent.Name, UID: w.Intent.UID,
	}})
	return o
}
