package federate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// host reads and writes federated objects in the host's API.
type host struct {
	client          dynamic.Interface
	namespace       string
	namespacedScope bool
}

var clusters = fedv1.GroupVersion.WithResource("kubefedclusters")

func (h host) objects(t intent.Type, key intent.Key) dynamic.ResourceInterface {
	return h.client.Resource(t.Federated.GroupVersionResource).Namespace(key.Namespace)
}

// intent reads a federated object; nil if there is none.
func (h host) intent(ctx context.Context, t intent.Type, key intent.Key) (*intent.Intent, error) {
	obj, err := h.objects(t, key).Get(ctx, key.Name, metav1.GetOptions{})
	if apply.Absent(err, key.Name) {
		return nil, nil //nolint:nilnil // there is none, which is what was asked
	}
	if err != nil {
		return nil, err
	}
	return intent.Parse(obj), nil
}

func (h host) clusterLabels(ctx context.Context, name string) (map[string]string, error) {
	c, err := h.client.Resource(clusters).Namespace(h.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return c.GetLabels(), nil
}

// finalizers replaces the finalizers of an object that is still as it was seen: the resource version is a precondition.
func (h host) finalizers(ctx context.Context, t intent.Type, i *intent.Intent, finalizers []string) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": i.UID, "resourceVersion": i.ResourceVersion, "finalizers": finalizers,
	}})
	if err != nil {
		return nil, err
	}
	return h.objects(t, intent.Key{Namespace: i.Namespace}).Patch(ctx, i.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager})
}

// status replaces the status of the object that it is about, whatever else has changed in it; if asThere, nothing may have: others write
// the status, too.
func (h host) status(ctx context.Context, t intent.Type, i *intent.Intent, s intent.Status, asThere bool) (*unstructured.Unstructured, error) {
	patch := []map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": i.UID},
		{"op": "add", "path": "/status", "value": s},
	}
	if asThere {
		patch[0] = map[string]any{"op": "test", "path": "/metadata/resourceVersion", "value": i.ResourceVersion}
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	return h.objects(t, intent.Key{Namespace: i.Namespace}).Patch(ctx, i.Name, types.JSONPatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager}, "status")
}

// hold puts our finalizer on the object before anything is written to a member.
func (r *Reconciler) hold(ctx context.Context, p plan.Plan, w plan.World) (plan.World, error) {
	if p.Finalizer != plan.AddFinalizer {
		return w, nil
	}
	k, _ := r.kinds.kind(p.Key.Type)
	obj, err := r.host.finalizers(ctx, k.Type, w.Intent, append(slices.Clone(w.Intent.Finalizers), fedv1.SyncFinalizer))
	if err != nil {
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			r.tell(k.Type, w.Intent, []rollup.Event{{Warning: true, Reason: "EnsureFinalizerError", Message: apply.Words(err)}})
		}
		return w, err
	}
	k.store.Merge(obj)
	w.Intent = intent.Parse(obj)
	return w, nil
}

// publish writes what the host should know: debts before the finalizer goes, the status if it means something new. What it leaves for
// later, it says when.
func (r *Reconciler) publish(ctx context.Context, p plan.Plan, w plan.World, told rollup.Told) (later time.Duration, err error) {
	if err := r.debts.settle(ctx, p.Key, p.Settled); err != nil {
		return 0, err
	}
	if p.Shared && p.Finalizer != plan.RemoveFinalizer {
		err = r.debts.record(ctx, p.Key, p.Debts) // on record before the others are told that nothing is left
	}
	switch {
	case err != nil:
		return 0, err
	case p.Mute:
		return 0, nil
	case p.Finalizer == plan.RemoveFinalizer:
		r.pruned.forget(p.Key)
		return 0, r.release(ctx, p, w)
	case p.Silent:
		r.turns.over(p.Key)
		if len(told.Events) > 0 {
			r.tell(w.Type, w.Intent, told.Events)
		}
		return 0, nil
	case p.Pending:
		return 0, nil
	case !told.Settled && !r.waiting.late(p.Key):
		return 0, nil
	case rollup.Same(w.Intent.Status, told.Status):
		r.turns.over(p.Key)
		r.members.Published(p)
		return 0, nil
	case r.pruned.knows(p.Key, told.Status, w.Intent.Status):
		return 0, nil // the lanes remember what the host does not keep
	case told.Mute:
		return 0, nil
	}
	if wait := r.pace.wait(p.Key, time.Now(), breathOf(told)); wait > 0 {
		return wait, nil
	}
	if p.Shared {
		if wait := r.turns.wait(p.Key, w.Intent.ResourceVersion, r.shards.Before(p.Key, awaited(p)), time.Now()); wait > 0 {
			return wait, nil
		}
	}
	return 0, r.writeStatus(ctx, p, w, told)
}

func (r *Reconciler) writeStatus(ctx context.Context, p plan.Plan, w plan.World, told rollup.Told) error {
	k, _ := r.kinds.kind(p.Key.Type)
	obj, err := r.host.status(ctx, k.Type, w.Intent, told.Status, p.Shared)
	if p.Shared && apierrors.IsInvalid(err) && r.moved(ctx, k, w.Intent) {
		return nil // another shard has told meanwhile: what it told will wake this object, and both are folded
	}
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) && r.replaced(ctx, k.Type, w.Intent) {
		return nil // it is gone, or another object now has its name: the watch will tell
	}
	if err != nil {
		return err
	}
	r.pace.wrote(p.Key, time.Now())
	r.turns.over(p.Key)
	k.store.Merge(obj)
	if kept, ok := k.store.Value(p.Key.Namespace, p.Key.Name); ok && kept.ResourceVersion == obj.GetResourceVersion() {
		r.pruned.wrote(p.Key, told.Status, kept.Status)
	}
	r.tell(k.Type, w.Intent, told.Events)
	return nil
}

// moved says that the host has another version of an object than a plan was made of.
func (r *Reconciler) moved(ctx context.Context, k kind, of *intent.Intent) bool {
	if seen, ok := k.store.Value(of.Namespace, of.Name); ok && seen.ResourceVersion != of.ResourceVersion {
		return true
	}
	now, err := r.host.intent(ctx, k.Type, intent.Key{Namespace: of.Namespace, Name: of.Name})
	return err == nil && (now == nil || now.ResourceVersion != of.ResourceVersion)
}

func (r *Reconciler) replaced(ctx context.Context, t intent.Type, old *intent.Intent) bool {
	now, err := r.host.intent(ctx, t, intent.Key{Namespace: old.Namespace, Name: old.Name})
	return err == nil && (now == nil || now.UID != old.UID)
}

// release lets the object go: what is still owed is on record first, and the list of clusters is read once more if it lacks one that
// holds a copy, for a list that was read wrong must not make a copy forgotten.
func (r *Reconciler) release(ctx context.Context, p plan.Plan, w plan.World) error {
	if err := r.confirmLeft(ctx, w); err != nil {
		return err
	}
	if err := r.debts.record(ctx, p.Key, p.Debts); err != nil {
		return err
	}
	k, _ := r.kinds.kind(p.Key.Type)
	rest := slices.DeleteFunc(slices.Clone(w.Intent.Finalizers), func(f string) bool { return f == fedv1.SyncFinalizer })
	_, err := r.host.finalizers(ctx, k.Type, w.Intent, rest)
	if apierrors.IsNotFound(err) || p.Shared && apierrors.IsConflict(err) {
		return nil // another shard was first
	}
	return err
}

var errClusterKnown = errors.New("a cluster that holds a copy has not been seen yet")

func (r *Reconciler) confirmLeft(ctx context.Context, w plan.World) error {
	for _, c := range w.Intent.Status.Clusters {
		known := slices.ContainsFunc(w.Members, func(m plan.Member) bool { return m.Name == c.Name })
		if known || c.UID == "" {
			continue
		}
		if _, err := r.host.clusterLabels(ctx, c.Name); !apply.Absent(err, c.Name) {
			return fmt.Errorf("cluster %s: %w", c.Name, errors.Join(errClusterKnown, err))
		}
	}
	return nil
}
