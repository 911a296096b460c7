package members_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery/members"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/lab"
)

var clusters = lab.Shared(lab.Options{}, "a", "b")

// records are the KubeFedClusters of a test.
type records struct {
	mu   sync.Mutex
	list map[string]*fedv1.KubeFedCluster
}

func (r *records) get(name string) *fedv1.KubeFedCluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list[name].DeepCopy()
}

func (r *records) set(name string, annotations map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &fedv1.KubeFedCluster{}
	c.Name, c.Annotations = name, annotations
	r.list[name] = c
}

// TestWorld: what a member holds is seen, kept as last seen while the member is away, and what has changed meanwhile is told when it is back.
func TestWorld(t *testing.T) {
	l := clusters(t)
	ns := lab.Namespace(t, l.Config("a"), "world")
	r := &records{list: map[string]*fedv1.KubeFedCluster{}}
	r.set("a", nil)
	r.set("b.c", map[string]string{fedv1.WeightAnnotation: "7", fedv1.ReachabilityAnnotation: "nodePort", fedv1.ZonesAnnotation: "z2, z1", fedv1.DrainAnnotation: "perhaps"})
	m := members.New(t.Context(), members.Options{Record: r.get, Log: testr.New(t)})
	key := types.NamespacedName{Namespace: ns, Name: "web"}
	told := make(chan struct{}, 1)
	m.Watch(func(k types.NamespacedName) {
		if k == key {
			select {
			case told <- struct{}{}:
			default:
			}
		}
	})
	m.Switch(members.Gates{Services: true, Ingresses: true})
	a := cluster.Member{Name: "a", ID: "1", Ready: true, Config: l.Config("a")}
	m.ClusterChanged(a)
	m.ClusterChanged(cluster.Member{Name: "b.c", Reason: cluster.ReasonProbing})
	m.Known()
	core := kubernetes.NewForConfigOrDie(l.Config("a"))
	serve(t, core, key, "10.1.0.1")
	source := func() plan.Source { return m.World(key).Sources[0] }
	settle(t, told, func() error {
		if s := source(); !s.Seen || !s.Namespace || s.Service == nil || len(s.Slices) != 1 || s.Slices[0].Endpoints[0].Addresses[0] != "10.1.0.1" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	w := m.World(key)
	if c := w.Clusters[0]; c.ID != "a" || c.Presence != plan.Present || c.Reach != plan.Flat || c.Weight != 100 || !w.Known {
		t.Errorf("%+v, known %t", c, w.Known)
	}
	if c := w.Clusters[1]; c.Presence != plan.Unmet || c.Reach != plan.NodePort || c.Weight != 7 || c.Drain || !slices.Equal(c.Zones, []string{"z1", "z2"}) || c.ID == "b.c" || w.Sources[1].Seen {
		t.Errorf("%+v", c)
	}

	gone := a
	gone.Ready, gone.Reason = false, cluster.ReasonNotHealthy
	m.ClusterChanged(gone)
	if s := source(); s.Seen || s.Service == nil || len(s.Slices) != 1 || m.World(key).Clusters[0].Presence != plan.Away {
		t.Errorf("of a member that is away: %+v", s)
	}
	if err := core.CoreV1().Services(ns).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	m.ClusterChanged(a)
	settle(t, told, func() error {
		if s := source(); !s.Seen || s.Service != nil || len(s.Slices) != 1 {
			return fmt.Errorf("back: %+v", s)
		}
		return nil
	})
	m.Switch(members.Gates{})
	if s := source(); s.Seen || s.Service != nil || len(s.Slices) > 0 {
		t.Errorf("with the gates off: %+v", s)
	}
	m.ClusterGone("a")
	if w := m.World(key); len(w.Clusters) != 1 || len(w.Sources) != 1 || len(w.Held) != 1 {
		t.Errorf("%+v", w)
	}
}

// serve makes a Service with one endpoint.
func serve(t *testing.T, c kubernetes.Interface, key types.NamespacedName, address string) {
	t.Helper()
	ready := true
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: key.Name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	if _, err := c.CoreV1().Services(key.Namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	e := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: key.Name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: key.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}
	if _, err := c.DiscoveryV1().EndpointSlices(key.Namespace).Create(t.Context(), e, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// settle waits until a check succeeds, and looks again only when the service's world was told to have changed.
func settle(t *testing.T, told <-chan struct{}, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-told:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// TestDenied: a member that refuses to be watched is not seen, others are, and what to do is told.
func TestDenied(t *testing.T) {
	l := clusters(t)
	r := &records{list: map[string]*fedv1.KubeFedCluster{}}
	r.set("a", map[string]string{fedv1.WeightAnnotation: "much"})
	r.set("b", nil)
	type word struct{ member, reason string }
	words := make(chan word, 10)
	m := members.New(t.Context(), members.Options{
		Record: r.get, Log: testr.New(t),
		Tell: func(member, reason, _ string) { words <- word{member, reason} },
	})
	m.Switch(members.Gates{Services: true})
	nobody := l.Config("b")
	nobody.Impersonate.UserName = "nobody"
	m.ClusterChanged(cluster.Member{Name: "a", ID: "1", Ready: true, Config: l.Config("a")})
	m.ClusterChanged(cluster.Member{Name: "b", ID: "2", Ready: true, Config: nobody})
	m.Known()
	key := types.NamespacedName{Namespace: "default", Name: "kubernetes"}
	lab.Eventually(t, time.Minute, "one member to be seen, and one to be told of", func(context.Context) error {
		w := m.World(key)
		if !m.Settled() || !w.Sources[0].Seen || w.Sources[0].Service == nil || w.Sources[1].Seen || !strings.Contains(w.Clusters[1].Trouble, "kubefedctl join") {
			return fmt.Errorf("settled %t, %+v, %+v", m.Settled(), w.Sources, w.Clusters)
		}
		return nil
	})
	told := map[word]bool{<-words: true, <-words: true}
	if !told[word{"a", members.ReasonAnnotationIgnored}] || !told[word{"b", members.ReasonNotPrepared}] {
		t.Errorf("told %v", told)
	}
}
