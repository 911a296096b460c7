package schedule

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
)

// gather collects what a decision about a preference may look at. It is false while members are being looked into for the first time.
func (s *Scheduler) gather(ctx context.Context, key types.NamespacedName, pref preference) (world, bool, error) {
	w := world{
		pref: pref, enabled: s.settings().Enabled, unavailableDelay: s.settings().UnavailableDelay,
		now: s.now(), history: s.memory.history(key),
	}
	if w.target = targetOf(pref); w.target == nil {
		return w, true, nil
	}
	var err error
	if w.fedType, err = s.typeOf(ctx, w.target.typeName); err != nil || w.fedType == nil {
		return w, true, err
	}
	if w.object, err = s.object(ctx, *w.fedType, key); err != nil || w.object == nil {
		return w, true, err
	}
	w.intent, w.selection = intent.Parse(w.object), intent.Parse(selectorOnly(w.object))
	if w.namespace, err = s.namespaceOf(ctx, key.Namespace); err != nil {
		return w, true, err
	}
	complete, err := s.clusters(ctx, key, &w)
	return w, complete, err
}

func targetOf(p preference) *target {
	if p.err != nil {
		return nil
	}
	if i := slices.IndexFunc(targets, func(t target) bool { return t.kind == p.Spec.TargetKind }); i >= 0 {
		return &targets[i]
	}
	return nil
}

// typeOf is a type as its FederatedTypeConfig has it; nil if there is none.
func (s *Scheduler) typeOf(ctx context.Context, name string) (*intent.Type, error) {
	var c fedv1.FederatedTypeConfig
	err := s.cache.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, &c)
	if apierrors.IsNotFound(err) || err == nil && c.DeletionTimestamp != nil {
		return nil, nil //nolint:nilnil // there is none, which is what was asked
	}
	if err != nil {
		return nil, fmt.Errorf("read FederatedTypeConfig %s: %w", name, err)
	}
	t := intent.TypeOf(&c)
	return &t, nil
}

// object reads a federated object from the API server itself; nil if there is none.
func (s *Scheduler) object(ctx context.Context, t intent.Type, key types.NamespacedName) (*unstructured.Unstructured, error) {
	obj, err := s.host.Resource(t.Federated.GroupVersionResource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none, which is what was asked
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", t.Federated.Kind, key, err)
	}
	return obj, nil
}

// selectorOnly is a federated object whose placement is its clusterSelector only.
func selectorOnly(obj *unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	if selector, ok, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "placement", "clusterSelector"); ok {
		out.Object["spec"] = map[string]any{"placement": map[string]any{"clusterSelector": selector}}
	}
	return out
}

// namespaceOf is the FederatedNamespace that restricts the members; nil if there is none.
func (s *Scheduler) namespaceOf(ctx context.Context, namespace string) (*intent.Intent, error) {
	if s.namespacedScope {
		return nil, nil //nolint:nilnil // none is needed
	}
	t, err := s.typeOf(ctx, fedv1.NamespacesTypeName)
	if err != nil || t == nil {
		return nil, err
	}
	obj, err := s.object(ctx, *t, types.NamespacedName{Namespace: namespace, Name: namespace})
	if err != nil || obj == nil {
		return nil, err
	}
	return intent.Parse(obj), nil
}

// clusters adds the KubeFedClusters with what is known of the target there.
func (s *Scheduler) clusters(ctx context.Context, key types.NamespacedName, w *world) (complete bool, err error) {
	var list fedv1.KubeFedClusterList
	if err := s.cache.List(ctx, &list, client.InNamespace(s.namespace)); err != nil {
		return false, fmt.Errorf("list KubeFedClusters: %w", err)
	}
	complete = true
	for i := range list.Items {
		c := clusterOf(&list.Items[i])
		g := s.members.look(key, *w.fedType, c.name)
		c.seen, complete = g.seen, complete && (!g.first || !c.ready)
		if g.err != nil {
			c.problem = g.err.Error()
		}
		c.limit = s.memory.limit(key, c.name, w.pref.Status, w.now)
		w.clusters = append(w.clusters, c)
	}
	slices.SortFunc(w.clusters, func(a, b cluster) int { return strings.Compare(a.name, b.name) })
	s.members.keep(key, func(name string) bool {
		return slices.ContainsFunc(w.clusters, func(c cluster) bool { return c.name == name })
	})
	return complete, nil
}

// clusterOf reads a KubeFedCluster. One that is offline, or cannot be connected to, has no condition Ready.
func clusterOf(k *fedv1.KubeFedCluster) cluster {
	c := cluster{name: k.Name, labels: k.Labels, leaving: k.DeletionTimestamp != nil}
	for _, found := range k.Status.Conditions {
		var away bool
		switch found.Type {
		case fedv1.ClusterReady:
			c.ready = found.Status == metav1.ConditionTrue
			away = !c.ready
		case fedv1.ClusterOffline, fedv1.ClusterConfigMalformed:
			away = found.Status == metav1.ConditionTrue
		default:
			continue
		}
		if away && found.LastTransitionTime != nil {
			c.since = earlier(c.since, found.LastTransitionTime.Time)
		}
	}
	if c.ready {
		c.since = time.Time{}
	}
	return c
}
