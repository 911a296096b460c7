package convert

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
)

func TestTheTemplateHoldsWhatIsNotTheClustersOwn(t *testing.T) {
	cases := []struct{ name, object, template string }{
		{"a service", `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, uid: u, annotations: {a: b}, labels: {app: web}, ownerReferences: [{name: x}]}
spec: {type: NodePort, clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], healthCheckNodePort: 30001, ipFamilies: [IPv4], ports: [{port: 80, nodePort: 30000}]}
status: {loadBalancer: {}}`, `
metadata: {labels: {app: web}}
spec: {type: NodePort, healthCheckNodePort: 30001, ipFamilies: [IPv4], ports: [{port: 80}]}`},
		{"a service account", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: bot, namespace: shop}
secrets: [{name: bot-token}]
imagePullSecrets: [{name: registry}]`, `
imagePullSecrets: [{name: registry}]`},
		{"a namespace", `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
spec: {finalizers: [kubernetes]}
status: {phase: Active}`, `{}`},
		{"a job", `
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop, labels: {controller-uid: u, batch.kubernetes.io/job-name: once}}
spec:
  backoffLimit: 2
  selector: {matchLabels: {batch.kubernetes.io/controller-uid: u}}
  template: {metadata: {labels: {app: once, controller-uid: u, job-name: once, batch.kubernetes.io/controller-uid: u}}, spec: {restartPolicy: Never}}`, `
spec: {backoffLimit: 2, template: {metadata: {labels: {app: once}}, spec: {restartPolicy: Never}}}`},
		{"a job with a selector of its user's", `
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec: {manualSelector: true, selector: {matchLabels: {app: once}}}`, `
spec: {manualSelector: true, selector: {matchLabels: {app: once}}}`},
		{"a claim that is bound to a volume of its cluster", `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {accessModes: [ReadWriteOnce], volumeName: pv-1}`, `
spec: {accessModes: [ReadWriteOnce]}`},
		{"a type of somebody else that is called Service", `
apiVersion: serving.example.com/v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: mine}`, `
spec: {clusterIP: mine}`},
	}
	for _, c := range cases {
		objects, err := Decode([]byte(c.object))
		if err != nil {
			t.Fatal(err)
		}
		before := objects[0].DeepCopy()
		f := Federated(objects[0], enable.Group, enable.Version)
		var want map[string]any
		if err := yaml.Unmarshal([]byte(c.template), &want); err != nil {
			t.Fatal(err)
		}
		got := f.Object["spec"].(map[string]any)["template"]
		if diff := cmp.Diff(want, numbers(t, got)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if diff := cmp.Diff(before, objects[0]); diff != "" {
			t.Errorf("%s: the object has changed: %s", c.name, diff)
		}
		if f.GetNamespace() != "shop" {
			t.Errorf("%s: it is in namespace %q", c.name, f.GetNamespace())
		}
	}
}

// numbers reads a value as YAML would give it.
func numbers(t *testing.T, v any) map[string]any {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatEachClusterHasForItselfIsKept(t *testing.T) {
	cases := []struct{ object, why string }{
		{"{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt}}", "certificate authority"},
		{"{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}", ""},
		{"{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}", "makes its own"},
		{"{apiVersion: v1, kind: ServiceAccount, metadata: {name: bot}}", ""},
		{"{apiVersion: v1, kind: Secret, type: kubernetes.io/service-account-token, metadata: {name: t}}", "token of this cluster"},
		{"{apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: t}}", ""},
		{"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, ownerReferences: [{kind: Deployment, name: web, controller: true}]}}", "Deployment web"},
		{"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, ownerReferences: [{kind: App, name: shop}]}}", ""},
		{"{apiVersion: v1, kind: Pod, metadata: {name: p, ownerReferences: [{kind: App, name: shop}]}}", "App shop"},
		{"{apiVersion: v1, kind: Pod, metadata: {name: p}}", ""},
	}
	for _, c := range cases {
		objects, err := Decode([]byte(c.object))
		if err != nil {
			t.Fatal(err)
		}
		if why := KeepObject(objects[0]); (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: got %q, want %q", c.object, why, c.why)
		}
	}
	types := map[string]fedv1.APIResource{
		"":                           {PluralName: "secrets", Kind: "Secret"},
		"each cluster writes its":    {Group: "discovery.k8s.io", PluralName: "endpointslices", Kind: "EndpointSlice"},
		"it belongs to the fed":      {Group: "core.kubefed.io", PluralName: "propagatedversions", Kind: "PropagatedVersion"},
		"the same objects are offer": {Group: "extensions", PluralName: "ingresses", Kind: "Ingress"},
	}
	for want, r := range types {
		if why := KeepType(r); (why == "") != (want == "") || !strings.HasPrefix(why, want) {
			t.Errorf("%s: got %q, want %q", r.PluralName, why, want)
		}
	}
}

func TestTypesToLeaveOutAreKnownByAnyName(t *testing.T) {
	r := enable.Resource{APIResource: fedv1.APIResource{Group: "apps", Kind: "Deployment", PluralName: "deployments"}, ShortNames: []string{"deploy"}}
	for name, want := range map[string]bool{"deploy": true, "Deployment": true, "deployments": true, "deployments.apps": true, " apps": true, "DEPLOY.apps": true, "Deployment.apps": true, "": false, "pods": false, "core": false} {
		if Chosen(r, []string{"x", name}) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestDecodeNamesWhatItCannotRead(t *testing.T) {
	cases := map[string]string{
		"a: b":                      "document 1: an object must have apiVersion and kind",
		"":                          "holds no object",
		"---\n---\n":                "holds no object",
		"{apiVersion: v1, kind: X}": "X must have metadata.name",
		"{apiVersion: v1, kind: X, metadata: {name: a}}\n---\n[1]":     "document 2",
		"{apiVersion: v1, kind: List, items: [{apiVersion: v1}]}":      "item 0",
		"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind}]": "document 1",
	}
	for text, want := range cases {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [1]}}"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := Decode(data)
		if err != nil {
			return
		}
		for _, o := range objects {
			if Federated(o, enable.Group, enable.Version).GetName() != o.GetName() {
				t.Error("the name changed")
			}
			KeepObject(o)
		}
	})
}
