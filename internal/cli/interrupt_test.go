package cli_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hansa-io/hansa/internal/cli"
	"github.com/hansa-io/hansa/internal/lab"
)

// Whenever a join is interrupted, what it made is removed again, and the same join succeeds afterwards.
func TestAnInterruptedJoinLeavesNothing(t *testing.T) {
	l := clusters(t)
	host, member := clientset(t, l, "global"), clientset(t, l, "business")
	ns := lab.Namespace(t, l.Config("business"), "fed-interrupt") // there before, so that nobody waits for its end
	run := func(ctx context.Context, told *trigger, args ...string) int {
		args = append(append([]string{"kubefedctl"}, args...), "--kubeconfig", l.Kubeconfig(), "--host-cluster-context", "global", "--kubefed-namespace", ns)
		return cli.Run(ctx, args, cli.Streams{In: strings.NewReader(""), Out: told, Err: told})
	}
	if told := (&trigger{}); run(t.Context(), told, "init") != 0 {
		t.Fatal(told)
	}
	for _, at := range []string{"Performing", "Created service account:", "Created service account token", "Creating cluster role", "Created cluster role", "Creating cluster credentials", "Created secret"} {
		ctx, cancel := context.WithCancel(t.Context())
		told := &trigger{at: at, pull: cancel}
		if code := run(ctx, told, "join", "business", "-v=2"); code == 0 || !strings.Contains(told.String(), "interrupted") {
			t.Errorf("interrupted at %q: exit code %d\n%s", at, code, told)
		}
		if left := leftovers(t, member, ns, host); left != "" {
			t.Errorf("interrupted at %q: left behind:%s\n%s", at, left, told)
		}
	}
	if told := (&trigger{}); run(t.Context(), told, "join", "business") != 0 || run(t.Context(), told, "unjoin", "business") != 0 {
		t.Error(told)
	}
}

// Whenever an unjoin is interrupted, with or without force, the host still knows the member, and the same unjoin ends it.
func TestAnInterruptedUnjoinCanBeRepeated(t *testing.T) {
	l := clusters(t)
	host, member := clientset(t, l, "global"), clientset(t, l, "business")
	ns := lab.Namespace(t, l.Config("business"), "fed-interrupt")
	stays := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "stays"}} // so that nobody waits for the end of the namespace
	if _, err := member.CoreV1().ConfigMaps(ns).Create(t.Context(), stays, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, told *trigger, args ...string) int {
		args = append(append([]string{"kubefedctl"}, args...), "--kubeconfig", l.Kubeconfig(), "--host-cluster-context", "global", "--kubefed-namespace", ns)
		return cli.Run(ctx, args, cli.Streams{In: strings.NewReader(""), Out: told, Err: told})
	}
	if told := (&trigger{}); run(t.Context(), told, "init") != 0 {
		t.Fatal(told)
	}
	for _, at := range []string{"Deleted Secret", "Deleted ClusterRole kube", "Deleted ServiceAccount", "Namespace " + ns + " stays"} {
		if told := (&trigger{}); run(t.Context(), told, "join", "business") != 0 {
			t.Fatal(told)
		}
		for _, force := range []string{"--force=true", "--force=false"} {
			ctx, cancel := context.WithCancel(t.Context())
			told := &trigger{at: at, pull: cancel}
			if code := run(ctx, told, "unjoin", "business", force, "-v=2"); code == 0 && told.pulled {
				t.Errorf("interrupted at %q: exit code %d\n%s", at, code, told)
			}
			cancel()
		}
		if told := (&trigger{}); run(t.Context(), told, "unjoin", "business", "-v=2") != 0 {
			t.Error(told)
		}
		if left := leftovers(t, member, ns, host); left != "" {
			t.Errorf("interrupted at %q and repeated: left behind:%s", at, left)
		}
	}
}

// leftovers names what a join made.
func leftovers(t *testing.T, member kubernetes.Interface, ns string, host kubernetes.Interface) string {
	t.Helper()
	var left string
	none := metav1.GetOptions{}
	if _, err := member.CoreV1().ServiceAccounts(ns).Get(t.Context(), "business-global", none); err == nil {
		left += " the service account"
	}
	if _, err := member.CoreV1().Secrets(ns).Get(t.Context(), "business-global", none); err == nil {
		left += " its secret"
	}
	if _, err := member.RbacV1().ClusterRoles().Get(t.Context(), "kubefed-controller-manager:business-global", none); err == nil {
		left += " its role"
	}
	secrets, err := host.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeOpaque)})
	if err != nil || len(secrets.Items) > 0 {
		left += " the host's secret"
	}
	return left
}

func clientset(t *testing.T, l *lab.Lab, cluster string) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(l.Config(cluster))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trigger keeps what is written, and pulls when it reads a certain text.
type trigger struct {
	bytes.Buffer
	at     string
	pull   func()
	pulled bool
}

func (w *trigger) Write(p []byte) (int, error) {
	if w.pull != nil && strings.Contains(string(p), w.at) {
		w.pulled = true
		w.pull()
	}
	return w.Buffer.Write(p)
}
