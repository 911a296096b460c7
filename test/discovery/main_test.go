// Package discovery sends real requests through services that span clusters: Pods of two clusters answer in networks of their own, with
// Kubernetes' own kube-proxy, and the control plane has nothing but their API servers. It takes root; elsewhere its tests are skipped.
package discovery

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/lab"
)

// The clusters; the host is a member as well.
const (
	host  = "global"
	other = "business"
)

// patience is how long anything may take to come about.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// federation is what all tests share: the clusters, joined, with discovery switched on.
type federation struct {
	*lab.Lab
	dir     string // of the binaries
	manager *exec.Cmd
	log     *os.File
	down    func() error
}

var (
	shared *federation
	start  = sync.OnceValue(begin)
)

// federate gives a test the shared federation and a namespace of its own in both clusters.
func federate(t *testing.T) (*federation, string) {
	t.Helper()
	lab.NeedNetworks(t)
	if err := start(); err != nil {
		t.Fatal(err)
	}
	name := "t-" + strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	for _, cluster := range []string{host, other} {
		lab.Eventually(t, patience, cluster+" to be ready", func(ctx context.Context) error { return shared.isReady(ctx, cluster, true) })
		shared.kubectl(t, cluster, "create", "namespace", name)
	}
	t.Cleanup(func() {
		if t.Failed() {
			shared.tell(t, name)
		}
		for _, cluster := range []string{host, other} {
			shared.kubectl(t, cluster, "delete", "namespace", name, "--wait=false")
		}
	})
	return shared, name
}

func begin() error {
	if err := lookAtSources(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hansa-discovery-")
	if err != nil {
		return err
	}
	shared = &federation{dir: dir}
	if out, err := exec.Command("go", "build", "-o", dir, "../../cmd/hansa", "../../cmd/kubefedctl").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	shared.Lab, shared.down, err = lab.StartMain(lab.Options{Nodes: 1, Answer: lab.InNetwork}, host, other)
	if err != nil {
		return err
	}
	if _, err := shared.kubefedctl("init", "--host-cluster-context", host); err != nil {
		return err
	}
	if _, err := shared.tryKubectl(context.Background(), host, "", "-n", "kube-federation-system", "patch", "kubefedconfig", "kubefed", "--type=merge", "-p", settings); err != nil {
		return err
	}
	if err := shared.startManager(); err != nil {
		return err
	}
	for _, cluster := range []string{host, other} {
		if _, err := shared.kubefedctl("join", cluster, "--cluster-context", cluster, "--host-cluster-context", host); err != nil {
			return err
		}
	}
	return nil
}

// settings switch discovery on, and let a member that is away be known as such soon.
const settings = `{"spec":{
	"featureGates":[{"name":"CrossClusterServiceDiscovery","configuration":"Enabled"}],
	"clusterHealthCheck":{"period":"1s","timeout":"1s","failureThreshold":2}}}`

// grace is how long the control plane believes that the Pods of a member that is away are there.
const grace = 5 * time.Second

func (f *federation) startManager() error {
	var err error
	if f.log, err = os.Create(filepath.Join(f.dir, "manager.log")); err != nil {
		return err
	}
	f.manager = exec.Command(filepath.Join(f.dir, "hansa"), "manager", "--kubeconfig", f.Kubeconfig(), "--context", host,
		"--healthz-addr", "0", "--metrics-addr", "0", "-v", "1", "--discovery-grace", grace.String())
	f.manager.Stdout, f.manager.Stderr = f.log, f.log
	return f.manager.Start()
}

// end ends what begin has started.
func end() error {
	if shared == nil {
		return nil
	}
	defer os.RemoveAll(shared.dir)
	if shared.manager != nil && shared.manager.Process != nil {
		_ = shared.manager.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = shared.manager.Wait()
	}
	if shared.down == nil {
		return nil
	}
	return shared.down()
}

// lookAtSources opens every folder that the control plane is built from, as go test takes an old result for a new one as long as what
// the test itself has opened is unchanged.
func lookAtSources() error {
	for _, dir := range []string{"api", "cmd", "config", "internal"} {
		if err := filepath.WalkDir(filepath.Join("..", "..", dir), func(string, fs.DirEntry, error) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

func (f *federation) kubefedctl(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(f.dir, "kubefedctl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+f.Kubeconfig())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubefedctl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (f *federation) kubectl(t *testing.T, cluster string, args ...string) string {
	t.Helper()
	out, err := f.tryKubectl(context.Background(), cluster, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *federation) tryKubectl(ctx context.Context, cluster, in string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "../../bin/kubectl", append([]string{"--kubeconfig", f.Kubeconfig(), "--context", cluster}, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl --context %s %s: %w\n%s", cluster, strings.Join(args, " "), err, problems.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// tell logs what there is when a test has failed.
func (f *federation) tell(t *testing.T, namespace string) {
	for _, cluster := range []string{host, other} {
		out, err := f.tryKubectl(context.Background(), cluster, "", "-n", namespace, "get",
			"pods,services,serviceexports,serviceimports,endpointslices", "-o", "wide")
		t.Logf("%s holds:\n%s %v", cluster, out, err)
	}
	log, err := os.ReadFile(f.log.Name())
	if err != nil {
		t.Log(err)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	t.Logf("the manager says:\n%s", strings.Join(lines[max(0, len(lines)-15):], "\n"))
}
