package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
)

var update = flag.Bool("update", false, "write the generated files")

// defaults are the types that are enabled from the start.
func defaults() []enable.Target {
	target := func(group, version, kind, plural string, scope fedv1.ResourceScope, shortNames ...string) enable.Target {
		return enable.Target{
			APIResource: fedv1.APIResource{Group: group, Version: version, Kind: kind, PluralName: plural, Scope: scope},
			ShortNames:  shortNames,
			Replicas:    kind == "Deployment" || kind == "ReplicaSet",
			Scales:      kind == "Deployment" || kind == "ReplicaSet",
		}
	}
	return []enable.Target{
		target("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", fedv1.ScopeCluster),
		target("", "v1", "ConfigMap", "configmaps", fedv1.ScopeNamespaced, "cm"),
		target("apps", "v1", "Deployment", "deployments", fedv1.ScopeNamespaced, "deploy"),
		target("networking.k8s.io", "v1", "Ingress", "ingresses", fedv1.ScopeNamespaced, "ing"),
		target("batch", "v1", "Job", "jobs", fedv1.ScopeNamespaced),
		target("", "v1", "Namespace", "namespaces", fedv1.ScopeCluster, "ns"),
		target("apps", "v1", "ReplicaSet", "replicasets", fedv1.ScopeNamespaced, "rs"),
		target("", "v1", "Secret", "secrets", fedv1.ScopeNamespaced),
		target("", "v1", "ServiceAccount", "serviceaccounts", fedv1.ScopeNamespaced, "sa"),
		target("", "v1", "Service", "services", fedv1.ScopeNamespaced, "svc"),
	}
}

// The files under types/ are what `kubefedctl enable` would make of the ten default types.
func TestTypesAreGenerated(t *testing.T) {
	for _, target := range defaults() {
		want := document(t, enable.CRD(target, enable.Group, enable.Version))
		want = append(want, "---\n"...)
		want = append(want, document(t, enable.TypeConfig(target, enable.Group, enable.Version, fedv1.DefaultNamespace))...)
		file := filepath.Join("types", target.Name()+".yaml")
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale, run `go test ./config -update`:\n%s", file, diff)
		}
	}
}

func document(t *testing.T, object any) []byte {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "status")
	data, err = yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestObjectsMoveToAnotherNamespace(t *testing.T) {
	for _, scope := range []fedv1.ResourceScope{fedv1.ScopeCluster, fedv1.ScopeNamespaced} {
		objects, err := Objects("elsewhere", scope)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]int{}
		for _, o := range objects {
			kinds[o.GetKind()]++
			if data, _ := o.MarshalJSON(); bytes.Contains(data, []byte(fedv1.DefaultNamespace)) {
				t.Errorf("%s: %s %s still names %s", scope, o.GetKind(), o.GetName(), fedv1.DefaultNamespace)
			}
			if roles := o.GetKind() == "ClusterRole"; roles && scope == fedv1.ScopeNamespaced {
				t.Errorf("a namespaced control plane gets ClusterRole %s", o.GetName())
			}
		}
		if kinds["FederatedTypeConfig"] != 10 || kinds["KubeFedConfig"] != 1 || kinds["CustomResourceDefinition"] < 13 {
			t.Errorf("%s: got %v", scope, kinds)
		}
		if last := objects[len(objects)-1]; objects[0].GetKind() != "Namespace" || last.GetKind() != "ValidatingAdmissionPolicyBinding" {
			t.Errorf("%s: the namespace must be first and the policies last", scope)
		}
	}
}

// A control plane of one namespace gets policies of its own, which are about that namespace and no other.
func TestPoliciesOfANamespaceAreItsOwn(t *testing.T) {
	objects, err := Objects("elsewhere", fedv1.ScopeNamespaced)
	if err != nil {
		t.Fatal(err)
	}
	policies, bindings := map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		switch {
		case !isPolicy(o):
		case !strings.HasSuffix(o.GetName(), "-elsewhere"), strings.HasPrefix(o.GetName(), fedv1.FinalizerPolicy):
			t.Errorf("%s %s is not for this namespace", o.GetKind(), o.GetName())
		case strings.HasSuffix(o.GetKind(), "Binding"):
			of, _, _ := unstructured.NestedString(o.Object, "spec", "policyName")
			only, _, _ := unstructured.NestedString(o.Object, "spec", "matchResources", "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name")
			if bindings[of] = true; only != "elsewhere" {
				t.Errorf("binding %s is about namespace %q", o.GetName(), only)
			}
		default:
			policies[o.GetName()] = true
		}
	}
	if diff := cmp.Diff(policies, bindings); diff != "" || len(policies) == 0 {
		t.Errorf("policies without bindings, or the other way round: %v", diff)
	}
}

func TestTheRequesterCheckHasModes(t *testing.T) {
	objects, err := Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[RequesterCheck]string{RequesterDeny: "[[Deny] [Deny] [Deny]]", RequesterWarn: "[[Audit Warn] [Audit Warn] [Audit Warn]]", RequesterOff: "[]"} {
		got := [][]string{}
		for _, o := range WithRequesterCheck(objects, mode) {
			if IsRequesterBinding(o) {
				actions, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "validationActions")
				got = append(got, actions)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, want %s", mode, got, want)
		}
	}
}

// The default types are named in several policies, as CEL cannot read files.
func TestPoliciesNameTheDefaultTypes(t *testing.T) {
	var want []string
	for _, target := range defaults() {
		want = append(want, "federated"+target.PluralName)
	}
	objects, err := Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	if err != nil {
		t.Fatal(err)
	}
	for name, rules := range map[string]string{fedv1.FinalizerPolicy: "resourceRules", RequesterPolicy: "resourceRules", RequesterPolicy + "-types": "excludeResourceRules"} {
		for _, o := range objects {
			list, ok, _ := unstructured.NestedSlice(o.Object, "spec", "matchConstraints", rules)
			if o.GetName() != name || !ok {
				continue
			}
			got, _, _ := unstructured.NestedStringSlice(list[0].(map[string]any), "resources")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}
