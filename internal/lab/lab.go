// Package lab gives a test real Kubernetes clusters, and the means to break them.
//
// The clusters are control planes (etcd, kube-apiserver, kube-controller-manager) that the binary hansa-lab runs on
// loopback; `make lab-build` makes it. Two are ready in about seven seconds, so the tests of a package share one lab:
//
//	var clusters = lab.Shared(lab.Options{}, "host", "member-1")
//
//	func TestPlace(t *testing.T) {
//		l := clusters(t)
//		ns := lab.Namespace(t, l.Config("host"), "place")
//		…
//	}
package lab

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options are what a test wants of its clusters.
type Options struct {
	Nodes  int    // fake nodes per cluster, on which Pods seem to run; 0: Pods stay Pending
	Answer Answer // let Pods on fake nodes answer
	DNS    bool   // with InNetwork, a DNS server for each cluster, if DNSBuilt
	Real   bool   // instead of them, one node that runs Pods; see NeedRealNodes
	Audit  bool   // keep a log of all requests, for Requests
}

// Answer is how Pods on fake nodes answer whoever connects to them: by a line that says which Pod it is, in which cluster.
type Answer string

const (
	// InNetwork is by their own addresses, and with kube-proxy by those of Services, in networks that are joined; see NeedNetworks.
	InNetwork Answer = "network"
	// OnLoopback is behind node ports only.
	OnLoopback Answer = "loopback"
)

// args are the flags of hansa-lab up.
func (o Options) args(clusters []string) []string {
	nodes := strconv.Itoa(o.Nodes)
	if o.Real {
		nodes = "real"
	}
	args := []string{"up", "--clusters=" + strings.Join(clusters, ","), "--nodes=" + nodes, "--audit=" + strconv.FormatBool(o.Audit)}
	if o.Answer != "" {
		args = append(args, "--answer="+string(o.Answer), "--dns="+strconv.FormatBool(o.DNS))
	}
	return args
}

// NeedNetworks skips the test where InNetwork would not work, and says why: it takes root.
func NeedNetworks(t testing.TB) {
	t.Helper()
	skipIfShort(t)
	binary, err := findBinary()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Lab{binary: binary, dir: t.TempDir()}).run("check-answer"); err != nil {
		t.Skip(err)
	}
}

// NeedRealNodes skips the test where Options.Real would not work, and says why: it takes root and more. As real nodes take their time,
// it also skips the test unless HANSA_LONG is set.
func NeedRealNodes(t testing.TB) {
	t.Helper()
	skipIfShort(t)
	if os.Getenv("HANSA_LONG") == "" {
		t.Skip("HANSA_LONG is not set")
	}
	binary, err := findBinary()
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{binary: binary, dir: filepath.Join(t.TempDir(), "lab")}
	if _, err := l.run("check-nodes"); err != nil {
		t.Skip(err)
	}
}

// DNSBuilt says whether Options.DNS would work: the server is beside the lab's binary, where `make dns-build` puts it.
func DNSBuilt() bool {
	binary, err := findBinary()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(binary), "hansa-dns"))
	return err == nil
}

// Lab is a set of running clusters.
type Lab struct {
	binary, dir string
	shared      bool // other tests use it after this one

	mu   sync.Mutex
	logs map[string]*requestLog // by cluster
}

// Start brings up the named clusters in a lab of the test's own, and takes it down when the test ends. It fails the
// test if the lab's binary is missing, and skips it under -short.
func Start(t testing.TB, o Options, clusters ...string) *Lab {
	t.Helper()
	skipIfShort(t)
	l, stop, err := StartMain(o, clusters...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Shared returns a function that gives the same lab to every test that calls it. The first call starts it; it ends
// with the test process. Tests keep apart by namespaces, and clusters that a test has broken are mended after it.
func Shared(o Options, clusters ...string) func(testing.TB) *Lab {
	start := sync.OnceValues(func() (*Lab, error) {
		l, _, err := StartMain(o, clusters...) // it ends by itself when this process does
		if err == nil {
			l.shared = true
		}
		return l, err
	})
	return func(t testing.TB) *Lab {
		t.Helper()
		skipIfShort(t)
		l, err := start()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// StartMain is Start where there is no test: in TestMain and in programs. Whoever calls it calls stop; if it cannot,
// because it is killed, the lab goes down by itself.
func StartMain(o Options, clusters ...string) (l *Lab, stop func() error, err error) {
	binary, err := findBinary()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "hansa-lab-")
	if err != nil {
		return nil, nil, err
	}
	l = &Lab{binary: binary, dir: dir}
	stop = func() error {
		_, err := l.run("down")
		return err
	}
	_, err = l.run(append(o.args(clusters), "--until-exit-of="+strconv.Itoa(os.Getpid()))...)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return l, stop, nil
}

func skipIfShort(t testing.TB) {
	t.Helper()
	if flag.Parsed() && testing.Short() {
		t.Skip("-short: no lab")
	}
}

// findBinary is $HANSA_LAB, or else bin/hansa-lab in the repository that the working directory is in.
func findBinary() (string, error) {
	path := os.Getenv("HANSA_LAB")
	if path == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "hansa-lab")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the lab's binary is missing, run `make lab-build`: %w", err)
	}
	return path, nil
}

// repository is the folder of Hansa's own go.mod; those of nested modules do not count.
func repository() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if strings.HasPrefix(string(mod), "module github.com/hansa-io/hansa\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not in Hansa's repository; set HANSA_LAB to the lab's binary", start)
		}
	}
}

// Dir is the lab's folder; it goes with the lab.
func (l *Lab) Dir() string { return l.dir }

// Kubeconfig is the path of a kubeconfig with a context, a cluster and a user named after each cluster.
func (l *Lab) Kubeconfig() string { return filepath.Join(l.dir, "kubeconfig") }

// Config reaches the named cluster as its administrator, without a client-side rate limit. The caller may change it.
func (l *Lab) Config(cluster string) *rest.Config {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: l.Kubeconfig()},
		&clientcmd.ConfigOverrides{CurrentContext: cluster}).ClientConfig()
	if err != nil {
		panic(fmt.Sprintf("lab: no config for cluster %q: %v", cluster, err)) // a typo in a test
	}
	config.QPS = -1
	return config
}

// Add brings up more clusters in the lab; those that run stay as they are.
func (l *Lab) Add(t testing.TB, o Options, clusters ...string) {
	t.Helper()
	l.Run(t, o.args(clusters)...)
}

// Run calls hansa-lab with the given verb and arguments on this lab and returns what it prints.
func (l *Lab) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := l.run(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (l *Lab) run(args ...string) (string, error) {
	var out, problems strings.Builder
	cmd := exec.Command(l.binary, append([]string{"--dir=" + l.dir}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("hansa-lab %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return out.String(), nil
}
