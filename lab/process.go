package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ident names a process for good: a pid alone may belong to another process tomorrow.
type ident struct {
	pid     int
	started uint64 // clock ticks since the machine's start
}

// process is a child of this process.
type process struct {
	ident
	ended chan struct{} // closed when the child has ended and was waited for
	err   error         // how it ended; read it after ended is closed
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// nursery starts children, all from one thread that lives as long as this process: Pdeathsig strikes when the thread
// that forked ends, not only when the process does.
type nursery chan birth

// origin is what a component is made of: this same file with these arguments, in namespaces of its own or in a node's.
type origin struct {
	args       []string
	namespaces uintptr // clone flags
	node       int     // pid
}

type birth struct {
	cmd    *exec.Cmd
	node   int // pid of the real node among whose processes it is to be; 0: this machine
	result chan error
}

func newNursery() nursery {
	n := make(nursery)
	go func() {
		runtime.LockOSThread()
		for b := range n {
			if b.node == 0 {
				b.result <- b.cmd.Start()
			} else {
				b.result <- bornInside(b.node, b.cmd.Start)
			}
		}
	}()
	return n
}

// start starts a component, with its output appended to log, and notes its ident in pidFile.
func (n nursery) start(component string, o origin, log, pidFile string) (*process, error) {
	out, err := appendTo(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := selfCommand(o.args...)
	cmd.Stdout, cmd.Stderr = out, out
	// A session of its own keeps a terminal's ^C away from it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: o.namespaces}
	if o.node != 0 {
		cmd.SysProcAttr.Pdeathsig = 0 // it ends with its node; and Go would kill a child that cannot see its parent
	}
	b := birth{cmd, o.node, make(chan error, 1)}
	n <- b
	if err := <-b.result; err != nil {
		return nil, fmt.Errorf("start %s: %w", component, err)
	}
	p := &process{ident: ident{pid: cmd.Process.Pid}, ended: make(chan struct{})}
	p.started, _ = startTime(p.pid) // at worst it has ended already; nobody but us has waited for it
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, writeFile(pidFile, fmt.Appendf(nil, "%d %d\n", p.pid, p.started))
}

// selfCommand runs the file this process runs, even when another has taken its place on disk: processes of one file
// share its pages in memory.
func selfCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "hansa-lab"
	// Half the heap's usual head-room: it saves 40 MB per API server.
	cmd.Env = append(os.Environ(), "GOGC=50")
	return cmd
}

func appendTo(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// readIdent reads a pid file; no file gives the zero ident, which is of no process.
func readIdent(pidFile string) (ident, error) {
	data, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return ident{}, nil
	}
	if err != nil {
		return ident{}, err
	}
	var id ident
	if _, err := fmt.Sscanf(string(data), "%d %d", &id.pid, &id.started); err != nil {
		return ident{}, fmt.Errorf("read %s: %w", pidFile, err)
	}
	return id, nil
}

// state is what a process is doing, in a word the user reads.
type state string

const (
	running state = "running"
	paused  state = "paused"
	dead    state = "dead"
)

// state looks at the process. One that has ended but was not waited for yet is dead.
func (id ident) state() state {
	if id.pid == 0 {
		return dead
	}
	fields, err := statFields(id.pid)
	if err != nil || fields.started != id.started || fields.state == "Z" || fields.state == "X" {
		return dead
	}
	if fields.state == "T" {
		return paused
	}
	return running
}

// signal sends sig unless the process has ended.
func (id ident) signal(sig syscall.Signal) error {
	if id.state() == dead {
		return nil
	}
	if err := syscall.Kill(id.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %v to process %d: %w", sig, id.pid, err)
	}
	return nil
}

// become waits until the process is in the wanted state.
func (id ident) become(want state, within time.Duration) error {
	deadline := time.Now().Add(within)
	for id.state() != want {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is not %s after %v", id.pid, want, within)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// kill ends the process, paused or not, and waits for it.
func (id ident) kill() error {
	if err := id.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return id.become(dead, 10*time.Second)
}

type procStat struct {
	state   string
	started uint64
}

// statFields reads /proc/PID/stat; see proc_pid_stat(5). The second field may hold spaces and ends at the last ')'.
func statFields(pid int) (procStat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	_, rest, found := cutLast(string(data), ")")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return procStat{}, fmt.Errorf("process %d: stat not understood", pid)
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return procStat{state: fields[0], started: started}, err
}

func startTime(pid int) (uint64, error) {
	fields, err := statFields(pid)
	return fields.started, err
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// memory is what the process costs this machine, in bytes: its own pages and its share of those it has in common with
// others (PSS). All components of all labs are one file, so plain RSS would count that file again and again.
func (id ident) memory() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", id.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("process %d: no PSS", id.pid)
}
