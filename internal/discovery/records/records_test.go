package records

import (
	"context"
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
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	discoveryv1alpha1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery/members"
	"github.com/hansa-io/hansa/internal/discovery/rfc2136"
	"github.com/hansa-io/hansa/internal/discovery/rfc2136/dnslab"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/meter"
)

var clusters = lab.Shared(lab.Options{}, "host", "m1", "m2")

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

const (
	home = fedv1.DefaultNamespace
	apex = "example.com"
)

// stage is public DNS at work on a real host, two real members and a real DNS server.
type stage struct {
	t         *testing.T
	host      client.Client
	namespace string
	kube      map[string]kubernetes.Interface
	members   *members.Members
	services  *Controller
	server    *dnslab.Server
	registry  *prometheus.Registry
	later     atomic.Int64

	mu       sync.Mutex
	events   []string
	resolved map[string][]string
}

func newStage(t *testing.T, start func(dnslab.T, dnslab.Options) *dnslab.Server) *stage {
	l := clusters(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, fedv1.AddToScheme, dnsv1.AddToScheme, discoveryv1alpha1.AddToScheme} {
		must(t, add(scheme))
	}
	c, err := client.New(l.Config("host"), client.Options{Scheme: scheme})
	must(t, err)
	objects, err := config.Objects(home, fedv1.ScopeCluster)
	must(t, err)
	must(t, install.Installer{Client: c, At: fail.Place{Context: "host"}, Told: func(*unstructured.Unstructured, install.Result) {}}.Install(t.Context(), objects))
	st := &stage{t: t, host: c, namespace: lab.Namespace(t, l.Config("host"), "shop"), kube: map[string]kubernetes.Interface{}, resolved: map[string][]string{}, registry: prometheus.NewRegistry()}
	places := map[string]string{"m1": "eu", "m2": "us"}
	st.members = members.New(t.Context(), members.Options{Log: logr.Discard(), Record: func(name string) *fedv1.KubeFedCluster {
		return &fedv1.KubeFedCluster{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{fedv1.RegionAnnotation: places[name], fedv1.ZonesAnnotation: "1"}}}
	}})
	dyn := dynamic.NewForConfigOrDie(l.Config("host"))
	endpoints := NewEndpoints(dyn, "")
	tell := func(_ runtime.Object, kind, reason, message string) {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.events = append(st.events, kind+" "+reason+" "+message)
	}
	publisher := rfc2136.NewPublisher(rfc2136.Options{
		Host: dyn, Namespace: home, Owner: "hansa", Sources: endpoints.Sources, Tell: tell, Log: logr.Discard(), Metrics: meter.NewSet(st.registry, true),
		Secret: func(ctx context.Context, name string) (map[string][]byte, error) {
			var s corev1.Secret
			err := c.Get(ctx, types.NamespacedName{Namespace: home, Name: name}, &s)
			return s.Data, err
		},
	})
	endpoints.Watch(func(types.NamespacedName) { publisher.Wake() })
	o := Options{Host: dyn, Namespace: home, Members: st.members, Endpoints: endpoints, Zones: publisher.Zones, Lookup: st.lookup, Tell: tell, Log: logr.Discard()}
	st.services = NewServices(o)
	ingresses := NewIngresses(o)
	st.services.now = func() time.Time { return time.Now().Add(time.Duration(st.later.Load())) }
	st.members.Switch(members.Gates{Services: true, Ingresses: true})
	for _, name := range []string{"m1", "m2"} {
		st.kube[name] = kubernetes.NewForConfigOrDie(l.Config(name))
		_, err := st.kube[name].CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: st.namespace}}, metav1.CreateOptions{})
		must(t, err)
		st.present(name, true)
	}
	st.members.Known()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{endpoints.Run, st.services.Run, ingresses.Run, publisher.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		st.explain()
		cancel()
		running.Wait()
	})
	if start != nil {
		st.server = start(t, dnslab.Options{Zones: []string{apex}})
		st.provide(st.server)
	}
	return st
}

// explain says of a test that has failed what was told.
func (st *stage) explain() {
	if !st.t.Failed() {
		return
	}
	var p discoveryv1alpha1.DNSProviderList
	_ = st.host.List(context.Background(), &p) // it explains what it can
	for _, o := range p.Items {
		st.t.Logf("DNSProvider %s: %+v", o.Name, o.Status)
	}
	r := st.record()
	_ = st.host.Get(context.Background(), client.ObjectKeyFromObject(r), r)
	st.t.Logf("ServiceDNSRecord: %+v", r.Status)
	st.t.Logf("events: %q", st.events)
}

// provide makes a DNSProvider for a server, with its Secret.
func (st *stage) provide(s *dnslab.Server) {
	st.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: st.namespace}, Data: map[string][]byte{"secret": []byte(s.Secret)}}
	p := &discoveryv1alpha1.DNSProvider{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: st.namespace}, Spec: discoveryv1alpha1.DNSProviderSpec{
		Server: s.Address, Zone: apex, TSIG: &discoveryv1alpha1.TSIG{KeyName: dnslab.KeyName, SecretRef: discoveryv1alpha1.SecretKeyReference{Name: st.namespace}},
	}}
	d := &dnsv1.Domain{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: st.namespace}, Domain: apex}
	for _, o := range []client.Object{secret, p, d} {
		must(st.t, st.host.Create(st.t.Context(), o))
		st.t.Cleanup(func() { _ = st.host.Delete(context.Background(), o) }) // the lab is shared; the namespace stays
	}
}

// present tells that a member is ready, or has ceased to be.
func (st *stage) present(name string, is bool) {
	reason := cluster.ReasonReady
	if !is {
		reason = cluster.ReasonNotHealthy
	}
	st.members.ClusterChanged(cluster.Member{Name: name, ID: types.UID(name), Ready: is, Reason: reason, Config: clusters(st.t).Config(name)})
}

func (st *stage) lookup(_ context.Context, host string) ([]string, time.Duration, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if a, ok := st.resolved[host]; ok {
		return a, time.Minute, nil
	}
	return nil, 0, errors.New("no answer")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve makes a Service in a member what its load balancer and its endpoints say.
func (st *stage) serve(member string, ready bool, points ...string) {
	st.t.Helper()
	ctx := st.t.Context()
	in := st.kube[member].CoreV1().Services(st.namespace)
	s, err := in.Get(ctx, "web", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
		s, err = in.Create(ctx, s, metav1.CreateOptions{})
	}
	must(st.t, err)
	s.Status.LoadBalancer.Ingress = nil
	for _, p := range points {
		i := corev1.LoadBalancerIngress{IP: p}
		if strings.HasSuffix(p, ".net") {
			i = corev1.LoadBalancerIngress{Hostname: p}
		}
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, i)
	}
	_, err = in.UpdateStatus(ctx, s, metav1.UpdateOptions{})
	must(st.t, err)
	e := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}
	slicesIn := st.kube[member].DiscoveryV1().EndpointSlices(st.namespace)
	if _, err = slicesIn.Create(ctx, e, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
		_, err = slicesIn.Update(ctx, e, metav1.UpdateOptions{})
	}
	must(st.t, err)
}

func (st *stage) record() *dnsv1.ServiceDNSRecord {
	return &dnsv1.ServiceDNSRecord{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "web"}, Spec: dnsv1.ServiceDNSRecordSpec{DomainRef: st.namespace, RecordTTL: 60}}
}

// name is one of the service's names; "" is the global one.
func (st *stage) name(level string) string {
	if level != "" {
		level += "."
	}
	return "web." + st.namespace + "." + st.namespace + ".svc." + level + apex
}

// answers waits until the DNS server says so; no values is a name that is not there.
func (st *stage) answers(level, kind string, values ...string) {
	st.t.Helper()
	lab.Eventually(st.t, 30*time.Second, st.name(level)+" "+kind, func(context.Context) error {
		got, err := st.server.Look(st.name(level), kind)
		if err != nil && strings.HasSuffix(err.Error(), "NXDOMAIN") {
			got, err = nil, nil
		}
		if diff := gocmp.Diff(values, got); err != nil || diff != "" {
			return fmt.Errorf("%w %s", err, diff)
		}
		return nil
	})
}

// holds waits until a DNSEndpoint, of either group, has these lines.
func (st *stage) holds(group, name string, want ...string) {
	st.t.Helper()
	lab.Eventually(st.t, 30*time.Second, group+" "+name, func(ctx context.Context) error {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion(group + "/v1alpha1")
		u.SetKind("DNSEndpoint")
		if err := st.host.Get(ctx, types.NamespacedName{Namespace: st.namespace, Name: name}, u); err != nil {
			return err
		}
		e := parseEndpoint(u)
		var got []string
		for _, p := range e.Spec.Endpoints {
			got = append(got, fmt.Sprintf("%s %d %s %s", strings.ReplaceAll(p.DNSName, st.namespace, "ns"), p.RecordTTL, p.RecordType, strings.ReplaceAll(strings.Join(p.Targets, " "), st.namespace, "ns")))
		}
		if owner := metav1.GetControllerOf(e); owner == nil || owner.Kind != "ServiceDNSRecord" {
			return errors.New("it has no owner")
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// told waits until the record's Ready has a reason, and returns the record.
func (st *stage) told(reason string) *dnsv1.ServiceDNSRecord {
	st.t.Helper()
	r := st.record()
	lab.Eventually(st.t, 30*time.Second, reason, func(ctx context.Context) error {
		if err := st.host.Get(ctx, client.ObjectKeyFromObject(r), r); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(r.Status.Conditions, "Ready"); c == nil || c.Reason != reason || c.ObservedGeneration != r.Generation {
			return fmt.Errorf("%+v", r.Status)
		}
		return nil
	})
	return r
}

// versions are those of all that is written for the record.
func (st *stage) versions() string {
	st.t.Helper()
	var e dnsv1.DNSEndpoint
	must(st.t, st.host.Get(st.t.Context(), types.NamespacedName{Namespace: st.namespace, Name: "service-web"}, &e))
	return st.told("EndpointsWritten").ResourceVersion + " " + e.ResourceVersion
}

// metrics are those that have values, with those of gauges and counters.
func (st *stage) metrics() string {
	st.t.Helper()
	all, err := st.registry.Gather()
	must(st.t, err)
	var out []string
	for _, m := range all {
		out = append(out, m.GetName())
		for _, v := range m.GetMetric() {
			if v.Gauge != nil || v.Counter != nil {
				out = append(out, fmt.Sprint(v.GetGauge().GetValue()+v.GetCounter().GetValue()))
			}
		}
	}
	return strings.Join(out, " ")
}

// A service of two clusters has its names, follows what happens to it in each, and loses them with its record.
func TestServiceNames(t *testing.T) {
	for kind, start := range dnslab.Kinds {
		t.Run(kind, func(t *testing.T) {
			st := newStage(t, start)
			st.serve("m1", true, "192.0.2.1", "2001:db8::1")
			st.serve("m2", true, "192.0.2.2")
			must(t, st.host.Create(t.Context(), st.record()))
			st.answers("", "A", "60 A 192.0.2.1", "60 A 192.0.2.2")
			st.answers("", "AAAA", "60 AAAA 2001:db8::1")
			st.answers("1.us", "A", "60 A 192.0.2.2")
			st.holds("multiclusterdns.kubefed.io", "service-web",
				"web.ns.ns.svc.1.eu.example.com 60 A 192.0.2.1", "web.ns.ns.svc.1.eu.example.com 60 AAAA 2001:db8::1",
				"web.ns.ns.svc.1.us.example.com 60 A 192.0.2.2",
				"web.ns.ns.svc.eu.example.com 60 A 192.0.2.1", "web.ns.ns.svc.eu.example.com 60 AAAA 2001:db8::1",
				"web.ns.ns.svc.example.com 60 A 192.0.2.1 192.0.2.2", "web.ns.ns.svc.example.com 60 AAAA 2001:db8::1",
				"web.ns.ns.svc.us.example.com 60 A 192.0.2.2")
			if r := st.told("EndpointsWritten"); r.Status.Domain != apex || len(r.Status.DNS) != 2 || r.Status.DNS[1].Region != "us" || r.Status.DNS[1].LoadBalancer.Ingress[0].IP != "192.0.2.2" {
				t.Errorf("%+v", r.Status)
			}

			if got := st.metrics(); got != "kubefed_dns_publish_duration_seconds kubefed_dns_records 8 kubefed_dns_refused_names 0 kubefed_panics_total 0" {
				t.Errorf("measured: %s", got)
			}

			begin := time.Now()
			st.serve("m2", true, "192.0.2.3")
			st.answers("", "A", "60 A 192.0.2.1", "60 A 192.0.2.3")
			t.Logf("a new address in a member is answered after %v", time.Since(begin).Round(time.Millisecond))

			st.serve("m2", false, "192.0.2.3")
			st.answers("us", "CNAME", "60 CNAME "+st.name("")+".")
			st.answers("", "A", "60 A 192.0.2.1")
			st.serve("m2", true, "192.0.2.3")
			st.answers("us", "A", "60 A 192.0.2.3")

			// The cluster goes away: for a moment nothing happens, then its names fall back. It comes back.
			st.present("m2", false)
			st.later.Store(int64(time.Hour))
			st.services.wakeAll()
			st.answers("1.us", "CNAME", "60 CNAME "+st.name("us")+".")
			st.answers("", "A", "60 A 192.0.2.1")
			// The last one goes away, too: its addresses stay.
			st.present("m1", false)
			lab.Eventually(t, 30*time.Second, "the status says so", func(ctx context.Context) error {
				r := st.told("EndpointsWritten")
				if r.Status.DNS[0].Reason != "LastKnown" || r.Status.DNS[1].Reason != "ClusterNotReady" {
					return fmt.Errorf("%+v", r.Status.DNS)
				}
				return nil
			})
			st.answers("", "A", "60 A 192.0.2.1")
			st.present("m1", true)
			st.present("m2", true)
			st.answers("", "A", "60 A 192.0.2.1", "60 A 192.0.2.3")

			// What somebody deletes in the host comes back.
			must(t, st.host.Delete(t.Context(), &dnsv1.DNSEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "service-web"}}))
			lab.Eventually(t, 30*time.Second, "written again", func(ctx context.Context) error {
				var e dnsv1.DNSEndpoint
				return st.host.Get(ctx, types.NamespacedName{Namespace: st.namespace, Name: "service-web"}, &e)
			})
			st.answers("", "A", "60 A 192.0.2.1", "60 A 192.0.2.3")

			// Nothing is written where nothing has changed.
			before := st.versions()
			st.serve("m1", true, "192.0.2.1", "2001:db8::1")
			st.services.wakeAll()
			for range 3 {
				_, err := st.services.Reconcile(t.Context(), types.NamespacedName{Namespace: st.namespace, Name: "web"})
				must(t, err)
			}
			if after := st.versions(); after != before {
				t.Errorf("written without need: %s, then %s", before, after)
			}
			must(t, st.host.Delete(t.Context(), st.record()))
			st.answers("", "A")
			st.answers("1.eu", "AAAA")
		})
	}
}

// The names of an ingress, with host names as addresses: an alias where it is alone, else what DNS says, again and again.
func TestIngressNames(t *testing.T) {
	st := newStage(t, dnslab.Bind)
	host := "shop." + st.namespace + "." + apex
	for member, address := range map[string]networkingv1.IngressLoadBalancerIngress{"m1": {Hostname: "lb.one.net"}, "m2": {IP: "192.0.2.9"}} {
		in := st.kube[member].NetworkingV1().Ingresses(st.namespace)
		i := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: networkingv1.IngressSpec{
			DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}}},
		}}
		i, err := in.Create(t.Context(), i, metav1.CreateOptions{})
		must(t, err)
		if member == "m1" {
			i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{address}
			_, err = in.UpdateStatus(t.Context(), i, metav1.UpdateOptions{})
			must(t, err)
		}
	}
	r := &dnsv1.IngressDNSRecord{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "web"}, Spec: dnsv1.IngressDNSRecordSpec{Hosts: []string{host}}}
	must(t, st.host.Create(t.Context(), r))
	want := func(values ...string) {
		t.Helper()
		lab.Eventually(t, 30*time.Second, host, func(context.Context) error {
			got, err := st.server.Look(host, "A")
			if diff := gocmp.Diff(values, got); err != nil || diff != "" {
				return fmt.Errorf("%w %s", err, diff)
			}
			return nil
		})
	}
	want("180 CNAME lb.one.net.")
	st.mu.Lock()
	st.resolved["lb.one.net"] = []string{"192.0.2.8"}
	st.mu.Unlock()
	in := st.kube["m2"].NetworkingV1().Ingresses(st.namespace)
	i, err := in.Get(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.9"}}
	_, err = in.UpdateStatus(t.Context(), i, metav1.UpdateOptions{})
	must(t, err)
	want("180 A 192.0.2.8", "180 A 192.0.2.9")
	st.mu.Lock()
	defer st.mu.Unlock()
	if !slices.ContainsFunc(st.events, func(e string) bool { return strings.HasPrefix(e, "Normal NamesChanged shop.") }) {
		t.Errorf("nothing was told of it: %q", st.events)
	}
}

// Where the host serves ExternalDNS's group, it holds the same; what is somebody else's there is left alone.
func TestExternalDNS(t *testing.T) {
	crds, err := apiextclient.NewForConfig(clusters(t).Config("host"))
	must(t, err)
	_, err = crds.CustomResourceDefinitions().Create(t.Context(), externalCRD(), metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { // the lab is shared
		must(t, crds.CustomResourceDefinitions().Delete(context.Background(), externalCRD().Name, metav1.DeleteOptions{}))
	})
	lab.Eventually(t, 30*time.Second, "the group is served", func(ctx context.Context) error {
		_, err := dynamic.NewForConfigOrDie(clusters(t).Config("host")).Resource(External.WithResource("dnsendpoints")).List(ctx, metav1.ListOptions{})
		return err
	})
	st := newStage(t, dnslab.Knot)
	st.serve("m1", true, "192.0.2.1")
	other := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"endpoints": []any{}}}}
	other.SetAPIVersion(External.String())
	other.SetKind("DNSEndpoint")
	other.SetNamespace(st.namespace)
	other.SetName("service-theirs")
	must(t, st.host.Create(t.Context(), other.DeepCopy()))
	lab.Eventually(t, time.Minute, "the group is watched", func(context.Context) error {
		if !st.services.Endpoints.theirs.State().Synced {
			return errors.New("not yet")
		}
		return nil
	})
	// KubeFed's have no owner: they become the record's.
	kubefeds := &dnsv1.DNSEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "service-web"}, Spec: dnsv1.DNSEndpointSpec{
		Endpoints: []dnsv1.Endpoint{{DNSName: st.name(""), RecordType: "A", Targets: []string{"192.0.2.7"}, RecordTTL: 300}},
	}}
	must(t, st.host.Create(t.Context(), kubefeds))
	must(t, st.host.Create(t.Context(), st.record()))
	st.answers("", "A", "60 A 192.0.2.1")
	st.holds("externaldns.k8s.io", "service-web",
		"web.ns.ns.svc.1.eu.example.com 60 A 192.0.2.1", "web.ns.ns.svc.1.us.example.com 60 CNAME web.ns.ns.svc.us.example.com",
		"web.ns.ns.svc.eu.example.com 60 A 192.0.2.1", "web.ns.ns.svc.example.com 60 A 192.0.2.1",
		"web.ns.ns.svc.us.example.com 60 CNAME web.ns.ns.svc.example.com")
	theirs := st.record()
	theirs.Name = "theirs"
	must(t, st.host.Create(t.Context(), theirs))
	lab.Eventually(t, 30*time.Second, "refused", func(ctx context.Context) error {
		if err := st.host.Get(ctx, client.ObjectKeyFromObject(theirs), theirs); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(theirs.Status.Conditions, "Ready"); c == nil || c.Reason != "WriteFailed" || !strings.Contains(c.Message, "service-theirs") {
			return fmt.Errorf("%+v", theirs.Status.Conditions)
		}
		return nil
	})
	must(t, st.host.Get(t.Context(), client.ObjectKeyFromObject(other), other))
	if owner := metav1.GetControllerOf(other); owner != nil {
		t.Errorf("it was taken: %v", owner)
	}
}

// A record without its Domain says so, and follows it when it comes. A server that is away is told of, and served when it is back.
func TestWhatIsMissing(t *testing.T) {
	st := newStage(t, dnslab.Bind)
	st.serve("m1", true, "192.0.2.1")
	r := st.record()
	r.Spec.DomainRef = st.namespace + "-later"
	must(t, st.host.Create(t.Context(), r))
	if c := meta.FindStatusCondition(st.told("DomainNotFound").Status.Conditions, "Stalled"); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "spec.domainRef") {
		t.Errorf("%+v", c)
	}
	st.server.Stop()
	d := &dnsv1.Domain{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: r.Spec.DomainRef}, Domain: apex}
	must(t, st.host.Create(t.Context(), d))
	t.Cleanup(func() { _ = st.host.Delete(context.Background(), d) }) // the lab is shared
	st.told("EndpointsWritten")
	provider := func(reason string) {
		t.Helper()
		lab.Eventually(t, 30*time.Second, reason, func(ctx context.Context) error {
			var p discoveryv1alpha1.DNSProvider
			if err := st.host.Get(ctx, types.NamespacedName{Namespace: home, Name: st.namespace}, &p); err != nil {
				return err
			}
			if c := meta.FindStatusCondition(p.Status.Conditions, "Ready"); c == nil || c.Reason != reason {
				return fmt.Errorf("%+v", p.Status)
			}
			return nil
		})
	}
	provider("ServerUnreachable")
	st.server.Start()
	provider("Published")
	if got, err := st.server.Look("web."+st.namespace+"."+d.Name+".svc."+apex, "A"); err != nil || !slices.Equal(got, []string{"60 A 192.0.2.1"}) {
		t.Errorf("%v %v", got, err)
	}
}

func externalCRD() *apiextv1.CustomResourceDefinition {
	text := apiextv1.JSONSchemaProps{Type: "string"}
	number := apiextv1.JSONSchemaProps{Type: "integer", Format: "int64"}
	object := func(p map[string]apiextv1.JSONSchemaProps) apiextv1.JSONSchemaProps {
		return apiextv1.JSONSchemaProps{Type: "object", Properties: p}
	}
	list := func(of apiextv1.JSONSchemaProps) apiextv1.JSONSchemaProps {
		return apiextv1.JSONSchemaProps{Type: "array", Items: &apiextv1.JSONSchemaPropsOrArray{Schema: &of}}
	}
	endpoint := object(map[string]apiextv1.JSONSchemaProps{
		"dnsName": text, "recordType": text, "recordTTL": number, "setIdentifier": text, "targets": list(text),
		"labels":           {Type: "object", AdditionalProperties: &apiextv1.JSONSchemaPropsOrBool{Schema: &text, Allows: true}},
		"providerSpecific": list(object(map[string]apiextv1.JSONSchemaProps{"name": text, "value": text})),
	})
	schema := object(map[string]apiextv1.JSONSchemaProps{
		"spec": object(map[string]apiextv1.JSONSchemaProps{"endpoints": list(endpoint)}), "status": object(map[string]apiextv1.JSONSchemaProps{"observedGeneration": number}),
	})
	return &apiextv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "dnsendpoints.externaldns.k8s.io", Annotations: map[string]string{"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/external-dns/pull/2007"}},
		Spec: apiextv1.CustomResourceDefinitionSpec{
			Group: External.Group, Scope: apiextv1.NamespaceScoped, Names: apiextv1.CustomResourceDefinitionNames{Kind: "DNSEndpoint", ListKind: "DNSEndpointList", Plural: "dnsendpoints", Singular: "dnsendpoint"},
			Versions: []apiextv1.CustomResourceDefinitionVersion{{
				Name: External.Version, Served: true, Storage: true, Schema: &apiextv1.CustomResourceValidation{OpenAPIV3Schema: &schema},
				Subresources: &apiextv1.CustomResourceSubresources{Status: &apiextv1.CustomResourceSubresourceStatus{}},
			}},
		},
	}
}
