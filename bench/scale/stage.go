package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/bench/member"
	"github.com/hansa-io/hansa/bench/process"
	"github.com/hansa-io/hansa/internal/lab"
)

// stage is a host, Hansa as processes of their own, and the members, which are in this process.
type stage struct {
	lab      *lab.Lab
	end      func() error
	env      []string
	managers []*manager
	log      *os.File
	profiles string
	config   *rest.Config
	host     dynamic.Interface
	raw      rest.Interface
	members  *member.Server
	count    int
	ready    *readiness
	unwatch  context.CancelFunc
}

// manager is one process of Hansa.
type manager struct {
	cmd   *exec.Cmd
	pprof string
	// spent is its CPU time in seconds when it was looked at last: of one that has ended nothing more can be read.
	spent float64
}

func newStage(ctx context.Context, members int, profiles string) (*stage, error) {
	l, end, err := lab.StartMain(lab.Options{}, "host")
	if err != nil {
		return nil, err
	}
	s := &stage{lab: l, end: end, config: l.Config("host"), count: members, profiles: profiles}
	s.config.QPS, s.config.WarningHandler = -1, rest.NoWarnings{}
	if s.host, err = dynamic.NewForConfig(s.config); err != nil {
		return s, err
	}
	client, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return s, err
	}
	s.raw = client.CoreV1().RESTClient()
	bin, err := filepath.Abs("bin")
	if err != nil {
		return s, err
	}
	s.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+l.Kubeconfig())
	if s.members, err = member.Start(members); err != nil {
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
	ctx, s.unwatch = context.WithCancel(ctx)
	s.ready, err = watchReadiness(ctx, s.host)
	return s, err
}

func (s *stage) clear() {
	if s.unwatch != nil {
		s.unwatch()
	}
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

// start starts one more manager.
func (s *stage) start(flags ...string) error {
	m := &manager{}
	var err error
	if m.pprof, err = process.FreeAddress(); err != nil {
		return err
	}
	m.cmd = exec.Command("bin/hansa", append([]string{
		"manager", "--context", "host", "--healthz-addr", "0", "--metrics-addr", "0", "--pprof-addr", m.pprof,
	}, flags...)...)
	m.cmd.Env, m.cmd.Stdout, m.cmd.Stderr = s.env, s.log, s.log
	if err := m.cmd.Start(); err != nil {
		return err
	}
	s.managers = append(s.managers, m)
	return nil
}

// stop ends all managers.
func (s *stage) stop() (failed error) {
	for _, m := range s.managers {
		_ = m.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		if err := m.cmd.Wait(); err != nil {
			failed = err
		}
	}
	s.managers = nil
	return failed
}

// kill ends the last manager as a crash does.
func (s *stage) kill() {
	last := len(s.managers) - 1
	_ = s.managers[last].cmd.Process.Kill()
	_ = s.managers[last].cmd.Wait() // it was killed
	s.managers = s.managers[:last]
}

// usage is the managers' CPU time in seconds, and the resident memory in KiB of the largest.
func (s *stage) usage() (cpu, rss float64) {
	for _, m := range s.managers {
		spent, memory := process.Usage(m.cmd.Process.Pid)
		m.spent = max(m.spent, spent)
		cpu += m.spent
		rss = max(rss, memory)
	}
	return cpu, rss
}

// rss is the resident memory in MiB.
func (m *manager) rss() float64 {
	_, rss := process.Usage(m.cmd.Process.Pid)
	return rss / 1024
}

// goroutines of the managers, and the bytes in KiB that they hold, what is garbage left out.
func (s *stage) holds(ctx context.Context) (goroutines, heap float64, err error) {
	for _, m := range s.managers {
		g, h, err := m.holds(ctx)
		if err != nil {
			return 0, 0, err
		}
		goroutines += g
		heap += h
	}
	return goroutines, heap, nil
}

func (m *manager) holds(ctx context.Context) (goroutines, heap float64, err error) {
	text, err := process.Profile(ctx, m.pprof, "goroutine?debug=1")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	_, total, _ := strings.Cut(line, "total ")
	if goroutines, err = strconv.ParseFloat(total, 64); err != nil {
		return 0, 0, err
	}
	if text, err = process.Profile(ctx, m.pprof, "heap?gc=1&debug=1"); err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(text), "# HeapAlloc = ")
	line, _, _ = strings.Cut(rest, "\n")
	heap, err = strconv.ParseFloat(line, 64)
	return goroutines, heap / 1024, err
}

// profile records the CPU of the first manager for so long, if profiles are wanted, until the function that it returns is called. That
// costs a few per cent: figures are not to be compared with those of a run without it.
func (s *stage) profile(ctx context.Context, test string, seconds int) (save func() error) {
	if s.profiles == "" || len(s.managers) == 0 {
		return func() error { return nil }
	}
	address, done := s.managers[0].pprof, make(chan error, 1)
	file := filepath.Join(s.profiles, fmt.Sprintf("%d-%s", s.count, strings.ReplaceAll(test, " ", "-")))
	fetch := func(what, ending string) error {
		data, err := process.Profile(ctx, address, what)
		if err != nil {
			return err
		}
		return os.WriteFile(file+ending, data, 0o644) //nolint:gosec // a profile is no secret
	}
	go func() { done <- fetch(fmt.Sprintf("profile?seconds=%d", seconds), ".cpu") }()
	return func() error {
		if err := <-done; err != nil {
			return err
		}
		return fetch("allocs", ".allocs")
	}
}

// hostUse is what the host's API server has done: writes taken, leases left out, and CPU time in seconds.
type hostUse struct{ writes, cpu float64 }

func (u hostUse) since(before hostUse) hostUse {
	return hostUse{u.writes - before.writes, u.cpu - before.cpu}
}

var (
	requestTotal = regexp.MustCompile(`(?m)^apiserver_request_total\{([^}]*verb="(?:POST|PUT|PATCH|APPLY|DELETE)"[^}]*)\} ([0-9.e+]+)$`)
	cpuTotal     = regexp.MustCompile(`(?m)^process_cpu_seconds_total ([0-9.e+]+)$`)
)

func (s *stage) hostUse(ctx context.Context) (u hostUse, err error) {
	raw, err := s.raw.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return u, err
	}
	for _, match := range requestTotal.FindAllSubmatch(raw, -1) {
		if bytes.Contains(match[1], []byte(`resource="leases"`)) {
			continue
		}
		v, err := strconv.ParseFloat(string(match[2]), 64)
		if err != nil {
			return u, err
		}
		u.writes += v
	}
	if match := cpuTotal.FindSubmatch(raw); match != nil {
		u.cpu, err = strconv.ParseFloat(string(match[1]), 64)
	}
	return u, err
}

// table asks the host for what `kubectl get` prints of the federated objects: far less than the objects.
func (s *stage) table(ctx context.Context) (*metav1.Table, error) {
	raw, err := s.raw.Get().AbsPath("/apis/types.kubefed.io/v1beta1/namespaces/"+namespace+"/"+federated.Resource).
		Param("includeObject", "None").Param("resourceVersion", "0").
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	t := &metav1.Table{}
	return t, json.Unmarshal(raw, t)
}

// calm waits until the managers use hardly anything for two seconds, and says when that began.
func (s *stage) calm(ctx context.Context) (time.Time, error) {
	const look, enough = 500 * time.Millisecond, 4
	last, _ := s.usage()
	for quiet := 0; quiet < enough; {
		if err := pause(ctx, look); err != nil {
			return time.Time{}, err
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

// rest is the share of a core below which the managers rest: probing takes its time, too.
func (s *stage) rest() float64 { return 0.05*float64(max(len(s.managers), 1)) + float64(s.count)/2000 }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
