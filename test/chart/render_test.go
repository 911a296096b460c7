package chart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
)

// With default values the chart installs what kubefedctl init installs, and the manager beside it.
func TestChartIsWhatInitInstalls(t *testing.T) {
	for _, namespace := range []string{home, "elsewhere"} {
		for _, scope := range []fedv1.ResourceScope{fedv1.ScopeCluster, fedv1.ScopeNamespaced} {
			t.Run(namespace+" "+string(scope), func(t *testing.T) {
				got, _ := render(t, namespace, "global: {scope: "+string(scope)+"}")
				for _, c := range hansa(t).CRDObjects() {
					for name, o := range parse(t, string(c.File.Data)) {
						got[name] = o
					}
				}
				for _, own := range []string{"Deployment kubefed-controller-manager", "Service kubefed-controller-manager-metrics-service", "NetworkPolicy kubefed-controller-manager"} {
					if got[own] == nil {
						t.Errorf("%s is missing", own)
					}
					delete(got, own)
				}
				objects, err := config.Objects(namespace, scope)
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]*unstructured.Unstructured{}
				for _, o := range objects {
					if o.GetKind() != "Namespace" { // Helm makes it: helm install --create-namespace
						spellOut(o)
						want[o.GetKind()+" "+o.GetName()] = o
					}
				}
				for _, o := range got {
					unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "helm.sh/resource-policy")
					if len(o.GetAnnotations()) == 0 {
						unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
					}
				}
				if diff := cmp.Diff(plain(t, want), plain(t, got)); diff != "" {
					t.Errorf("init (-) and chart (+) differ:\n%s", diff)
				}
			})
		}
	}
}

// spellOut adds the defaults that the chart spells out in policies, so that its rules are equal to those that the API server holds.
func spellOut(o *unstructured.Unstructured) {
	if _, ok, _ := unstructured.NestedMap(o.Object, "spec", "matchResources"); ok {
		_ = unstructured.SetNestedField(o.Object, "Equivalent", "spec", "matchResources", "matchPolicy")
		_ = unstructured.SetNestedMap(o.Object, map[string]any{}, "spec", "matchResources", "objectSelector")
	}
	constraints, ok, _ := unstructured.NestedMap(o.Object, "spec", "matchConstraints")
	if !ok {
		return
	}
	constraints["matchPolicy"], constraints["namespaceSelector"], constraints["objectSelector"] = "Equivalent", map[string]any{}, map[string]any{}
	for _, field := range []string{"resourceRules", "excludeResourceRules"} {
		rules, _ := constraints[field].([]any)
		for _, r := range rules {
			r.(map[string]any)["scope"] = "*"
		}
	}
	_ = unstructured.SetNestedMap(o.Object, constraints, "spec", "matchConstraints")
}

// plain makes numbers of all origins comparable.
func plain(t *testing.T, objects map[string]*unstructured.Unstructured) map[string]any {
	t.Helper()
	out := map[string]any{}
	for name, o := range objects {
		data, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		out[name] = values(t, string(data))
	}
	return out
}

// kubefedValues is a values.yaml as people keep it who started from that of KubeFed's chart: all keys, many of them empty.
const kubefedValues = `
controllermanager:
  enabled: true
  clusterAvailableDelay:
  clusterUnavailableDelay: 90s
  leaderElectLeaseDuration:
  leaderElectRenewDeadline:
  leaderElectRetryPeriod:
  leaderElectResourceLock: endpoints
  cacheSyncTimeout:
  clusterHealthCheckPeriod: 30s
  clusterHealthCheckFailureThreshold: 5
  clusterHealthCheckSuccessThreshold:
  clusterHealthCheckTimeout:
  syncController: {maxConcurrentReconciles: 16, adoptResources: Disabled}
  statusController: {maxConcurrentReconciles: }
  featureGates: {PushReconciler: , SchedulerPreferences: Disabled, RawResourceStatusCollection: Enabled, FederatedIngress: Enabled, CrossClusterServiceDiscovery: Enabled}
  commonNodeSelector: {disk: ssd}
  commonTolerations: [{key: infra, operator: Exists}]
  imagePullSecrets: [{name: pull}]
  controller:
    annotations: {a: b}
    podAnnotations: {c: d}
    replicaCount: 3
    repository: quay.io/kubernetes-multicluster
    image: kubefed
    tag: v0.10.0
    imagePullPolicy: Always
    logLevel: 4
    forceRedeployment: true
    env: {HTTPS_PROXY: "http://proxy:3128", COUNT: 1}
    resources: {limits: {cpu: 500m, memory: 512Mi}, requests: {cpu: 100m, memory: 64Mi}}
  webhook:
    annotations: {}
    replicaCount: 1
    repository: quay.io/kubernetes-multicluster
    image: kubefed
    tag: v0.10.0
    resources: {limits: {cpu: 100m}}
  certManager: {enabled: false, rootCertificate: {organizations: [], commonName: ca.webhook.kubefed, dnsNames: [ca.webhook.kubefed]}}
  postInstallJob: {repository: bitnami, image: kubectl, tag: 1.17.16, imagePullPolicy: IfNotPresent}
  service: {labels: {team: platform}}
global: {scope: ""}
`

// helm upgrade --reuse-values gives a chart the values of the release, without its own defaults: then the templates have the same.
func TestDefaultsWithoutValues(t *testing.T) {
	bare := hansa(t)
	bare.Values = nil
	got, err := template(t, bare, home, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := template(t, hansa(t), home, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Manifest, got.Manifest); diff != "" {
		t.Errorf("with values.yaml (-) and without (+):\n%s", diff)
	}
	if len(want.Hooks) != len(got.Hooks) {
		t.Errorf("%d hooks with values.yaml, %d without", len(want.Hooks), len(got.Hooks))
	}
}

func TestOldValuesMean(t *testing.T) {
	objects, notes := render(t, home, kubefedValues)
	want := values(t, `
scope: Cluster
controllerDuration: {availableDelay: 20s, unavailableDelay: 90s, cacheSyncTimeout: 5m}
leaderElect: {leaseDuration: 15s, renewDeadline: 10s, retryPeriod: 5s, resourceLock: endpoints}
clusterHealthCheck: {period: 30s, failureThreshold: 5, successThreshold: 1, timeout: 3s}
syncController: {maxConcurrentReconciles: 16, adoptResources: Disabled}
statusController: {maxConcurrentReconciles: 8}
featureGates:
- {name: CrossClusterServiceDiscovery, configuration: Enabled}
- {name: FederatedIngress, configuration: Enabled}
- {name: PushReconciler, configuration: Enabled}
- {name: RawResourceStatusCollection, configuration: Enabled}
- {name: SchedulerPreferences, configuration: Disabled}
`)
	spec := values(t, toJSON(t, objects["KubeFedConfig kubefed"].Object["spec"]))
	for section, value := range want {
		if diff := cmp.Diff(value, spec[section]); diff != "" {
			t.Errorf("KubeFedConfig, %s:\n%s", section, diff)
		}
	}
	deployment := toJSON(t, objects["Deployment kubefed-controller-manager"].Object)
	for _, part := range []string{
		`"replicas":3`, `"a":"b"`, `"c":"d"`, `"-v=4"`, `"disk":"ssd"`, `"key":"infra"`, `"imagePullSecrets":[{"name":"pull"}]`,
		`{"name":"HTTPS_PROXY","value":"http://proxy:3128"}`, `{"name":"COUNT","value":"1"}`, `"cpu":"500m"`, `"imagePullPolicy":"Always"`,
		`"kubefed.io/redeployed"`, `"image":"ghcr.io/hansa-io/hansa:`,
	} {
		if !strings.Contains(deployment, part) {
			t.Errorf("no %s in the Deployment:\n%s", part, deployment)
		}
	}
	if labels := objects["Service kubefed-controller-manager-metrics-service"].GetLabels(); labels["team"] != "platform" {
		t.Errorf("labels of the Service: %v", labels)
	}
	for _, part := range []string{"controllermanager.webhook, controllermanager.certManager, controllermanager.postInstallJob", "KubeFed's image"} {
		if !strings.Contains(notes, part) {
			t.Errorf("the notes do not speak of %s:\n%s", part, notes)
		}
	}
}

// rc6Values is from before controller.* and webhook.* were split.
func TestOldestValuesRender(t *testing.T) {
	_, notes := render(t, home, "controllermanager: {replicaCount: 1, repository: quay.io/kubernetes-multicluster, image: kubefed, tag: v0.1.0-rc6, imagePullPolicy: IfNotPresent, resources: {}, forceRedeployment: false}")
	if !strings.Contains(notes, "without effect in Hansa: controllermanager.replicaCount, controllermanager.repository") {
		t.Errorf("the notes do not say what has no effect:\n%s", notes)
	}
}

func TestValuesThatDoNotMakeSense(t *testing.T) {
	for text, want := range map[string]string{
		"global: {scope: Everywhere}":                                   "scope",
		"controllermanager: {clusterHealthCheckPeriod: soon}":           "clusterHealthCheckPeriod",
		"controllermanager: {clusterHealthCheckFailureThreshold: 0}":    "clusterHealthCheckFailureThreshold",
		"controllermanager: {featureGates: {PushReconciler: on}}":       "PushReconciler",
		"controllermanager: {leaderElectResourceLock: files}":           "leaderElectResourceLock",
		"controllermanager: {controler: {replicaCount: 3}}":             "controler",
		"controllermanager: {controller: {replicas: 3}}":                "replicas",
		"controllermanager: {controller: {replicaCount: two}}":          "replicaCount",
		"controllermanager: {controller: {extraArgs: [member-qps=10]}}": "extraArgs",
		"types: {deployments: Enabled}":                                 "deployments",
		"types: {secrets: true}":                                        "secrets",
		"networkPolicy: {egressCIDRs: [10.0.0.1]}":                      "egressCIDRs",
	} {
		if _, err := template(t, hansa(t), home, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want an error that names %s, got %v", text, want, err)
		}
	}
}

// A type that is not managed is not rendered, and no finalizer is put on its objects: nobody would take it off.
func TestTypes(t *testing.T) {
	objects, _ := render(t, home, "types: {jobs.batch: Unmanaged, secrets: Disabled}")
	if objects["FederatedTypeConfig jobs.batch"] != nil {
		t.Error("an unmanaged type is rendered")
	}
	if mode, _, _ := unstructured.NestedString(objects["FederatedTypeConfig secrets"].Object, "spec", "propagation"); mode != "Disabled" {
		t.Errorf("propagation of secrets is %s", mode)
	}
	policy := toJSON(t, objects["MutatingAdmissionPolicy kubefed-finalizer"].Object)
	if strings.Contains(policy, "federatedjobs") || !strings.Contains(policy, "federatedsecrets") {
		t.Errorf("the policy covers the wrong types: %s", policy)
	}
	if !strings.Contains(toJSON(t, objects["ClusterRole kubefed-edit"].Object), "federatedjobs") {
		t.Error("the roles depend on who manages a type")
	}
}

func TestRequesterCheck(t *testing.T) {
	const binding = "ValidatingAdmissionPolicyBinding kubefed-requester"
	for mode, want := range map[string]string{"": "[Deny]", "Deny": "[Deny]", "Warn": "[Audit Warn]", "Off": "none"} {
		objects, _ := render(t, home, "admission: {requesterCheck: "+mode+"}")
		got := "none"
		if o := objects[binding]; o != nil {
			actions, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "validationActions")
			got = fmt.Sprint(actions)
		}
		if got != want {
			t.Errorf("requesterCheck %q: got %s, want %s", mode, got, want)
		}
		if objects["ValidatingAdmissionPolicy kubefed-requester"] == nil {
			t.Error("the policy is missing")
		}
	}
}

func TestManagerElsewhere(t *testing.T) {
	objects, notes := render(t, home, "controllermanager: {enabled: false}")
	for name := range objects {
		if strings.HasPrefix(name, "Deployment") || strings.HasPrefix(name, "Service ") || strings.HasPrefix(name, "NetworkPolicy") {
			t.Errorf("%s is rendered", name)
		}
	}
	if objects["KubeFedConfig kubefed"] == nil || objects["ClusterRole kubefed-role"] == nil || !strings.Contains(notes, "hansa manager") {
		t.Errorf("got %v and the notes\n%s", names(objects), notes)
	}
}

// The rules and the dashboard arrive as they are, though they are full of braces.
func TestMonitoring(t *testing.T) {
	rules, err := os.ReadFile("../../config/monitoring/rules.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there are no rules in config/monitoring")
	}
	dashboard, err := os.ReadFile("../../config/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	objects, _ := render(t, home, "monitoring: {serviceMonitor: {enabled: true, labels: {release: prometheus}}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}")
	if diff := cmp.Diff(values(t, string(rules)), values(t, toJSON(t, objects["PrometheusRule kubefed-controller-manager"].Object["spec"]))); diff != "" {
		t.Errorf("the rules differ:\n%s", diff)
	}
	board := objects["ConfigMap kubefed-dashboard"]
	if text, _, _ := unstructured.NestedString(board.Object, "data", "hansa.json"); strings.TrimSpace(text) != strings.TrimSpace(string(dashboard)) {
		t.Error("the dashboard differs")
	}
	if board.GetLabels()["grafana_dashboard"] != "1" || objects["ServiceMonitor kubefed-controller-manager"].GetLabels()["release"] != "prometheus" {
		t.Error("labels are missing")
	}
}

// The xDS server is served, announced and let in together, or not at all.
func TestXDS(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"xds: {enabled: true}": "--xds-addr=:18000",
		"xds: {enabled: true, port: 19000, serverNames: [xds.example.com, 192.0.2.1]}": "--xds-addr=:19000 --xds-server-names=xds.example.com,192.0.2.1",
	} {
		objects, _ := render(t, home, text)
		deployment := toJSON(t, objects["Deployment kubefed-controller-manager"].Object)
		for _, arg := range strings.Fields(want) {
			if !strings.Contains(deployment, `"`+arg+`"`) {
				t.Errorf("%q: no argument %s", text, arg)
			}
		}
		service, served := objects["Service hansa-xds"]
		if on := want != ""; on != served || on != strings.Contains(deployment, "xds") || on != strings.Contains(toJSON(t, objects["NetworkPolicy kubefed-controller-manager"].Object), `"xds"`) {
			t.Errorf("%q: a Service %v, want %v, and a port and a way in with it", text, served, on)
		}
		if served {
			if ip, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP"); ip != "None" {
				t.Errorf("%q: the Service has the address %q", text, ip)
			}
		}
	}
	objects, _ := render(t, home, "xds: {enabled: true, service: {type: LoadBalancer, annotations: {a: b}}}")
	service := objects["Service hansa-xds"]
	if kind, _, _ := unstructured.NestedString(service.Object, "spec", "type"); kind != "LoadBalancer" || service.GetAnnotations()["a"] != "b" {
		t.Errorf("the Service is not as asked for: %v", service.Object)
	}
	if _, ok, _ := unstructured.NestedString(service.Object, "spec", "clusterIP"); ok {
		t.Error("a Service of type LoadBalancer must have an address of its own")
	}
}

// What goes with the release must not take the federation along.
func TestWhatStays(t *testing.T) {
	objects, _ := render(t, home, "")
	for name, o := range objects {
		federation := strings.HasSuffix(o.GroupVersionKind().Group, "kubefed.io")
		if stays := o.GetAnnotations()["helm.sh/resource-policy"] == "keep"; stays != federation {
			t.Errorf("%s: stays is %v", name, stays)
		}
		if o.GetKind() == "Namespace" || o.GetKind() == "CustomResourceDefinition" {
			t.Errorf("%s would be deleted by helm uninstall", name)
		}
	}
}
