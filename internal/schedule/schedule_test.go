package schedule

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/plan"
)

var clusters = lab.Shared(lab.Options{Nodes: 1}, "host", "m1", "m2")

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// TestPatch: whatever the overrides are, a patch makes them say what the division says, leaves all others, and is not needed twice.
func TestPatch(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	operation := rapid.Custom(func(t *rapid.T) any {
		o := map[string]any{"path": rapid.SampledFrom([]string{replicasPath, "/spec/x", "/spec/y"}).Draw(t, "path")}
		if op := rapid.SampledFrom([]string{"", "add", "remove", "replace"}).Draw(t, "op"); op != "" {
			o["op"] = op
		}
		o["value"] = rapid.SampledFrom([]any{int64(0), int64(1), int64(2), "2", nil}).Draw(t, "value")
		return o
	})
	rapid.Check(t, func(t *rapid.T) {
		var overrides []any
		for _, name := range rapid.SliceOfNDistinct(names, 0, 4, rapid.ID[string]).Draw(t, "overridden") {
			list := rapid.SliceOfNDistinct(operation, 0, 3, func(o any) any { return o.(map[string]any)["path"] }).Draw(t, "operations")
			overrides = append(overrides, map[string]any{"clusterName": name, "clusterOverrides": list})
		}
		obj := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"overrides": overrides}}}
		shares := rapid.MapOf(names, rapid.Int64Range(0, 2)).Draw(t, "shares")
		before := fmt.Sprint(obj.Object)
		w := world{object: obj}
		after := w.done(decision{patch: patchOf(obj, shares)}).object
		if fmt.Sprint(obj.Object) != before {
			t.Fatal("the object was changed")
		}
		if again := patchOf(after, shares); again != nil {
			t.Fatalf("patched again: %v", again)
		}
		if got := declared(after); !maps.Equal(got, shares) {
			t.Fatalf("declares %v, not %v", got, shares)
		}
		if diff := cmp.Diff(foreign(obj), foreign(after)); diff != "" {
			t.Fatalf("other overrides have changed: %s", diff)
		}
	})
}

// stage is a scheduler at work on a real host and two real members, whose Deployments the test makes.
type stage struct {
	*Scheduler
	t         *testing.T
	client    client.Client
	namespace string
	members   map[string]kubernetes.Interface
	later     atomic.Int64
	events    chan string
}

// fleet is what the scheduler sees of the members. What is watched comes by another way than what is read.
type fleet struct {
	watched map[string]kubernetes.Interface
	read    map[string]dynamic.Interface
}

func (f fleet) Copy(member string, _ intent.Type, key intent.Key) (*plan.Copy, bool) {
	d, err := f.watched[member].AppsV1().Deployments(key.Namespace).Get(context.Background(), key.Name, metav1.GetOptions{})
	if err != nil {
		return nil, client.IgnoreNotFound(err) == nil
	}
	return plan.CopyOf(d), true
}

func (f fleet) Client(member string) (dynamic.Interface, error) { return f.read[member], nil }

func newStage(t *testing.T, reach map[string]*rest.Config) *stage {
	l := clusters(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, fedv1.AddToScheme, schedv1.AddToScheme} {
		must(t, add(scheme))
	}
	c, err := client.New(l.Config("host"), client.Options{Scheme: scheme})
	must(t, err)
	objects, err := config.Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	must(t, err)
	must(t, install.Installer{Client: c, At: fail.Place{Context: "host"}, Told: func(*unstructured.Unstructured, install.Result) {}}.Install(t.Context(), objects))
	st := &stage{t: t, client: c, namespace: lab.Namespace(t, l.Config("host"), "shop"), members: map[string]kubernetes.Interface{}, events: make(chan string, 100)}
	f := fleet{watched: st.members, read: map[string]dynamic.Interface{}}
	for _, name := range []string{"m1", "m2"} {
		st.members[name] = kubernetes.NewForConfigOrDie(l.Config(name))
		f.read[name] = dynamic.NewForConfigOrDie(l.Config(name))
		if other := reach[name]; other != nil {
			f.read[name] = dynamic.NewForConfigOrDie(other)
		}
		_, err := st.members[name].CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: st.namespace}}, metav1.CreateOptions{})
		must(t, err)
		st.join(name)
	}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](50*time.Millisecond, time.Second))
	st.Scheduler = New(t.Context(), Options{
		Host: dynamic.NewForConfigOrDie(l.Config("host")), Cache: c, Namespace: fedv1.DefaultNamespace, Fleet: f, Queue: queue,
		Settings: func() Settings { return Settings{Enabled: true, UnavailableDelay: time.Minute} },
		Tell:     func(_ runtime.Object, _, reason, message string) { st.events <- reason + " " + message },
	})
	st.now = func() time.Time { return time.Now().Add(time.Duration(st.later.Load())) }
	st.Scheduler.members.now = st.now
	go func() { _ = st.Run(t.Context()) }()
	go st.work(queue)
	t.Cleanup(queue.ShutDown)
	return st
}

// work reconciles what is in the queue.
func (st *stage) work(q Queue) {
	for {
		key, end := q.Get()
		if end {
			return
		}
		result, err := st.Reconcile(st.t.Context(), key)
		switch {
		case err != nil:
			q.AddRateLimited(key)
		case result.RequeueAfter > 0:
			q.AddAfter(key, result.RequeueAfter)
		}
		q.Done(key)
	}
}

// join makes a KubeFedCluster that says that it is ready.
func (st *stage) join(name string) {
	k := &fedv1.KubeFedCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: fedv1.DefaultNamespace, Name: name},
		Spec:       fedv1.KubeFedClusterSpec{APIEndpoint: "https://nowhere", SecretRef: fedv1.LocalSecretReference{Name: "none"}},
	}
	must(st.t, client.IgnoreAlreadyExists(st.client.Create(st.t.Context(), k)))
	must(st.t, st.client.Get(st.t.Context(), client.ObjectKeyFromObject(k), k))
	now := metav1.Now()
	k.Status.Conditions = []fedv1.ClusterCondition{{Type: fedv1.ClusterReady, Status: metav1.ConditionTrue, LastProbeTime: now, LastTransitionTime: &now}}
	must(st.t, st.client.Status().Update(st.t.Context(), k))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// declare makes a FederatedDeployment and a preference for it.
func (st *stage) declare(total int32, rebalance bool) {
	st.applyAs("user", "FederatedDeployment", "{placement: {clusterSelector: {}}}")
	st.prefer("FederatedDeployment", total, rebalance)
}

func (st *stage) prefer(kind string, total int32, rebalance bool) {
	p := &schedv1.ReplicaSchedulingPreference{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "web"}}
	p.Spec = schedv1.ReplicaSchedulingPreferenceSpec{TargetKind: kind, TotalReplicas: total, Rebalance: rebalance}
	must(st.t, st.client.Create(st.t.Context(), p))
}

// applyAs applies a spec as kubectl apply --server-side does for a manager: without force.
func (st *stage) applyAs(manager, kind, spec string) {
	st.t.Helper()
	o := &unstructured.Unstructured{}
	must(st.t, yaml.Unmarshal([]byte("spec: "+spec), &o.Object))
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "types.kubefed.io", Version: "v1beta1", Kind: kind})
	o.SetNamespace(st.namespace)
	o.SetName("web")
	must(st.t, st.client.Apply(st.t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(manager)))
}

// follow makes the members' Deployments what the federated object declares, as the control plane would.
func (st *stage) follow() {
	obj, err := st.host.Resource(federated).Namespace(st.namespace).Get(st.t.Context(), "web", metav1.GetOptions{})
	must(st.t, err)
	for name, n := range declared(obj) {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "web"}}
		d.Spec.Replicas = new(int32(n))
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		d.Spec.Template.Labels = d.Spec.Selector.MatchLabels
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: "web:1"}}
		in := st.members[name].AppsV1().Deployments(st.namespace)
		if _, err = in.Create(st.t.Context(), d, metav1.CreateOptions{}); err != nil {
			_, err = in.Update(st.t.Context(), d, metav1.UpdateOptions{})
		}
		must(st.t, err)
	}
	st.Wake(intent.Key{Type: "deployments.apps", Namespace: st.namespace, Name: "web"})
}

var federated = schema.GroupVersionResource{Group: "types.kubefed.io", Version: "v1beta1", Resource: "federateddeployments"}

// until waits for a division, and wakes the scheduler meanwhile as the watches of the members would.
func (st *stage) until(within time.Duration, want string) {
	st.t.Helper()
	lab.Eventually(st.t, within, want, func(ctx context.Context) error {
		var p schedv1.ReplicaSchedulingPreference
		if err := st.client.Get(ctx, types.NamespacedName{Namespace: st.namespace, Name: "web"}, &p); err != nil {
			return err
		}
		var got []string
		for _, c := range p.Status.Clusters {
			got = append(got, fmt.Sprintf("%s %d %s", c.Name, c.Replicas, c.Reason))
		}
		st.Wake(intent.Key{Type: "deployments.apps", Namespace: st.namespace, Name: "web"})
		if s := strings.Join(got, ", "); s != want {
			return fmt.Errorf("divided %q: %v", s, p.Status.Conditions)
		}
		return nil
	})
}

func (st *stage) total(n int32) {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"totalReplicas":%d}}`, n))
	must(st.t, st.client.Patch(st.t.Context(), &schedv1.ReplicaSchedulingPreference{ObjectMeta: metav1.ObjectMeta{Namespace: st.namespace, Name: "web"}}, patch))
}

// running waits until a member runs a number of replicas.
func (st *stage) running(member string, n int32) {
	st.t.Helper()
	lab.Eventually(st.t, 30*time.Second, fmt.Sprintf("%s runs %d", member, n), func(ctx context.Context) error {
		d, err := st.members[member].AppsV1().Deployments(st.namespace).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && d.Status.ReadyReplicas != n {
			err = fmt.Errorf("%d are ready", d.Status.ReadyReplicas)
		}
		return err
	})
}

// cordon lets no more pods onto a member's nodes.
func (st *stage) cordon(member string, is bool) {
	ctx := context.Background() // it is undone when the test's own has ended
	nodes, err := st.members[member].CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	must(st.t, err)
	for i := range nodes.Items {
		patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, is)
		_, err := st.members[member].CoreV1().Nodes().Patch(ctx, nodes.Items[i].Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		must(st.t, err)
	}
}

// Replicas that a member has no room for go to another after a minute; when it has room again, they come back by and by.
func TestNoRoom(t *testing.T) {
	st := newStage(t, nil)
	st.declare(4, true)
	st.until(30*time.Second, "m1 2 ByWeight, m2 2 ByWeight")
	st.follow()
	st.running("m1", 2)
	st.running("m2", 2)
	st.cordon("m1", true)
	t.Cleanup(func() { st.cordon("m1", false) })
	st.total(10)
	st.until(10*time.Second, "m1 5 ByWeight, m2 5 ByWeight")
	st.follow()
	st.running("m2", 5)
	st.later.Store(int64(2 * patience))
	st.until(30*time.Second, "m1 2 AtCapacity, m2 8 ByWeight")
	st.follow()
	st.running("m1", 2)
	st.running("m2", 8)
	st.until(10*time.Second, "m1 2 AtCapacity, m2 8 ByWeight")
	st.cordon("m1", false)
	st.later.Add(int64(belief))
	st.until(10*time.Second, "m1 3 AtCapacity, m2 7 ByWeight")
	st.follow()
	st.until(30*time.Second, "m1 5 ByWeight, m2 5 ByWeight")
}

// A member that hangs keeps what it was last seen to hold, and delays nobody.
func TestHungMember(t *testing.T) {
	link := clusters(t).Forward(t, "m2")
	st := newStage(t, map[string]*rest.Config{"m2": link.Config(clusters(t).Config("m2"))})
	st.declare(4, false)
	st.until(30*time.Second, "m1 2 ByWeight, m2 2 ByWeight")
	st.follow()
	st.running("m1", 2)
	st.running("m2", 2)
	link.Stall()
	d, err := st.members["m2"].AppsV1().Deployments(st.namespace).Get(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	d.Labels = map[string]string{"moved": "true"}
	_, err = st.members["m2"].AppsV1().Deployments(st.namespace).Update(t.Context(), d, metav1.UpdateOptions{})
	must(t, err)
	st.total(6)
	st.until(15*time.Second, "m1 3 ByWeight, m2 3 ByWeight") // a step that hangs is given 20 s
}

// Who applies the rest of a federated object keeps it, is never in conflict with the scheduler, and takes nothing away from it.
func TestOtherManagersKeepTheirFields(t *testing.T) {
	st := newStage(t, nil)
	const image = "{path: /spec/template/spec/containers/0/image, value: %q}"
	manifest := func(tag string) string {
		return "{template: {metadata: {labels: {tag: " + tag + "}}}, placement: {clusterSelector: {}}, overrides: [" +
			"{clusterName: m1, clusterOverrides: [" + fmt.Sprintf(image, tag) + "]}, {clusterName: m3, clusterOverrides: [" + fmt.Sprintf(image, tag) + "]}]}"
	}
	st.applyAs("flux", "FederatedDeployment", manifest("a"))
	st.prefer("FederatedDeployment", 4, true)
	st.until(30*time.Second, "m1 2 ByWeight, m2 2 ByWeight")
	st.declares(federated, "m1: image=a replicas=2, m2: replicas=2, m3: image=a")
	before := st.object(federated).GetResourceVersion()
	st.applyAs("flux", "FederatedDeployment", manifest("a"))
	if after := st.object(federated); after.GetResourceVersion() != before {
		t.Errorf("applying the same again changed the object: %v", after)
	}
	st.applyAs("flux", "FederatedDeployment", manifest("b"))
	st.total(6)
	st.until(30*time.Second, "m1 3 ByWeight, m2 3 ByWeight")
	st.declares(federated, "m1: image=b replicas=3, m2: replicas=3, m3: image=b")
	st.applyAs("flux", "FederatedDeployment", "{placement: {clusterSelector: {}}}")
	st.declares(federated, "m1: replicas=3, m2: replicas=3")
	if names := others(st.object(federated)); len(names) > 0 {
		t.Errorf("%v are said to fight", names)
	}
	if by := writers(st.object(federated)); by != "flux Apply, hansa-scheduler Apply" {
		t.Errorf("written by %s", by)
	}
}

// writers names the managers of an object's fields, sorted, with how they wrote them.
func writers(obj *unstructured.Unstructured) string {
	var out []string
	for _, e := range obj.GetManagedFields() {
		if e.Subresource == "" {
			out = append(out, e.Manager+" "+string(e.Operation))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// A CRD as KubeFed made it keeps the overrides as one field; what stands in it beside the replicas stays all the same. Replicas that
// somebody else wrote for clusters that have no share go.
func TestListsOfKubeFed(t *testing.T) {
	st := newStage(t, nil)
	st.applyAs("kubefed", "FederatedDeployment", "{overrides: [{clusterName: m3, clusterOverrides: [{path: /spec/replicas, value: 7}]}, "+
		"{clusterName: m1, clusterOverrides: [{path: /spec/replicas, op: remove}]}]}")
	st.prefer("FederatedDeployment", 4, true)
	st.until(30*time.Second, "m1 2 ByWeight, m2 2 ByWeight")
	st.declares(federated, "m1: replicas=2, m2: replicas=2")

	rekey := st.unkey("federatedreplicasets.types.kubefed.io")
	st.namespace = lab.Namespace(t, clusters(t).Config("host"), "old")
	st.applyAs("flux", "FederatedReplicaSet", "{overrides: [{clusterName: m1, clusterOverrides: [{path: /spec/image, value: a}]}]}")
	st.prefer("FederatedReplicaSet", 4, true)
	st.until(30*time.Second, "m1 2 ByWeight, m2 2 ByWeight")
	replicaSets := federated.GroupVersion().WithResource("federatedreplicasets")
	st.declares(replicaSets, "m1: image=a replicas=2, m2: replicas=2")

	// What KubeFed let in and never propagated can be edited, also when the lists are keyed.
	st.namespace = lab.Namespace(t, clusters(t).Config("host"), "twice")
	st.applyAs("user", "FederatedReplicaSet", "{overrides: [{clusterName: m1}, {clusterName: m1, clusterOverrides: [{path: /spec/x}, {path: /spec/x}]}, {}]}")
	rekey()
	for _, patch := range []string{`{"metadata":{"finalizers":["example.com/x"]}}`, `{"metadata":{"finalizers":null}}`, `{"spec":{"template":{"a":"b"}}}`} {
		lab.Eventually(t, 10*time.Second, "edited", func(ctx context.Context) error {
			_, err := st.host.Resource(replicaSets).Namespace(st.namespace).Patch(ctx, "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			return err
		})
	}
	twice := &unstructured.Unstructured{Object: map[string]any{"spec": st.object(replicaSets).Object["spec"]}}
	twice.SetGroupVersionKind(schema.GroupVersionKind{Group: "types.kubefed.io", Version: "v1beta1", Kind: "FederatedReplicaSet"})
	twice.SetName("new")
	lab.Eventually(t, 10*time.Second, "a new one is refused", func(ctx context.Context) error {
		_, err := st.host.Resource(replicaSets).Namespace(st.namespace).Create(ctx, twice, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "spec.overrides[1]: Duplicate value") {
			return fmt.Errorf("not refused, or not for what it is: %w", err)
		}
		return nil
	})
}

// unkey makes the lists of a federated type what they are in KubeFed's CRDs, until the test ends or the result is called.
func (st *stage) unkey(name string) (rekey func()) {
	crd := &apiextv1.CustomResourceDefinition{}
	must(st.t, st.client.Get(st.t.Context(), types.NamespacedName{Name: name}, crd))
	old := crd.DeepCopy()
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	overrides := spec.Properties["overrides"]
	item := overrides.Items.Schema
	operations := item.Properties["clusterOverrides"]
	overrides.XListType, overrides.XListMapKeys, operations.XListType, operations.XListMapKeys = nil, nil, nil, nil
	item.Properties["clusterOverrides"], spec.Properties["overrides"] = operations, overrides
	must(st.t, st.client.Update(st.t.Context(), crd))
	rekey = func() {
		again := old.DeepCopy()
		again.ResourceVersion = "" // whatever it is by then
		must(st.t, st.client.Patch(context.Background(), again, client.Merge))
	}
	st.t.Cleanup(rekey)
	return rekey
}

func (st *stage) object(r schema.GroupVersionResource) *unstructured.Unstructured {
	st.t.Helper()
	obj, err := st.host.Resource(r).Namespace(st.namespace).Get(st.t.Context(), "web", metav1.GetOptions{})
	must(st.t, err)
	return obj
}

// declares waits for what the overrides of a federated object say in the end, by the last part of their paths.
func (st *stage) declares(r schema.GroupVersionResource, want string) {
	st.t.Helper()
	lab.Eventually(st.t, 10*time.Second, want, func(context.Context) error {
		list, _, _ := unstructured.NestedSlice(st.object(r).Object, "spec", "overrides")
		var got []string
		for _, item := range list {
			m := item.(map[string]any)
			var words []string
			for _, o := range m["clusterOverrides"].([]any) {
				o := o.(map[string]any)
				words = append(words, fmt.Sprintf("%s=%v", path.Base(o["path"].(string)), o["value"]))
			}
			slices.Sort(words)
			got = append(got, fmt.Sprintf("%s: %s", m["clusterName"], strings.Join(words, " ")))
		}
		slices.Sort(got)
		if s := strings.Join(got, ", "); s != want {
			return fmt.Errorf("declares %s", s)
		}
		return nil
	})
}
