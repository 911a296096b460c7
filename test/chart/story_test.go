package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"

	"github.com/hansa-io/hansa/internal/cli"
)

// The stories type what users type. This binary is helm, kubefedctl and node; hansa is built, as it is a program of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"helm": helmMain, "kubefedctl": kubefedctlMain, "node": nodeMain})
}

func helmMain() {
	kube.ManagedFieldsManager = "helm"
	c, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil {
		slog.Error("helm", "error", err)
		os.Exit(1)
	}
	if err := c.Execute(); err != nil {
		os.Exit(1)
	}
}

func kubefedctlMain() {
	os.Exit(cli.Run(context.Background(), os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// nodeMain plays a node for Jobs: node NAMESPACE. It runs what their Pods would run, with the rights of their ServiceAccount, and tells the
// API server how it went. Without it nothing would run in a lab without nodes, and seem to in one with fake nodes.
func nodeMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := ownKubeconfig(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
	for ctx.Err() == nil {
		if err := playPods(ctx, os.Args[1]); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "node:", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// ownKubeconfig makes this process use a copy: kubectl rewrites the file in place, and others read it meanwhile.
func ownKubeconfig() error {
	data, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	file := os.Getenv("KUBECONFIG") + ".node"
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	return os.Setenv("KUBECONFIG", file)
}

type pod struct {
	Metadata struct{ Name string }
	Spec     struct {
		ServiceAccountName string
		Containers         []struct{ Command []string }
	}
	Status struct{ Phase string }
}

func playPods(ctx context.Context, namespace string) error {
	out, err := kubectl(ctx, "get", "pods", "-n", namespace, "-l", "batch.kubernetes.io/job-name", "-o", "json")
	if err != nil {
		return err
	}
	var list struct{ Items []pod }
	if err := json.Unmarshal(out, &list); err != nil {
		return err
	}
	for _, p := range list.Items {
		if p.Status.Phase == "Pending" {
			if err := play(ctx, namespace, p); err != nil {
				return fmt.Errorf("pod %s: %w", p.Metadata.Name, err)
			}
		}
	}
	return nil
}

func play(ctx context.Context, namespace string, p pod) error {
	token, err := kubectl(ctx, "create", "token", "-n", namespace, p.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	if _, err := kubectl(ctx, "config", "set-credentials", "pod", "--token="+strings.TrimSpace(string(token))); err != nil {
		return err
	}
	if _, err := kubectl(ctx, "config", "set-context", "pod", "--cluster=global", "--user=pod"); err != nil {
		return err
	}
	command := p.Spec.Containers[0].Command
	run := exec.CommandContext(ctx, filepath.Base(command[0]), append(command[1:], "--context=pod")...)
	run.Stdout, run.Stderr = os.Stdout, os.Stderr
	phase := "Succeeded"
	if err := run.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "node: pod", p.Metadata.Name, err)
		phase = "Failed"
	}
	_, err = kubectl(ctx, "patch", "pod", "-n", namespace, p.Metadata.Name, "--subresource=status", "-p", `{"status":{"phase":"`+phase+`"}}`)
	return err
}

func kubectl(ctx context.Context, args ...string) ([]byte, error) {
	var problems bytes.Buffer
	c := exec.CommandContext(ctx, "kubectl", append([]string{"--context=global"}, args...)...)
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("kubectl %s: %w: %s", strings.Join(args[:2], " "), err, problems.String())
	}
	return out, nil
}

func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("stories need a lab")
	}
	binaries := t.TempDir()
	build := sync.OnceValue(func() error {
		out, err := exec.Command("go", "-C", "../..", "build", "-o", binaries, "./cmd/hansa").CombinedOutput()
		if err != nil {
			return fmt.Errorf("build hansa: %w\n%s", err, out)
		}
		return nil
	})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			if err := build(); err != nil {
				return err
			}
			return stage(env, binaries)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until},
	})
}

// stage gives a story its clusters' folder, the commands and the chart.
func stage(env *testscript.Env, binaries string) error {
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		return err
	}
	chart, err := filepath.Abs("../../charts/hansa")
	if err != nil {
		return err
	}
	fixtures, err := filepath.Abs("testdata")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hansa-chart-")
	if err != nil {
		return err
	}
	env.Setenv("PATH", strings.Join([]string{binaries, bin, env.Getenv("PATH")}, string(os.PathListSeparator)))
	env.Setenv("LAB", dir)
	env.Setenv("CHART", chart)
	env.Setenv("FIXTURES", fixtures)
	env.Setenv("HOME", dir)
	env.Setenv("KUBECONFIG", filepath.Join(dir, "kubeconfig"))
	env.Defer(func() {
		if out, err := exec.Command(filepath.Join(bin, "hansa-lab"), "down", "--dir", dir).CombinedOutput(); err != nil {
			env.T().Log("hansa-lab down:", err, string(out))
		}
		_ = os.RemoveAll(dir)
	})
	return nil
}

// until is that of test/story: until 30s 'regexp' command arg...
func until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: until DURATION REGEXP COMMAND ARG...")
	}
	patience, err := time.ParseDuration(args[0])
	ts.Check(err)
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[2], args[3:]...)
		if out := ts.ReadFile("stdout") + ts.ReadFile("stderr"); (err == nil && want.MatchString(out)) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not in %s: %s", patience, strings.Join(args[1:], " "))
		}
	}
}
