package gateway

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/plan/front"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/observe"
)

// gatewayAPI is the version of the Gateway API that is read.
var gatewayAPI = schema.GroupVersion{Group: gwv1.GroupName, Version: "v1"}

// source is one kind of object of the host that is watched, or may come to be.
type source[T any] struct {
	resource schema.GroupVersionResource
	kind     string
	store    *observe.Store[T]
	host     dynamic.Interface
	// namespace restricts the watch; empty means all.
	namespace string
	stop      context.CancelFunc
}

func (s *source[T]) in(namespace string) dynamic.ResourceInterface {
	return s.host.Resource(s.resource).Namespace(namespace)
}

// watched is a source of any kind.
type watched interface {
	start(ctx context.Context)
	end()
	synced() bool
}

// start begins the watch, if it has not begun.
func (s *source[T]) start(ctx context.Context) {
	if s.stop != nil {
		return
	}
	ctx, s.stop = context.WithCancel(ctx)
	from := s.in(s.namespace)
	go s.store.Run(ctx, s.resource.Resource, &unstructured.Unstructured{}, observe.Lister{
		List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return from.List(ctx, o) },
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return from.Watch(ctx, o) },
	})
}

// end ends it, and forgets: the host does not serve the kind, so there is nothing of it.
func (s *source[T]) end() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
		s.store.Forget()
	}
}

// synced says that all there is has been read.
func (s *source[T]) synced() bool { return s.stop == nil || s.store.State().Synced }

// federatedService is one with what a write needs.
type federatedService struct {
	front.Federated
	uid     types.UID
	version string
}

// sources are all that is watched on the host.
type sources struct {
	classes    *source[*gwv1.GatewayClass]
	gateways   *source[*gwv1.Gateway]
	https      *source[*gwv1.HTTPRoute]
	tcps       *source[*gwv1.TCPRoute]
	grants     *source[*gwv1.ReferenceGrant]
	namespaces *source[labels.Set]
	pools      *source[*discv1.AddressPool]
	// federated is nil while FederatedServices are not known to be a type, or are none.
	federated *source[federatedService]
	// fedKind is what FederatedServices are.
	fedKind intent.Resource
	// looked says that the host has told which kinds it serves.
	looked bool
}

func (c *Controller) newSources(ctx context.Context) *sources {
	s := &sources{
		classes:  newSource(c, gatewayAPI.WithResource("gatewayclasses"), "GatewayClass", "", read[gwv1.GatewayClass]),
		gateways: newSource(c, gatewayAPI.WithResource("gateways"), "Gateway", "", read[gwv1.Gateway]),
		https:    newSource(c, gatewayAPI.WithResource("httproutes"), "HTTPRoute", "", read[gwv1.HTTPRoute]),
		tcps:     newSource(c, gatewayAPI.WithResource("tcproutes"), "TCPRoute", "", read[gwv1.TCPRoute]),
		grants:   newSource(c, gatewayAPI.WithResource("referencegrants"), "ReferenceGrant", "", read[gwv1.ReferenceGrant]),
		namespaces: newSource(c, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "Namespace", "", func(u *unstructured.Unstructured) labels.Set {
			return u.GetLabels()
		}),
		pools: newSource(c, discv1.AddressPools, "AddressPool", c.opts.Namespace, read[discv1.AddressPool]),
	}
	s.pools.start(ctx)
	return s
}

func newSource[T any](c *Controller, r schema.GroupVersionResource, kind, namespace string, parse func(*unstructured.Unstructured) T) *source[T] {
	return &source[T]{
		resource: r, kind: kind, host: c.opts.Host, namespace: namespace,
		store: observe.New(func(o metav1.Object) T {
			u := o.(*unstructured.Unstructured) //nolint:forcetypeassert // the dynamic client gives nothing else
			u.SetManagedFields(nil)
			return parse(u)
		}, func(string, string, bool) { c.Wake() }, c.Wake),
	}
}

// read makes an object what its kind says. One that its definition should not have let in is as if it were not there.
func read[T any](u *unstructured.Unstructured) *T {
	out := new(T)
	if runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out) != nil {
		return nil
	}
	return out
}

// look asks the host which kinds it serves. When it does not answer, what is watched stays so.
func (c *Controller) look(ctx context.Context) {
	if err := c.lookForServices(ctx); err != nil {
		c.opts.Log.Error(err, "cannot read what FederatedServices are")
		return
	}
	if c.opts.NamespacedScope {
		c.looked = true
		return
	}
	list, err := c.opts.Served(gatewayAPI.String())
	if err != nil && !apierrors.IsNotFound(err) {
		c.opts.Log.Error(err, "cannot ask the host for the Gateway API")
		return
	}
	served := map[string]bool{}
	if err == nil {
		for _, r := range list.APIResources {
			served[r.Name] = true
		}
	}
	// Without all three, there is nothing to listen to.
	all := served["gatewayclasses"] && served["gateways"] && served["httproutes"]
	for _, s := range []struct {
		watched
		on bool
	}{
		{c.classes, all},
		{c.gateways, all},
		{c.https, all},
		{c.namespaces, all},
		{c.tcps, all && served["tcproutes"]},
		{c.grants, all && served["referencegrants"]},
	} {
		if s.on {
			s.start(ctx)
		} else {
			s.end()
		}
	}
	c.looked = true
}

// lookForServices follows the FederatedTypeConfig of services.
func (c *Controller) lookForServices(ctx context.Context) error {
	var t fedv1.FederatedTypeConfig
	err := c.opts.Cache.Get(ctx, types.NamespacedName{Namespace: c.opts.Namespace, Name: fedv1.ServicesTypeName}, &t)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read FederatedTypeConfig %s: %w", fedv1.ServicesTypeName, err)
	}
	now := intent.Resource{}
	if err == nil {
		now = intent.TypeOf(&t).Federated
	}
	if now == c.fedKind {
		return nil
	}
	if c.federated != nil {
		c.federated.end()
		c.federated = nil
	}
	if c.fedKind = now; err != nil {
		return nil //nolint:nilerr // there is none
	}
	namespace := ""
	if c.opts.NamespacedScope {
		namespace = c.opts.Namespace
	}
	c.federated = newSource(c, now.GroupVersionResource, now.Kind, namespace, func(u *unstructured.Unstructured) federatedService {
		return federatedService{Federated: front.FederatedOf(u), uid: u.GetUID(), version: u.GetResourceVersion()}
	})
	c.federated.start(ctx)
	return nil
}

// synced says that all there is has been read. AddressPools that the host does not serve are none.
func (s *sources) synced() bool {
	pools := s.pools.synced() || apierrors.IsNotFound(s.pools.store.State().Err)
	return s.looked && pools && s.classes.synced() && s.gateways.synced() && s.https.synced() && s.tcps.synced() && s.grants.synced() &&
		s.namespaces.synced() && (s.federated == nil || s.federated.synced())
}

// world is what is known of the host.
func (s *sources) world(home string) front.World {
	w := front.World{
		Home: home, Namespaces: map[string]labels.Set{},
		Classes: values(s.classes), Gateways: values(s.gateways), HTTPRoutes: values(s.https), TCPRoutes: values(s.tcps), Grants: values(s.grants), Pools: values(s.pools),
	}
	s.namespaces.store.Names("", func(_, name string) {
		w.Namespaces[name], _ = s.namespaces.store.Value("", name)
	})
	if s.federated != nil {
		for _, f := range s.federated.store.Values() {
			w.Federated = append(w.Federated, f.Federated)
		}
	}
	return w
}

func values[T any](s *source[*T]) []*T {
	return slices.DeleteFunc(s.store.Values(), func(v *T) bool { return v == nil })
}

func byName(a, b types.NamespacedName) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

func inOrder[V any](m map[types.NamespacedName]V) []types.NamespacedName {
	return slices.SortedFunc(maps.Keys(m), byName)
}
