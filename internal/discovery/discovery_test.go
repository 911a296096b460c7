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
