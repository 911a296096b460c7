package fault

import (
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hansa-io/hansa/internal/lab"
)

// TestTwoControlPlanes [F50]: two federations share a member and ask it for objects of the same names. The one that comes second writes
// nothing, says whose they are, and gets them as they are once the first has let them go.
func TestTwoControlPlanes(t *testing.T) {
	first := federate(t)
	first.createsMap("web", "first", "m1")
	made := first.holds(soon, first.m1, "web", "first")

	second := secondPlane(t, first)
	wrote := record(t, "m1", func(r lab.Request) bool {
		return r.User == "system:serviceaccount:"+first.namespace+":second" && writes(r)
	})
	second.federatesNamespace()
	second.createsMap("web", "second", "m1")
	second.says(soon, "ConfigMap", "web", "m1", "OwnedByOther")
	second.setsValue("web", "again")
	first.createsMap("gone", "first", "m1")
	first.holds(soon, first.m1, "gone", "first")
	second.createsMap("gone", "second", "m1")
	second.says(soon, "ConfigMap", "gone", "m1", "OwnedByOther")
	second.removes("ConfigMap", "gone")
	second.isGone(soon, "ConfigMap", "gone")
	rests(t, 2*time.Second)
	wrote.none("by the second control plane")
	first.keeps(first.m1, made)
	first.holds(soon, first.m1, "gone", "first")

	first.edits("ConfigMap", "web", fields{"metadata": fields{"annotations": fields{"kubefed.io/orphan": "true"}}})
	first.removes("ConfigMap", "web")
	first.isGone(soon, "ConfigMap", "web")
	second.holds(soon, second.m1, "web", "again")
	second.keeps(second.m1, made)
	second.says(soon, "ConfigMap", "web", "m1", "")
	for _, r := range wrote.since() {
		if r.Verb != "patch" || r.Name != "web" {
			t.Errorf("there was %s", line(r))
		}
	}
}

// secondPlane makes a host of m2 and a federation of m1, which it reaches as an account of its own: so that the audit log tells whose
// requests are whose. The namespace is that of the first.
func secondPlane(t *testing.T, first *federation) *federation {
	t.Helper()
	first.must(install("m2"))
	host, err := administrator("m2")
	first.must(err)
	f := &federation{TB: t, Client: host, namespace: first.namespace}
	first.exists(first.m2, "Namespace", f.namespace)
	f.m1 = linked(t, "m1", "m1")
	f.m1.token = accountIn(t, first.m1, first.namespace, "second")
	f.join(f.m1)
	f.starts(clusters.Kubeconfig(), "m2")
	return f
}

// accountIn makes a service account that may do anything in a member, and returns its token.
func accountIn(t *testing.T, m *member, namespace, name string) string {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: name}},
	}
	for _, err := range []error{m.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}), m.Create(t.Context(), binding)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := kubernetes.NewForConfigOrDie(clusters.Config(m.cluster))
	token, err := c.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return token.Status.Token
}
