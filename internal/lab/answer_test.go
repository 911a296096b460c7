package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hansa-io/hansa/internal/lab"
)

// TestPodsAnswerInNetworks: a Pod is reached by its address from its own cluster, from the other and from between them, a
// Service from its cluster; what is gone answers nobody; and no network outlives the lab.
func TestPodsAnswerInNetworks(t *testing.T) {
	lab.NeedNetworks(t)
	var networks []string
	t.Run("life", func(t *testing.T) {
		l := lab.Start(t, lab.Options{Nodes: 1, Answer: lab.InNetwork, DNS: lab.DNSBuilt()}, "a", "b")
		networks = networksOf(t, l)
		service := runWeb(t, l, "a", 1)
		pod := podAddress(t, l, "a")
		for _, from := range []string{"a", "b", ""} {
			eventuallySays(t, proxied(l.Proxy(t, from)), "http://"+pod+":8080/", ", cluster a, node a-node-0\n")
		}
		inA := proxied(l.Proxy(t, "a"))
		eventuallySays(t, inA, "http://"+service.Spec.ClusterIP+"/", ", cluster a, ")
		for _, from := range []string{"a", "b", ""} {
			node := fmt.Sprintf("http://10.160.0.1:%d/", service.Spec.Ports[0].NodePort)
			eventuallySays(t, proxied(l.Proxy(t, from)), node, ", cluster a, ")
		}
		if got := l.Inside(t, "b", "sh", "-c", "cat /proc/net/fib_trie"); !strings.Contains(got, "10.161.0.1") {
			t.Errorf("the node of b has no address inside b: %s", got)
		}
		execInPod(t, l)
		if lab.DNSBuilt() {
			resolves(t, l, service.Spec.ClusterIP)
		}

		l.Kill(t, "a")
		if got, err := ask(t.Context(), proxied(l.Proxy(t, "b")), "http://"+pod+":8080/"); err == nil {
			t.Errorf("a Pod of a killed cluster says %q", got)
		}
		l.Start(t, "a")
		eventuallySays(t, proxied(l.Proxy(t, "b")), "http://"+pod+":8080/", ", cluster a, ")
		l.Kill(t, "a", lab.PodsAnswer) // with it goes the network, and kube-proxy is left behind
		l.Start(t, "a")
		eventuallySays(t, inA, "http://"+service.Spec.ClusterIP+"/", ", cluster a, ")
		l.Inside(t, "", "ip", "route", "replace", "unreachable", "10.128.0.0/16")
		if got, err := ask(t.Context(), proxied(l.Proxy(t, "b")), "http://"+pod+":8080/"); err == nil {
			t.Errorf("by a way that is cut, %q", got)
		}
		l.Add(t, lab.Options{Nodes: 1, Answer: lab.InNetwork}, "a")
		eventuallySays(t, proxied(l.Proxy(t, "b")), "http://"+pod+":8080/", ", cluster a, ")
		scale(t, l, "a", 0)
		lab.Eventually(t, 20*time.Second, "the Pod to be silent", func(ctx context.Context) error {
			if got, err := ask(ctx, proxied(l.Proxy(t, "b")), "http://"+pod+":8080/"); err == nil {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		})
	})
	if len(networks) != 2 {
		t.Fatalf("networks %v, want one of each cluster", networks)
	}
	lab.Eventually(t, 10*time.Second, "the networks to be gone", func(context.Context) error {
		for _, path := range networksInUse(t) {
			for _, network := range networks {
				if path == network {
					return fmt.Errorf("%s is in use", network)
				}
			}
		}
		return nil
	})
}

// TestPodsAnswerOnLoopback: without root, behind node ports.
func TestPodsAnswerOnLoopback(t *testing.T) {
	l := lab.Start(t, lab.Options{Nodes: 1, Answer: lab.OnLoopback}, "a")
	service := runWeb(t, l, "a", 2)
	node, err := client(t, l.Config("a")).CoreV1().Nodes().Get(t.Context(), "a-node-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("http://%s:%d/", node.Status.Addresses[0].Address, service.Spec.Ports[0].NodePort)
	direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventuallySays(t, direct, address, ", cluster a, ")
	lab.Eventually(t, 20*time.Second, "both Pods to answer", func(ctx context.Context) error {
		said := map[string]bool{}
		for range 4 {
			text, err := ask(ctx, direct, address)
			if err != nil {
				return err
			}
			said[text] = true
		}
		if len(said) != 2 {
			return fmt.Errorf("they are %v", said)
		}
		return nil
	})
	scale(t, l, "a", 0)
	lab.Eventually(t, 20*time.Second, "the node port to be closed", func(ctx context.Context) error {
		if text, err := ask(ctx, direct, address); err == nil {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
	if _, err := l.TryRun("exec", "a", "--", "true"); err == nil || !strings.Contains(err.Error(), "no network of its own") {
		t.Errorf("exec into no network: %v", err)
	}
}

// execInPod: as kubectl does it, with the Pod's name, the cluster's DNS and no right to change a file.
func execInPod(t *testing.T, l *lab.Lab) {
	t.Helper()
	name := webPods(t, l, "a")[0].Name
	cmd := exec.Command(l.Binary(), "--kubeconfig="+l.Kubeconfig(), "--context=a", "exec", name, "--",
		"sh", "-c", "hostname; id -u; cat /etc/resolv.conf; touch /etc/x 2>&1 || true")
	cmd.Args[0] = "kubectl" // it is the same file
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl exec: %v: %s", err, said)
	}
	out := string(said)
	for _, want := range []string{name, "65534", "nameserver 10.96.0.10", "search default.svc.cluster.local"} {
		if !strings.Contains(out, want+"\n") && !strings.Contains(out, want+" ") {
			t.Errorf("in the Pod there is no %q:\n%s", want, out)
		}
	}
	if !regexp.MustCompile("touch: .*(Read-only|denied)").MatchString(out) {
		t.Errorf("a Pod could write to this machine's /etc:\n%s", out)
	}
}

// resolves asks the cluster's DNS server, by the Service that clusters have for it.
func resolves(t *testing.T, l *lab.Lab, want string) {
	t.Helper()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", forwarded(t, l, "a", "10.96.0.10:53"))
	}}
	lab.Eventually(t, 30*time.Second, "a name to be resolved", func(ctx context.Context) error {
		got, err := resolver.LookupHost(ctx, "web.default.svc.cluster.local.")
		if err == nil && !slices.Equal(got, []string{want}) {
			err = fmt.Errorf("it is %v, want %s", got, want)
		}
		return err
	})
}

// forwarded starts a `hansa-lab forward` and returns its end here.
func forwarded(t *testing.T, l *lab.Lab, cluster, address string) string {
	t.Helper()
	cmd := exec.Command(l.Binary(), "--dir="+l.Dir(), "forward", cluster, address)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString(' ')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func runWeb(t *testing.T, l *lab.Lab, cluster string, replicas int32) *corev1.Service {
	t.Helper()
	labels := map[string]string{"app": "web"}
	c := client(t, l.Config(cluster))
	create(t, c.AppsV1().Deployments("default").Create, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(replicas), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
			},
		},
	})
	create(t, c.CoreV1().Services("default").Create, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Selector: labels,
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	})
	service, err := c.CoreV1().Services("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func scale(t *testing.T, l *lab.Lab, cluster string, replicas int32) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas) // whatever else changes meanwhile
	_, err := client(t, l.Config(cluster)).AppsV1().Deployments("default").Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func webPods(t *testing.T, l *lab.Lab, cluster string) []corev1.Pod {
	t.Helper()
	list, err := client(t, l.Config(cluster)).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func podAddress(t *testing.T, l *lab.Lab, cluster string) string {
	t.Helper()
	address := ""
	lab.Eventually(t, 20*time.Second, "the Pod to have an address", func(context.Context) error {
		for _, pod := range webPods(t, l, cluster) {
			address = pod.Status.PodIP
		}
		if address == "" {
			return errors.New("it has none")
		}
		return nil
	})
	return address
}

func proxied(proxy *url.URL) *http.Client {
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
}

func ask(ctx context.Context, c *http.Client, address string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

func eventuallySays(t *testing.T, c *http.Client, address, want string) {
	t.Helper()
	lab.Eventually(t, 20*time.Second, address+" to answer", func(ctx context.Context) error {
		got, err := ask(ctx, c, address)
		if err != nil {
			return err
		}
		if !strings.Contains(got, want) {
			return fmt.Errorf("it says %q, want %q", got, want)
		}
		return nil
	})
}

// networksOf are the network namespaces of the clusters' processes that are not this machine's.
func networksOf(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var networks []string
	for _, cluster := range []string{"a", "b"} {
		pid, err := os.ReadFile(filepath.Join(l.Dir(), "clusters", cluster, "run", "answer.pid"))
		if err != nil {
			t.Fatal(err)
		}
		network, err := os.Readlink(filepath.Join("/proc", strings.Fields(string(pid))[0], "ns", "net"))
		if err != nil {
			t.Fatal(err)
		}
		if network != own {
			networks = append(networks, network)
		}
	}
	return networks
}

func networksInUse(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	var networks []string
	for _, path := range paths {
		if network, err := os.Readlink(path); err == nil {
			networks = append(networks, network)
		}
	}
	return networks
}
