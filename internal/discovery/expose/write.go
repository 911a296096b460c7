package expose

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan/exposure"
)

// FieldManager owns the fields that are written here.
const FieldManager = fedv1.FieldManager + "-expose"

// export carries out what was decided on the FederatedServiceExport.
func (c *Controller) export(ctx context.Context, w exposure.World, s exposure.Step) error {
	t, _ := c.typeOf(ctx, fedv1.ServiceExportsTypeName)
	return c.carry(ctx, w.Service, w.Export, s, place{c.host.Resource(resourceOf(t)).Namespace(w.Service.Namespace), kindOf(t)}, func(o *unstructured.Unstructured) {
		exposure.Pass(o, w.Service.Passed)
		spec := map[string]any{}
		if w.Service.Placement != nil {
			spec["placement"] = w.Service.Placement
		}
		set(o, spec, "placement")
	})
}

// record carries out what was decided on the ServiceDNSRecord.
func (c *Controller) record(ctx context.Context, w exposure.World, s exposure.Step) error {
	at := place{c.host.Resource(recordResource).Namespace(w.Service.Namespace), recordResource.GroupVersion().WithKind("ServiceDNSRecord")}
	return c.carry(ctx, w.Service, w.Record, s, at, func(o *unstructured.Unstructured) {
		set(o, map[string]any{"domainRef": s.Domain}, "domainRef")
	})
}

// place is where objects of one kind in one namespace are written.
type place struct {
	dynamic.ResourceInterface
	kind schema.GroupVersionKind
}

// carry makes a step true: at most one object is created, changed or deleted, and only if it still is the one that was decided on.
func (c *Controller) carry(ctx context.Context, s exposure.Service, n exposure.Neighbour, step exposure.Step, at place, fill func(*unstructured.Unstructured)) error {
	switch {
	case step.Verdict == exposure.Put && n.UID == "":
		return c.create(ctx, s, at, fill)
	case step.Verdict == exposure.Put:
		return change(ctx, s, n, at, fill)
	case step.Verdict == exposure.Remove:
		return remove(ctx, s, n, at)
	default:
		return nil
	}
}

func (c *Controller) create(ctx context.Context, s exposure.Service, at place, fill func(*unstructured.Unstructured)) error {
	t, _ := c.typeOf(ctx, fedv1.ServicesTypeName)
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(at.kind)
	o.SetNamespace(s.Namespace)
	o.SetName(s.Name)
	o.SetOwnerReferences([]metav1.OwnerReference{ownedBy(s, kindOf(t))})
	fill(o)
	if _, err := at.Create(ctx, o, metav1.CreateOptions{FieldManager: FieldManager}); err != nil {
		return wrap("create", at, s, err)
	}
	return nil
}

// change keeps what users have added to the object.
func change(ctx context.Context, s exposure.Service, n exposure.Neighbour, at place, fill func(*unstructured.Unstructured)) error {
	o, err := live(ctx, s, n, at)
	if err != nil || o == nil {
		return err
	}
	fill(o)
	if _, err := at.Update(ctx, o, metav1.UpdateOptions{FieldManager: FieldManager}); err != nil {
		return wrap("change", at, s, err)
	}
	return nil
}

// remove deletes the object. What was passed on from the service must not keep the copies: it is about the service's own deletion.
func remove(ctx context.Context, s exposure.Service, n exposure.Neighbour, at place) error {
	o, err := live(ctx, s, n, at)
	if err != nil || o == nil {
		return err
	}
	if len(exposure.PassedOf(o)) > 0 {
		exposure.Pass(o, nil)
		if o, err = at.Update(ctx, o, metav1.UpdateOptions{FieldManager: FieldManager}); err != nil {
			return wrap("change", at, s, err)
		}
	}
	uid, version := o.GetUID(), o.GetResourceVersion()
	err = at.Delete(ctx, s.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
	if err != nil && !apierrors.IsNotFound(err) {
		return wrap("delete", at, s, err)
	}
	return nil
}

// live reads the object; nil if it is not any more what was decided on, of which the watch will tell.
func live(ctx context.Context, s exposure.Service, n exposure.Neighbour, at place) (*unstructured.Unstructured, error) {
	o, err := at.Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, wrap("read", at, s, err)
	case !is(o, n, s.UID):
		return nil, nil
	}
	return o, nil
}

func wrap(act string, at place, s exposure.Service, err error) error {
	return fmt.Errorf("%s %s %s/%s: %w", act, at.kind.Kind, s.Namespace, s.Name, err)
}

// set gives a field of spec the value that it has in another spec, or none.
func set(o *unstructured.Unstructured, spec map[string]any, field string) {
	now, _, _ := unstructured.NestedMap(o.Object, "spec")
	if now == nil {
		now = map[string]any{}
	}
	if delete(now, field); spec[field] != nil {
		now[field] = spec[field]
	}
	o.Object["spec"] = runtime.DeepCopyJSON(now)
}
