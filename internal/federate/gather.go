package federate

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// gather collects what is known of one federated object. It is false while the object's own type has not been read in full.
func (r *Reconciler) gather(key intent.Key) (plan.World, bool) {
	k, ok := r.kinds.kind(key.Type)
	if !ok || !k.store.State().Synced || !r.debts.synced() {
		return plan.World{}, false
	}
	i, _ := k.store.Value(key.Namespace, key.Name)
	w := plan.World{Key: key, Type: k.Type, Intent: i, Namespace: r.namespace(k.Type, key), Newest: k.store.Newest(), Settings: r.settings(), Now: time.Now()}
	w.Members, w.MembersKnown = r.members.Look(k.Type, key)
	if r.shards != nil {
		w.Shared, w.Listens, w.Surveying = true, !r.shards.Speaks(key), r.shards.Surveying()
	}
	return remember(w, r.debts.of(key)), true
}

// namespace is what the FederatedNamespace of a target's namespace says.
func (r *Reconciler) namespace(t intent.Type, key intent.Key) plan.NamespaceWorld {
	if r.host.namespacedScope || !t.Target.Namespaced {
		return plan.NamespaceWorld{}
	}
	w := plan.NamespaceWorld{Applies: true}
	if namespaces, ok := r.kinds.namespaces(); ok && namespaces.store.State().Synced {
		w.Known = true
		w.Intent, _ = namespaces.store.Value(key.Namespace, key.Namespace)
	}
	return w
}

// remember adds what the host has on record about the members.
func remember(w plan.World, debts map[string]plan.Debt) plan.World {
	for n := range w.Members {
		m := &w.Members[n]
		if d, ok := debts[m.Name]; ok {
			m.Debt = &d
		}
		if m.Record != nil || w.Intent == nil {
			continue
		}
		if c, ok := w.Intent.Status.Cluster(m.Name); ok && c.UID != "" {
			m.Record = &plan.Record{UID: c.UID, Version: c.Version}
		}
	}
	return w
}

// Confirm makes the plan once more from what the host itself says at this moment, and fails with apply.ErrChanged if it does not
// want a removal any more. What it reads, it reads from the API server, not from what was watched.
func (r *Reconciler) Confirm(ctx context.Context, key intent.Key, s plan.Step) error {
	w, ok := r.gather(key)
	if !ok {
		return apply.ErrChanged
	}
	var err error
	if w.Intent, err = r.ask(ctx, w.Type, key, s.Reason); err != nil {
		return fmt.Errorf("confirm on the host: %w", err)
	}
	if s.Reason == plan.Deselected {
		if w, err = r.host.placement(ctx, w, r.kinds, s.Member); err != nil {
			return fmt.Errorf("confirm on the host: %w", err)
		}
	}
	if again, ok := r.restrain(plan.Make(w), w).Step(s.Member); !ok || again.Verdict != s.Verdict {
		return apply.ErrChanged
	}
	return nil
}

// ask reads what the host says of an object at this moment; of one that is deleted, within this moment for all members.
func (r *Reconciler) ask(ctx context.Context, t intent.Type, key intent.Key, why plan.Reason) (*intent.Intent, error) {
	read := func(ctx context.Context) (*intent.Intent, error) { return r.host.intent(ctx, t, key) }
	if why != plan.Deleted {
		return read(ctx)
	}
	return r.glimpses.of(ctx, key, read)
}

// placement replaces the inputs of a placement by what the API server says now.
func (h host) placement(ctx context.Context, w plan.World, kinds *Kinds, member string) (plan.World, error) {
	if w.Namespace.Applies {
		namespaces, ok := kinds.namespaces()
		if !ok {
			return w, apply.ErrChanged
		}
		var err error
		if w.Namespace.Intent, err = h.intent(ctx, namespaces.Type, intent.Key{Namespace: w.Key.Namespace, Name: w.Key.Namespace}); err != nil {
			return w, err
		}
	}
	labels, err := h.clusterLabels(ctx, member)
	if apierrors.IsNotFound(err) {
		return w, apply.ErrChanged
	}
	for n := range w.Members {
		if w.Members[n].Name == member {
			w.Members[n].Labels = labels
		}
	}
	return w, err
}
