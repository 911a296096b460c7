package discovery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/meter"
)

var patient = plan.Settings{Grace: time.Hour, Expiry: 2 * time.Hour}

const valid, ready, agreed = "Valid=True/Valid", "Ready=True/Exported", "Conflict=False/NoConflicts"

// TestExport: what one cluster exports comes into every cluster that has the namespace, follows its endpoints, and goes with the last export.
func TestExport(t *testing.T) {
	f := newFederation(t, clusters(t), patient)
	ns := f.namespace("export", "a", "b")
	f.serve("a", ns, web(), "10.1.0.1", "10.1.0.2")
	f.serve("b", ns, web(), "10.2.0.1")
	f.export("a", ns, "web")
	for _, in := range []string{"a", "b"} {
		f.want(in, ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080 a:10.1.0.2:8080")
	}
	f.want("c", ns, "web", "none")
	f.wantConditions("a", ns, "web", agreed, ready, valid)
	f.contents("b", ns)

	f.export("b", ns, "web")
	for _, in := range []string{"a", "b"} {
		f.want(in, ns, "web", "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 a:10.1.0.2:8080 b:10.2.0.1:8080")
	}
	f.slice("a", ns, web(), "10.1.0.3")
	f.want("b", ns, "web", "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.3:8080 b:10.2.0.1:8080")

	_, err := f.core("c").CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { _ = f.core("c").CoreV1().Namespaces().Delete(context.Background(), ns, metav1.DeleteOptions{}) })
	f.want("c", ns, "web", "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.3:8080 b:10.2.0.1:8080")
	f.measures(meter.ServiceWriteTime)

	f.unexport("a", ns, "web")
	f.want("c", ns, "web", "ClusterSetIP http=80/TCP ip from b b:10.2.0.1:8080")
	f.unexport("b", ns, "web")
	for _, in := range names {
		f.want(in, ns, "web", "none")
		lab.Eventually(t, long, "the derived Service to be gone", func(ctx context.Context) error {
			list, err := f.core(in).CoreV1().Services(ns).List(ctx, metav1.ListOptions{LabelSelector: fedv1.ControlPlaneLabel})
			if err == nil && len(list.Items) > 0 {
				err = fmt.Errorf("there is %s", list.Items[0].Name)
			}
			return err
		})
	}
}

// contents looks at what other programs go by: labels, owners, and what a Pod's node would say elsewhere.
func (f *federation) contents(in, ns string) {
	f.t.Helper()
	ctx := f.t.Context()
	i, err := f.mcs(in).MulticlusterV1beta1().ServiceImports(ns).Get(ctx, "web", metav1.GetOptions{})
	must(f.t, err)
	derived, err := f.core(in).CoreV1().Services(ns).List(ctx, metav1.ListOptions{LabelSelector: fedv1.ControlPlaneLabel})
	must(f.t, err)
	list, err := f.core(in).DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: mcsv1.LabelServiceName + "=web"})
	must(f.t, err)
	if len(derived.Items) != 1 || len(list.Items) != 1 {
		f.t.Fatalf("%d derived Services, %d slices", len(derived.Items), len(list.Items))
	}
	d, s := derived.Items[0], list.Items[0]
	if d.Spec.ClusterIP != i.Spec.IPs[0] || len(d.OwnerReferences) != 1 || d.OwnerReferences[0].UID != i.UID {
		f.t.Errorf("the derived Service %s with %v of %+v, for an import with %v", d.Name, d.Spec.ClusterIP, d.OwnerReferences, i.Spec.IPs)
	}
	if s.Labels[discoveryv1.LabelServiceName] != d.Name || s.Labels[discoveryv1.LabelManagedBy] != fedv1.SliceManager || len(s.OwnerReferences) != 1 {
		f.t.Errorf("slice with %v of %v", s.Labels, s.OwnerReferences)
	}
	if e := s.Endpoints[0]; e.NodeName != nil || e.Zone == nil || *e.Zone != "zone-a" || e.Hostname == nil {
		f.t.Errorf("endpoint %+v", e)
	}
}

// TestConflicts: where clusters disagree, the oldest export counts everywhere, and every export says so.
func TestConflicts(t *testing.T) {
	f := newFederation(t, clusters(t), patient)
	for name, c := range map[string]struct {
		second func(*corev1.Service)
		want   string
		reason string
	}{
		"none": {func(*corev1.Service) {}, "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080", ""},
		"number of a port": {
			func(s *corev1.Service) { s.Spec.Ports[0].Port = 81 }, "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080", "PortConflict",
		},
		"name of a port": {
			func(s *corev1.Service) { s.Spec.Ports[0].Name = "web" }, "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080", "PortConflict",
		},
		"another port": {
			func(s *corev1.Service) {
				s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "more", Port: 90})
			},
			"ClusterSetIP http=80/TCP more=90/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080:8090", "",
		},
		"headless": {
			func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone },
			"ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080", "TypeConflict",
		},
		"affinity": {
			func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP },
			"ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080", "SessionAffinityConfigConflict,SessionAffinityConflict",
		},
		"policy": {
			func(s *corev1.Service) { s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal) },
			"ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080", "InternalTrafficPolicyConflict",
		},
		"distribution": {
			func(s *corev1.Service) {
				s.Spec.TrafficDistribution = new(corev1.ServiceTrafficDistributionPreferSameZone)
			},
			"ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080", "TrafficDistributionConflict",
		},
		"external name": {
			func(s *corev1.Service) {
				s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
			},
			"ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080", "invalid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := f.in(t)
			ns := f.namespace("conflict", "a", "b")
			second := web()
			c.second(second)
			f.serve("a", ns, web(), "10.1.0.1")
			f.serve("b", ns, second, "10.2.0.1")
			// Of exports of the same second that counts by which the import was made.
			f.export("a", ns, "web")
			f.want("a", ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080")
			f.export("b", ns, "web")
			for _, in := range []string{"a", "b"} {
				f.want(in, ns, "web", c.want)
				switch {
				case c.reason == "":
					f.wantConditions(in, ns, "web", agreed, ready, valid)
				case c.reason != "invalid":
					f.wantConditions(in, ns, "web", "Conflict=True/"+c.reason, ready, valid)
				case in == "a":
					f.wantConditions(in, ns, "web", agreed, ready, valid)
				default:
					f.wantConditions(in, ns, "web", agreed, "Ready=False/Pending", "Valid=False/InvalidServiceType")
				}
			}
		})
	}
}

// TestHeadless: without an address, and with the names of the Pods.
func TestHeadless(t *testing.T) {
	f := newFederation(t, clusters(t), patient)
	ns := f.namespace("headless", "a", "b")
	s := web()
	s.Spec.ClusterIP = corev1.ClusterIPNone
	f.serve("a", ns, s, "10.1.0.1", "10.1.0.2")
	f.export("a", ns, "web")
	f.want("b", ns, "web", "Headless http=80/TCP from a a:10.1.0.1:8080 a:10.1.0.2:8080")
	list, err := f.core("b").DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{LabelSelector: corev1.IsHeadlessService})
	must(t, err)
	if len(list.Items) != 1 || *list.Items[0].Endpoints[1].Hostname != "web-1" {
		t.Errorf("%+v", list.Items)
	}
	derived, err := f.core("b").CoreV1().Services(ns).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(derived.Items) > 0 {
		t.Errorf("there is %s, which nobody needs", derived.Items[0].Name)
	}
}

// TestForeignImport: a ServiceImport of somebody else stays as it is, the exports say where it is, and when it goes ours comes.
func TestForeignImport(t *testing.T) {
	f := newFederation(t, clusters(t), patient)
	ns := f.namespace("foreign", "a", "b")
	imports := f.mcs("b").MulticlusterV1beta1().ServiceImports(ns)
	lab.Eventually(t, long, "the import of a user", func(ctx context.Context) error {
		theirs := &mcsv1.ServiceImport{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: mcsv1.ServiceImportSpec{Type: mcsv1.Headless, Ports: []mcsv1.ServicePort{}}}
		_, err := imports.Create(ctx, theirs, metav1.CreateOptions{})
		return err
	})
	f.serve("a", ns, web(), "10.1.0.1")
	f.export("a", ns, "web")
	f.want("a", ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080")
	f.wantConditions("a", ns, "web", agreed, "Ready=False/Failed", valid)
	f.want("b", ns, "web", "Headless from")
	must(t, imports.Delete(t.Context(), "web", metav1.DeleteOptions{}))
	f.want("b", ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080")
	f.wantConditions("a", ns, "web", agreed, ready, valid)
}

// TestAway: the endpoints of a cluster that is lost stand back, are removed where there are others, and come back with the cluster. That
// most clusters are away at once changes nothing.
func TestAway(t *testing.T) {
	f := newFederation(t, clusters(t), plan.Settings{Grace: time.Nanosecond, Expiry: time.Hour})
	ns := f.namespace("away", names...)
	f.serve("a", ns, web(), "10.1.0.1")
	f.serve("b", ns, web(), "10.2.0.1")
	f.export("a", ns, "web")
	f.export("b", ns, "web")
	all := "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080"
	for _, in := range names {
		f.want(in, ns, "web", all)
	}
	f.ready("b", false)
	f.want("c", ns, "web", "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080(unready)")
	f.want("b", ns, "web", all) // nothing is written there
	f.ready("b", true)
	f.want("c", ns, "web", all)

	f.set(time.Nanosecond, time.Nanosecond)
	f.ready("b", false)
	f.want("c", ns, "web", "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080")
	f.ready("b", true)
	f.want("c", ns, "web", all)

	f.set(time.Hour, time.Hour)
	f.ready("b", false)
	f.ready("a", false)
	f.set(time.Nanosecond, time.Nanosecond)
	f.serve("c", ns, web(), "10.3.0.1")
	f.export("c", ns, "web") // when this has come through, all has been looked at
	f.want("c", ns, "web", "ClusterSetIP http=80/TCP ip from a,b,c a:10.1.0.1:8080 b:10.2.0.1:8080 c:10.3.0.1:8080")
	for _, name := range []string{"a", "b"} {
		f.ready(name, true)
	}
	for _, in := range names {
		f.want(in, ns, "web", "ClusterSetIP http=80/TCP ip from a,b,c a:10.1.0.1:8080 b:10.2.0.1:8080 c:10.3.0.1:8080")
	}
}

// TestRestart: a control plane that starts anew writes nothing where nothing has changed, with all clusters there and with one away.
func TestRestart(t *testing.T) {
	f := newFederation(t, clusters(t), patient)
	ns := f.namespace("restart", names...)
	f.serve("a", ns, web(), "10.1.0.1")
	f.serve("b", ns, web(), "10.2.0.1")
	f.export("a", ns, "web")
	f.export("b", ns, "web")
	all := "ClusterSetIP http=80/TCP ip from a,b a:10.1.0.1:8080 b:10.2.0.1:8080"
	for _, in := range names {
		f.want(in, ns, "web", all)
	}
	f.wantConditions("b", ns, "web", agreed, ready, valid)
	for _, missing := range []string{"", "b"} {
		f.stop()
		before := map[string]int{}
		for _, in := range names {
			before[in] = len(f.settledWrites(in, ns))
		}
		f.start()
		if missing != "" {
			f.ready(missing, false)
		}
		marker := f.namespace("marker", "a", "c")
		f.serve("a", marker, web(), "10.1.0.9")
		f.export("a", marker, "web")
		f.want("c", marker, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.9:8080")
		for _, in := range names {
			if after := f.settledWrites(in, ns); len(after) > before[in] {
				t.Errorf("without %q: writes to %s: %+v", missing, in, after[before[in]:])
			}
		}
	}
}

// settledWrites are the writes to a namespace when the audit log has come to rest.
func (f *federation) settledWrites(in, ns string) []lab.Request {
	f.t.Helper()
	var last []lab.Request
	seen := 0
	lab.Eventually(f.t, long, "the audit log to come to rest", func(context.Context) error {
		if last = f.writes(in, ns); seen == 0 || len(last) != seen {
			seen = max(len(last), 1)
			return fmt.Errorf("%d writes", len(last))
		}
		return nil
	})
	return last
}

// TestDrain: the endpoints of a cluster that is drained are the last that others use.
func TestDrain(t *testing.T) {
	f := newFederation(t, clusters(t), patient)
	ns := f.namespace("drain", "a", "b")
	f.serve("a", ns, web(), "10.1.0.1")
	f.export("a", ns, "web")
	f.want("b", ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080")
	f.annotate("a", map[string]string{fedv1.DrainAnnotation: "true"})
	f.want("b", ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080(unready)")
	f.want("a", ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080")
	f.annotate("a", nil)
	f.want("b", ns, "web", "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080")
}

// TestRepair: what somebody removes or changes of what discovery has written comes back as it was.
func TestRepair(t *testing.T) {
	f := newFederation(t, clusters(t), patient)
	ns := f.namespace("repair", "a", "b")
	f.serve("a", ns, web(), "10.1.0.1")
	f.export("a", ns, "web")
	whole := "ClusterSetIP http=80/TCP ip from a a:10.1.0.1:8080"
	f.want("b", ns, "web", whole)
	slices := f.core("b").DiscoveryV1().EndpointSlices(ns)
	list, err := slices.List(t.Context(), metav1.ListOptions{})
	must(t, err)
	changed := list.Items[0]
	changed.Endpoints[0].Addresses[0] = "10.6.6.6"
	_, err = slices.Update(t.Context(), &changed, metav1.UpdateOptions{FieldManager: "mallory"})
	must(t, err)
	f.want("b", ns, "web", whole)

	imports := f.mcs("b").MulticlusterV1beta1().ServiceImports(ns)
	before, err := imports.Get(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	must(t, imports.Delete(t.Context(), "web", metav1.DeleteOptions{}))
	lab.Eventually(t, long, "another import, which owns what is behind it", func(ctx context.Context) error {
		after, err := imports.Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		list, err := slices.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if after.UID == before.UID || len(list.Items) != 1 || list.Items[0].OwnerReferences[0].UID != after.UID {
			return fmt.Errorf("import %s, slices %+v", after.UID, list.Items)
		}
		return nil
	})
	f.want("b", ns, "web", whole)
}
