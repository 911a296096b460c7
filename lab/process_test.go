package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestStateOfAProcess(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := ident{pid: cmd.Process.Pid}
	var err error
	if id.started, err = startTime(id.pid); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		signal syscall.Signal
		want   state
	}{{0, running}, {syscall.SIGSTOP, paused}, {syscall.SIGCONT, running}, {syscall.SIGSTOP, paused}, {syscall.SIGKILL, dead}} {
		if err := id.signal(step.signal); err != nil {
			t.Fatal(err)
		}
		if err := id.become(step.want, 5*time.Second); err != nil {
			t.Errorf("after %v: %v", step.signal, err)
		}
	}
	_ = cmd.Wait() // only now: one that nobody has waited for counts as dead, too
}

func TestAnotherProcessWithThePIDIsNotOurs(t *testing.T) {
	started, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	id := ident{pid: os.Getpid(), started: started + 1}
	if got := id.state(); got != dead {
		t.Errorf("state %s, want dead", got)
	}
	if err := id.kill(); err != nil {
		t.Errorf("kill: %v", err) // had it been sent, this test would be no more
	}
}

func TestReadIdent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.pid")
	if id, err := readIdent(file); err != nil || id.state() != dead {
		t.Errorf("no pid file: %+v, %v; want a dead process", id, err)
	}
	if err := os.WriteFile(file, []byte("12 34\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := readIdent(file); err != nil || id != (ident{12, 34}) {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tail(file, 2); got != "b\nc" {
		t.Errorf("got %q", got)
	}
	if got := tail(file, 9); got != "a\nb\nc" {
		t.Errorf("got %q", got)
	}
}
