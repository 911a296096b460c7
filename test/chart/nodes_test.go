package chart

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hansa-io/hansa/internal/image"
	"github.com/hansa-io/hansa/internal/lab"
)

// The stories of testdata/nodes run the chart's Pods, on real nodes. `make nodes-test` builds what they need.
func TestRealNodes(t *testing.T) {
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	lab.NeedRealNodes(t)
	dir := t.TempDir()
	hansaImage := filepath.Join(bin, "hansa-image.tar")
	if _, err := os.Stat(hansaImage); err != nil {
		t.Fatalf("%v: make nodes-test makes it", err)
	}
	webImage := filepath.Join(dir, "web.tar")
	if err := writeWebImage(webImage, dir); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/nodes",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HANSA_IMAGE", hansaImage)
			env.Setenv("WEB_IMAGE", webImage)
			return stage(env, bin)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "answers": answers, "kill-leader": killLeader},
	})
}

// writeWebImage makes the image of the program in web.
func writeWebImage(file, dir string) error {
	binary := filepath.Join(dir, "web")
	build := exec.Command("go", "build", "-o", binary, "./web")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build web: %w\n%s", err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	return image.Write(out, image.Image{
		Name: "hansa-lab.local/web:1", Architecture: runtime.GOARCH, Entrypoint: []string{"/web"},
		Files: []image.File{{Path: "/web", Data: data, Mode: 0o755}},
	})
}

// answers waits until a node's port answers with a body that matches: answers 30s 'regexp' CLUSTER PORT
func answers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: answers DURATION REGEXP CLUSTER PORT")
	}
	patience, err := time.ParseDuration(args[0])
	ts.Check(err)
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	status := output(ts, "hansa-lab", "status", "--dir", ts.Getenv("LAB"))
	proxy := regexp.MustCompile(`(?m)^` + args[2] + ` .* proxy (\S+)`).FindStringSubmatch(status)
	if proxy == nil {
		ts.Fatalf("cluster %s has no proxy:\n%s", args[2], status)
	}
	proxyURL, err := url.Parse(proxy[1])
	ts.Check(err)
	node := output(ts, "kubectl", "--context", args[2], "get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxyURL), DisableKeepAlives: true}}
	poll(ts, patience, func(ctx context.Context) error {
		body, err := get(ctx, client, "http://"+net.JoinHostPort(node, args[3]))
		if err == nil && !want.MatchString(body) {
			err = fmt.Errorf("got %q", body)
		}
		return err
	})
}

// killLeader kills the process that holds a Lease, as a crash would, and waits until another one holds it: kill-leader NAMESPACE LEASE
func killLeader(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: kill-leader NAMESPACE LEASE")
	}
	holder := func() string {
		return output(ts, "kubectl", "-n", args[0], "get", "lease", args[1], "-o", "jsonpath={.spec.holderIdentity}")
	}
	old := holder()
	pod, _, _ := strings.Cut(old, "_")
	pid, err := processIn(pod)
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	poll(ts, 90*time.Second, func(context.Context) error {
		if now := holder(); now == "" || now == old {
			return fmt.Errorf("the leader is %q", now)
		}
		return nil
	})
}

// processIn is the manager in the Pod. As hosts do, this one sees the processes of its containers.
func processIn(pod string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(environment), "\x00"), "HOSTNAME="+pod) {
			continue // ended meanwhile, or another
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err == nil && strings.HasPrefix(string(command), "/hansa\x00") {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("no manager runs in Pod %q", pod)
}

func output(ts *testscript.TestScript, command string, args ...string) string {
	ts.Check(ts.Exec(command, args...))
	return ts.ReadFile("stdout")
}

func poll(ts *testscript.TestScript, patience time.Duration, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("not in %s: %v", patience, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, client *http.Client, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return string(body), err
}
