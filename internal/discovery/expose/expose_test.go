package expose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/lab"
)

var clusters = lab.Shared(lab.Options{Audit: true}, "host")

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

const within = 30 * time.Second

// stage is a controller at work on a real host that has all definitions of an installation, and none of its policies: nobody takes the
// finalizers away here.
type stage struct {
	*testing.T
	*Controller
	client    client.Client
	namespace string
	gate      atomic.Bool

	mu     sync.Mutex
	events []string
}

var (
	serviceKind = schema.GroupVersionKind{Group: enable.Group, Version: enable.Version, Kind: "FederatedService"}
	exportKind  = schema.GroupVersionKind{Group: enable.Group, Version: enable.Version, Kind: "FederatedServiceExport"}
	recordKind  = recordResource.GroupVersion().WithKind("ServiceDNSRecord")
	domainKind  = recordResource.GroupVersion().WithKind("Domain")
)

func newStage(t *testing.T) *stage {
	l := clusters(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, fedv1.AddToScheme} {
		must(t, add(scheme))
	}
	c, err := client.New(l.Config("host"), client.Options{Scheme: scheme})
	must(t, err)
	objects, err := config.Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	must(t, err)
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GroupVersionKind().Group == "admissionregistration.k8s.io"
	})
	must(t, install.Installer{Client: c, At: fail.Place{Context: "host"}, Told: func(*unstructured.Unstructured, install.Result) {}}.Install(t.Context(), objects))
	s := &stage{T: t, client: c, namespace: lab.Namespace(t, l.Config("host"), "shop")}
	s.runs(t.Context())
	return s
}

// runs starts a controller that ends with the context.
func (s *stage) runs(ctx context.Context) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](50*time.Millisecond, time.Second))
	config := clusters(s).Config("host")
	config.UserAgent = "expose"
	s.Controller = New(Options{
		Host: dynamic.NewForConfigOrDie(config), Cache: s.client, Namespace: fedv1.DefaultNamespace, Queue: queue, On: s.gate.Load, Tell: s.hear,
	})
	c := s.Controller
	go func() { _ = c.Run(ctx) }()
	go work(ctx, c, queue)
	go func() {
		<-ctx.Done()
		queue.ShutDown()
	}()
}

func work(ctx context.Context, c *Controller, q Queue) {
	for {
		key, end := q.Get()
		if end {
			return
		}
		result, err := c.Reconcile(ctx, key)
		switch {
		case err != nil:
			q.AddRateLimited(key)
		case result.RequeueAfter > 0:
			q.AddAfter(key, result.RequeueAfter)
		}
		q.Done(key)
	}
}

func (s *stage) hear(_ runtime.Object, kind, reason, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, kind+" "+reason+" "+message)
}

// told waits for an event, and forgets all that were heard.
func (s *stage) told(want string) {
	s.Helper()
	lab.Eventually(s, within, "told of "+want, func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.events {
			if strings.HasPrefix(e, want) {
				s.events = nil
				return nil
			}
		}
		return fmt.Errorf("heard %q", s.events)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes an object of YAML without kind and name.
func (s *stage) create(kind schema.GroupVersionKind, namespace, name, body string) {
	s.Helper()
	o := &unstructured.Unstructured{}
	must(s.T, yaml.Unmarshal([]byte(body), &o.Object))
	o.SetGroupVersionKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	must(s.T, s.client.Create(s.Context(), o))
}

func (s *stage) get(ctx context.Context, kind schema.GroupVersionKind, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, o)
	return o, err
}

func (s *stage) patch(kind schema.GroupVersionKind, name, body string) {
	s.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	o.SetNamespace(s.namespace)
	o.SetName(name)
	raw, err := yaml.YAMLToJSON([]byte(body))
	must(s.T, err)
	must(s.T, s.client.Patch(s.Context(), o, client.RawPatch(types.MergePatchType, raw)))
}

// says waits until an object says this, as JSON of its spec and its annotations.
func (s *stage) says(kind schema.GroupVersionKind, name, want string) {
	s.Helper()
	lab.Eventually(s, within, fmt.Sprintf("%s %s says %s", kind.Kind, name, want), func(ctx context.Context) error {
		o, err := s.get(ctx, kind, name)
		if err != nil {
			return err
		}
		spec, err := json.Marshal(o.Object["spec"])
		if err != nil {
			return err
		}
		if got := fmt.Sprintf("%s %v", spec, o.GetAnnotations()); got != want {
			return fmt.Errorf("it says %s", got)
		}
		return nil
	})
}

func (s *stage) gone(kind schema.GroupVersionKind, name string) {
	s.Helper()
	lab.Eventually(s, within, kind.Kind+" "+name+" is gone", func(ctx context.Context) error {
		_, err := s.get(ctx, kind, name)
		if err == nil {
			return errors.New("it is there")
		}
		return client.IgnoreNotFound(err)
	})
}

func (s *stage) absent(kind schema.GroupVersionKind, name string) {
	s.Helper()
	if _, err := s.get(s.Context(), kind, name); !apierrors.IsNotFound(err) {
		s.Errorf("%s %s is there (%v)", kind.Kind, name, err)
	}
}

// turns switches the gate.
func (s *stage) turns(on bool) {
	s.gate.Store(on)
	s.Turned()
}

// enables federates ServiceExports; disables ends it.
func (s *stage) enables() {
	target := enable.Target{APIResource: fedv1.APIResource{Group: "multicluster.x-k8s.io", Version: "v1beta1", Kind: "ServiceExport", PluralName: "serviceexports", Scope: fedv1.ScopeNamespaced}}
	must(s.T, enable.Apply(s.Context(), s.client, enable.Pair{
		CRD: enable.CRD(target, enable.Group, enable.Version), Config: enable.TypeConfig(target, enable.Group, enable.Version, fedv1.DefaultNamespace),
	}, func(client.Object, enable.Result) {}))
	lab.Eventually(s, within, "FederatedServiceExports are served", func(ctx context.Context) error {
		_, err := s.get(ctx, exportKind, "web")
		return client.IgnoreNotFound(err)
	})
	s.Turned()
}

const exposed = `
metadata: {annotations: {discovery.kubefed.io/expose: "clusterset,public"}}
spec: {template: {spec: {ports: [{port: 80}]}}, placement: {clusterSelector: {}}}`

// A service that is exposed has its export and its record, which follow it and go with it; nothing else is touched.
func TestExpose(t *testing.T) {
	s := newStage(t)
	s.create(serviceKind, s.namespace, "web", exposed)
	s.create(serviceKind, s.namespace, "plain", "spec: {placement: {clusterSelector: {}}}")
	s.turns(true)
	s.told("Warning ExportsNotFederated")
	s.enables()
	s.says(exportKind, "web", `{"placement":{"clusterSelector":{}}} map[]`)
	s.told("Warning NoDomain")
	s.create(domainKind, fedv1.DefaultNamespace, "fed", "domain: fed.example.com")
	t.Cleanup(func() { s.removeDomains() })
	s.says(recordKind, "web", `{"domainRef":"fed"} map[]`)
	s.absent(exportKind, "plain")

	s.patch(serviceKind, "web", `{spec: {placement: {clusterSelector: null, clusters: [{name: a}]}}, metadata: {annotations: {kubefed.io/orphan: "true"}}}`)
	s.says(exportKind, "web", `{"placement":{"clusters":[{"name":"a"}]}} map[kubefed.io/orphan:true]`)
	s.patch(recordKind, "web", `{spec: {recordTTL: 30}}`)
	s.create(domainKind, fedv1.DefaultNamespace, "other", "domain: other.example.com")
	s.patch(serviceKind, "web", `{metadata: {annotations: {discovery.kubefed.io/domain: other}}}`)
	s.says(recordKind, "web", `{"domainRef":"other","recordTTL":30} map[]`)

	s.patch(serviceKind, "web", `{metadata: {annotations: {discovery.kubefed.io/expose: clusterset}}}`)
	s.gone(recordKind, "web")
	s.patch(serviceKind, "web", `{metadata: {annotations: {discovery.kubefed.io/expose: null}}}`)
	s.gone(exportKind, "web")

	s.create(exportKind, s.namespace, "plain", "spec: {placement: {clusters: [{name: b}]}}")
	s.patch(serviceKind, "plain", `{metadata: {annotations: {discovery.kubefed.io/expose: clusterset}}}`)
	s.patch(serviceKind, "web", `{metadata: {annotations: {discovery.kubefed.io/expose: balance}}}`)
	s.says(exportKind, "web", `{"placement":{"clusters":[{"name":"a"}]}} map[kubefed.io/orphan:true]`)
	s.says(exportKind, "plain", `{"placement":{"clusters":[{"name":"b"}]}} map[]`)

	s.writesNothing("after a restart with nothing changed", func() {
		ctx, end := context.WithCancel(t.Context())
		s.runs(ctx)
		lab.Eventually(t, within, "everything has been read", func(context.Context) error {
			if !s.services.state().Synced || !s.exports.state().Synced || !s.records.state().Synced || !s.domains.state().Synced || s.queue.Len() > 0 {
				return fmt.Errorf("not yet")
			}
			return nil
		})
		s.create(serviceKind, s.namespace, "last", exposed) // what comes after it has been decided on, so have those before
		s.told("Warning SeveralDomains")
		end()
	})

	s.owned("web")
}

// owned says that the garbage collector takes an export after its service. (It learns of a new kind within half a minute, too long to
// wait for here.)
func (s *stage) owned(name string) {
	s.Helper()
	service, err := s.get(s.Context(), serviceKind, name)
	must(s.T, err)
	export, err := s.get(s.Context(), exportKind, name)
	must(s.T, err)
	if !metav1.IsControlledBy(export, service) {
		s.Errorf("the export is owned by %v", export.GetOwnerReferences())
	}
}

// While the gate is off, nothing is watched and nothing written; what was made stays when it is switched off.
func TestGate(t *testing.T) {
	s := newStage(t)
	s.enables()
	s.create(serviceKind, s.namespace, "web", exposed)
	for _, w := range []bool{s.services.state().Synced, s.exports.state().Synced, s.records.state().Synced, s.domains.state().Synced} {
		if w {
			t.Error("watches the host with its gate off")
		}
	}
	s.absent(exportKind, "web")
	s.turns(true)
	s.says(exportKind, "web", `{"placement":{"clusterSelector":{}}} map[]`)
	s.turns(false)
	lab.Eventually(t, within, "nothing is watched", func(context.Context) error {
		if s.services.state().Synced {
			return fmt.Errorf("services are")
		}
		return nil
	})
	s.patch(serviceKind, "web", `{metadata: {annotations: {discovery.kubefed.io/expose: null}}}`)
	s.says(exportKind, "web", `{"placement":{"clusterSelector":{}}} map[]`)
	s.turns(true)
	s.gone(exportKind, "web")
}

// writesNothing says that no object that is there is written meanwhile.
func (s *stage) writesNothing(when string, do func()) {
	s.Helper()
	writes := func() int {
		return len(clusters(s).Requests(s, "host", func(r lab.Request) bool {
			return r.UserAgent == "expose" && r.Mutates() && r.Namespace == s.namespace && r.Name != "last"
		}))
	}
	before := writes()
	do()
	if after := writes(); after != before {
		s.Errorf("%d writes %s", after-before, when)
	}
}

func object(kind schema.GroupVersionKind, namespace, name string) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	o.SetGroupVersionKind(kind)
	return o
}

func (s *stage) removeDomains() {
	for _, name := range []string{"fed", "other"} {
		must(s.T, client.IgnoreNotFound(s.client.Delete(context.Background(), object(domainKind, fedv1.DefaultNamespace, name))))
	}
}
