package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/convert"
	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/plan"
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

// stage is a controller at work on a real host. What the members hold is set by the test, and what the load balancers are told is kept.
type stage struct {
	*testing.T
	c         *Controller
	client    client.Client
	namespace string
	gate      atomic.Bool
	unsettled atomic.Bool
	reads     atomic.Int32

	mu     sync.Mutex
	model  *balance.Model
	sets   int
	events []string
	holds  map[types.NamespacedName]bool
	wake   func(types.NamespacedName)
}

func newStage(t *testing.T) *stage {
	l := clusters(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, fedv1.AddToScheme} {
		must(t, add(scheme))
	}
	c, err := client.New(l.Config("host"), client.Options{Scheme: scheme})
	must(t, err)
	s := &stage{T: t, client: c, holds: map[types.NamespacedName]bool{}}
	objects, err := config.Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	must(t, err)
	s.install(slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GroupVersionKind().Group == "admissionregistration.k8s.io"
	}))
	s.namespace = lab.Namespace(t, l.Config("host"), "shop")
	host := l.Config("host")
	host.UserAgent = "gateway"
	s.c = New(Options{
		Host: dynamic.NewForConfigOrDie(host), Cache: c, Namespace: fedv1.DefaultNamespace,
		Served: discovery.NewDiscoveryClientForConfigOrDie(host).ServerResourcesForGroupVersion, Services: s, Feed: s, On: s.gate.Load, Tell: s.hear,
		Log: logr.Discard(),
	})
	go func() { _ = s.c.Run(t.Context()) }()
	return s
}

func (s *stage) install(objects []*unstructured.Unstructured) {
	told := func(*unstructured.Unstructured, install.Result) {}
	must(s.T, install.Installer{Client: s.client, At: fail.Place{Context: "host"}, Told: told}.Install(s.Context(), objects))
}

// gatewayAPI installs the definitions of the Gateway API as its module has them.
func (s *stage) gatewayAPI() {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	must(s.T, err)
	for _, plural := range []string{"gatewayclasses", "gateways", "httproutes", "tcproutes", "referencegrants"} {
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard", "gateway.networking.k8s.io_"+plural+".yaml"))
		must(s.T, err)
		objects, err := convert.Decode(data)
		must(s.T, err)
		s.install(objects)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// World implements Services: one cluster holds the service, exported, as a copy of the federation's.
func (s *stage) World(k types.NamespacedName) plan.World {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := plan.World{Service: k, Known: true, Now: time.Now(), Clusters: []plan.Cluster{{Name: "a", ID: "a", Presence: plan.Present, Reach: plan.Flat, Weight: 100}}}
	w.Sources = []plan.Source{{Cluster: "a", Seen: true, Namespace: true}}
	if s.holds[k] {
		at := metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name, Labels: map[string]string{fedv1.ManagedLabel: "true"}}
		w.Sources[0].Export = &mcsv1.ServiceExport{ObjectMeta: at}
		w.Sources[0].Service = &corev1.Service{ObjectMeta: at, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}}}
		w.Sources[0].Slices = []*discoveryv1.EndpointSlice{{
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](8080)}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}},
		}}
	}
	return w
}

// Keys implements Services.
func (s *stage) Keys() (out []types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.holds {
		out = append(out, k)
	}
	return out
}

// Settled implements Services.
func (s *stage) Settled() bool {
	if s.unsettled.Load() {
		s.reads.Add(1)
		return false
	}
	return true
}

// told is how often the load balancers were told something.
func (s *stage) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sets
}

// Watch implements Services.
func (s *stage) Watch(f func(types.NamespacedName)) { s.wake = f }

// Set implements balance.Feed.
func (s *stage) Set(m balance.Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model = &m
	s.sets++
}

func (s *stage) hear(_ runtime.Object, kind, reason, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, kind+" "+reason+": "+message)
}

// hold makes a member hold a service.
func (s *stage) hold(name string) {
	k := types.NamespacedName{Namespace: s.namespace, Name: name}
	s.mu.Lock()
	s.holds[k] = true
	s.mu.Unlock()
	s.wake(k)
}

// apply makes an object of YAML; NS in it is the namespace of the test.
func (s *stage) apply(text string) *unstructured.Unstructured {
	s.Helper()
	o := &unstructured.Unstructured{}
	must(s.T, yaml.Unmarshal([]byte(strings.ReplaceAll(text, "NS", s.namespace)), &o.Object))
	// A kind that was installed a moment ago is not served at once.
	lab.Eventually(s, within, "apply "+o.GetKind(), func(ctx context.Context) error {
		return s.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership)
	})
	s.Cleanup(func() { _ = s.client.Delete(context.Background(), o) })
	return o
}

// says waits until an object says this at a path of its status, as JSON.
func (s *stage) says(o *unstructured.Unstructured, want string, path ...string) {
	s.Helper()
	lab.Eventually(s, within, fmt.Sprintf("%s %s says %s", o.GetKind(), o.GetName(), want), func(ctx context.Context) error {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(o.GroupVersionKind())
		if err := s.client.Get(ctx, client.ObjectKeyFromObject(o), now); err != nil {
			return err
		}
		field, _, _ := unstructured.NestedFieldNoCopy(now.Object, append([]string{"status"}, path...)...)
		text, err := json.Marshal(reasons(field))
		if err == nil && string(text) != want {
			err = fmt.Errorf("it says %s", text)
		}
		return err
	})
}

// reasons shortens conditions to type=status/reason.
func reasons(v any) any {
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		c, _ := item.(map[string]any)
		if c["reason"] == nil {
			return v
		}
		out = append(out, fmt.Sprintf("%v=%v/%v", c["type"], c["status"], c["reason"]))
	}
	if out == nil {
		return v
	}
	return out
}

// listens waits until the load balancers listen to this, as "address:port protocol service,…" for each listener.
func (s *stage) listens(want ...string) {
	s.Helper()
	lab.Eventually(s, within, fmt.Sprint("listens ", want), func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.model == nil {
			return errors.New("there is no model")
		}
		var got []string
		for _, l := range s.model.Listeners {
			line := fmt.Sprintf("%s:%d %s", l.Address, l.Port, l.Protocol)
			for _, r := range l.Routes {
				for _, b := range r.Backends {
					line += " " + b.Name
				}
			}
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("they listen to %q", got)
		}
		return nil
	})
}

const pool = `
apiVersion: discovery.kubefed.io/v1alpha1
kind: AddressPool
metadata: {name: edge, namespace: kube-federation-system}
spec: {addresses: [{ip: 203.0.113.10}], portRange: {first: 30000, last: 30009}}`

// TestOneAddress: a FederatedService gets an address, keeps it, and says so beside what the conductor says.
func TestOneAddress(t *testing.T) {
	s := newStage(t)
	s.unsettled.Store(true)
	s.gate.Store(true)
	s.c.Wake()
	web := s.apply(`
apiVersion: types.kubefed.io/v1beta1
kind: FederatedService
metadata: {name: web, namespace: NS}
spec: {template: {spec: {type: LoadBalancer, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}}}`)
	asked := s.apply(`
apiVersion: types.kubefed.io/v1beta1
kind: FederatedService
metadata: {name: wiki, namespace: NS, annotations: {discovery.kubefed.io/expose: balance}}
spec: {template: {spec: {ports: [{port: 80}]}}}`)
	s.hold("web")

	// Members are still being read: an empty model would take away what works.
	lab.Eventually(s, within, "all is read", func(context.Context) error {
		if s.reads.Load() == 0 {
			return errors.New("nobody has asked whether members are read")
		}
		return nil
	})
	if s.told() > 0 {
		t.Error("load balancers were told of members that are still being read")
	}
	s.unsettled.Store(false)
	s.says(asked, `"NoAddressPool"`, "loadBalancer", "reason")
	s.says(web, "null", "loadBalancer")

	edge := s.apply(pool)
	s.says(web, `"203.0.113.10:80"`, "loadBalancer", "address")
	s.says(web, `"port 53 is UDP, which is not balanced"`, "loadBalancer", "message")
	s.says(asked, `[{"ip":"203.0.113.10","ports":[{"port":30000,"protocol":"TCP","servicePort":80}]}]`, "loadBalancer", "ingress")
	s.says(edge, "2", "inUse")
	s.listens(":80 TCP web", ":30000 TCP") // no cluster has wiki yet
	s.hold("wiki")
	s.listens(":80 TCP web", ":30000 TCP wiki")
	s.mu.Lock()
	if n := len(s.model.Services); n != 2 || s.model.Services[0].Localities[0].Endpoints[0].Address != "10.0.0.1" {
		t.Errorf("services: %+v", s.model.Services)
	}
	if !slices.Contains(s.events, "Normal Balanced: the load balancers answer for it at 203.0.113.10:80") {
		t.Errorf("events: %q", s.events)
	}
	s.mu.Unlock()

	// What the conductor would lose is told again.
	must(t, s.client.Status().Patch(t.Context(), web.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(`[{"op": "add", "path": "/status", "value": {"ready": "1/1"}}]`))))
	s.says(web, `"203.0.113.10:80"`, "loadBalancer", "address")
	s.says(web, `"1/1"`, "ready")

	// What a service does not ask for any more goes, and its port is free. Who has a port keeps it.
	s.apply(`
apiVersion: types.kubefed.io/v1beta1
kind: FederatedService
metadata: {name: web, namespace: NS}
spec: {template: {spec: {type: ClusterIP, ports: [{name: http, port: 80}]}}}`)
	s.says(web, "null", "loadBalancer")
	s.listens(":30000 TCP wiki")
	s.says(asked, `"203.0.113.10:30000"`, "loadBalancer", "address")

	s.quiet()
	must(t, s.client.Delete(t.Context(), edge))
	s.says(asked, `"NoAddressPool"`, "loadBalancer", "reason")
	s.listens()
}

// quiet checks that nothing is written and nobody fed where nothing changes, however often it is looked at: of all that is looked at,
// one new service is told that it cannot be balanced.
func (s *stage) quiet() {
	s.Helper()
	writes := func() int {
		return len(clusters(s).Requests(s.T, "host", func(r lab.Request) bool { return r.UserAgent == "gateway" && r.Mutates() }))
	}
	before, sets := writes(), s.told()
	for range 3 {
		s.wake(types.NamespacedName{Namespace: s.namespace, Name: "web"})
		s.c.Wake()
	}
	udp := s.apply(`
apiVersion: types.kubefed.io/v1beta1
kind: FederatedService
metadata: {name: udp, namespace: NS}
spec: {template: {spec: {type: LoadBalancer, ports: [{port: 53, protocol: UDP}]}}}`)
	s.says(udp, `"NothingToBalance"`, "loadBalancer", "reason")
	lab.Eventually(s, within, "the write is in the log", func(context.Context) error {
		if writes() == before {
			return errors.New("it is not")
		}
		return nil
	})
	if n := writes() - before; n != 1 || s.told() != sets {
		s.Errorf("%d writes for one that was needed; load balancers were told %d times of nothing new", n, s.told()-sets)
	}
}

// TestGateways: the Gateway API comes to the host while the controller runs; Gateways and routes are served and told.
func TestGateways(t *testing.T) {
	s := newStage(t)
	s.gate.Store(true)
	s.c.Wake()
	s.apply(pool)
	s.gatewayAPI()
	class := s.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hansa}
spec: {controllerName: kubefed.io/gateway-controller}`)
	s.says(class, `["Accepted=True/Accepted"]`, "conditions")
	edge := s.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: NS}
spec:
  gatewayClassName: hansa
  listeners: [{name: http, port: 80, protocol: HTTP}, {name: db, port: 5432, protocol: TCP}]`)
	s.says(edge, `["Accepted=True/Accepted","Programmed=True/Programmed"]`, "conditions")
	s.says(edge, `[{"type":"IPAddress","value":"203.0.113.10"}]`, "addresses")
	route := s.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: NS}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{group: multicluster.x-k8s.io, kind: ServiceImport, name: web, port: 80}]}]`)
	tcp := s.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: db, namespace: NS}
spec:
  parentRefs: [{name: edge, sectionName: db}]
  rules: [{backendRefs: [{group: multicluster.x-k8s.io, kind: ServiceImport, name: db, port: 80}]}]`)
	s.parents(route, "Accepted=True/Accepted", "ResolvedRefs=False/BackendNotFound")
	s.hold("web")
	s.hold("db")
	s.parents(route, "Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs")
	s.parents(tcp, "Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs")
	s.listens(":80 HTTP web", ":5432 TCP db")

	must(t, s.client.Delete(t.Context(), tcp))
	s.listens(":80 HTTP web", ":5432 TCP")
	must(t, s.client.Delete(t.Context(), edge))
	s.listens()
	lab.Eventually(s, within, "the route has no parent", func(ctx context.Context) error {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(route.GroupVersionKind())
		err := s.client.Get(ctx, client.ObjectKeyFromObject(route), now)
		if list, _, _ := unstructured.NestedSlice(now.Object, "status", "parents"); len(list) > 0 {
			err = fmt.Errorf("%v", list)
		}
		return err
	})
}

// parents waits until a route is told this by its one parent.
func (s *stage) parents(route *unstructured.Unstructured, want ...string) {
	s.Helper()
	lab.Eventually(s, within, fmt.Sprintf("%s is told %v", route.GetKind(), want), func(ctx context.Context) error {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(route.GroupVersionKind())
		if err := s.client.Get(ctx, client.ObjectKeyFromObject(route), now); err != nil {
			return err
		}
		list, _, _ := unstructured.NestedSlice(now.Object, "status", "parents")
		if len(list) != 1 {
			return fmt.Errorf("%d parents", len(list))
		}
		parent, _ := list[0].(map[string]any)
		if got := fmt.Sprint(reasons(parent["conditions"])); got != fmt.Sprint(want) {
			return fmt.Errorf("it is told %s", got)
		}
		return nil
	})
}
