package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/bench/process"
	"github.com/hansa-io/hansa/internal/lab"
)

// federation is a host with members in a lab, and Hansa as a process of its own.
type federation struct {
	lab   *lab.Lab
	stop  func() error
	env   []string
	hansa *exec.Cmd
	log   *os.File
	// pprof is the address of the manager's profiles; empty if none are wanted.
	pprof   string
	host    site
	members []site
}

// site is one cluster as the driver reaches it.
type site struct {
	name   string
	config *rest.Config
	client dynamic.Interface
}

const namespace = "bench"

func build(ctx context.Context, o options) (*federation, error) {
	names := []string{"host"}
	for n := range o.members {
		names = append(names, fmt.Sprintf("m%d", n+1))
	}
	l, stop, err := lab.StartMain(lab.Options{}, names...)
	if err != nil {
		return nil, err
	}
	f := &federation{lab: l, stop: stop}
	if o.profiles != "" {
		if f.pprof, err = process.FreeAddress(); err != nil {
			return nil, err
		}
	}
	bin, err := filepath.Abs("bin")
	if err != nil {
		return nil, err
	}
	f.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+l.Kubeconfig())
	for _, name := range names {
		s, err := newSite(name, l.Config(name))
		if err != nil {
			return nil, err
		}
		if name == "host" {
			f.host = s
		} else {
			f.members = append(f.members, s)
		}
	}
	return f, f.install(ctx)
}

func newSite(name string, config *rest.Config) (site, error) {
	config.QPS = -1
	c, err := dynamic.NewForConfig(config)
	return site{name: name, config: config, client: c}, err
}

func (f *federation) install(ctx context.Context) error {
	if err := f.run("kubefedctl", "init", "--host-cluster-context", "host"); err != nil {
		return err
	}
	if err := f.start(); err != nil {
		return err
	}
	for _, m := range f.members {
		if err := f.run("kubefedctl", "join", m.name, "--cluster-context", m.name, "--host-cluster-context", "host"); err != nil {
			return err
		}
	}
	if err := f.run("kubectl", "--context", "host", "create", "namespace", namespace); err != nil {
		return err
	}
	if err := f.run("kubefedctl", "federate", "namespace", namespace, "--host-cluster-context", "host"); err != nil {
		return err
	}
	return f.joined(ctx, len(f.members))
}

// joined waits until the namespace is in all members.
func (f *federation) joined(ctx context.Context, members int) error {
	fns := f.host.client.Resource(federated("namespaces")).Namespace(namespace)
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		o, err := fns.Get(ctx, namespace, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		ready, _, _ := unstructured.NestedString(o.Object, "status", "ready")
		return ready == fmt.Sprintf("%d/%d", members, members), nil
	})
}

func federated(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "types.kubefed.io", Version: "v1beta1", Resource: "federated" + resource}
}

func (f *federation) run(name string, args ...string) error {
	cmd := exec.Command("env", append([]string{name}, args...)...)
	cmd.Env = f.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

// start starts the manager.
func (f *federation) start() error {
	if f.log == nil {
		var err error
		if f.log, err = os.Create(filepath.Join(os.TempDir(), fmt.Sprintf("hansa-bench-%d.log", os.Getpid()))); err != nil {
			return err
		}
	}
	f.hansa = exec.Command("bin/hansa", "manager", "--context", "host", "--healthz-addr", "0", "--metrics-addr", "0", "--pprof-addr", f.pprof)
	f.hansa.Env, f.hansa.Stdout, f.hansa.Stderr = f.env, f.log, f.log
	return f.hansa.Start()
}

// end ends the manager.
func (f *federation) end() error {
	if f.hansa == nil {
		return nil
	}
	_ = f.hansa.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	err := f.hansa.Wait()
	f.hansa = nil
	return err
}

func (f *federation) clear() {
	_ = f.end()
	if err := f.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: end the lab:", err)
	}
	if f.log != nil {
		_ = os.Remove(f.log.Name())
	}
}
