// Package conformance answers: does a writer keep what internal/apply promises? It is the suite that everything that writes to a
// member passes, run against a real API server: the writer is given steps, and what it did is read back from the server and counted
// on the wire.
package conformance

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/plan"
)

// Writer takes one step in one cluster, as apply.Do does for one type.
type Writer func(context.Context, plan.Step, apply.Confirm) apply.Result

// Open makes the writer under test for one type in the cluster that the configuration reaches. All that the writer does to the
// cluster must go by that configuration: it counts.
type Open func(config *rest.Config, resource schema.GroupVersionResource, kind string) (Writer, error)

// Run puts a writer through the suite, in namespaces of its own in a cluster that a test may do anything to.
func Run(t *testing.T, config *rest.Config, open Open) { run(t, config, open, false) }

// RunSimple leaves out what needs controllers or the defaults of a type: those are skipped in a cluster that has neither.
func RunSimple(t *testing.T, config *rest.Config, open Open) { run(t, config, open, true) }

func run(t *testing.T, config *rest.Config, open Open, simple bool) {
	for _, part := range []struct {
		name  string
		cases []testCase
	}{
		{"place", placing}, {"adopt", adopting}, {"claim", claiming}, {"withdraw", withdrawing}, {"withdraw a namespace", emptying}, {"release", releasing},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, c := range part.cases {
				t.Run(c.promise, func(t *testing.T) { c.test(newSite(t, config, open, simple)) })
			}
		})
	}
}

// testCase is one promise, in words and as a test.
type testCase struct {
	promise string
	test    func(*site)
}

// Whose marks the objects of the suite carry.
const (
	controlPlane      = "11111111-1111-1111-1111-111111111111"
	otherControlPlane = "22222222-2222-2222-2222-222222222222"
	owner             = types.UID("33333333-3333-3333-3333-333333333333")
	otherOwner        = types.UID("44444444-4444-4444-4444-444444444444")
)

var (
	configMaps  = corev1.SchemeGroupVersion.WithResource("configmaps")
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	namespaces  = corev1.SchemeGroupVersion.WithResource("namespaces")
	kinds       = map[schema.GroupVersionResource]string{configMaps: "ConfigMap", deployments: "Deployment", namespaces: "Namespace"}
)

// site is a namespace of the test's own, with the writer under test and a client of somebody else.
type site struct {
	*testing.T
	config    *rest.Config
	open      Open
	namespace string
	counter   *counter
	others    dynamic.Interface
	// byKubeFed says that KubeFed has written here.
	byKubeFed bool
	// simple says that the cluster has no controllers and no defaults.
	simple bool
}

func newSite(t *testing.T, config *rest.Config, open Open, simple bool) *site {
	t.Helper()
	s := &site{T: t, open: open, simple: simple, namespace: lab.Namespace(t, config, "conformance"), counter: &counter{}}
	others, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	s.others = others
	s.config = rest.CopyConfig(config)
	s.config.Wrap(s.counter.wrap)
	return s
}

// wants makes it true that the step is still wanted; denies, that it is not.
func wants(context.Context) error  { return nil }
func denies(context.Context) error { return apply.ErrChanged }

// do has the writer take a step on a type, and fails the test if that wrote more than once. What KubeFed wrote takes one write more.
func (s *site) do(r schema.GroupVersionResource, step plan.Step, confirm apply.Confirm) did {
	s.Helper()
	s.needs(r)
	write, err := s.open(s.config, r, kinds[r])
	if err != nil {
		s.Fatal(err)
	}
	s.counter.reset()
	d := did{site: s, Result: write(s.Context(), step, confirm)}
	d.reads, d.writes = s.counter.counts()
	if d.writes > 1 && !s.byKubeFed {
		s.Errorf("%s wrote %d times: %v", step.Verdict, d.writes, s.counter.log())
	}
	return d
}

// needs skips the test if it is about a type of which a simple cluster has only the name.
func (s *site) needs(r schema.GroupVersionResource) {
	if s.simple && (r == deployments || r == namespaces) {
		s.Skipf("%s need controllers or defaults", r.Resource)
	}
}

// did is what came of a step, with the number of requests that it took.
type did struct {
	*site
	apply.Result
	reads, writes int
}

// is fails the test unless the step ended in this state, with this deed and this number of writes.
func (d did) is(state plan.State, deed plan.Did, writes int) did {
	d.Helper()
	if d.State != state || d.Did != deed || d.writes != writes {
		d.Fatalf("the step ended as %s %q (%s: %s; %v) with %d writes; want %s %q with %d; requests: %v",
			d.State, d.Did, d.Reason, d.Message, d.Err, d.writes, state, deed, writes, d.counter.log())
	}
	return d
}

// because fails the test unless this was the reason.
func (d did) because(reason plan.Reason) did {
	d.Helper()
	if d.Reason != reason {
		d.Errorf("the reason is %q (%s), want %q", d.Reason, d.Message, reason)
	}
	return d
}

// knowsGone fails the test unless the step says, or does not say, that nothing of ours is left.
func (d did) knowsGone(want bool) did {
	d.Helper()
	if d.Gone != want {
		d.Errorf("the step says gone=%t, want %t (%s)", d.Gone, want, d.Message)
	}
	return d
}

// marked gives an object the marks of a copy.
func marked(o *unstructured.Unstructured, controlPlane string, owner types.UID) *unstructured.Unstructured {
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	labels[fedv1.ManagedLabel] = "true"
	annotations[fedv1.OwnerAnnotation] = fmt.Sprintf("%s/%s", controlPlane, owner)
	annotations[fedv1.AppliedAnnotation] = "v1"
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
	return o
}

// removal is the step that withdraws or releases the object that was seen with this UID.
func removal(v plan.Verdict, o *unstructured.Unstructured) plan.Step {
	return plan.Step{
		Member: "member", Verdict: v, Needed: true, Namespace: o.GetNamespace(), Name: o.GetName(),
		UID: o.GetUID(), Owner: owner, ControlPlane: controlPlane,
	}
}

// configMap is one without marks, in the site's namespace.
func (s *site) configMap(name string, data map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "namespace": s.namespace}, "data": data,
	}}
}
