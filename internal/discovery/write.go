package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
	mcsv1client "sigs.k8s.io/mcs-api/pkg/client/clientset/versioned/typed/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

var mcsVersion = schema.GroupVersion(mcsv1.GroupVersion)

// FieldManager owns the fields that discovery sets in members.
const FieldManager = "hansa-discovery"

// actDeadline bounds one act: a member that hangs gives its place in the lane back.
const actDeadline = 20 * time.Second

// perform does acts in a member. One that fails keeps none of the others from being done.
func (c *Conductor) perform(member string, key types.NamespacedName, acts []plan.Act) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("write service %v in %s: panic: %v", key, member, p)
			c.panicked(err)
		}
	}()
	ctx, config, err := c.opts.Members.Connection(member)
	if err != nil {
		return nil // it is away: its plan is another by now
	}
	clients, err := c.lane(member).connect(config)
	if err != nil {
		return err
	}
	w := writer{clients: clients, key: key}
	var errs []error
	for _, a := range acts {
		start := time.Now()
		got, err := w.act(ctx, a)
		if ctx.Err() != nil {
			return nil // it is away, or this process ends
		}
		c.metrics.wrote(member, a, err, time.Since(start))
		switch {
		case err != nil:
			c.opts.Log.V(1).Info("an act failed", "cluster", member, "service", key, "act", a.Verb, "error", err.Error())
			errs = append(errs, err)
		case a.Verb == plan.Remove:
			c.opts.Members.Lost(member, got)
		case got != nil:
			c.opts.Members.Learn(member, got)
		}
	}
	return errors.Join(errs...)
}

// clients of one member.
type clients struct {
	core      corev1client.ServicesGetter
	discovery discoveryv1client.EndpointSlicesGetter
	mcs       mcsv1client.MulticlusterV1beta1Interface
}

func newClients(config *rest.Config) (*clients, error) {
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	core, err := corev1client.NewForConfigAndClient(config, hc)
	if err != nil {
		return nil, err
	}
	discovery, err := discoveryv1client.NewForConfigAndClient(config, hc)
	if err != nil {
		return nil, err
	}
	mcs, err := mcsv1client.NewForConfigAndClient(config, hc)
	return &clients{core: core, discovery: discovery, mcs: mcs}, err
}

// writer writes what belongs to one service into one member.
type writer struct {
	*clients
	key types.NamespacedName
}

// act does one act and returns the object as it is then, or, of one that was removed, what was meant.
func (w writer) act(ctx context.Context, a plan.Act) (metav1.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, actDeadline)
	defer cancel()
	switch a.Verb {
	case plan.Remove:
		return w.remove(ctx, a)
	case plan.Demote:
		return w.rank(ctx, a, plan.Demoted)
	case plan.Restore:
		return w.rank(ctx, a, plan.Restored)
	case plan.Tell:
		return w.tell(ctx, a)
	default:
		return w.apply(ctx, a)
	}
}

func (w writer) apply(ctx context.Context, a plan.Act) (metav1.Object, error) {
	switch {
	case a.Import != nil:
		if a.UID == "" {
			// Only here may an object of somebody else be in the way: the name is the user's.
			if there, err := w.imports().Get(ctx, w.key.Name, metav1.GetOptions{}); err == nil {
				return there, nil
			} else if !apierrors.IsNotFound(err) {
				return nil, fmt.Errorf("read ServiceImport %v: %w", w.key, err)
			}
		}
		return applied(ctx, w.imports().Patch, a.Import.DeepCopy(), mcsVersion, mcsv1.ServiceImportKindName, a.UID)
	case a.Derived != nil:
		return applied(ctx, w.core.Services(w.key.Namespace).Patch, a.Derived.DeepCopy(), corev1.SchemeGroupVersion, "Service", a.UID)
	default:
		return applied(ctx, w.slices().Patch, a.Slice.DeepCopy(), discoveryv1.SchemeGroupVersion, "EndpointSlice", a.UID)
	}
}

func (w writer) tell(ctx context.Context, a plan.Act) (metav1.Object, error) {
	if a.Export != nil {
		return applied(ctx, w.mcs.ServiceExports(w.key.Namespace).Patch, a.Export.DeepCopy(), mcsVersion, mcsv1.ServiceExportKindName, a.UID, "status")
	}
	return applied(ctx, w.imports().Patch, a.Import.DeepCopy(), mcsVersion, mcsv1.ServiceImportKindName, a.UID, "status")
}

func (w writer) remove(ctx context.Context, a plan.Act) (metav1.Object, error) {
	o := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &a.UID}}
	var about metav1.Object
	var err error
	switch {
	case a.Import != nil:
		about, err = a.Import, w.imports().Delete(ctx, w.key.Name, o)
	case a.Derived != nil:
		about, err = a.Derived, w.core.Services(w.key.Namespace).Delete(ctx, a.Derived.Name, o)
	default:
		slice := a.Slice.DeepCopy()
		slice.Namespace = w.key.Namespace
		about, err = slice, w.slices().Delete(ctx, a.Slice.Name, o)
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // a conflict: another one of that name is there by now
		return nil, fmt.Errorf("delete %s: %w", about.GetName(), err)
	}
	return about, nil
}

// rank changes the conditions of the endpoints of a slice, whatever they are: those of a cluster that is away are not known here.
func (w writer) rank(ctx context.Context, a plan.Act, as func(discoveryv1.EndpointConditions) discoveryv1.EndpointConditions) (metav1.Object, error) {
	there, err := w.slices().Get(ctx, a.Slice.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read EndpointSlice %s: %w", a.Slice.Name, err)
	}
	if there.UID != a.UID {
		return there, nil
	}
	said := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: there.Namespace, Name: there.Name, Labels: map[string]string{}, OwnerReferences: there.OwnerReferences, ResourceVersion: there.ResourceVersion,
		},
		AddressType: there.AddressType, Ports: there.Ports, Endpoints: there.Endpoints,
	}
	for _, k := range plan.SliceLabels {
		if v, ok := there.Labels[k]; ok {
			said.Labels[k] = v
		}
	}
	for n := range said.Endpoints {
		said.Endpoints[n].Conditions = as(said.Endpoints[n].Conditions)
	}
	return applied(ctx, w.slices().Patch, said, discoveryv1.SchemeGroupVersion, "EndpointSlice", a.UID)
}

func (w writer) imports() mcsv1client.ServiceImportInterface {
	return w.mcs.ServiceImports(w.key.Namespace)
}

func (w writer) slices() discoveryv1client.EndpointSliceInterface {
	return w.discovery.EndpointSlices(w.key.Namespace)
}

// object is what can be applied.
type object interface {
	metav1.Object
	runtime.Object
}

// patch is a typed client's.
type patch[T object] func(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)

// applied is the answer to a server-side apply. If the object is another one than was meant, the server refuses it.
func applied[T object](ctx context.Context, to patch[T], o T, version schema.GroupVersion, kind string, uid types.UID, sub ...string) (metav1.Object, error) {
	name := o.GetName()
	o.SetUID(uid)
	o.GetObjectKind().SetGroupVersionKind(version.WithKind(kind))
	body, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	got, err := to(ctx, name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: FieldManager, Force: new(true)}, sub...)
	if err != nil {
		return nil, fmt.Errorf("apply %s %s/%s: %w", kind, o.GetNamespace(), name, err)
	}
	return got, nil
}

// problemOf puts an error in words for users.
func problemOf(err error) *problem {
	p := &problem{words: apply.Words(err)}
	var status apierrors.APIStatus
	switch {
	case apierrors.IsForbidden(err):
		p.words += ": join the cluster again with kubefedctl join --error-on-existing=false, which grants what multi-cluster services need"
	case apierrors.IsInvalid(err) && errors.As(err, &status) && status.Status().Details != nil:
		for _, cause := range status.Status().Details.Causes {
			p.family = p.family || strings.HasPrefix(cause.Field, "spec.ipFamil")
		}
	}
	return p
}
