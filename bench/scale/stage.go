package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/bench/member"
	"github.com/hansa-io/hansa/bench/process"
	"github.com/hansa-io/hansa/internal/lab"
)

// stage is a host, Hansa as a process of its own, and the members.
type stage struct {
	lab     *lab.Lab
	end     func() error
	env     []string
	hansa   *exec.Cmd
	log     *os.File
	pprof   string
	config  *rest.Config
	host    dynamic.Interface
	members *member.Server
	count   int
}

func newStage(members int) (*stage, error) {
	l, end, err := lab.StartMain(lab.Options{}, "host")
	if err != nil {
		return nil, err
	}
	s := &stage{lab: l, end: end, config: l.Config("host"), count: members}
	s.config.QPS = -1
	if s.host, err = dynamic.NewForConfig(s.config); err != nil {
		return s, err
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return s, err
	}
	s.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+l.Kubeconfig())
	if s.members, err = member.Start(members); err != nil {
		return s, err
	}
	if s.pprof, err = process.FreeAddress(); err != nil {
		return s, err
	}
	if s.log, err = os.Create(filepath.Join(os.TempDir(), fmt.Sprintf("hansa-scale-%d.log", os.Getpid()))); err != nil {
		return s, err
	}
	for _, command := range [][]string{
		{"kubefedctl", "init", "--host-cluster-context", "host"},
		{"kubectl", "--context", "host", "create", "namespace", namespace},
		{"kubefedctl", "federate", "namespace", namespace, "--host-cluster-context", "host"},
	} {
		if err := s.run(command...); err != nil {
			return s, err
		}
	}
	return s, s.start()
}

func (s *stage) clear() {
	_ = s.stop()
	if s.members != nil {
		_ = s.members.Close()
	}
	if err := s.end(); err != nil {
		fmt.Fprintln(os.Stderr, "scale: end the lab:", err)
	}
	if s.log != nil {
		_ = os.Remove(s.log.Name())
	}
}

func (s *stage) run(command ...string) error {
	cmd := exec.Command("env", command...)
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", command, err, out)
	}
	return nil
}

func (s *stage) start() error {
	s.hansa = exec.Command("bin/hansa", "manager", "--context", "host", "--healthz-addr", "0", "--metrics-addr", "0", "--pprof-addr", s.pprof)
	s.hansa.Env, s.hansa.Stdout, s.hansa.Stderr = s.env, s.log, s.log
	return s.hansa.Start()
}

func (s *stage) stop() error {
	if s.hansa == nil {
		return nil
	}
	_ = s.hansa.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	err := s.hansa.Wait()
	s.hansa = nil
	return err
}

// usage is the manager's CPU time in seconds and its resident memory in KiB.
func (s *stage) usage() (cpu, rss float64) { return process.Usage(s.hansa.Process.Pid) }

// goroutines of the manager, and the bytes in KiB that it holds, what is garbage left out.
func (s *stage) holds(ctx context.Context) (goroutines, heap float64, err error) {
	text, err := process.Profile(ctx, s.pprof, "goroutine?debug=1")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	_, total, _ := strings.Cut(line, "total ")
	if goroutines, err = strconv.ParseFloat(total, 64); err != nil {
		return 0, 0, err
	}
	if text, err = process.Profile(ctx, s.pprof, "heap?gc=1&debug=1"); err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(text), "# HeapAlloc = ")
	line, _, _ = strings.Cut(rest, "\n")
	heap, err = strconv.ParseFloat(line, 64)
	return goroutines, heap / 1024, err
}

var requestTotal = regexp.MustCompile(`(?m)^apiserver_request_total\{([^}]*verb="(?:POST|PUT|PATCH|APPLY|DELETE)"[^}]*)\} ([0-9.e+]+)$`)

// writes is how many the host has taken, leases left out.
func (s *stage) writes(ctx context.Context) (float64, error) {
	c, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return 0, err
	}
	raw, err := c.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, match := range requestTotal.FindAllSubmatch(raw, -1) {
		if bytes.Contains(match[1], []byte(`resource="leases"`)) {
			continue
		}
		v, err := strconv.ParseFloat(string(match[2]), 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// calm waits until the manager uses less than a twentieth of a core for two seconds, and says when that began.
func (s *stage) calm(ctx context.Context) (time.Time, error) {
	const look, enough = 500 * time.Millisecond, 4
	last, _ := s.usage()
	for quiet := 0; quiet < enough; {
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-time.After(look):
		}
		cpu, _ := s.usage()
		quiet++
		if cpu-last > look.Seconds()*s.rest() {
			quiet = 0
		}
		last = cpu
	}
	return time.Now().Add(-enough * look), nil
}

// rest is the share of a core below which the manager rests: probing takes its time, too.
func (s *stage) rest() float64 { return 0.05 + float64(s.count)/2000 }
