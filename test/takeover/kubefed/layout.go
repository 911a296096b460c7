// Package kubefed lays a federation of KubeFed 0.10 out on real clusters, by hand, as KubeFed leaves it: definitions, settings, types,
// members with tokens that never end, federated objects with finalizer and status, their copies as KubeFed's PUT leaves them, its records
// of them, the chart's Deployments and webhook configurations, and the leader's lock. It shares no code with what reads it.
package kubefed

import (
	"context"
	"crypto/md5"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Names in the layout.
const (
	Namespace = "kube-federation-system"
	lock      = "kubefed-controller-manager"
	// writer is the field manager that KubeFed's requests have.
	writer = "controller-manager"
)

// Federation is one that is laid out.
type Federation struct {
	Host    client.Client
	Members map[string]client.Client
	Objects []*unstructured.Unstructured // the federated objects
	host    string
	configs map[string]*rest.Config
	clients map[string]client.Client // that name the writer
}

//go:embed objects.yaml
var objectsYAML string

// Lay lays a federation out: the clusters by name, of which one is the host as well.
func Lay(ctx context.Context, host string, configs map[string]*rest.Config) (*Federation, error) {
	f := &Federation{host: host, configs: configs, Members: map[string]client.Client{}, clients: map[string]client.Client{}}
	for name, config := range configs {
		c, err := client.New(config, client.Options{})
		if err != nil {
			return nil, err
		}
		f.Members[name], f.clients[name] = c, client.WithFieldOwner(c, writer)
	}
	f.Host = f.Members[host]
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"install", f.install}, {"join", f.join}, {"federate", f.federate}, {"propagate", f.propagate}, {"run", f.run},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return f, nil
}

// parse reads YAML documents.
func parse(text string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, doc := range strings.Split(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			panic(err)
		}
		out = append(out, o)
	}
	return out
}

func (f *Federation) create(ctx context.Context, c client.Client, o *unstructured.Unstructured) error {
	for {
		err := c.Create(ctx, o)
		served := !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err)
		if err == nil || apierrors.IsAlreadyExists(err) || served || ctx.Err() != nil {
			return client.IgnoreAlreadyExists(err)
		}
		time.Sleep(50 * time.Millisecond) // its definition is not served yet
	}
}

func (f *Federation) createAll(ctx context.Context, c client.Client, text string, args ...any) error {
	for _, o := range parse(fmt.Sprintf(text, args...)) {
		if err := f.create(ctx, c, o); err != nil {
			return fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

const chart = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {name: %[1]s}}
---
apiVersion: core.kubefed.io/v1beta1
kind: KubeFedConfig
metadata: {name: kubefed, namespace: %[1]s}
spec:
  scope: Cluster
  controllerDuration: {availableDelay: 20s, unavailableDelay: 60s, cacheSyncTimeout: 5m}
  leaderElect: {leaseDuration: 15s, renewDeadline: 10s, retryPeriod: 5s, resourceLock: configmaps}
  clusterHealthCheck: {period: 10s, failureThreshold: 3, successThreshold: 1, timeout: 3s}
  syncController: {maxConcurrentReconciles: 1, adoptResources: Enabled}
  statusController: {maxConcurrentReconciles: 1}
  featureGates:
  - {name: PushReconciler, configuration: Enabled}
  - {name: SchedulerPreferences, configuration: Enabled}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: kubefed-controller, namespace: %[1]s}`

// install is what the chart does.
func (f *Federation) install(ctx context.Context) error {
	for _, o := range definitions() {
		if err := f.create(ctx, f.Host, o); err != nil {
			return err
		}
	}
	if err := f.createAll(ctx, f.Host, chart, Namespace); err != nil {
		return err
	}
	for _, t := range targets {
		if err := f.create(ctx, f.Host, t.definition()); err != nil {
			return err
		}
		c := t.config(Namespace)
		if err := f.create(ctx, f.Host, c); err != nil {
			return err
		}
		status := fields{"observedGeneration": c.GetGeneration(), "propagationController": "Running", "statusController": "NotRunning"}
		if err := f.status(ctx, c, status); err != nil {
			return err
		}
	}
	return nil
}

func (f *Federation) status(ctx context.Context, o *unstructured.Unstructured, status fields) error {
	o.Object["status"] = status
	return f.clients[f.host].Status().Update(ctx, o)
}

const account = `
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s, annotations: {kubernetes.io/enforce-mountable-secrets: "true"}}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Secret
metadata: {name: %[2]s, namespace: %[1]s, annotations: {kubernetes.io/service-account.name: %[2]s}}
type: kubernetes.io/service-account-token
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "kubefed-controller-manager:%[2]s"}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
- {nonResourceURLs: ["*"], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "kubefed-controller-manager:%[2]s"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "kubefed-controller-manager:%[2]s"}
subjects: [{kind: ServiceAccount, name: %[2]s, namespace: %[1]s}]`

const membership = `
apiVersion: v1
kind: Secret
metadata: {name: %[2]s-x7k2p, namespace: %[1]s}
type: Opaque
data: {token: %[3]s}
---
apiVersion: core.kubefed.io/v1beta1
kind: KubeFedCluster
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  apiEndpoint: %[4]s
  caBundle: %[5]s
  proxyURL: ""
  secretRef: {name: %[2]s-x7k2p}`

// join is what kubefedctl join does, and what the cluster controller then tells.
func (f *Federation) join(ctx context.Context) error {
	for name, member := range f.Members {
		if err := f.createAll(ctx, member, account, Namespace, name+"-"+f.host); err != nil {
			return err
		}
		data, err := f.token(ctx, member, name+"-"+f.host)
		if err != nil {
			return err
		}
		if err := f.createAll(ctx, f.Host, membership, Namespace, name, data["token"], f.configs[name].Host, data["ca.crt"]); err != nil {
			return err
		}
		c := &unstructured.Unstructured{}
		c.SetAPIVersion("core.kubefed.io/v1beta1")
		c.SetKind("KubeFedCluster")
		if err := f.Host.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: name}, c); err != nil {
			return err
		}
		now := time.Now().UTC().Format(time.RFC3339)
		if err := f.status(ctx, c, fields{"kubernetesVersion": "v1.37.0", "conditions": []any{fields{
			"type": "Ready", "status": "True", "reason": "ClusterReady", "message": "/healthz responded with ok",
			"lastProbeTime": now, "lastTransitionTime": now,
		}}}); err != nil {
			return err
		}
	}
	return nil
}

// token waits until the member has filled a token's Secret.
func (f *Federation) token(ctx context.Context, member client.Client, name string) (fields, error) {
	for {
		s := &unstructured.Unstructured{}
		s.SetAPIVersion("v1")
		s.SetKind("Secret")
		if err := member.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: name}, s); err != nil {
			return nil, err
		}
		if data, _, _ := unstructured.NestedMap(s.Object, "data"); data["token"] != nil {
			return data, nil
		}
		time.Sleep(50 * time.Millisecond) // its controller is at work; the context ends the read above
	}
}

// federate makes what users write.
func (f *Federation) federate(ctx context.Context) error {
	if err := f.createAll(ctx, f.Host, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}", "shop"); err != nil {
		return err
	}
	f.Objects = parse(objectsYAML)
	for _, o := range f.Objects {
		o.SetFinalizers([]string{"kubefed.io/sync-controller"})
		if err := f.create(ctx, f.Host, o); err != nil {
			return fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// selected are the clusters that a federated object is placed in, sorted.
func (f *Federation) selected(o *unstructured.Unstructured) []string {
	if clusters, ok, _ := unstructured.NestedSlice(o.Object, "spec", "placement", "clusters"); ok {
		var out []string
		for _, c := range clusters {
			out = append(out, c.(fields)["name"].(string))
		}
		return out
	}
	return []string{"business", "global"}
}

// Desired is the object that KubeFed would write to a cluster.
func Desired(o *unstructured.Unstructured, cluster string) *unstructured.Unstructured {
	t := targetOf(o.GetKind())
	template, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
	if template == nil {
		template = fields{}
	}
	out := &unstructured.Unstructured{Object: template}
	out.SetKind(t.kind)
	out.SetAPIVersion(strings.TrimPrefix(t.group+"/"+t.version, "/"))
	out.SetName(o.GetName())
	if t.namespaced {
		out.SetNamespace(o.GetNamespace())
	}
	overrides, _, _ := unstructured.NestedSlice(o.Object, "spec", "overrides")
	for _, item := range overrides {
		if item.(fields)["clusterName"] != cluster {
			continue
		}
		for _, op := range item.(fields)["clusterOverrides"].([]any) {
			path := strings.Split(strings.TrimPrefix(op.(fields)["path"].(string), "/"), "/")
			_ = unstructured.SetNestedField(out.Object, op.(fields)["value"], path...)
		}
	}
	labels := out.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels["kubefed.io/managed"] = "true"
	out.SetLabels(labels)
	return out
}

// propagate writes the copies, as KubeFed does by POST and, once they are there, by PUT, then the records and the status.
func (f *Federation) propagate(ctx context.Context) error {
	for _, o := range f.Objects {
		versions := []any{}
		clusters := []any{}
		for _, cluster := range f.selected(o) {
			copied, err := f.write(ctx, cluster, Desired(o, cluster))
			if err != nil {
				return fmt.Errorf("%s %s in %s: %w", o.GetKind(), o.GetName(), cluster, err)
			}
			versions = append(versions, fields{"clusterName": cluster, "version": version(copied)})
			clusters = append(clusters, fields{"name": cluster})
		}
		if err := f.record(ctx, o, versions); err != nil {
			return fmt.Errorf("record %s %s: %w", o.GetKind(), o.GetName(), err)
		}
		now := time.Now().UTC().Format(time.RFC3339)
		if err := f.status(ctx, o, fields{
			"observedGeneration": o.GetGeneration(), "clusters": clusters,
			"conditions": []any{fields{"type": "Propagation", "status": "True", "lastUpdateTime": now, "lastTransitionTime": now}},
		}); err != nil {
			return fmt.Errorf("status of %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// write puts a copy into a cluster; one that is there already, as the host's own namespace, is taken over by PUT.
func (f *Federation) write(ctx context.Context, cluster string, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	c := f.clients[cluster]
	if err := client.IgnoreAlreadyExists(c.Create(ctx, o.DeepCopy())); err != nil {
		return nil, err
	}
	for {
		live := o.DeepCopy()
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
			return nil, err
		}
		put := o.DeepCopy()
		put.SetResourceVersion(live.GetResourceVersion())
		put.SetFinalizers(live.GetFinalizers())
		put.SetAnnotations(live.GetAnnotations())
		retain(put, live)
		err := c.Update(ctx, put)
		if apierrors.IsConflict(err) {
			continue // its own controllers are at work
		}
		return put, err
	}
}

// retain keeps what KubeFed keeps of the copy that it replaces.
func retain(put, live *unstructured.Unstructured) {
	if put.GetKind() != "Service" {
		return
	}
	for _, field := range []string{"clusterIP", "clusterIPs", "ports"} {
		if v, ok, _ := unstructured.NestedFieldCopy(live.Object, "spec", field); ok {
			_ = unstructured.SetNestedField(put.Object, v, "spec", field)
		}
	}
}

// version is what KubeFed records of a copy.
func version(o *unstructured.Unstructured) string {
	if g := o.GetGeneration(); g != 0 {
		return fmt.Sprintf("gen:%d", g)
	}
	return "rv:" + o.GetResourceVersion()
}

// hash is KubeFed's: of the encoder's bytes, with their newline.
func hash(v any) string {
	var b strings.Builder
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		panic(err)
	}
	sum := md5.Sum([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// hashes are those of a federated object's template and overrides.
func hashes(o *unstructured.Unstructured) (template, overrides string) {
	if t, ok, _ := unstructured.NestedMap(o.Object, "spec", "template"); ok {
		template = hash(t)
	}
	type operation struct {
		Op    string `json:"op,omitempty"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	var list []struct {
		ClusterName      string      `json:"clusterName"`
		ClusterOverrides []operation `json:"clusterOverrides"`
	}
	raw, _, _ := unstructured.NestedSlice(o.Object, "spec", "overrides")
	text, _ := json.Marshal(raw)
	if err := json.Unmarshal(text, &list); err != nil {
		panic(err)
	}
	return template, hash(map[string]any{"overrides": list})
}

// Record names the object in which KubeFed keeps what it wrote of a federated object.
func Record(o *unstructured.Unstructured) *unstructured.Unstructured {
	r := &unstructured.Unstructured{Object: fields{}}
	r.SetAPIVersion("core.kubefed.io/v1alpha1")
	r.SetKind("ClusterPropagatedVersion")
	if o.GetNamespace() != "" {
		r.SetKind("PropagatedVersion")
	}
	r.SetNamespace(o.GetNamespace())
	r.SetName(strings.ToLower(targetOf(o.GetKind()).kind) + "-" + o.GetName())
	return r
}

func (f *Federation) record(ctx context.Context, o *unstructured.Unstructured, versions []any) error {
	r := Record(o)
	r.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Name: o.GetName(), UID: o.GetUID()}})
	if err := f.create(ctx, f.clients[f.host], r); err != nil {
		return err
	}
	template, overrides := hashes(o)
	return f.status(ctx, r, fields{"templateVersion": template, "overridesVersion": overrides, "clusterVersions": versions})
}

const running = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: kubefed-controller-manager, namespace: %[1]s, labels: {kubefed-control-plane: controller-manager}}
spec:
  replicas: 2
  selector: {matchLabels: {kubefed-control-plane: controller-manager}}
  template:
    metadata: {labels: {kubefed-control-plane: controller-manager}}
    spec:
      serviceAccountName: kubefed-controller
      containers:
      - {name: controller-manager, image: "quay.io/kubernetes-multicluster/kubefed:v0.10.0", command: [/hyperfed/controller-manager, --v=2]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: kubefed-admission-webhook, namespace: %[1]s, labels: {kubefed-admission-webhook: "true"}}
spec:
  replicas: 1
  selector: {matchLabels: {kubefed-admission-webhook: "true"}}
  template:
    metadata: {labels: {kubefed-admission-webhook: "true"}}
    spec:
      containers:
      - {name: admission-webhook, image: "quay.io/kubernetes-multicluster/kubefed:v0.10.0", command: [/hyperfed/webhook, --secure-port=8443]}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: %[2]s
  namespace: %[1]s
  annotations:
    control-plane.alpha.kubernetes.io/leader: '{"holderIdentity":"pod-1_5f1d","leaseDurationSeconds":3,"acquireTime":"%[3]s","renewTime":"%[3]s","leaderTransitions":1}'
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: validations.core.kubefed.io}
webhooks:
- name: kubefedclusters.core.kubefed.io
  clientConfig: {service: {namespace: %[1]s, name: kubefed-admission-webhook, path: /validate-kubefedcluster}}
  rules: [{apiGroups: [core.kubefed.io], apiVersions: [v1beta1], operations: [CREATE, UPDATE], resources: [kubefedclusters, kubefedclusters/status]}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
- name: federatedtypeconfigs.core.kubefed.io
  clientConfig: {service: {namespace: %[1]s, name: kubefed-admission-webhook, path: /validate-federatedtypeconfigs}}
  rules: [{apiGroups: [core.kubefed.io], apiVersions: [v1beta1], operations: [CREATE, UPDATE], resources: [federatedtypeconfigs, federatedtypeconfigs/status]}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
- name: kubefedconfigs.core.kubefed.io
  clientConfig: {service: {namespace: %[1]s, name: kubefed-admission-webhook, path: /validate-kubefedconfig}}
  rules: [{apiGroups: [core.kubefed.io], apiVersions: [v1beta1], operations: [CREATE, UPDATE], resources: [kubefedconfigs]}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: mutation.core.kubefed.io}
webhooks:
- name: kubefedconfigs.core.kubefed.io
  clientConfig: {service: {namespace: %[1]s, name: kubefed-admission-webhook, path: /default-kubefedconfig}}
  rules: [{apiGroups: [core.kubefed.io], apiVersions: [v1beta1], operations: [CREATE], resources: [kubefedconfigs]}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]`

// run is what of KubeFed itself is in the host while it runs.
func (f *Federation) run(ctx context.Context) error {
	return f.createAll(ctx, f.Host, running, Namespace, lock, time.Now().UTC().Format(time.RFC3339))
}

// WouldWrite lists the copies that a KubeFed which starts now would write to, by its own rule: the record must know template, overrides
// and the copy's present version; and, where versions are generations, name, namespace and labels must be the desired ones. It keeps the
// annotations of the copy, so they never differ.
func (f *Federation) WouldWrite(ctx context.Context) ([]string, error) {
	var out []string
	for _, o := range f.Objects {
		r := Record(o)
		if err := f.Host.Get(ctx, client.ObjectKeyFromObject(r), r); client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err := f.Host.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return nil, err
		}
		template, overrides := hashes(o)
		status, _, _ := unstructured.NestedMap(r.Object, "status")
		known := map[string]any{}
		list, _, _ := unstructured.NestedSlice(status, "clusterVersions")
		for _, v := range list {
			known[v.(fields)["clusterName"].(string)] = v.(fields)["version"]
		}
		for _, cluster := range f.selected(o) {
			want := Desired(o, cluster)
			live := want.DeepCopy()
			if err := f.Members[cluster].Get(ctx, client.ObjectKeyFromObject(want), live); err != nil {
				return nil, err
			}
			labels := fmt.Sprint(want.GetLabels()) != fmt.Sprint(live.GetLabels())
			switch {
			case status["templateVersion"] != template || status["overridesVersion"] != overrides:
				out = append(out, fmt.Sprintf("%s %s: hashes %v", o.GetKind(), o.GetName(), status))
			case known[cluster] != version(live) || live.GetGeneration() != 0 && labels:
				out = append(out, fmt.Sprintf("%s %s in %s: recorded %v, is %s, labels differ: %t", o.GetKind(), o.GetName(), cluster, known[cluster], version(live), labels))
			}
		}
	}
	return out, nil
}
