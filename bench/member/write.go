package member

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// fields manage the fields of a type as an API server does that has no schema of it.
var fields = func() map[schema.GroupVersionResource]*managedfields.FieldManager {
	out := map[schema.GroupVersionResource]*managedfields.FieldManager{}
	for gvr, r := range served {
		m, err := managedfields.NewDefaultCRDFieldManager(managedfields.NewDeducedTypeConverter(), plain{}, plain{}, plain{}, r.gvk(), r.GroupVersion(), "", nil)
		if err != nil {
			panic(err) // the table is wrong
		}
		out[gvr] = m
	}
	return out
}()

// plain converts, defaults and makes objects that have one version and no defaults.
type plain struct{}

func (plain) Convert(_, _, _ any) error { return fmt.Errorf("there is one version only") }

func (plain) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (plain) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (plain) Default(runtime.Object) {}

func (plain) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	return o, nil
}

// write is one that a client asks for.
type write struct {
	resource
	types.NamespacedName
	manager string
	force   bool
}

func (w write) conflict(format string, args ...any) error {
	return apierrors.NewConflict(w.GroupResource(), w.Name, fmt.Errorf(format, args...))
}

// create stores a new object.
func (c *cluster) create(w write, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if c.get(w.resource, w.NamespacedName) != nil {
		return nil, apierrors.NewAlreadyExists(w.GroupResource(), w.Name)
	}
	empty, _ := plain{}.New(w.gvk())
	return c.store(w, nil, fields[w.GroupVersionResource].UpdateNoErrors(empty, o, w.manager).(*unstructured.Unstructured))
}

// apply is a server-side apply.
func (c *cluster) apply(w write, body []byte) (*unstructured.Unstructured, error) {
	wanted := &unstructured.Unstructured{}
	if err := wanted.UnmarshalJSON(body); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	old := c.get(w.resource, w.NamespacedName)
	if err := w.precondition(old, wanted); err != nil {
		return nil, err
	}
	live, _ := plain{}.New(w.gvk())
	if old != nil {
		live = old.DeepCopy()
	}
	wanted.SetResourceVersion("")
	wanted.SetUID("")
	now, err := fields[w.GroupVersionResource].Apply(live, wanted, w.manager, w.force)
	if err != nil {
		return nil, err
	}
	o := now.(*unstructured.Unstructured) //nolint:forcetypeassert // plain makes nothing else
	o.SetName(w.Name)
	o.SetNamespace(w.Namespace)
	return c.store(w, old, o)
}

// precondition compares what a write says of the object that it means with the object that is there; nil for none.
func (w write) precondition(old, wanted *unstructured.Unstructured) error {
	uid, version := wanted.GetUID(), wanted.GetResourceVersion()
	switch {
	case old == nil && uid != "":
		return w.conflict("the UID in the precondition is %s, and there is no such object", uid)
	case old == nil:
		return nil
	case uid != "" && uid != old.GetUID():
		return w.conflict("the UID in the precondition is %s, that of the object %s", uid, old.GetUID())
	case version != "" && version != old.GetResourceVersion():
		return w.conflict("the object has been modified")
	default:
		return nil
	}
}

// merge is a merge patch.
func (c *cluster) merge(w write, body []byte) (*unstructured.Unstructured, error) {
	old := c.get(w.resource, w.NamespacedName)
	if old == nil {
		return nil, apierrors.NewNotFound(w.GroupResource(), w.Name)
	}
	before, err := old.MarshalJSON()
	if err != nil {
		return nil, err
	}
	after, err := jsonpatch.MergePatch(before, body)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return c.replace(w, old, after)
}

// replace is an update, or what a patch comes to.
func (c *cluster) replace(w write, old *unstructured.Unstructured, body []byte) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err := w.precondition(old, o); err != nil {
		return nil, err
	}
	return c.store(w, old, fields[w.GroupVersionResource].UpdateNoErrors(old.DeepCopy(), o, w.manager).(*unstructured.Unstructured))
}

// store keeps an object that is valid and differs from what was there.
func (c *cluster) store(w write, old, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := c.valid(w, o); err != nil {
		return nil, err
	}
	o.SetGroupVersionKind(w.gvk())
	if old == nil {
		o.SetUID(uuid.NewUUID())
		o.SetCreationTimestamp(metav1.Now())
	} else {
		o.SetUID(old.GetUID())
		o.SetCreationTimestamp(old.GetCreationTimestamp())
		o.SetDeletionTimestamp(old.GetDeletionTimestamp())
		o.SetResourceVersion(old.GetResourceVersion())
		if same(old, o) {
			return old, nil
		}
	}
	if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 {
		c.put(w.resource, old, nil)
		return o, nil
	}
	c.put(w.resource, old, o)
	return o, nil
}

// same says that two objects differ in nothing but the times of their managed fields.
func same(a, b *unstructured.Unstructured) bool {
	timeless := func(o *unstructured.Unstructured) map[string]any {
		o = o.DeepCopy()
		entries := o.GetManagedFields()
		for n := range entries {
			entries[n].Time = nil
		}
		o.SetManagedFields(entries)
		return o.Object
	}
	return reflect.DeepEqual(timeless(a), timeless(b))
}

func (c *cluster) valid(w write, o *unstructured.Unstructured) error {
	if w.namespaced && c.get(served[namespacesOf], types.NamespacedName{Name: w.Namespace}) == nil {
		return apierrors.NewNotFound(namespacesOf.GroupResource(), w.Namespace)
	}
	if w.kind != "ConfigMap" {
		return nil
	}
	data, _, err := unstructured.NestedMap(o.Object, "data")
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	var bad field.ErrorList
	for key := range data {
		for _, message := range validation.IsConfigMapKey(key) {
			bad = append(bad, field.Invalid(field.NewPath("data").Key(key), key, message))
		}
	}
	if len(bad) > 0 {
		return apierrors.NewInvalid(w.gvk().GroupKind(), w.Name, bad)
	}
	return nil
}

// remove deletes an object. It returns the object if a finalizer keeps it.
func (c *cluster) remove(w write, body []byte) (*unstructured.Unstructured, error) {
	var options metav1.DeleteOptions
	if len(body) > 0 {
		if err := json.Unmarshal(body, &options); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	policies := []metav1.DeletionPropagation{metav1.DeletePropagationOrphan, metav1.DeletePropagationBackground, metav1.DeletePropagationForeground}
	if p := options.PropagationPolicy; p != nil && !slices.Contains(policies, *p) {
		return nil, apierrors.NewInvalid(w.gvk().GroupKind(), w.Name, field.ErrorList{field.NotSupported(field.NewPath("propagationPolicy"), *p, policies)})
	}
	old := c.get(w.resource, w.NamespacedName)
	if old == nil {
		return nil, apierrors.NewNotFound(w.GroupResource(), w.Name)
	}
	if p := options.Preconditions; p != nil {
		if p.UID != nil && *p.UID != old.GetUID() || p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
			return nil, w.conflict("the precondition does not hold")
		}
	}
	if len(old.GetFinalizers()) > 0 {
		now := old.DeepCopy()
		if now.GetDeletionTimestamp() == nil {
			now.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
			c.put(w.resource, old, now)
		}
		return now, nil
	}
	if w.GroupVersionResource == namespacesOf {
		c.empty(w.Name)
	}
	c.put(w.resource, old, nil)
	return nil, nil //nolint:nilnil // it is gone
}

// empty removes all that a namespace holds, at once.
func (c *cluster) empty(namespace string) {
	for _, r := range served {
		all, _ := c.list(r, namespace, func(*unstructured.Unstructured) bool { return r.namespaced })
		for _, o := range all {
			c.put(r, o, nil)
		}
	}
}
