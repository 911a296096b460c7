package fault

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
)

// soon is how long what nothing hinders may take, on a machine that does much else.
const soon = 20 * time.Second

// patiently is how long it may take for a member that was away to be as it should be.
const patiently = 40 * time.Second

// federation is a story's own: a namespace, two members that joined for it, and a control plane.
type federation struct {
	testing.TB
	client.Client // of the host
	namespace     string
	m1, m2        *member
	*manager
}

// member is a member as the host knows it, and a client that goes past its link.
type member struct {
	client.Client
	name, cluster string
	endpoint      string
	ca            []byte
	token         string
	link          *lab.Link
}

// federate makes a federation for a story, and takes it apart after it.
func federate(t *testing.T, flags ...string) *federation {
	t.Helper()
	f := prepare(t)
	f.m1, f.m2 = f.join(linked(t, "m1", "m1")), f.join(linked(t, "m2", "m2"))
	f.starts(f.managersConfig(), "host", flags...)
	f.federatesNamespace()
	return f
}

// prepare makes a federation's namespace and nothing else.
func prepare(t *testing.T) *federation {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no lab")
	}
	host, err := administrator("host")
	if err != nil {
		t.Fatal(err)
	}
	return &federation{TB: t, Client: host, namespace: lab.Namespace(t, clusters.Config("host"), "story")}
}

// starts starts the control plane. When the story ends, it clears up as a user does: what was federated is deleted.
func (f *federation) starts(kubeconfig, context string, flags ...string) {
	f.Helper()
	f.manager = startManager(f, f.Client, kubeconfig, context, flags...)
	f.Cleanup(f.clear)
}

// linked is a member reached by a link.
func linked(t testing.TB, name, cluster string) *member {
	t.Helper()
	config := clusters.Config(cluster)
	link := clusters.Forward(t, cluster)
	return newMember(t, &member{name: name, cluster: cluster, endpoint: link.URL(), ca: config.CAData, token: config.BearerToken, link: link})
}

// gated is a member reached through a gate.
func gated(t testing.TB, name, cluster string) (*member, *gate) {
	t.Helper()
	g := openGate(t, cluster)
	return newMember(t, &member{name: name, cluster: cluster, endpoint: g.server.URL, ca: g.ca(), token: "of-the-gate"}), g
}

func newMember(t testing.TB, m *member) *member {
	t.Helper()
	c, err := administrator(m.cluster)
	if err != nil {
		t.Fatal(err)
	}
	m.Client = c
	return m
}

// join makes the member known to the host until the story ends.
func (f *federation) join(m *member) *member {
	f.Helper()
	f.must(joined(f.Context(), f.Client, m))
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := left(ctx, f.Client, m); err != nil {
			f.Errorf("%s does not leave: %v", m.name, err)
		}
	})
	return m
}

func (f *federation) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *federation) eventually(within time.Duration, what string, check func(context.Context) error) {
	f.Helper()
	lab.Eventually(f, within, what, check)
}

// clear deletes all that is federated and waits until nothing is left. The namespace comes last, and is let go, for nobody waits for
// its end in the members.
func (f *federation) clear() {
	for _, m := range []*member{f.m1, f.m2} {
		if m != nil && m.link != nil {
			m.link.Heal()
		}
	}
	if !f.runs() {
		f.loosen()
		return
	}
	f.clearOf("ConfigMap", "Deployment", "Service")
	f.eachFederated([]string{"Namespace"}, func(o *unstructured.Unstructured) {
		o.SetAnnotations(map[string]string{fedv1.OrphanAnnotation: "true"})
		if err := f.Update(context.Background(), o); err != nil && o.GetDeletionTimestamp() == nil {
			f.Errorf("orphan the namespace: %v", err)
		}
	})
	f.clearOf("Namespace")
	for _, m := range []*member{f.m1, f.m2} {
		if m != nil {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
			_ = m.Delete(context.Background(), ns) // it may have gone, or belong to another federation
		}
	}
}

func (f *federation) clearOf(kinds ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), patiently)
	defer cancel()
	f.eachFederated(kinds, func(o *unstructured.Unstructured) {
		if err := client.IgnoreNotFound(f.Delete(ctx, o)); err != nil {
			f.Errorf("delete %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	})
	for {
		left := f.leftovers(kinds)
		if len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			f.Errorf("what was deleted does not end: %v", left)
			f.loosen()
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leftovers are the federated objects that are still in the namespace.
func (f *federation) leftovers(kinds []string) []string {
	var out []string
	f.eachFederated(kinds, func(o *unstructured.Unstructured) {
		out = append(out, fmt.Sprintf("%s %s (finalizers %v)", o.GetKind(), o.GetName(), o.GetFinalizers()))
	})
	return out
}

// loosen takes all finalizers off, so that the next story finds no remains.
func (f *federation) loosen() {
	f.eachFederated(allKinds, func(o *unstructured.Unstructured) {
		o.SetFinalizers(nil)
		_ = f.Update(context.Background(), o) // the story has failed already
	})
}

var allKinds = []string{"ConfigMap", "Deployment", "Service", "Namespace"}

func (f *federation) eachFederated(kinds []string, visit func(*unstructured.Unstructured)) {
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(typesVersion.WithKind("Federated" + kind + "List"))
		if err := f.List(context.Background(), list, client.InNamespace(f.namespace)); err != nil {
			continue
		}
		for i := range list.Items {
			visit(&list.Items[i])
		}
	}
}

// words splits at spaces.
func words(s string) []string { return strings.Fields(s) }

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// isReady waits until the host says so, or not so, of a member.
func (f *federation) isReady(m *member, want bool) {
	f.Helper()
	f.eventually(soon, fmt.Sprintf("ready=%t of %s", want, m.name), func(ctx context.Context) error {
		var k fedv1.KubeFedCluster
		if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: m.name}, &k); err != nil {
			return err
		}
		ready := false
		for _, c := range k.Status.Conditions {
			ready = ready || c.Type == fedv1.ClusterReady && c.Status == metav1.ConditionTrue
		}
		if ready != want {
			return fmt.Errorf("its conditions are %+v", k.Status.Conditions)
		}
		return nil
	})
}
