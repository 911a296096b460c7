package members

import (
	"context"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	networkingv1client "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/rest"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
	mcsv1client "sigs.k8s.io/mcs-api/pkg/client/clientset/versioned/typed/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/observe"
)

// holdings are what a member holds, as its watches have told since they were begun.
type holdings struct {
	gates      Gates
	exports    *observe.Store[*mcsv1.ServiceExport]
	imports    *observe.Store[*mcsv1.ServiceImport]
	services   *observe.Store[*corev1.Service]
	slices     *observe.Store[slice]
	namespaces *observe.Store[bool]
	ingresses  *observe.Store[*networkingv1.Ingress]
	nodes      *observe.Store[[]string]
	byService  index
}

// listeners are told of changes.
type listeners struct {
	service   func(types.NamespacedName)
	namespace func(string)
	nodes     func()
	// moved is called when what is known may be all there is, or may not be any more.
	moved func()
}

func newHoldings(gates Gates, to listeners) *holdings {
	h := &holdings{gates: gates}
	named := func(namespace, name string, _ bool) {
		to.service(types.NamespacedName{Namespace: namespace, Name: name})
	}
	h.exports = observe.New(exportOf, named, to.moved)
	h.imports = observe.New(importOf, named, to.moved)
	h.ingresses = observe.New(ingressOf, named, to.moved)
	h.services = observe.New(serviceOf, func(namespace, name string, existence bool) {
		to.service(types.NamespacedName{Namespace: namespace, Name: name})
		h.derivedChanged(namespace, name, to.service)
	}, to.moved)
	h.slices = observe.New(sliceOf, func(namespace, name string, _ bool) { h.sliceChanged(namespace, name, to.service) }, to.moved)
	h.namespaces = observe.New(stays, func(_, name string, _ bool) { to.namespace(name) }, to.moved)
	h.nodes = observe.New(addressesOf, func(string, string, bool) { to.nodes() }, to.moved)
	return h
}

// derivedChanged tells of the service behind which a Service of discovery's stands.
func (h *holdings) derivedChanged(namespace, name string, tell func(types.NamespacedName)) {
	var of types.NamespacedName
	if s, ok := h.services.Value(namespace, name); ok && s.Labels[fedv1.ControlPlaneLabel] != "" {
		of = types.NamespacedName{Namespace: namespace, Name: s.Labels[mcsv1.LabelServiceName]}
	}
	for _, k := range h.byService.move("service/"+name, namespace, of) {
		tell(k)
	}
}

func (h *holdings) sliceChanged(namespace, name string, tell func(types.NamespacedName)) {
	s, _ := h.slices.Value(namespace, name)
	for _, k := range h.byService.move(name, namespace, s.service) {
		tell(k)
	}
}

// seen says that all lists have been read.
func (h *holdings) seen() bool {
	if h.gates.Ingresses && !h.ingresses.State().Synced {
		return false
	}
	if !h.gates.Services {
		return true
	}
	return h.services.State().Synced && h.slices.State().Synced && h.namespaces.State().Synced &&
		absentOrSynced(h.exports.State(), h.exports.Len()) && absentOrSynced(h.imports.State(), h.imports.Len())
}

// denied is the first list that the member refuses; nil if there is none.
func (h *holdings) denied() error {
	for _, s := range []observe.State{h.services.State(), h.slices.State(), h.namespaces.State(), h.exports.State(), h.imports.State(), h.ingresses.State()} {
		if !s.Synced && s.Err != nil && apierrors.IsForbidden(s.Err) {
			return s.Err
		}
	}
	return nil
}

// absentOrSynced: where a type is not served there is nothing of it, unless there was before.
func absentOrSynced(s observe.State, n int) bool {
	return s.Synced || n == 0 && s.Err != nil && apierrors.IsNotFound(s.Err)
}

// served says that the member has the types of multi-cluster services, as far as is known.
func (h *holdings) served() bool {
	return h.exports.State().Synced && h.imports.State().Synced
}

// source is what the member holds under the service's name.
func (h *holdings) source(cluster string, key types.NamespacedName) plan.Source {
	out := plan.Source{Cluster: cluster}
	out.Namespace, _ = h.namespaces.Value("", key.Namespace)
	out.Export, _ = h.exports.Value(key.Namespace, key.Name)
	out.Service, _ = h.services.Value(key.Namespace, key.Name)
	out.Ingress, _ = h.ingresses.Value(key.Namespace, key.Name)
	for _, name := range h.byService.of(key) {
		if s, ok := h.slices.Value(key.Namespace, name); ok && s.own != nil {
			out.Slices = append(out.Slices, s.own)
		}
	}
	return out
}

// held is what discovery has written for the service.
func (h *holdings) held(key types.NamespacedName) plan.Held {
	var out plan.Held
	out.Import, _ = h.imports.Value(key.Namespace, key.Name)
	out.Derived, _ = h.services.Value(key.Namespace, plan.DerivedName(key))
	for _, name := range h.byService.of(key) {
		if s, ok := h.slices.Value(key.Namespace, name); ok && s.own == nil {
			out.Slices = append(out.Slices, s.written)
		}
	}
	return out
}

// keys calls f with every service that is exported, or for which discovery has written something; all means every service there is.
func (h *holdings) keys(all bool, f func(types.NamespacedName)) {
	visit := func(namespace, name string) { f(types.NamespacedName{Namespace: namespace, Name: name}) }
	h.exports.Names("", visit)
	for _, i := range h.imports.Values() {
		if all || i.Labels[fedv1.ControlPlaneLabel] != "" {
			visit(i.Namespace, i.Name)
		}
	}
	for _, s := range h.services.Values() {
		if s.Labels[fedv1.ControlPlaneLabel] != "" {
			visit(s.Namespace, s.Labels[mcsv1.LabelServiceName])
		} else if all {
			visit(s.Namespace, s.Name)
		}
	}
	for _, s := range h.slices.Values() {
		if s.own == nil {
			f(s.service)
		}
	}
	if all {
		h.ingresses.Names("", visit)
	}
}

// concerns says whether the service is exported, or discovery has written something for it.
func (h *holdings) concerns(key types.NamespacedName) bool {
	if _, ok := h.exports.Value(key.Namespace, key.Name); ok {
		return true
	}
	if i, ok := h.imports.Value(key.Namespace, key.Name); ok && i.Labels[fedv1.ControlPlaneLabel] != "" {
		return true
	}
	held := h.held(key)
	return held.Derived != nil || len(held.Slices) > 0
}

// learn takes an object as a write has left it.
func (h *holdings) learn(o metav1.Object) {
	switch o.(type) {
	case *mcsv1.ServiceExport:
		h.exports.Merge(o)
	case *mcsv1.ServiceImport:
		h.imports.Merge(o)
	case *corev1.Service:
		h.services.Merge(o)
	case *discoveryv1.EndpointSlice:
		h.slices.Merge(o)
	}
}

// lost takes that an object was deleted. One that a finalizer keeps is told by the watch.
func (h *holdings) lost(o metav1.Object) {
	switch o.(type) {
	case *mcsv1.ServiceImport:
		h.imports.Lost(o.GetNamespace(), o.GetName(), func(i *mcsv1.ServiceImport) bool { return i.UID == o.GetUID() })
	case *corev1.Service:
		h.services.Lost(o.GetNamespace(), o.GetName(), func(s *corev1.Service) bool { return s.UID == o.GetUID() })
	case *discoveryv1.EndpointSlice:
		h.slices.Lost(o.GetNamespace(), o.GetName(), func(s slice) bool { return s.own == nil && s.written.UID == o.GetUID() })
	}
}

// run begins the watches. They end with the context. ready is closed when the types of multi-cluster services may be watched.
func (h *holdings) run(ctx context.Context, member, namespace string, config *rest.Config, ready <-chan struct{}) error {
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	if h.gates.Ingresses {
		if err := h.runIngresses(ctx, member, namespace, config, hc); err != nil {
			return err
		}
	}
	if !h.gates.Services {
		return nil
	}
	if err := h.runServices(ctx, member, namespace, config, hc); err != nil {
		return err
	}
	return h.runExports(ctx, member, namespace, config, hc, ready)
}

func (h *holdings) runIngresses(ctx context.Context, member, namespace string, config *rest.Config, hc *http.Client) error {
	networking, err := networkingv1client.NewForConfigAndClient(compact(config), hc)
	if err != nil {
		return err
	}
	ingresses := networking.Ingresses(namespace)
	go h.ingresses.Run(ctx, "ingresses in "+member, &networkingv1.Ingress{}, lister(ingresses.List, ingresses.Watch))
	return nil
}

func (h *holdings) runServices(ctx context.Context, member, namespace string, config *rest.Config, hc *http.Client) error {
	core, err := corev1client.NewForConfigAndClient(compact(config), hc)
	if err != nil {
		return err
	}
	discovery, err := discoveryv1client.NewForConfigAndClient(compact(config), hc)
	if err != nil {
		return err
	}
	services, slices, namespaces := core.Services(namespace), discovery.EndpointSlices(namespace), lister(core.Namespaces().List, core.Namespaces().Watch)
	if namespace != "" {
		namespaces = only(namespace, namespaces)
	}
	go h.services.Run(ctx, "services in "+member, &corev1.Service{}, lister(services.List, services.Watch))
	go h.slices.Run(ctx, "endpointslices in "+member, &discoveryv1.EndpointSlice{}, lister(slices.List, slices.Watch))
	go h.namespaces.Run(ctx, "namespaces in "+member, &corev1.Namespace{}, namespaces)
	return nil
}

// runNodes begins to watch the nodes, of which only the addresses are wanted.
func (h *holdings) runNodes(ctx context.Context, member string, config *rest.Config) error {
	core, err := corev1client.NewForConfig(compact(config))
	if err != nil {
		return err
	}
	go h.nodes.Run(ctx, "nodes in "+member, &corev1.Node{}, lister(core.Nodes().List, core.Nodes().Watch))
	return nil
}

func (h *holdings) runExports(ctx context.Context, member, namespace string, config *rest.Config, hc *http.Client, ready <-chan struct{}) error {
	mcs, err := mcsv1client.NewForConfigAndClient(config, hc)
	if err != nil {
		return err
	}
	exports, imports := mcs.ServiceExports(namespace), mcs.ServiceImports(namespace)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-ready:
		}
		go h.exports.Run(ctx, "serviceexports in "+member, &mcsv1.ServiceExport{}, lister(exports.List, exports.Watch))
		h.imports.Run(ctx, "serviceimports in "+member, &mcsv1.ServiceImport{}, lister(imports.List, imports.Watch))
	}()
	return nil
}

// compact asks for Kubernetes' own types in their binary form.
func compact(config *rest.Config) *rest.Config {
	out := rest.CopyConfig(config)
	out.ContentType = runtime.ContentTypeProtobuf
	out.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return out
}

func lister[L runtime.Object](list func(context.Context, metav1.ListOptions) (L, error), watches func(context.Context, metav1.ListOptions) (watch.Interface, error)) observe.Lister {
	return observe.Lister{
		List:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return list(ctx, o) },
		Watch: watches,
	}
}

// only restricts a lister to one object.
func only(name string, l observe.Lister) observe.Lister {
	field := "metadata.name=" + name
	return observe.Lister{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = field
			return l.List(ctx, o)
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = field
			return l.Watch(ctx, o)
		},
	}
}

// index finds the objects of a service whose names are not its own.
type index struct {
	mu      sync.Mutex
	service map[types.NamespacedName]types.NamespacedName
	objects map[types.NamespacedName]map[string]bool
}

// move notes which service an object is of now, none if it is gone, and returns the services that this concerns.
func (x *index) move(name, namespace string, to types.NamespacedName) []types.NamespacedName {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.service == nil {
		x.service, x.objects = map[types.NamespacedName]types.NamespacedName{}, map[types.NamespacedName]map[string]bool{}
	}
	object := types.NamespacedName{Namespace: namespace, Name: name}
	from, known := x.service[object]
	var concerned []types.NamespacedName
	if known {
		concerned = append(concerned, from)
	}
	if known && from != to {
		delete(x.service, object)
		if delete(x.objects[from], name); len(x.objects[from]) == 0 {
			delete(x.objects, from)
		}
	}
	if to.Name == "" || known && from == to {
		return concerned
	}
	x.service[object] = to
	if x.objects[to] == nil {
		x.objects[to] = map[string]bool{}
	}
	x.objects[to][name] = true
	return append(concerned, to)
}

// of returns the names of the objects of a service, sorted.
func (x *index) of(service types.NamespacedName) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return sortedKeys(x.objects[service])
}
