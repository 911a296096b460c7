package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long an effect may take to show.
const patience = 60 * time.Second

// stage is where the demo plays: a lab of its own, a kubeconfig of its own, and what it leaves running as children, the manager first.
type stage struct {
	root, dir string
	env       []string
	running   []*child

	here    machine
	ports   map[string]string // free ones, by the variable of the environment that names them
	address string            // where requests to the service of both clusters go
}

// child is a command that was left running.
type child struct {
	*exec.Cmd
	log   string
	ended chan struct{}
}

func newStage(root string) (*stage, error) {
	dir, err := os.MkdirTemp("", "hansa-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{root: root, dir: dir, ports: map[string]string{}}
	path := strings.Join([]string{filepath.Join(root, "bin"), os.Getenv("PATH"), "/usr/sbin"}, string(os.PathListSeparator))
	s.env = append(os.Environ(), "PATH="+path, "KUBECONFIG="+filepath.Join(dir, "kubeconfig"), "HANSA_LAB_DIR="+dir)
	for _, name := range []string{"XDS_PORT", "DNS_PORT", "WEB_PORT"} {
		if s.ports[name], err = freePort(); err != nil {
			return nil, err
		}
		s.env = append(s.env, name+"="+s.ports[name])
	}
	fmt.Printf("everything of this demo is in %s\n", dir)
	return s, nil
}

// typed runs a line as a user types it, and shows what it prints. A line that ends in & is left running.
func (s *stage) typed(ctx context.Context, line string) error {
	fmt.Printf("\n$ %s\n", line)
	if background, ok := strings.CutSuffix(line, " &"); ok {
		return s.background(background)
	}
	start := time.Now()
	cmd := s.command(ctx, s.placed(line))
	out := indented(os.Stdout)
	cmd.Stdout, cmd.Stderr = out, out
	stop := progress()
	err := cmd.Run()
	stop()
	if took := time.Since(start); took > 3*time.Second {
		fmt.Printf("  (%.0f s)\n", took.Seconds())
	}
	return err
}

// placed adds what a user who has the machine for himself need not say: in which folder the lab is, and that the manager listens at no
// port that somebody else may have.
func (s *stage) placed(line string) string {
	if rest, ok := strings.CutPrefix(line, "hansa-lab "); ok {
		return "hansa-lab --dir " + s.dir + " " + rest
	}
	if strings.HasPrefix(line, "hansa manager ") {
		return line + " --healthz-addr 0 --metrics-addr 0"
	}
	return line
}

func (s *stage) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env = s.root, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// background starts what is left running. Its output goes into a file named after the command.
func (s *stage) background(line string) error {
	name := strings.Join(strings.Fields(line)[:2], "-")
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c := &child{Cmd: s.command(context.Background(), "exec "+s.placed(line)), log: log.Name(), ended: make(chan struct{})}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return err
	}
	s.running = append(s.running, c)
	go func() { _ = c.Wait(); close(c.ended) }()
	return nil
}

// freePort is one that nobody has: a demo must not clash with anything.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// expect waits until every effect is there.
func (s *stage) expect(ctx context.Context, effects []effect) error {
	if len(effects) == 0 {
		return nil
	}
	fmt.Println()
	for _, e := range effects {
		got, err := s.until(ctx, e)
		if err != nil {
			fmt.Printf("  ✖ %s\n", e.what)
			return fmt.Errorf("%s: %s\n  printed: %q\n  wanted:  %q\n%w\n%s", e.what, e.command, got, e.want, err, s.tail())
		}
		fmt.Printf("  ✔ %-58s %s\n", e.what, short(got))
	}
	return nil
}

func (s *stage) until(ctx context.Context, e effect) (got string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	command := e.command
	if !strings.Contains(command, "'") {
		command = quoteJSONPath(command)
	}
	for {
		var out bytes.Buffer
		cmd := s.command(ctx, command)
		cmd.Stdout = &out
		err = cmd.Run()
		if got = strings.TrimSuffix(out.String(), "\n"); err == nil && (got == e.want || e.want == "" && strings.Trim(got, ":") != "") {
			return got, nil
		}
		if ctx.Err() != nil {
			return got, errors.Join(err, errors.New("it did not come about in "+patience.String()))
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// quoteJSONPath keeps the shell off the braces of a JSON path.
func quoteJSONPath(command string) string {
	before, path, ok := strings.Cut(command, "jsonpath=")
	if !ok {
		return command
	}
	return before + "jsonpath='" + path + "'"
}

func short(s string) string {
	if len(s) > 40 {
		return s[:37] + "..."
	}
	return s
}

// tail is the end of what those that are left running have said.
func (s *stage) tail() string {
	var out strings.Builder
	for _, c := range s.running {
		log, err := os.ReadFile(c.log)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		fmt.Fprintf(&out, "the end of %s:\n%s\n", c.log, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	return out.String()
}

// clear ends what the demo started, by its pid.
func (s *stage) clear() error {
	for _, c := range slices.Backward(s.running) {
		_ = c.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-c.ended
	}
	down := s.command(context.Background(), s.placed("hansa-lab down"))
	out, err := down.CombinedOutput()
	if err != nil {
		return fmt.Errorf("hansa-lab down: %w\n%s", err, out)
	}
	return os.RemoveAll(s.dir)
}

// leave says how to go on.
func (s *stage) leave() {
	pids := ""
	for _, c := range slices.Backward(s.running) {
		pids += fmt.Sprintf(" %d", c.Process.Pid)
	}
	fmt.Printf("\neverything is left running:\n  export PATH=%s:$PATH KUBECONFIG=%s/kubeconfig\nand is ended by\n  kill%s; hansa-lab down --dir %s\n",
		filepath.Join(s.root, "bin"), s.dir, pids, s.dir)
}

// indent writes lines under the command that printed them.
type indent struct {
	to  *os.File
	mid *bool // in the middle of a line
}

func indented(to *os.File) indent { return indent{to: to, mid: new(bool)} }

func (w indent) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if !*w.mid {
			fmt.Fprint(w.to, "  ")
		}
		fmt.Fprint(w.to, line)
		*w.mid = !strings.HasSuffix(line, "\n")
	}
	return len(p), nil
}

// progress prints a dot now and then, where somebody is looking.
func progress() (stop func()) {
	if info, err := os.Stdout.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Second):
				fmt.Print(".")
			}
		}
	}()
	return func() { close(done) }
}
