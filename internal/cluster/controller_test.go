package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcluster "sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/meter"
)

var clusters = lab.Shared(lab.Options{}, "host", "m1")

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// federation is a KubeFed namespace of the test's own in the lab's host, with a Controller at work.
type federation struct {
	client.Client
	t         *testing.T
	lab       *lab.Lab
	namespace string
	watch     *diary
	metrics   *prometheus.Registry
	hostID    types.UID
}

func aScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), fedv1.AddToScheme(s), apiextensionsv1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	return s
}

func newFederation(t *testing.T) *federation {
	t.Helper()
	l := clusters(t)
	c, err := client.New(l.Config("host"), client.Options{Scheme: aScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	f := &federation{Client: c, t: t, lab: l, watch: &diary{}, metrics: prometheus.NewRegistry()}
	f.installCRD()
	f.namespace = lab.Namespace(t, l.Config("host"), "fed")
	f.hostID = f.idOf("host")
	return f
}

func (f *federation) installCRD() {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "core.kubefed.io_kubefedclusters.yaml"))
	if err != nil {
		f.t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(data, &crd); err != nil {
		f.t.Fatal(err)
	}
	if err := f.Create(f.t.Context(), &crd); err != nil && !apierrors.IsAlreadyExists(err) {
		f.t.Fatal(err)
	}
	f.eventually("the CRD is served", func(ctx context.Context) error { return f.List(ctx, &fedv1.KubeFedClusterList{}) })
}

func (f *federation) eventually(what string, check func(context.Context) error) {
	f.t.Helper()
	lab.Eventually(f.t, 30*time.Second, what, check)
}

func (f *federation) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *federation) idOf(name string) types.UID {
	f.t.Helper()
	var ns corev1.Namespace
	f.must(f.in(name).Get(f.t.Context(), client.ObjectKey{Name: "kube-system"}, &ns))
	return ns.UID
}

// in returns a client for a cluster of the lab.
func (f *federation) in(name string) client.Client {
	f.t.Helper()
	c, err := client.New(f.lab.Config(name), client.Options{})
	f.must(err)
	return c
}

// node makes a node with labels, until the test ends.
func (f *federation) node(in string, labels map[string]string) {
	f.t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: f.namespace, Labels: labels}}
	f.must(f.in(in).Create(f.t.Context(), n))
	f.t.Cleanup(func() { f.must(f.in(in).Delete(context.Background(), n)) })
}

// run lets a Controller work until the returned function is called, or the test ends.
func (f *federation) run() (stop func()) {
	f.t.Helper()
	host, err := ctrlcluster.New(f.lab.Config("host"), func(o *ctrlcluster.Options) {
		o.Scheme, o.Logger = f.Scheme(), logr.Discard()
		o.Cache = cache.Options{DefaultNamespaces: map[string]cache.Config{f.namespace: {}}}
	})
	f.must(err)
	c, err := New(Options{
		Host: host, Namespace: f.namespace, HostIDs: []types.UID{f.hostID}, Watcher: f.watch, Log: logr.Discard(), Metrics: meter.NewSet(f.metrics, true),
		Health: func() Health {
			return Health{Period: 200 * time.Millisecond, Timeout: time.Second, FailureThreshold: 2, SuccessThreshold: 1}
		},
	})
	f.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- host.Start(ctx) }()
	go func() { ended <- c.Start(ctx) }()
	var once atomic.Bool
	stop = func() {
		if once.Swap(true) {
			return
		}
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			f.t.Error(err)
		}
	}
	f.t.Cleanup(stop)
	return stop
}

// join makes a KubeFedCluster and its secret for a cluster of the lab.
func (f *federation) join(name string, to *rest.Config, change ...func(*fedv1.KubeFedCluster, *corev1.Secret)) {
	f.t.Helper()
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name},
		Data:       map[string][]byte{"token": []byte(to.BearerToken)},
	}
	c := &fedv1.KubeFedCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name},
		Spec: fedv1.KubeFedClusterSpec{
			APIEndpoint: to.Host, CABundle: to.CAData, SecretRef: fedv1.LocalSecretReference{Name: name},
		},
	}
	for _, do := range change {
		do(c, s)
	}
	f.must(f.Create(f.t.Context(), s))
	f.must(f.Create(f.t.Context(), c))
}

func (f *federation) cluster(name string) *fedv1.KubeFedCluster {
	f.t.Helper()
	c := &fedv1.KubeFedCluster{}
	f.must(f.Get(f.t.Context(), client.ObjectKey{Namespace: f.namespace, Name: name}, c))
	return c
}

// edit changes a KubeFedCluster's spec or metadata.
func (f *federation) edit(name string, change func(*fedv1.KubeFedCluster)) {
	f.t.Helper()
	f.eventually("edit "+name, func(ctx context.Context) error {
		c := f.cluster(name)
		change(c)
		return f.Update(ctx, c)
	})
}

func (f *federation) setToken(name, token string) {
	f.t.Helper()
	var s corev1.Secret
	f.must(f.Get(f.t.Context(), client.ObjectKey{Namespace: f.namespace, Name: name}, &s))
	s.Data["token"] = []byte(token)
	f.must(f.Update(f.t.Context(), &s))
}

// becomes waits until the watcher and the status agree on a member: "" means ready, else why not. It returns the member.
func (f *federation) becomes(name, reason string) Member {
	f.t.Helper()
	var m Member
	f.eventually(name+" becomes ready, or "+reason, func(context.Context) error {
		var ok bool
		m, ok = f.watch.member(name)
		ready, _ := wasReady(f.cluster(name).Status)
		switch {
		case !ok:
			return errors.New("the watcher does not know it")
		case m.Ready != (reason == "") || reason != "" && m.Reason != reason:
			return fmt.Errorf("ready: %v, %s: %s", m.Ready, m.Reason, m.Message)
		case m.Ready != ready:
			return fmt.Errorf("the status is %v", brief(f.cluster(name).Status))
		}
		return nil
	})
	return m
}

func (f *federation) conditions(name string) map[string]string {
	out := map[string]string{}
	for _, c := range f.cluster(name).Status.Conditions {
		out[string(c.Type)] = string(c.Status) + " " + text(c.Reason)
	}
	return out
}

// reads tells whether a config still reaches a cluster.
func reads(ctx context.Context, config *rest.Config) error {
	c, err := client.New(config, client.Options{})
	if err != nil {
		return err
	}
	return c.Get(ctx, client.ObjectKey{Name: "default"}, &corev1.Namespace{})
}

func TestControllerMemberLifecycle(t *testing.T) {
	f := newFederation(t)
	id := f.idOf("m1")
	f.node("m1", map[string]string{"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r1"})
	before := goleak.IgnoreCurrent() // the test's own connections
	stop := f.run()
	f.join("m1", f.lab.Config("m1"))
	f.join("self", f.lab.Config("host"))
	m := f.becomes("m1", "")
	if m.ID != id || m.Host || m.Config == nil {
		t.Errorf("member = %+v", m)
	}
	f.must(reads(t.Context(), m.Config))
	if self := f.becomes("self", ""); !self.Host {
		t.Errorf("the host is not recognised: %+v", self)
	}
	want := map[string]string{"Ready": "True ClusterReady", "IdentityVerified": "True Verified", "CredentialsValid": "True LongLivedCredential"}
	if diff := cmp.Diff(want, f.conditions("m1")); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if v := f.cluster("m1").Status.KubernetesVersion; v != "v1.37.2" {
		t.Errorf("version %q", v)
	}
	if s := f.cluster("m1").Status; len(s.Zones) != 1 || s.Zones[0] != "z1" || text(s.Region) != "r1" {
		t.Errorf("zones %v, region %q", s.Zones, text(s.Region))
	}
	if n := f.series("m1"); n == 0 {
		t.Error("no metrics")
	}
	f.must(f.Delete(t.Context(), f.cluster("m1")))
	f.eventually("the member is gone", func(context.Context) error {
		if m, ok := f.watch.member("m1"); ok {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	f.eventually("its metrics are gone", func(context.Context) error {
		if n := f.series("m1"); n > 0 {
			return fmt.Errorf("%d series", n)
		}
		return nil
	})
	stop()
	f.watch.mu.Lock()
	_, told := f.watch.last["self"]
	f.watch.mu.Unlock()
	if !told {
		t.Error("the end of the controller was told as the end of a member")
	}
	goleak.VerifyNone(t, before)
}

// series counts what is exported of a cluster.
func (f *federation) series(name string) int {
	f.t.Helper()
	families, err := f.metrics.Gather()
	f.must(err)
	n := 0
	for _, family := range families {
		for _, m := range family.Metric {
			for _, l := range m.Label {
				if l.GetName() == "cluster" && l.GetValue() == name {
					n++
				}
			}
		}
	}
	return n
}

// A member that hangs, and one that is dead, are noticed, and neither holds up another.
func TestControllerHungAndDeadMember(t *testing.T) {
	f := newFederation(t)
	f.run()
	f.join("m1", f.lab.Config("m1"))
	f.join("self", f.lab.Config("host"))
	f.becomes("m1", "")
	f.becomes("self", "")
	f.lab.Pause(t, "m1", lab.APIServer)
	f.becomes("m1", ReasonTimeout)
	f.edit("self", func(c *fedv1.KubeFedCluster) { c.Labels = map[string]string{"while": "another-hangs"} })
	start := time.Now()
	f.eventually("a change of a member that is well", func(context.Context) error {
		if m, _ := f.watch.member("self"); !m.Ready || m.Labels["while"] == "" {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	if took := time.Since(start); took > time.Second {
		t.Errorf("another held it up for %v", took)
	}
	f.lab.Resume(t, "m1", lab.APIServer)
	f.becomes("m1", "")
	f.lab.Kill(t, "m1", lab.APIServer)
	f.becomes("m1", ReasonConnectionRefused)
	if got := f.conditions("m1"); got["Offline"] != "True ClusterNotReachable" || got["Ready"] != "" {
		t.Errorf("conditions %v", got)
	}
	f.lab.Start(t, "m1", lab.APIServer)
	f.becomes("m1", "")
}

func TestControllerCredentials(t *testing.T) {
	f := newFederation(t)
	f.run()
	to := f.lab.Config("m1")
	f.join("m1", to)
	first := f.becomes("m1", "")

	f.setToken("m1", "not-a-token")
	f.becomes("m1", ReasonUnauthorized)
	if got := f.conditions("m1"); got["CredentialsValid"] != "False Unauthorized" {
		t.Errorf("conditions %v", got)
	}
	f.setToken("m1", to.BearerToken)
	second := f.becomes("m1", "")
	if second.Config == first.Config {
		t.Error("the config is the one with the first token")
	}
	f.must(reads(t.Context(), second.Config))

	f.setToken("m1", "")
	f.becomes("m1", ReasonTokenMissing)
	f.must(f.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "m1"}}))
	f.becomes("m1", ReasonSecretNotFound)
	if got := f.conditions("m1"); got["ConfigMalformed"] != "True ClusterConfigMalformed" || got["Ready"] != "" {
		t.Errorf("conditions %v", got)
	}
	f.must(f.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace, Name: "m1",
			Annotations: map[string]string{fedv1.CredentialEndpointAnnotation: "https://elsewhere"},
		},
		Data: map[string][]byte{"token": []byte(to.BearerToken)},
	}))
	f.becomes("m1", ReasonEndpointMismatch)
}

func TestControllerTLS(t *testing.T) {
	f := newFederation(t)
	f.run()
	to := f.lab.Config("m1")
	_, other := newCertificate(t, time.Now())
	f.join("m1", to, func(c *fedv1.KubeFedCluster, _ *corev1.Secret) { c.Spec.CABundle = other })
	f.becomes("m1", ReasonTLSFailed)
	f.edit("m1", func(c *fedv1.KubeFedCluster) { c.Spec.CABundle = []byte("garbage") })
	f.becomes("m1", ReasonCAInvalid)
	f.edit("m1", func(c *fedv1.KubeFedCluster) { c.Spec.DisabledTLSValidations = []fedv1.TLSValidation{"*"} })
	f.becomes("m1", "")
	if got := f.conditions("m1"); got["InsecureTLS"] != "True ValidationDisabled" {
		t.Errorf("conditions %v", got)
	}
	f.edit("m1", func(c *fedv1.KubeFedCluster) { c.Spec.CABundle, c.Spec.DisabledTLSValidations = to.CAData, nil })
	f.eventually("TLS is verified again", func(context.Context) error {
		if got := f.conditions("m1"); got["InsecureTLS"] != "" || got["Ready"] != "True ClusterReady" {
			return fmt.Errorf("conditions %v", got)
		}
		return nil
	})
}

// A name that leads to another cluster now gets nothing, until it leads back.
func TestControllerIdentityMismatch(t *testing.T) {
	f := newFederation(t)
	f.run()
	m1, m2 := f.lab.Config("m1"), f.lab.Config("host")
	lead := func(to *rest.Config) func(*fedv1.KubeFedCluster) {
		return func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint, c.Spec.CABundle = to.Host, to.CAData }
	}
	f.join("m1", m1)
	first := f.becomes("m1", "")
	f.setToken("m1", m2.BearerToken)
	f.edit("m1", lead(m2))
	astray := f.becomes("m1", ReasonIdentityMismatch)
	if astray.ID != first.ID {
		t.Errorf("the pinned ID changed from %s to %s", first.ID, astray.ID)
	}
	if err := reads(t.Context(), astray.Config); !errors.Is(err, ErrNotVerified) {
		t.Errorf("a request to the wrong cluster: %v", err)
	}
	f.setToken("m1", m1.BearerToken)
	f.edit("m1", lead(m1))
	f.must(reads(t.Context(), f.becomes("m1", "").Config))
}

func TestControllerDuplicate(t *testing.T) {
	f := newFederation(t)
	f.join("b", f.lab.Config("m1"))
	time.Sleep(1100 * time.Millisecond) // creation times are in seconds
	f.join("a", f.lab.Forward(t, "m1").Config(f.lab.Config("m1")))
	f.run()
	f.becomes("b", "")
	if m := f.becomes("a", ReasonDuplicate); m.Message != `the same cluster has already joined as "b"` {
		t.Errorf("message %q", m.Message)
	}
	f.must(f.Delete(t.Context(), f.cluster("b")))
	f.becomes("a", "")
}

// A member joined by KubeFed in namespaced scope shows no more than its KubeFed namespace, and is known by that.
func TestControllerNamespacedMember(t *testing.T) {
	f := newFederation(t)
	m1 := f.in("m1")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
	f.must(m1.Create(t.Context(), ns))
	t.Cleanup(func() { f.must(m1.Delete(context.Background(), ns)) })
	meta := metav1.ObjectMeta{Namespace: ns.Name, Name: "m1-host"}
	account, token := &corev1.ServiceAccount{ObjectMeta: meta}, &authenticationv1.TokenRequest{}
	f.must(m1.Create(t.Context(), account))
	f.must(m1.Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"},
	}}}))
	f.must(m1.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: meta.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: meta.Namespace, Name: meta.Name}},
	}))
	f.must(m1.SubResource("token").Create(t.Context(), account, token))
	f.run()
	to := f.lab.Config("m1")
	to.BearerToken = token.Status.Token
	f.join("m1", to)
	if m := f.becomes("m1", ""); m.ID != NamespaceID(ns.UID) {
		t.Errorf("ID = %q, want that of the namespace, %q", m.ID, ns.UID)
	}
	f.edit("m1", func(c *fedv1.KubeFedCluster) {
		c.Annotations = map[string]string{fedv1.CredentialClusterIDAnnotation: string(f.idOf("m1"))}
	})
	f.becomes("m1", ReasonForbidden) // it has to be a cluster that it does not show to be
}

// Connections that break and black holes are noticed and overcome.
func TestControllerLink(t *testing.T) {
	f := newFederation(t)
	f.run()
	link := f.lab.Forward(t, "m1")
	f.join("m1", link.Config(f.lab.Config("m1")))
	f.becomes("m1", "")
	link.Cut()
	f.becomes("m1", ReasonConnectionRefused)
	link.Heal()
	f.becomes("m1", "")
	link.Stall()
	f.becomes("m1", ReasonTimeout)
	link.Heal()
	f.must(reads(t.Context(), f.becomes("m1", "").Config))
}

// With nothing changed nothing is written, neither over time nor by a new controller.
func TestControllerWritesOnlyChanges(t *testing.T) {
	f := newFederation(t)
	stop := f.run()
	f.join("m1", f.lab.Config("m1"))
	f.join("gone", f.lab.Config("host"), func(c *fedv1.KubeFedCluster, _ *corev1.Secret) { c.Spec.APIEndpoint = "https://127.0.0.1:1" })
	f.becomes("m1", "")
	f.becomes("gone", ReasonConnectionRefused)
	versions := func() [2]string { return [2]string{f.cluster("m1").ResourceVersion, f.cluster("gone").ResourceVersion} }
	before := versions()
	stop()
	f.watch.lines, f.watch.last = nil, nil
	f.run()
	f.becomes("m1", "")
	f.becomes("gone", ReasonConnectionRefused)
	time.Sleep(time.Second) // five probes in which nothing must happen
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("resource versions (-before +after):\n%s", diff)
	}
}
