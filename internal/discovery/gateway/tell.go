package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan/front"
)

// tell writes the statuses that mean something new. It says whether all could be written: one that cannot holds up no other.
func (c *Controller) tell(ctx context.Context, p front.Plan) bool {
	var failed []error
	note := func(what string, key any, err error) {
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // what has changed, or is gone, is about to be seen
			failed = append(failed, fmt.Errorf("write the status of %s %v: %w", what, key, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Pools)) {
		if o, ok := c.pools.store.Value(c.opts.Namespace, name); ok && !equality.Semantic.DeepEqual(o.Status, p.Pools[name]) {
			note("AddressPool", name, replace(ctx, c.pools, o, p.Pools[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Classes)) {
		if o, ok := c.classes.store.Value("", name); ok && !equality.Semantic.DeepEqual(o.Status, p.Classes[name]) {
			note("GatewayClass", name, replace(ctx, c.classes, o, p.Classes[name]))
		}
	}
	for _, k := range inOrder(p.Gateways) {
		if o, ok := c.gateways.store.Value(k.Namespace, k.Name); ok && !equality.Semantic.DeepEqual(o.Status, p.Gateways[k]) {
			note("Gateway", k, replace(ctx, c.gateways, o, p.Gateways[k]))
		}
	}
	for _, k := range inOrder(p.HTTPRoutes) {
		if o, ok := c.https.store.Value(k.Namespace, k.Name); ok && !sameRoute(o.Status.RouteStatus, p.HTTPRoutes[k]) {
			note("HTTPRoute", k, replace(ctx, c.https, o, p.HTTPRoutes[k]))
		}
	}
	for _, k := range inOrder(p.TCPRoutes) {
		if o, ok := c.tcps.store.Value(k.Namespace, k.Name); ok && !sameRoute(o.Status.RouteStatus, p.TCPRoutes[k]) {
			note("TCPRoute", k, replace(ctx, c.tcps, o, p.TCPRoutes[k]))
		}
	}
	for _, k := range inOrder(p.Federated) {
		note(c.fedKind.Kind, k, c.tellService(ctx, k, p.Federated[k]))
	}
	if err := errors.Join(failed...); err != nil && ctx.Err() == nil {
		c.opts.Log.Error(err, "not all could be told; it is tried again")
	}
	return len(failed) == 0
}

// sameRoute compares what is ours of two statuses: the order of others is theirs.
func sameRoute(a, b gwv1.RouteStatus) bool {
	ours := func(s gwv1.RouteStatus) []gwv1.RouteParentStatus {
		return slices.DeleteFunc(slices.Clone(s.Parents), func(p gwv1.RouteParentStatus) bool { return p.ControllerName != front.Controller })
	}
	return equality.Semantic.DeepEqual(ours(a), ours(b))
}

// replace writes the status of an object that is still as it was seen.
func replace[T any](ctx context.Context, s *source[T], o metav1.Object, status any) error {
	text, err := json.Marshal(status)
	if err != nil {
		return err
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	body := &unstructured.Unstructured{Object: map[string]any{"status": fields}}
	body.SetGroupVersionKind(s.resource.GroupVersion().WithKind(s.kind))
	body.SetNamespace(o.GetNamespace())
	body.SetName(o.GetName())
	body.SetResourceVersion(o.GetResourceVersion())
	obj, err := s.in(o.GetNamespace()).UpdateStatus(ctx, body, metav1.UpdateOptions{FieldManager: fedv1.FieldManager})
	if err != nil {
		return err
	}
	s.store.Merge(obj)
	return nil
}

// tellService writes status.loadBalancer of a FederatedService. The rest of the status is the conductor's.
func (c *Controller) tellService(ctx context.Context, k types.NamespacedName, told *front.Told) error {
	f, ok := c.federated.store.Value(k.Namespace, k.Name)
	if !ok || f.Told.Same(told) {
		delete(c.pruned, k)
		return nil
	}
	if last, ok := c.pruned[k]; ok && last.Same(told) {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": f.version},
		"status":   map[string]any{"loadBalancer": whole(told)},
	})
	if err != nil {
		return err
	}
	obj, err := c.federated.in(k.Namespace).Patch(ctx, k.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager}, "status")
	if err != nil {
		return err
	}
	c.federated.store.Merge(obj)
	if kept, ok := c.federated.store.Value(k.Namespace, k.Name); ok && !kept.Told.Same(told) {
		c.pruned[k] = told
	}
	c.event(f, told)
	return nil
}

// whole has null for what is not told: a merge would keep what was told before.
func whole(t *front.Told) any {
	if t == nil {
		return nil
	}
	out := map[string]any{"reason": t.Reason, "address": nil, "ingress": nil, "message": nil}
	if t.Address != "" {
		out["address"], out["ingress"] = t.Address, t.Ingress
	}
	if t.Message != "" {
		out["message"] = t.Message
	}
	return out
}

// event says once what a FederatedService got, or why it got nothing.
func (c *Controller) event(f federatedService, told *front.Told) {
	if told == nil || f.Told != nil && f.Told.Reason == told.Reason && f.Told.Address == told.Address {
		return
	}
	about := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: f.Name, UID: f.uid, ResourceVersion: f.version}}
	about.SetGroupVersionKind(c.fedKind.GVK())
	if told.Reason == front.Balanced {
		c.opts.Tell(about, corev1.EventTypeNormal, string(told.Reason), "the load balancers answer for it at "+told.Address)
		return
	}
	c.opts.Tell(about, corev1.EventTypeWarning, string(told.Reason), told.Message)
}
