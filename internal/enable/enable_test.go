package enable

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/spec3"
	openapi "k8s.io/kube-openapi/pkg/validation/spec"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
)

// catalogue is a small server: events in two groups, two types of one kind, two versions with the preferred one listed last.
func catalogue() Catalogue {
	all := metav1.Verbs{"create", "get", "list", "watch"}
	group := func(name, preferred string, versions ...string) *metav1.APIGroup {
		g := &metav1.APIGroup{Name: name, PreferredVersion: metav1.GroupVersionForDiscovery{Version: preferred}}
		for _, v := range versions {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{Version: v})
		}
		return g
	}
	list := func(gv string, resources ...metav1.APIResource) *metav1.APIResourceList {
		return &metav1.APIResourceList{GroupVersion: gv, APIResources: resources}
	}
	widgets := metav1.APIResource{Name: "widgets", SingularName: "widget", Kind: "Widget", Verbs: all, Namespaced: true}
	return newCatalogue(
		[]*metav1.APIGroup{group("", "v1", "v1"), group("apps", "v1", "v1"), group("a.example.com", "v2", "v1", "v2"), group("b.example.com", "v1", "v1")},
		[]*metav1.APIResourceList{
			list("b.example.com/v1", widgets),
			list("a.example.com/v1", widgets, metav1.APIResource{Name: "olds", Kind: "Old", Verbs: all}),
			list("a.example.com/v2", widgets),
			list("events.k8s.io/v1", metav1.APIResource{Name: "events", Kind: "Event", Verbs: all, Namespaced: true}),
			list("apps/v1",
				metav1.APIResource{Name: "deployments", SingularName: "deployment", Kind: "Deployment", ShortNames: []string{"deploy"}, Verbs: all, Namespaced: true},
				metav1.APIResource{Name: "deployments/scale", Kind: "Scale"}),
			list("v1",
				metav1.APIResource{Name: "events", SingularName: "event", Kind: "Event", ShortNames: []string{"ev"}, Verbs: all, Namespaced: true},
				metav1.APIResource{Name: "bindings", Kind: "Binding", Verbs: metav1.Verbs{"create"}, Namespaced: true}),
		})
}

func TestATypeIsFoundByAnyOfItsNames(t *testing.T) {
	cases := []struct {
		name, version string
		want          string // plural.group/version, or part of the failure
	}{
		{"deployments", "", "deployments.apps/v1"},
		{"Deployment", "", "deployments.apps/v1"},
		{"DEPLOY", "", "deployments.apps/v1"},
		{"deployments.apps", "", "deployments.apps/v1"},
		{"deploy.apps", "v1", "deployments.apps/v1"},
		{"Deployment.apps", "", "deployments.apps/v1"},
		{"deployment.APPS", "", "deployments.apps/v1"},
		{"deployment", "", "deployments.apps/v1"},
		{"Event.events.k8s.io", "", "events.events.k8s.io/v1"},
		{"deployments.batch", "", `no API type "deployments.batch"`},
		{"Widget", "", "more than one API type: widgets.a.example.com, widgets.b.example.com"},
		{"ev", "", "events/v1"},
		{"events", "", "events/v1"},
		{"events.events.k8s.io", "", "events.events.k8s.io/v1"},
		{"widgets.a.example.com", "", "widgets.a.example.com/v2"},
		{"widgets.a.example.com", "v1", "widgets.a.example.com/v1"},
		{"olds", "", "olds.a.example.com/v1"},
		{"widgets", "", "more than one API type: widgets.a.example.com, widgets.b.example.com"},
		{"deployments", "v2", `does not serve version "v2"`},
		{"deployments/scale", "", "subresource"},
		{"deploymnets", "", `no API type "deploymnets"`},
	}
	for _, c := range cases {
		r, err := catalogue().Find(c.name, c.version)
		got := NameOf(r.APIResource) + "/" + r.Version
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s: got %q, want %q", c.name, c.version, got, c.want)
		}
	}
}

func TestATypoGetsTheNameThatWasMeant(t *testing.T) {
	_, err := catalogue().Find("deploymnets", "")
	var e *fail.Error
	if !errors.As(err, &e) || e.Hint != "did you mean deployments.apps?" {
		t.Errorf("got %#v", err)
	}
}

func TestWhatCannotBeWatchedOrIsOursCannotBeATarget(t *testing.T) {
	ours := Resource{APIResource: fedv1.APIResource{Group: Group, PluralName: "federatedsecrets"}, Verbs: []string{"get", "list", "watch", "create"}}
	bindings, err := catalogue().Find("bindings", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Resource{ours, bindings} {
		if _, err := TargetOf(r, false); err == nil {
			t.Errorf("%s is accepted", r.PluralName)
		}
	}
}

func TestTheFederatedTypeFollowsItsTarget(t *testing.T) {
	namespaces := Target{APIResource: fedv1.APIResource{Version: "v1", Kind: "Namespace", PluralName: "namespaces", Scope: fedv1.ScopeCluster}}
	if f := Federated(namespaces, Group, Version); f.Scope != fedv1.ScopeNamespaced {
		t.Errorf("FederatedNamespace is %s", f.Scope)
	}
	nodes := Target{
		APIResource: fedv1.APIResource{Group: "example.com", Version: "v1", Kind: "Node", PluralName: "nodes", Scope: fedv1.ScopeCluster},
		ShortNames:  []string{"no", "n"},
	}
	crd, config := CRD(nodes, "fed.example.com", "v2"), TypeConfig(nodes, "fed.example.com", "v2", "ns")
	got := []string{crd.Name, string(crd.Spec.Scope), crd.Spec.Names.Kind, strings.Join(crd.Spec.Names.ShortNames, ","), config.Name, config.Spec.FederatedType.Version}
	want := []string{"federatednodes.fed.example.com", "Cluster", "FederatedNode", "fno,fn", "nodes.example.com", "v2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReplicasAreRetainedOnlyIfTheTargetCountsThem(t *testing.T) {
	number := func(format string) apiextv1.CustomResourceDefinitionVersion {
		spec := apiextv1.JSONSchemaProps{Properties: fields{"replicas": {Type: "integer", Format: format}}}
		return apiextv1.CustomResourceDefinitionVersion{
			Name: "v" + format, Schema: &apiextv1.CustomResourceValidation{OpenAPIV3Schema: &apiextv1.JSONSchemaProps{Properties: fields{"spec": spec}}},
		}
	}
	crd := &apiextv1.CustomResourceDefinition{Spec: apiextv1.CustomResourceDefinitionSpec{
		Versions: []apiextv1.CustomResourceDefinitionVersion{{Name: "v0"}, number("int32"), number("int64")},
	}}
	for version, want := range map[string]bool{"v0": false, "vint32": true, "vint64": false, "vnone": false} {
		if got := ReplicasInCRD(crd, version); got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
	replicas := openapi.Schema{SchemaProps: openapi.SchemaProps{Type: openapi.StringOrArray{"integer"}, Format: "int32"}}
	spec := &openapi.Schema{SchemaProps: openapi.SchemaProps{Properties: map[string]openapi.Schema{"replicas": replicas}}}
	ref := openapi.Schema{SchemaProps: openapi.SchemaProps{AllOf: []openapi.Schema{{SchemaProps: openapi.SchemaProps{Ref: openapi.MustCreateRef("#/components/schemas/Spec")}}}}}
	kind := &openapi.Schema{
		VendorExtensible: openapi.VendorExtensible{Extensions: openapi.Extensions{"x-kubernetes-group-version-kind": []any{map[string]any{"kind": "Deployment"}}}},
		SchemaProps:      openapi.SchemaProps{Properties: map[string]openapi.Schema{"spec": ref}},
	}
	doc := &spec3.OpenAPI{Components: &spec3.Components{Schemas: map[string]*openapi.Schema{"Spec": spec, "Deployment": kind}}}
	if !ReplicasInOpenAPI(doc, "Deployment") || ReplicasInOpenAPI(doc, "Job") || ReplicasInOpenAPI(nil, "Job") {
		t.Error("the replicas of a Deployment, and of nothing else, are in the document")
	}
}

// TestWorkloads: what runs tells whether it does, can be scaled if its target can, and shows its replicas; what does not run has none of this.
func TestWorkloads(t *testing.T) {
	find := func(name string, replicas bool) Target {
		r, err := catalogue().Find(name, "")
		if err != nil {
			t.Fatal(err)
		}
		target, err := TargetOf(r, replicas)
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	for _, c := range []struct {
		target                     Target
		scales, replicas, collects bool
	}{
		{find("deployments.apps", true), true, true, true},
		{find("deployments.apps", false), false, false, true}, // scale would set a field that is not known to be there
		{find("widgets.a.example.com", true), false, true, false},
		{find("events", false), false, false, false},
	} {
		v := CRD(c.target, Group, Version).Spec.Versions[0]
		status := v.Schema.OpenAPIV3Schema.Properties["status"]
		_, sums := status.Properties["readyReplicas"]
		_, each := status.Properties["clusters"].Items.Schema.Properties["replicasReady"]
		column := slices.ContainsFunc(v.AdditionalPrinterColumns, func(d apiextv1.CustomResourceColumnDefinition) bool { return d.Name == "Replicas" })
		if (v.Subresources.Scale != nil) != c.scales || sums != c.replicas || each != c.replicas || column != c.replicas {
			t.Errorf("%s: scale %v, replicas %t %t, column %t", c.target.Kind, v.Subresources.Scale, sums, each, column)
		}
		config := TypeConfig(c.target, Group, Version, "ns")
		if collects := config.Spec.StatusCollection != nil && *config.Spec.StatusCollection == fedv1.Enabled; collects != c.collects {
			t.Errorf("%s: status is collected: %t", c.target.Kind, collects)
		}
	}
}

func TestATypeIsFederatedOnce(t *testing.T) {
	pair := func(group, version, plural, federatedGroup string) Pair {
		target := Target{APIResource: fedv1.APIResource{Group: group, Version: version, Kind: "X", PluralName: plural, Scope: fedv1.ScopeNamespaced}}
		return Pair{CRD: CRD(target, federatedGroup, Version), Config: TypeConfig(target, federatedGroup, Version, "ns")}
	}
	existing := []fedv1.FederatedTypeConfig{
		*pair("networking.k8s.io", "v1", "ingresses", Group).Config,
		*pair("a.example.com", "v1", "widgets", Group).Config,
	}
	cases := []struct {
		name, want string
		pair       Pair
	}{
		{"again", "", pair("a.example.com", "v1", "widgets", Group)},
		{"another version", "", pair("a.example.com", "v2", "widgets", Group)},
		{"another federated group", "Changing the federated type", pair("a.example.com", "v1", "widgets", "fed.example.com")},
		{"the same objects", "equivalent type", pair("extensions", "v1beta1", "ingresses", "fed.example.com")},
		{"the same plural", "belongs to type", pair("b.example.com", "v1", "widgets", Group)},
		{"the same plural elsewhere", "", pair("b.example.com", "v1", "widgets", "fed.example.com")},
	}
	for _, c := range cases {
		err := Conflict(c.pair, existing)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestADisabledTypeLeavesTheFinalizerPolicy(t *testing.T) {
	policy := &admissionv1.MutatingAdmissionPolicy{}
	rule := admissionv1.NamedRuleWithOperations{}
	rule.APIGroups, rule.Resources = []string{Group}, []string{"federatedsecrets", "federatedjobs"}
	policy.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{rule}}
	for _, step := range []struct {
		plural string
		found  bool
		rules  int
	}{{"federatedconfigmaps", false, 1}, {"federatedsecrets", true, 1}, {"federatedsecrets", false, 1}, {"federatedjobs", true, 0}} {
		found := dropResource(policy, fedv1.APIResource{Group: Group, PluralName: step.plural})
		if rules := len(policy.Spec.MatchConstraints.ResourceRules); found != step.found || rules != step.rules {
			t.Errorf("%s: found %v, %d rules left", step.plural, found, rules)
		}
	}
}
