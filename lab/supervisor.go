package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// supervisor is the one process that is parent of all of a lab's components, so that none outlives it unseen.
// It never starts a component on its own account: what a test has killed stays dead until somebody says start.
type supervisor struct {
	dir     folder
	nursery nursery

	mu       sync.Mutex
	lab      lab
	children map[string]map[string]*process // by cluster and component
	bringing map[string]*sync.Mutex         // by cluster: one bringUp at a time
	gates    map[string]*gate               // by cluster with a network of its own
	wires    *wires                         // between clusters whose Pods answer; nil until there is one
}

// atOnce is how many clusters start at the same time: more only make each other slow.
const atOnce = 2

// supervise runs the supervisor until it is told to stop, or until the process keeper (a pid; 0: nobody) ends; then the
// lab goes with it, state and all.
func supervise(dir folder, keeper int) error {
	lock, err := lockSupervisor(dir)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	s := &supervisor{
		dir: dir, nursery: newNursery(),
		children: map[string]map[string]*process{}, bringing: map[string]*sync.Mutex{}, gates: map[string]*gate{},
	}
	if s.lab, err = dir.load(); err != nil {
		return err
	}
	if err := dir.killAll(s.lab.names()); err != nil { // strays of a supervisor before us
		return err
	}
	orphaned := watchKeeper(ctx, keeper)
	go func() {
		<-orphaned
		stop()
	}()
	err = s.serve(ctx)
	err = errors.Join(err, s.killClusters(s.clusters()))
	select {
	case <-orphaned:
		return errors.Join(err, dir.forget(s.clusters()), dir.remove())
	default:
		return err
	}
}

// lockSupervisor claims the lab's folder and notes who has it. It returns nil if another supervisor was first.
func lockSupervisor(dir folder) (*os.File, error) {
	f, err := os.OpenFile(dir.supervisorPID(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	started, err := startTime(os.Getpid())
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d %d\n", os.Getpid(), started)
	}
	return f, err
}

// watchKeeper returns a channel that closes when the process keeper ends; for keeper 0 never.
func watchKeeper(ctx context.Context, keeper int) <-chan struct{} {
	gone := make(chan struct{})
	if keeper == 0 {
		return gone
	}
	id := ident{pid: keeper}
	id.started, _ = startTime(keeper) // already gone: state will say dead
	go func() {
		for ctx.Err() == nil {
			if id.state() == dead {
				close(gone)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	return gone
}

// up makes the named clusters ready, adding those that the lab does not have.
func (s *supervisor) up(ctx context.Context, r upRequest) (string, error) {
	clusters, err := s.admit(r)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	report := make([]string, len(clusters))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, c := range clusters {
		group.Go(func() error {
			began := time.Now()
			if err := s.bringUp(ctx, c); err != nil {
				return fmt.Errorf("cluster %s: %w", c.Name, err)
			}
			report[i] = fmt.Sprintf("cluster %s ready at %s (%.1fs)\n", c.Name, c.apiURL(), time.Since(began).Seconds())
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	if err := s.openGates(); err != nil {
		return "", err
	}
	return strings.Join(report, ""), nil
}

// admit notes what the request wants in the lab and in the kubeconfig, before anything starts.
func (s *supervisor) admit(r upRequest) ([]cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.lab
	if r.Answer == inNetwork && next.Proxy == 0 {
		var err error
		if next.Proxy, err = choosePort(next.usedPorts()); err != nil {
			return nil, err
		}
	}
	var clusters []cluster
	for _, name := range r.Clusters {
		c, err := admitCluster(next, name, r)
		if err != nil {
			return nil, err
		}
		if err := s.dir.cluster(name).writeFiles(c); err != nil {
			return nil, fmt.Errorf("cluster %s: %w", name, err)
		}
		next = next.with(c)
		clusters = append(clusters, c)
	}
	if err := s.dir.save(next); err != nil {
		return nil, err
	}
	s.lab = next
	return clusters, s.dir.addToKubeconfig(clusters)
}

// admitCluster is the cluster as the request wants it. What it has is never taken away: fewer nodes or no audit log
// would mean to break what runs.
func admitCluster(l lab, name string, r upRequest) (cluster, error) {
	if err := checkClusterName(name); err != nil {
		return cluster{}, err
	}
	c, known := l.find(name)
	if !known {
		free, err := choosePorts(l.usedPorts())
		if err != nil {
			return cluster{}, fmt.Errorf("cluster %s: %w", name, err)
		}
		c = cluster{Name: name, Index: l.freeIndex(), Ports: free, Tokens: newTokens()}
		if r.Programs != "" {
			c.Real = &realNode{Programs: r.Programs}
			c.Tokens = newTokens(c.kubeletUser(), kubeProxyUser)
		}
		if c.Answer = r.Answer; c.Answer != "" {
			c.Tokens = newTokens(kubeProxyUser)
		}
		if c.Answer == onLoopback {
			c.Loopback = l.freeLoopback()
		}
	}
	if r.Answer != "" && c.Answer != r.Answer {
		return cluster{}, fmt.Errorf("cluster %s is there already, and its Pods do not answer, or do so in another way: the API server and the "+
			"nodes' addresses would have to be others; take the cluster down first", name)
	}
	if (r.Programs != "" && c.Real == nil) || (r.Nodes > 0 && c.Real != nil) {
		return cluster{}, fmt.Errorf("cluster %s is there already, and its nodes are of the other kind: real ones and fake ones do not mix, and "+
			"the API server would have to be another; take the cluster down first", name)
	}
	if r.DNS != "" {
		c.DNS = r.DNS
	}
	c.Nodes = max(c.Nodes, r.Nodes)
	c.Audit = c.Audit || r.Audit
	return c, nil
}

// bringUp starts what is dead, resumes what is paused and returns when the cluster is ready.
func (s *supervisor) bringUp(ctx context.Context, c cluster) error {
	lock := s.bringingLock(c.Name)
	lock.Lock()
	defer lock.Unlock()
	all := c.components()
	wasWhole := s.allRun(c)
	for i := range all {
		if err := s.startComponent(ctx, c, all[:i+1]); err != nil {
			return err
		}
	}
	return s.awaitReady(ctx, c, wasWhole)
}

func (s *supervisor) allRun(c cluster) bool {
	all := s.processes(c.Name)
	return !slices.ContainsFunc(c.components(), func(component string) bool {
		p := all[component]
		return p == nil || p.hasEnded() || p.state() != running
	})
}

func (s *supervisor) bringingLock(name string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bringing[name] == nil {
		s.bringing[name] = &sync.Mutex{}
	}
	return s.bringing[name]
}

// startComponent starts the last of the components unless it runs, and waits until those that come after can use it.
// It gives up if one of them ends meanwhile.
func (s *supervisor) startComponent(ctx context.Context, c cluster, components []string) error {
	component := components[len(components)-1]
	if c.Answer == inNetwork && (component == kubeProxy || component == dns) {
		if err := s.endOutside(c, component); err != nil {
			return err
		}
	}
	if err := s.ensureProcess(c, component); err != nil {
		return err
	}
	switch component {
	case etcd:
		return s.await(ctx, c, components, "etcd to answer", etcdHealth(c))
	case kubeAPIServer:
		return s.await(ctx, c, components, "the API server to be ready", s.apiHealth(c))
	case machine:
		return s.await(ctx, c, components, "the node's mounts and network", s.nodeFurnished(c))
	case answer:
		if c.Answer == inNetwork {
			return s.await(ctx, c, components, "the network of the Pods", s.networkWired(c))
		}
		return nil
	case containerd:
		return s.await(ctx, c, components, "containerd to take an image", s.pauseLoaded(c))
	default:
		return nil
	}
}

func (s *supervisor) ensureProcess(c cluster, component string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.lab.find(c.Name); !ok {
		return errors.New("it has been taken down meanwhile")
	}
	if p := s.children[c.Name][component]; p != nil && !p.hasEnded() {
		return p.signal(syscall.SIGCONT)
	}
	f := s.dir.cluster(c.Name)
	o, err := s.originOf(c, component)
	if err != nil {
		return err
	}
	p, err := s.nursery.start(component, o, f.log(component), f.pid(component))
	if p != nil {
		if s.children[c.Name] == nil {
			s.children[c.Name] = map[string]*process{}
		}
		s.children[c.Name][component] = p
	}
	return err
}

// originOf must be called with the lock held.
func (s *supervisor) originOf(c cluster, component string) (origin, error) {
	f := s.dir.cluster(c.Name)
	switch component {
	case machine:
		return origin{args: append([]string{component}, f.args(c, component)...), namespaces: machineNamespaces}, f.makeCgroups()
	case answer:
		o := origin{args: append([]string{component}, f.args(c, component)...)}
		if c.Answer == inNetwork {
			o.namespaces = syscall.CLONE_NEWNET
		}
		return o, nil
	case kubeProxy, dns:
		if c.Answer == inNetwork {
			return s.originInNetwork(c, component)
		}
		fallthrough
	case containerd, kubelet:
		m := s.children[c.Name][machine]
		if m == nil || m.hasEnded() {
			return origin{}, fmt.Errorf("%s needs its %s: start that first", component, machine)
		}
		return origin{args: append([]string{enter, strconv.Itoa(m.pid)}, f.programArgs(c, component)...), node: m.pid}, nil
	default:
		return origin{args: append([]string{component}, f.args(c, component)...)}, nil
	}
}

// originInNetwork must be called with the lock held.
func (s *supervisor) originInNetwork(c cluster, component string) (origin, error) {
	m := s.children[c.Name][answer]
	if m == nil || m.hasEnded() {
		return origin{}, fmt.Errorf("%s needs its network: start %s first", component, answer)
	}
	program := []string{"/proc/self/exe", component}
	if component == dns {
		program = []string{c.DNS}
	}
	args := append([]string{enter, strconv.Itoa(m.pid)}, program...)
	return origin{args: append(args, s.dir.cluster(c.Name).args(c, component)...)}, nil
}

// act pauses, resumes, kills or starts one component of a cluster, or all of them.
func (s *supervisor) act(ctx context.Context, r actRequest) error {
	c, err := s.known(r.Cluster)
	if err != nil {
		return err
	}
	if r.Component != "" && !slices.Contains(c.components(), r.Component) {
		return fmt.Errorf("cluster %s has no %q; it has %s", c.Name, r.Component, strings.Join(c.components(), ", "))
	}
	if r.Verb == "start" {
		return s.start(ctx, c, r)
	}
	do, ok := map[string]func(*process) error{"pause": pause, "resume": resume, "kill": killChild}[r.Verb]
	if !ok {
		return fmt.Errorf("unknown verb %q", r.Verb)
	}
	return s.forEach(c, r.Component, do)
}

func (s *supervisor) start(ctx context.Context, c cluster, r actRequest) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	var err error
	if r.Component == "" {
		err = s.bringUp(ctx, c)
	} else {
		err = s.startComponent(ctx, c, []string{r.Component})
	}
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	return nil
}

func (s *supervisor) known(name string) (cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.lab.find(name)
	if !ok {
		return c, fmt.Errorf("no cluster %q in %s; it has: %s", name, s.dir, strings.Join(s.lab.names(), ", "))
	}
	return c, nil
}

func (s *supervisor) forEach(c cluster, only string, do func(*process) error) error {
	var errs []error
	for component, p := range s.processes(c.Name) {
		if only != "" && component != only {
			continue
		}
		if err := do(p); err != nil {
			errs = append(errs, fmt.Errorf("%s of cluster %s: %w", component, c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// processes is a copy: signalling and waiting must not hold the lock.
func (s *supervisor) processes(name string) map[string]*process {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]*process{}
	for component, p := range s.children[name] {
		all[component] = p
	}
	return all
}

func pause(p *process) error {
	if p.hasEnded() {
		return errors.New("is dead")
	}
	return errors.Join(p.signal(syscall.SIGSTOP), p.become(paused, time.Second))
}

func resume(p *process) error {
	if p.hasEnded() {
		return errors.New("is dead")
	}
	return errors.Join(p.signal(syscall.SIGCONT), p.become(running, time.Second))
}

func killChild(p *process) error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("process %d has not ended 10s after SIGKILL", p.pid)
	}
}

// down ends the named clusters and forgets them.
func (s *supervisor) down(names []string) error {
	for _, name := range names {
		if _, err := s.known(name); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.lab = s.lab.without(names) // from here on nothing of them is started
	s.mu.Unlock()
	if err := s.killClusters(names); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		delete(s.children, name)
		if g := s.gates[name]; g != nil {
			g.close()
			delete(s.gates, name)
		}
	}
	return s.dir.forget(names)
}

func (s *supervisor) killClusters(names []string) error {
	var group errgroup.Group
	for _, name := range names {
		for _, p := range s.processes(name) {
			group.Go(func() error { return killChild(p) })
		}
	}
	return group.Wait()
}

func (s *supervisor) clusters() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lab.names()
}

// killAll ends every process that the folder knows of the named clusters, whoever is its parent.
func (f folder) killAll(names []string) error {
	var errs []error
	for _, name := range names {
		files, err := filepath.Glob(f.cluster(name).pid("*"))
		errs = append(errs, err)
		for _, file := range files {
			id, err := readIdent(file)
			if err == nil {
				err = id.kill()
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// startSupervisor starts the lab's supervisor as a process that outlives this one.
func startSupervisor(dir folder, keeper int) error {
	out, err := appendTo(dir.supervisorLog())
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := selfCommand("supervise", "--dir="+string(dir), "--until-exit-of="+strconv.Itoa(keeper))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = string(dir) // it should not hold on to the caller's
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	return cmd.Process.Release()
}
