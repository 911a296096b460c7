package discovery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
	mcs "sigs.k8s.io/mcs-api/pkg/client/clientset/versioned"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery"
	"github.com/hansa-io/hansa/internal/discovery/members"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/meter"
)

const long = time.Minute

var (
	names    = []string{"a", "b", "c"}
	clusters = lab.Shared(lab.Options{Audit: true}, names...)
)

// federation is three members, and a control plane that does nothing but bring services into them.
type federation struct {
	t       *testing.T
	lab     *lab.Lab
	members *members.Members
	stop    func()
	metrics *prometheus.Registry

	mu      sync.Mutex
	records map[string]*fedv1.KubeFedCluster
	grace   plan.Settings
	on      bool
}

func newFederation(t *testing.T, l *lab.Lab, s plan.Settings) *federation {
	f := &federation{t: t, lab: l, records: map[string]*fedv1.KubeFedCluster{}, grace: s, on: true}
	for _, name := range names {
		f.annotate(name, nil)
	}
	f.start()
	return f
}

// in is the same federation for a part of a test.
func (f *federation) in(t *testing.T) *federation {
	return &federation{t: t, lab: f.lab, members: f.members}
}

// start begins as a control plane does that has just been elected.
func (f *federation) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.members = members.New(ctx, members.Options{Record: f.record, Prepare: discovery.Define, Log: logr.Discard()})
	f.metrics = prometheus.NewRegistry()
	c := discovery.New(discovery.Options{Members: f.members, Settings: f.settings, Workers: 8, Metrics: meter.NewSet(f.metrics, false), Log: logr.Discard()})
	f.members.Switch(members.Gates{Services: true})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(ctx)
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	f.t.Cleanup(f.stop)
	for _, name := range names {
		f.ready(name, true)
	}
	f.members.Known()
}

// measures fails the test unless a metric has been told.
func (f *federation) measures(m meter.Metric) {
	families, err := f.metrics.Gather()
	must(f.t, err)
	if !slices.ContainsFunc(families, func(of *dto.MetricFamily) bool { return of.GetName() == m.Name && len(of.GetMetric()) > 0 }) {
		f.t.Errorf("%s is not exported", m.Name)
	}
}

func (f *federation) settings() (plan.Settings, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.grace
	s.ControlPlane = "cp"
	return s, f.on
}

func (f *federation) set(grace, expiry time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grace = plan.Settings{Grace: grace, Expiry: expiry}
}

func (f *federation) record(name string) *fedv1.KubeFedCluster {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records[name].DeepCopy()
}

func (f *federation) annotate(name string, annotations map[string]string) {
	f.mu.Lock()
	c := &fedv1.KubeFedCluster{}
	c.Name, c.Annotations = name, annotations
	f.records[name] = c
	f.mu.Unlock()
	if f.members != nil {
		f.members.Reread(name)
	}
}

// configs are the members' configurations, one for each, for a new one means a new connection.
var configs sync.Map

func (f *federation) config(name string) *rest.Config {
	made := f.lab.Config(name)
	made.UserAgent = agent
	c, _ := configs.LoadOrStore(f.lab.Dir()+name, made)
	return c.(*rest.Config)
}

// agent is what API servers know the control plane by.
const agent = "under-test"

// writes are those of the control plane in a namespace.
func (f *federation) writes(in, ns string) []lab.Request {
	return f.lab.Requests(f.t, in, func(r lab.Request) bool { return r.UserAgent == agent && r.Mutates() && r.Namespace == ns })
}

func (f *federation) ready(name string, ready bool) {
	m := cluster.Member{Name: name, ID: types.UID(name), Ready: ready, Config: f.config(name)}
	if !ready {
		m.Reason = cluster.ReasonNotHealthy
	}
	f.members.ClusterChanged(m)
}

func (f *federation) core(name string) kubernetes.Interface {
	return kubernetes.NewForConfigOrDie(f.lab.Config(name))
}

func (f *federation) mcs(name string) mcs.Interface { return mcs.NewForConfigOrDie(f.lab.Config(name)) }

// namespace makes one of the same name in some members.
func (f *federation) namespace(prefix string, in ...string) string {
	f.t.Helper()
	ns := lab.Namespace(f.t, f.lab.Config(in[0]), prefix)
	for _, name := range in[1:] {
		_, err := f.core(name).CoreV1().Namespaces().Create(f.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
		must(f.t, err)
		f.t.Cleanup(func() {
			_ = f.core(name).CoreV1().Namespaces().Delete(context.Background(), ns, metav1.DeleteOptions{})
		})
	}
	return ns
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// web is a Service with one port.
func web() *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
}

// serve makes a Service in a member, with endpoints for each of its ports.
func (f *federation) serve(in, ns string, s *corev1.Service, addresses ...string) {
	f.t.Helper()
	_, err := f.core(in).CoreV1().Services(ns).Create(f.t.Context(), s, metav1.CreateOptions{})
	must(f.t, err)
	f.slice(in, ns, s, addresses...)
}

func (f *federation) slice(in, ns string, s *corev1.Service, addresses ...string) {
	f.t.Helper()
	e := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: s.Name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: s.Name, discoveryv1.LabelManagedBy: "test"}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range s.Spec.Ports {
		e.Ports = append(e.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: new(8000 + p.Port)})
	}
	for n, a := range addresses {
		e.Endpoints = append(e.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{a}, Hostname: new(fmt.Sprintf("%s-%d", s.Name, n)), Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
			Zone: new("zone-" + in), NodeName: new("node-" + in),
		})
	}
	slices := f.core(in).DiscoveryV1().EndpointSlices(ns)
	_, err := slices.Create(f.t.Context(), e, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = slices.Update(f.t.Context(), e, metav1.UpdateOptions{})
	}
	must(f.t, err)
}

func (f *federation) export(in, ns, name string) *mcsv1.ServiceExport {
	f.t.Helper()
	// The types are there as soon as the member has been prepared.
	var out *mcsv1.ServiceExport
	lab.Eventually(f.t, long, "a ServiceExport to be taken", func(ctx context.Context) (err error) {
		out, err = f.mcs(in).MulticlusterV1beta1().ServiceExports(ns).Create(ctx, &mcsv1.ServiceExport{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	})
	return out
}

func (f *federation) unexport(in, ns, name string) {
	f.t.Helper()
	must(f.t, f.mcs(in).MulticlusterV1beta1().ServiceExports(ns).Delete(f.t.Context(), name, metav1.DeleteOptions{}))
}

// holds describes what discovery has put into a member for a service: the import, its address, and all endpoints.
func (f *federation) holds(ctx context.Context, in, ns, name string) (string, error) {
	i, err := f.mcs(in).MulticlusterV1beta1().ServiceImports(ns).Get(ctx, name, metav1.GetOptions{})
	out := "none"
	switch {
	case err == nil:
		out = string(i.Spec.Type)
		for _, p := range i.Spec.Ports {
			out += fmt.Sprintf(" %s=%d/%s", p.Name, p.Port, p.Protocol)
		}
		if len(i.Spec.IPs) > 0 {
			out += " ip"
		}
		var from []string
		for _, c := range i.Status.Clusters {
			from = append(from, c.Cluster)
		}
		out += " from " + strings.Join(from, ",")
	case !apierrors.IsNotFound(err):
		return "", err
	}
	list, err := f.core(in).DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: mcsv1.LabelServiceName + "=" + name})
	if err != nil {
		return "", err
	}
	var endpoints []string
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			word := s.Labels[mcsv1.LabelSourceCluster] + ":" + e.Addresses[0]
			for _, p := range s.Ports {
				word += fmt.Sprintf(":%d", *p.Port)
			}
			if !*e.Conditions.Ready {
				word += "(unready)"
			}
			endpoints = append(endpoints, word)
		}
	}
	slices.Sort(endpoints)
	return strings.TrimSpace(out + " " + strings.Join(endpoints, " ")), nil
}

func (f *federation) want(in, ns, name, want string) {
	f.t.Helper()
	lab.Eventually(f.t, long, "cluster "+in, func(ctx context.Context) error {
		got, err := f.holds(ctx, in, ns, name)
		if err == nil && got != want {
			err = fmt.Errorf("holds %q, want %q", got, want)
		}
		return err
	})
}

// wantConditions are those of an export, as "Valid Ready !Conflict" with reasons behind those that need them.
func (f *federation) wantConditions(in, ns, name string, want ...string) {
	f.t.Helper()
	lab.Eventually(f.t, long, "the export in "+in, func(ctx context.Context) error {
		e, err := f.mcs(in).MulticlusterV1beta1().ServiceExports(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var got, texts []string
		for _, c := range e.Status.Conditions {
			got = append(got, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
			texts = append(texts, c.Message)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%q, want %q (%q)", got, want, texts)
		}
		return nil
	})
}
