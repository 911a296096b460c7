package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// kubeletPort is where API servers look for the kubelet of a node.
const kubeletPort = 10250

// podExec is the part of a kubelet that `kubectl exec` needs. A fake Pod has no files, so that a command is one of this
// machine's, as nobody and with all files read-only; but it has the Pod's name, and the network and the DNS of its cluster.
type podExec struct {
	pod func(namespace, name string) (*corev1.Pod, error)
	dns string // address of the cluster's DNS server, should it have one
	dir string // for its own files
}

// serve listens on all of the nodes' addresses. Only the API server is let in.
func (e podExec) serve(ctx context.Context, pki string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "apiserver.crt"), filepath.Join(pki, "apiserver.key"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return err
	}
	callers := x509.NewCertPool()
	callers.AppendCertsFromPEM(ca)
	listener, err := tls.Listen("tcp", fmt.Sprintf(":%d", kubeletPort), &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: callers, ClientAuth: tls.RequireAndVerifyClientCert,
		NextProtos: []string{"http/1.1"}, // an exec takes the connection over
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", e.exec)
	server := &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return ctx }}
	return server.Serve(listener)
}

func (e podExec) exec(w http.ResponseWriter, r *http.Request) {
	pod, err := e.pod(r.PathValue("namespace"), r.PathValue("pod"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if _, runs := voiceOf("", pod); !runs {
		http.Error(w, "the Pod is not running", http.StatusConflict)
		return
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	const idle, creation = 4 * time.Hour, 30 * time.Second // the kubelet's own
	remotecommand.ServeExec(w, r, podExecutor{e, pod}, pod.Name, string(pod.UID), r.PathValue("container"),
		r.Form["command"], options, idle, creation, remotecommand.SupportedStreamingProtocols)
}

type podExecutor struct {
	podExec
	pod *corev1.Pod
}

// ExecInContainer is part of remotecommand.Executor.
func (e podExecutor) ExecInContainer(ctx context.Context, _, _, _ string, command []string,
	in io.Reader, out, err io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	if len(command) == 0 {
		return errors.New("no command")
	}
	hostname := e.pod.Spec.Hostname
	if hostname == "" {
		hostname = e.pod.Name
	}
	resolvConf := filepath.Join(e.dir, "resolv-"+e.pod.Namespace+".conf")
	text := fmt.Sprintf("nameserver %[1]s\nsearch %[2]s.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n", e.dns, e.pod.Namespace)
	if err := os.WriteFile(resolvConf, []byte(text), 0o644); err != nil { //nolint:gosec // nobody reads it
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{asPod, hostname, resolvConf}, command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	cmd.Stdin = in
	cmd.WaitDelay = time.Second // a client need not close its side
	if cmd.Stdout = out; tty {
		cmd.Stderr = out
	} else if err != nil {
		cmd.Stderr = err
	}
	return runBound(cmd)
}

// runBound runs a command that ends with this process. What it returns for an exit code other than 0 is what kubectl wants.
func runBound(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the command looks at the thread that has started it
		defer runtime.UnlockOSThread()
		result <- cmd.Run()
	}()
	err := <-result
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: max(exit.ExitCode(), 1)}
	}
	return err
}

// runAsPod is `as-pod HOSTNAME RESOLV_CONF COMMAND ARG...`, the first process in fresh namespaces: it becomes the command.
func runAsPod() int {
	if err := becomePod(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	return 126
}

func becomePod(args []string) error {
	if len(args) < 3 {
		return errors.New("usage: as-pod HOSTNAME RESOLV_CONF COMMAND [ARG]")
	}
	hostname, resolvConf, command := args[0], args[1], args[2:]
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("take the host name %s: %w", hostname, err)
	}
	if err := podMounts(resolvConf); err != nil {
		return err
	}
	const nobody = 65534
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return fmt.Errorf("become nobody: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with its parent: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("a command of a fake Pod is one of this machine's: %w", err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOSTNAME=" + hostname, "HOME=/"}
	return os.NewSyscallError("exec "+program, syscall.Exec(program, command, env))
}

// podMounts makes all files read-only, and shows other processes and another DNS server.
func podMounts(resolvConf string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{resolvConf, target, "", unix.MS_BIND},
		{"proc", "/proc", "proc", 0},
	} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, readOnly); err != nil {
		return fmt.Errorf("make / read-only: %w", err)
	}
	return nil
}
