package intent_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
)

func config(name, group, plural, kind string, scope string) *fedv1.FederatedTypeConfig {
	c := &fedv1.FederatedTypeConfig{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Spec.TargetType = fedv1.APIResource{Group: group, Version: "v1", Kind: kind, PluralName: plural, Scope: fedv1.ScopeNamespaced}
	if scope == "Cluster" {
		c.Spec.TargetType.Scope = "Cluster"
	}
	c.Spec.FederatedType = fedv1.APIResource{Group: "types.kubefed.io", Version: "v1beta1", Kind: "Federated" + kind, PluralName: "federated" + plural, Scope: fedv1.ScopeNamespaced}
	c.Spec.Propagation = fedv1.Enabled
	return c
}

// TestTargetNames: federated ns/name is ns/name in the members, but for namespaces, which live in themselves (KubeFed 9.1).
func TestTargetNames(t *testing.T) {
	for _, tc := range []struct {
		config *fedv1.FederatedTypeConfig
		key    intent.Key
		want   [2]string
		text   string
	}{
		{config("deployments.apps", "apps", "deployments", "Deployment", ""), intent.Key{Type: "deployments.apps", Namespace: "shop", Name: "web"}, [2]string{"shop", "web"}, "deployments.apps shop/web"},
		{config("namespaces", "", "namespaces", "Namespace", "Cluster"), intent.Key{Type: "namespaces", Namespace: "shop", Name: "shop"}, [2]string{"", "shop"}, "namespaces shop/shop"},
		{config("clusterroles.rbac.authorization.k8s.io", "rbac.authorization.k8s.io", "clusterroles", "ClusterRole", "Cluster"), intent.Key{Type: "clusterroles.rbac.authorization.k8s.io", Name: "reader"}, [2]string{"", "reader"}, "clusterroles.rbac.authorization.k8s.io reader"},
	} {
		it := intent.TypeOf(tc.config)
		namespace, name := it.TargetName(tc.key)
		if got := [2]string{namespace, name}; got != tc.want {
			t.Errorf("%v: target %v, want %v", tc.key, got, tc.want)
		}
		if back := it.KeyOf(namespace, name); back != tc.key {
			t.Errorf("%v: comes back as %v", tc.key, back)
		}
		if tc.key.String() != tc.text {
			t.Errorf("%q, want %q", tc.key, tc.text)
		}
	}
}

func TestTypeOf(t *testing.T) {
	c := config("deployments.apps", "apps", "deployments", "Deployment", "")
	it := intent.TypeOf(c)
	if it.Paused || it.Target.GVK().String() != "apps/v1, Kind=Deployment" || it.Federated.Resource != "federateddeployments" || !it.Target.Namespaced {
		t.Errorf("%+v", it)
	}
	c.Spec.Propagation = ""
	if it := intent.TypeOf(c); !it.Paused {
		t.Error("propagation that is not enabled is paused")
	}
}

// TestTypeOfFillsGaps as KubeFed's controller does (2.3), for configurations that it has left behind.
func TestTypeOfFillsGaps(t *testing.T) {
	for _, tc := range []struct{ name, kind, target, group, federated string }{
		{"deployments.apps", "FederatedDeployment", "deployments", "apps", "federateddeployments"},
		{"configmaps", "FederatedConfigMap", "configmaps", "", "federatedconfigmaps"},
		{"ingresses.networking.k8s.io", "FederatedIngress", "ingresses", "networking.k8s.io", "federatedingresses"},
		{"networkpolicies.networking.k8s.io", "FederatedNetworkPolicy", "networkpolicies", "networking.k8s.io", "federatednetworkpolicies"},
	} {
		c := config(tc.name, "", "", "X", "")
		c.Spec.FederatedType.PluralName, c.Spec.FederatedType.Kind = "", tc.kind
		it := intent.TypeOf(c)
		if it.Target.Resource != tc.target || it.Target.Group != tc.group || it.Federated.Resource != tc.federated {
			t.Errorf("%s: %+v", tc.name, it)
		}
	}
}

// TestCollection: status is collected if the configuration says so; as it is with the feature gate; KubeFed's older way, for services
// only, without (KubeFed 10).
func TestCollection(t *testing.T) {
	on, off := fedv1.Enabled, fedv1.Disabled
	old := &fedv1.APIResource{Kind: "FederatedServiceStatus"}
	for name, tc := range map[string]struct {
		plural     string
		collection *fedv1.ConfigurationMode
		status     *fedv1.APIResource
		gate       bool
		want       string
		keeps      bool
	}{
		"by default":           {"services", nil, old, true, "health=false raw=false services=", false},
		"disabled":             {"services", &off, old, true, "health=false raw=false services=", false},
		"enabled":              {"configmaps", &on, nil, false, "health=true raw=false services=", false},
		"with the gate":        {"configmaps", &on, nil, true, "health=true raw=true services=", true},
		"of services":          {"services", &on, old, false, "health=true raw=false services=federatedservicestatuses", true},
		"the gate comes first": {"services", &on, old, true, "health=true raw=true services=", true},
		"of nothing else":      {"configmaps", &on, old, false, "health=true raw=false services=", false},
	} {
		c := config(tc.plural, "", tc.plural, "X", "")
		c.Spec.StatusCollection, c.Spec.StatusType = tc.collection, tc.status
		it := intent.TypeOf(c).WithRaw(tc.gate)
		got := fmt.Sprintf("health=%t raw=%t services=%s", it.Collects.Health, it.Collects.Raw, it.Collects.Services.Resource)
		if got != tc.want || it.Collects.KeepsStatus() != tc.keeps {
			t.Errorf("%s: %s, keeps the status: %t", name, got, it.Collects.KeepsStatus())
		}
		if s := it.Collects.Services; s.Resource != "" && (s.Group != it.Federated.Group || s.Version != it.Federated.Version) {
			t.Errorf("%s: the gaps are filled with %v", name, s)
		}
	}
}
