package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hansa-io/hansa/internal/lab"
)

// TestRealNode goes through the life of a real node: it runs a Pod, comes back from a crash and leaves nothing behind, even when nobody
// clears up in order.
func TestRealNode(t *testing.T) {
	lab.NeedRealNodes(t)
	for _, end := range []struct {
		name string
		do   func(t *testing.T, dir string)
	}{
		{"it is taken down", func(*testing.T, string) {}},
		{"the supervisor is killed first", killSupervisor},
	} {
		t.Run(end.name, func(t *testing.T) {
			var dir string
			var inside func() []string
			t.Run("life", func(t *testing.T) {
				l := lab.Start(t, lab.Options{Real: true}, "real")
				dir, inside = l.Dir(), processesInside(t, l.Dir(), "real")
				runPause(t, l)
				l.Kill(t, "real")
				l.Start(t, "real")
				eventuallyRuns(t, l, 2) // the same container, started anew
				if got := strings.Join(inside(), "\n"); !strings.Contains(got, "/pause") || !strings.Contains(got, "containerd") {
					t.Errorf("on the node run only:\n%s", got) // else the test after the end proves nothing
				}
				end.do(t, dir)
			})
			if inside == nil {
				t.Fatal("no lab") // the subtest says why
			}
			assertNodeGone(t, dir, inside)
		})
	}
}

func runPause(t *testing.T, l *lab.Lab) {
	create(t, client(t, l.Config("real")).CoreV1().Pods("default").Create, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pause"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "pause", Image: "hansa-lab.local/pause:1"}}},
	})
	eventuallyRuns(t, l, 1)
}

func eventuallyRuns(t *testing.T, l *lab.Lab, starts int32) {
	t.Helper()
	lab.Eventually(t, time.Minute, "the Pod to run", func(ctx context.Context) error {
		pod, err := client(t, l.Config("real")).CoreV1().Pods("default").Get(ctx, "pause", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.Ready && c.RestartCount == starts-1 {
				return nil
			}
		}
		return fmt.Errorf("its status is %+v", pod.Status)
	})
}

func killSupervisor(t *testing.T, dir string) {
	t.Helper()
	var pid int
	data, err := os.ReadFile(filepath.Join(dir, "supervisor.pid"))
	if err == nil {
		_, err = fmt.Sscan(string(data), &pid)
	}
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// processesInside returns a function that lists the command lines of what runs on the node: what is among its processes as the kernel
// counts them (now, or after a restart), or in its cgroup.
func processesInside(t *testing.T, dir, cluster string) func() []string {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(dir, "clusters", cluster, "kubelet.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cgroup := regexp.MustCompile(`(?m)^cgroupRoot: (/hansa-lab-\S+)$`).FindSubmatch(config)
	if cgroup == nil {
		t.Fatalf("no cgroup in\n%s", config)
	}
	namespaces := map[string]bool{}
	return func() []string {
		var pid int
		if data, err := os.ReadFile(filepath.Join(dir, "clusters", cluster, "run", "node.pid")); err == nil {
			if _, err = fmt.Sscan(string(data), &pid); err != nil {
				t.Fatal(err)
			}
			if namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil {
				namespaces[namespace] = true
			}
		}
		var found []string
		processes, _ := filepath.Glob("/proc/[0-9]*")
		for _, process := range processes {
			namespace, _ := os.Readlink(filepath.Join(process, "ns", "pid")) // it may have ended since
			groups, _ := os.ReadFile(filepath.Join(process, "cgroup"))
			if namespaces[namespace] || bytes.Contains(groups, cgroup[1]) {
				command, _ := os.ReadFile(filepath.Join(process, "cmdline"))
				found = append(found, strings.ReplaceAll(string(command), "\x00", " "))
			}
		}
		dirs, err := filepath.Glob("/sys/fs/cgroup/*" + string(cgroup[1]))
		if err != nil {
			t.Fatal(err)
		}
		return append(found, dirs...)
	}
}

func assertNodeGone(t *testing.T, dir string, inside func() []string) {
	t.Helper()
	lab.Eventually(t, 15*time.Second, "the node to be gone", func(context.Context) error {
		if left := inside(); len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, "\n"))
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("%s is still there", dir), err)
		}
		return nil
	})
	for _, file := range []string{"/proc/self/mountinfo", "/proc/net/unix"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(dir)) {
			t.Errorf("%s still names %s", file, dir)
		}
	}
}
