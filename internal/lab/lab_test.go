package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/lab"
)

// TestLab goes through the life of a lab: clusters answer, fail in every way that tests need, come back with their
// data, and leave nothing behind.
func TestLab(t *testing.T) {
	var dir string
	var pids []string
	t.Run("life", func(t *testing.T) {
		l := lab.Start(t, lab.Options{Audit: true}, "global", "business")
		dir, pids = l.Dir(), processes(t, l.Dir())
		t.Run("both clusters answer, and are two", func(t *testing.T) { bothAnswer(t, l) })
		t.Run("a paused cluster does not answer until resumed", func(t *testing.T) { pauseAndResume(t, l) })
		t.Run("a killed API server refuses, and returns with its data", func(t *testing.T) { killAndStart(t, l) })
		t.Run("a start that fails says why", func(t *testing.T) { failingStart(t, l) })
		t.Run("a service account's Secret gets a token that works", func(t *testing.T) { tokenWorks(t, l) })
		t.Run("a link can be cut, stalled and healed", func(t *testing.T) { linkBreaks(t, l) })
		t.Run("requests are counted", func(t *testing.T) { requestsAreCounted(t, l) })
		t.Run("the user's kubeconfig is named after the clusters", func(t *testing.T) { contextsAreNamed(t, l) })
	})
	if dir == "" {
		t.Skip("no lab") // the subtest says why
	}
	if len(pids) != 7 {
		t.Errorf("the lab had processes %v, want a supervisor and three for each cluster", pids)
	}
	assertGone(t, dir, pids)
}

func bothAnswer(t *testing.T, l *lab.Lab) {
	uids := map[string]bool{}
	for _, cluster := range []string{"global", "business"} {
		ns, err := client(t, l.Config(cluster)).CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
		if err != nil {
			t.Fatalf("cluster %s: %v", cluster, err)
		}
		uids[string(ns.UID)] = true
	}
	if len(uids) != 2 {
		t.Errorf("kube-system UIDs %v: both contexts reach one cluster", uids)
	}
}

func pauseAndResume(t *testing.T, l *lab.Lab) {
	config := l.Config("business")
	config.Timeout = time.Second
	l.Pause(t, "business", lab.APIServer)
	if err := ping(t.Context(), client(t, config)); !isTimeout(err) {
		t.Errorf("paused API server: %v, want a timeout", err)
	}
	if err := ping(t.Context(), client(t, l.Config("global"))); err != nil {
		t.Errorf("the other cluster: %v", err)
	}
	l.Resume(t, "business", lab.APIServer)
	eventuallyAnswers(t, config)
}

func killAndStart(t *testing.T, l *lab.Lab) {
	config := l.Config("business")
	ns := lab.Namespace(t, config, "kept")
	l.Kill(t, "business", lab.APIServer)
	if err := ping(t.Context(), client(t, config)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("killed API server: %v, want connection refused", err)
	}
	l.Start(t, "business", lab.APIServer)
	found(t, config, ns)

	l.Kill(t, "business")
	l.Start(t, "business")
	found(t, config, ns)
}

func failingStart(t *testing.T, l *lab.Lab) {
	address := strings.TrimPrefix(l.Config("business").Host, "https://")
	l.Kill(t, "business", lab.APIServer)
	squatter, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.TryRun("start", "business", lab.APIServer)
	for _, want := range []string{"cluster business", "kube-apiserver ended", "address already in use"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("start on a taken port: %v; want %q in it", err, want)
		}
	}
	if err := squatter.Close(); err != nil {
		t.Fatal(err)
	}
	l.Start(t, "business", lab.APIServer)
}

func found(t *testing.T, config *rest.Config, namespace string) {
	t.Helper()
	if _, err := client(t, config).CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func tokenWorks(t *testing.T, l *lab.Lab) {
	config := l.Config("business")
	ns := lab.Namespace(t, config, "token")
	c := client(t, config)
	create(t, c.CoreV1().ServiceAccounts(ns).Create, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "joiner"}})
	create(t, c.CoreV1().Secrets(ns).Create, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "joiner", Annotations: map[string]string{corev1.ServiceAccountNameKey: "joiner"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	})
	asJoiner := rest.AnonymousClientConfig(config)
	lab.Eventually(t, time.Minute, "the Secret to get its token", func(ctx context.Context) error {
		secret, err := c.CoreV1().Secrets(ns).Get(ctx, "joiner", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if asJoiner.BearerToken = string(secret.Data[corev1.ServiceAccountTokenKey]); asJoiner.BearerToken == "" {
			return fmt.Errorf("has keys %v only", secret.Data)
		}
		return nil
	})
	if err := ping(t.Context(), client(t, asJoiner)); err != nil {
		t.Errorf("with the account's token: %v", err)
	}
}

func linkBreaks(t *testing.T, l *lab.Lab) {
	link := l.Forward(t, "business")
	config := link.Config(l.Config("business"))
	config.Timeout = time.Second
	eventuallyAnswers(t, config)

	link.Cut()
	if err := ping(t.Context(), client(t, config)); err == nil {
		t.Error("the API server answers over a cut link")
	}
	link.Heal()
	eventuallyAnswers(t, config)

	link.Stall()
	if err := ping(t.Context(), client(t, config)); !isTimeout(err) {
		t.Errorf("stalled link: %v, want a timeout", err)
	}
	link.Heal()
	eventuallyAnswers(t, config)
}

func requestsAreCounted(t *testing.T, l *lab.Lab) {
	config := l.Config("global")
	config.UserAgent = "counted/1"
	lab.Namespace(t, config, "counted")
	ours := func(r lab.Request) bool { return r.UserAgent == "counted/1" && r.Mutates() }
	lab.Eventually(t, 5*time.Second, "the audit log to show one request", func(context.Context) error {
		got := l.Requests(t, "global", ours)
		if len(got) != 1 {
			return fmt.Errorf("got %+v", got)
		}
		if r := got[0]; r.Verb != "create" || r.Resource != "namespaces" || r.Code != 201 || r.User != "admin" {
			return fmt.Errorf("got %+v", r)
		}
		return nil
	})
}

func contextsAreNamed(t *testing.T, l *lab.Lab) {
	data, err := os.ReadFile(l.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"current-context: global", "name: business", "user: business", "cluster: business"} {
		if !strings.Contains(string(data), line+"\n") {
			t.Errorf("kubeconfig lacks %q", line)
		}
	}
}

var shared = lab.Shared(lab.Options{Nodes: 1}, "shared")

// TestSharedLabIsMended: what one test breaks in a shared lab is whole for the next, so that Deployments become
// available on its fake nodes.
func TestSharedLabIsMended(t *testing.T) {
	t.Run("break it", func(t *testing.T) {
		shared(t).Kill(t, "shared", lab.APIServer, lab.Kwok)
		shared(t).Pause(t, "shared", lab.ControllerManager)
	})
	l := shared(t)
	ns := lab.Namespace(t, l.Config("shared"), "mended")
	deployments := client(t, l.Config("shared")).AppsV1().Deployments(ns)
	create(t, deployments.Create, deployment("web", 3))
	lab.Eventually(t, 30*time.Second, "3 replicas to be available", func(ctx context.Context) error {
		d, err := deployments.Get(ctx, "web", metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != 3 {
			err = fmt.Errorf("%d are available", d.Status.AvailableReplicas)
		}
		return err
	})
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "never-pulled"}}},
			},
		},
	}
}

// TestLabEndsWithItsKeeper: a lab whose test process is killed goes by itself.
func TestLabEndsWithItsKeeper(t *testing.T) {
	l := shared(t)
	keeper := exec.Command("sleep", "600")
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("a-folder-whose-path-no-socket-address-holds/", 3))
	l.Run(t, "up", "--dir="+dir, "--clusters=kept", fmt.Sprintf("--until-exit-of=%d", keeper.Process.Pid))
	pids := processes(t, dir)
	if err := keeper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = keeper.Wait()
	assertGone(t, dir, pids)
}

// processes are the pids that the lab in dir has noted.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "clusters", "*", "run", "*.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, file := range append(files, filepath.Join(dir, "supervisor.pid")) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, strings.Fields(string(data))[0])
	}
	return pids
}

func assertGone(t *testing.T, dir string, pids []string) {
	t.Helper()
	lab.Eventually(t, 15*time.Second, "the lab to be gone", func(context.Context) error {
		for _, pid := range pids {
			// An ended supervisor may wait for init to collect it; its command line is gone already.
			cmdline, err := os.ReadFile("/proc/" + pid + "/cmdline")
			if err == nil && strings.HasPrefix(string(cmdline), "hansa-lab") {
				return fmt.Errorf("process %s still runs", pid)
			}
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("%s is still there", dir), err)
		}
		return nil
	})
}

func client(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ping(ctx context.Context, c *kubernetes.Clientset) error {
	return c.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Error()
}

func eventuallyAnswers(t *testing.T, config *rest.Config) {
	t.Helper()
	lab.Eventually(t, 10*time.Second, "an answer from "+config.Host, func(ctx context.Context) error {
		return ping(ctx, client(t, config))
	})
}

func create[T any](t *testing.T, do func(context.Context, T, metav1.CreateOptions) (T, error), object T) {
	t.Helper()
	if _, err := do(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
