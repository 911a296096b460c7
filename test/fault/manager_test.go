package fault

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// manager is a control plane as a process of its own. It may be started again after it has ended.
type manager struct {
	t    testing.TB
	args []string
	log  *os.File
	host client.Client

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// startManager starts a control plane for a host until the test ends. It fails the test if it has to be told to end by more than
// SIGTERM, or ended by itself.
func startManager(t testing.TB, host client.Client, kubeconfig, context string, args ...string) *manager {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "manager.log"))
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, log: log, host: host, args: append([]string{
		"manager", "--kubeconfig", kubeconfig, "--context", context, "--metrics-addr", "0", "--healthz-addr", "0", "-v", "1",
	}, args...)}
	m.start()
	t.Cleanup(m.close)
	return m
}

// words are those of its log.
func (m *manager) words() string {
	log, err := os.ReadFile(m.log.Name())
	if err != nil {
		m.t.Error(err)
	}
	return string(log)
}

func (m *manager) start() {
	m.t.Helper()
	m.cmd = exec.Command(hansa, m.args...)
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	cmd, ended := m.cmd, make(chan struct{})
	m.ended = ended
	go func() { _ = cmd.Wait(); close(ended) }()
}

func (m *manager) runs() bool {
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// kill ends the process at once, wherever it is. It may be called from any goroutine, and of a process that has ended.
func (m *manager) kill() {
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Errorf("kill the manager: %v", err)
	}
	<-m.ended
}

// restart starts it again after it was killed.
func (m *manager) restart() {
	m.t.Helper()
	m.kill()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := leaseGone(ctx, m.host); err != nil {
		m.t.Fatal(err)
	}
	m.start()
}

// stop ends it as a shutdown does.
func (m *manager) stop() {
	m.t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Errorf("stop the manager: %v", err)
	}
	select {
	case <-m.ended:
	case <-time.After(10 * time.Second):
		m.t.Error("the manager does not end within 10 s of SIGTERM")
		m.kill()
	}
}

func (m *manager) close() {
	if m.runs() {
		m.stop()
	} else {
		m.t.Error("the manager ended by itself")
	}
	log := m.words()
	if strings.Contains(log, "panic") {
		m.t.Error("the manager's log speaks of a panic")
	}
	if m.t.Failed() {
		lines := strings.Split(log, "\n")
		m.t.Logf("the manager's last words:\n%s", strings.Join(lines[max(0, len(lines)-80):], "\n"))
	}
	_ = m.log.Close()
}
