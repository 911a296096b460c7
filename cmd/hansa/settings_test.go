package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/settings"
)

func started(t *testing.T, f flags) *current {
	t.Helper()
	in := settings.Default()
	in.Scope = fedv1.ScopeCluster
	var err error
	if in.Lease, err = f.lease(in.Lease); err != nil {
		t.Fatal(err)
	}
	s := &current{}
	s.in.Store(&in)
	return s
}

func configWith(spec map[string]any) *unstructured.Unstructured {
	u := newConfig()
	spec["scope"] = "Cluster"
	u.Object["spec"] = spec
	return u
}

// What the flags say goes before the KubeFedConfig: what that says then needs no restart, for a restart would change nothing.
func TestFlagsGoBeforeTheConfig(t *testing.T) {
	f := flags{leaseDuration: time.Minute}
	s := started(t, f)
	if got := s.in.Load().Lease; got != (settings.Lease{Duration: time.Minute, Renew: 10 * time.Second, Retry: 5 * time.Second}) {
		t.Errorf("started with %+v", got)
	}
	read, _ := s.follow(configWith(map[string]any{"leaderElect": map[string]any{"leaseDuration": "30s"}}), f)
	if len(read.Restart) > 0 || s.in.Load().Lease.Duration != time.Minute {
		t.Errorf("restart for %v, lease %+v", read.Restart, s.in.Load().Lease)
	}
	read, _ = s.follow(configWith(map[string]any{"leaderElect": map[string]any{"renewDeadline": "12s"}}), f)
	if len(read.Restart) != 1 || read.Restart[0].Field != "spec.leaderElect.renewDeadline" || s.in.Load().Lease.Renew != 10*time.Second {
		t.Errorf("restart for %v, lease %+v", read.Restart, s.in.Load().Lease)
	}
}

func TestFlagsThatMakeNoSense(t *testing.T) {
	if _, err := (flags{leaseDuration: 8 * time.Second}).lease(settings.Default().Lease); err == nil || !strings.Contains(err.Error(), "--leader-elect-lease-duration") {
		t.Errorf("a lease that is shorter than its renewal: %v", err)
	}
	for flag, want := range map[string]string{
		"--member-qps=0": "--member-qps", "--member-burst=0": "--member-burst", "--rest-config-qps=0": "--rest-config-qps",
		"--member-workers=0": "--member-workers", "--leader-elect-retry-period=-1s": "--leader-elect-retry-period",
	} {
		c := command()
		c.SetArgs([]string{"manager", flag, "--kubeconfig", "/nowhere"})
		if err := c.Execute(); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// What starts KubeFed's manager starts ours.
func TestKubeFedsCommandLine(t *testing.T) {
	c, out := command(), &bytes.Buffer{}
	c.SetOut(out)
	c.SetArgs([]string{
		"controller-manager", "--version", "--kubeconfig=", "--master=", "--kubefed-namespace=a", "--kubefed-config=", "--healthz-addr=:8080", "--metrics-addr=:9090",
		"--rest-config-qps=100", "--rest-config-burst=200", "--v=2", "--logtostderr=true", "--log_dir=/tmp", "--stderrthreshold=2", "--vmodule=a=1",
		"--alsologtostderr=false", "--log_backtrace_at=a.go:1", "--skip_headers=false", "--add_dir_header=false", "--log_file=", "--log_file_max_size=1800",
	})
	if err := c.Execute(); err != nil || !strings.HasPrefix(out.String(), "hansa version:") {
		t.Errorf("%v, %q", err, out)
	}
}

func TestConfigFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	for text, want := range map[string]string{
		"apiVersion: core.kubefed.io/v1beta1\nkind: KubeFedConfig\nspec: {scope: Cluster, syncController: {maxConcurrentReconciles: 9}}": "",
		"apiVersion: v1\nkind: ConfigMap":       "it holds a v1 ConfigMap, not a core.kubefed.io/v1beta1 KubeFedConfig",
		"a: b\na: c":                            "already set",
		"kind: KubeFedConfig\nspec: {":          "--kubefed-config",
		"apiVersion: core.kubefed.io/v1beta1\n": "Kind",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := configFile(flags{config: path})
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		spec, _, _ := unstructured.NestedMap(u.Object, "spec")
		if read := settings.Read(spec, settings.Default()); err != nil || len(read.Bad) > 0 || read.Settings.SyncWorkers != 9 {
			t.Errorf("%q: %v, %v", text, err, read)
		}
	}
}
