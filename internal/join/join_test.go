package join

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

func TestLoopbackEndpointsAreKnown(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"https://127.0.0.1:6443": true, "https://localhost": true, "127.0.0.2:443": true, "[::1]:6443": true, "https://[::1]:6443": true, "0.0.0.0": true,
		"https://10.0.0.1": false, "https://api.example.com:6443": false, "example.com": false, "": false,
	} {
		if Loopback(endpoint) != want {
			t.Errorf("%q: %v", endpoint, !want)
		}
	}
}

func TestAClusterHasOneNameAndANameOneCluster(t *testing.T) {
	member := func(name, id, endpoint string) fedv1.KubeFedCluster {
		c := fedv1.KubeFedCluster{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{fedv1.CredentialClusterIDAnnotation: id}}}
		c.Spec.APIEndpoint = endpoint
		return c
	}
	clusters := []fedv1.KubeFedCluster{member("a", "id-a", "https://a"), member("old", "", "https://old/")}
	cases := []struct{ name, id, endpoint, want string }{
		{"new", "id-new", "https://new", ""},
		{"a", "id-a", "https://a", ""},
		{"a", "id-a", "https://moved", ""},
		{"b", "id-a", "https://other-address", `already joined as "a"`},
		{"a", "id-b", "https://a", "belongs to another cluster"},
		{"b", "id-b", "https://a", ""},
		{"old", "id-old", "https://old", ""},
		{"b", "id-old", "https://old", `already joined as "old"`},
	}
	for _, c := range cases {
		err := distinct(clusters, Options{Name: c.name}, c.id, c.endpoint)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestScopedRightsCoverTheEnabledTypesByGroup(t *testing.T) {
	types := []fedv1.FederatedTypeConfig{
		{Spec: fedv1.FederatedTypeConfigSpec{TargetType: fedv1.APIResource{Group: "apps", PluralName: "replicasets"}}},
		{Spec: fedv1.FederatedTypeConfigSpec{TargetType: fedv1.APIResource{PluralName: "secrets"}}},
		{Spec: fedv1.FederatedTypeConfigSpec{TargetType: fedv1.APIResource{Group: "apps", PluralName: "deployments"}}},
		{Spec: fedv1.FederatedTypeConfigSpec{TargetType: fedv1.APIResource{PluralName: "namespaces"}}},
	}
	var got []string
	for _, r := range scopedRules(known{types: types})[len(healthRules()):] {
		got = append(got, r.APIGroups[0]+": "+strings.Join(r.Resources, ","))
	}
	if diff := cmp.Diff([]string{": namespaces,secrets", "apps: deployments,replicasets"}, got); diff != "" {
		t.Error(diff)
	}
}

// What a feature gate needs is granted only while it is on.
func TestScopedRightsCoverTheGates(t *testing.T) {
	groups := func(gates ...fedv1.FeatureGatesConfig) []string {
		var out []string
		for _, r := range scopedRules(known{gates: gates})[len(healthRules())+1:] {
			out = append(out, r.APIGroups[0]+": "+strings.Join(r.Resources, ","))
		}
		return out
	}
	for _, off := range [][]fedv1.FeatureGatesConfig{nil, {{Name: fedv1.GateCrossClusterServiceDiscovery, Configuration: fedv1.Disabled}}} {
		if got := groups(off...); len(got) > 0 {
			t.Errorf("with %v: %v", off, got)
		}
	}
	on := groups(fedv1.FeatureGatesConfig{Name: fedv1.GateCrossClusterServiceDiscovery, Configuration: fedv1.Enabled}, fedv1.FeatureGatesConfig{Name: fedv1.GateFederatedIngress, Configuration: fedv1.Enabled})
	for _, want := range []string{": services", "discovery.k8s.io: endpointslices", "multicluster.x-k8s.io: serviceimports", "networking.k8s.io: ingresses"} {
		if !slices.Contains(on, want) {
			t.Errorf("%q is not among %q", want, on)
		}
	}
}

func TestRightsFollowTheScope(t *testing.T) {
	o := Options{Name: "c", HostName: "h", Namespace: "ns"}
	n := namesOf("c", "h", "ns")
	scoped := o
	scoped.Access = AccessScoped
	cases := []struct {
		name  string
		o     Options
		scope fedv1.ResourceScope
		want  []string
	}{
		{"cluster", o, fedv1.ScopeCluster, []string{"ClusterRole kubefed-controller-manager:c-h", "ClusterRoleBinding kubefed-controller-manager:c-h"}},
		{"namespaced", o, fedv1.ScopeNamespaced, []string{
			"Role ns/kubefed-controller-manager:c-h", "RoleBinding ns/kubefed-controller-manager:c-h",
			"ClusterRole kubefed-controller-manager:ns:healthcheck-c-h", "ClusterRoleBinding kubefed-controller-manager:ns:healthcheck-c-h",
		}},
		{"scoped", scoped, fedv1.ScopeCluster, []string{
			"ClusterRole kubefed-controller-manager:c-h", "ClusterRoleBinding kubefed-controller-manager:c-h",
			"Role ns/kubefed-controller-manager:c-h", "RoleBinding ns/kubefed-controller-manager:c-h",
		}},
	}
	for _, c := range cases {
		var got []string
		for _, thing := range roleThings(c.o, n, known{scope: c.scope}) {
			thing.set()
			got = append(got, name(thing.object))
			if role, ok := thing.object.(*rbacv1.ClusterRole); ok && strings.Contains(role.Name, "healthcheck") && role.Rules[0].Verbs[0] != "get" {
				t.Errorf("verb %q grants nothing", role.Rules[0].Verbs[0])
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
