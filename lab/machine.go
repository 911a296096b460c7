package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// A real node is a machine of its own in three namespaces: processes, mounts and network. One process, the component
// `node`, is the first in them and holds them; containerd, the kubelet and kube-proxy enter them. When that one ends, the
// kernel ends all others in there, containers too, and takes their mounts and their network away: whatever happens to a
// lab, nothing of a node outlives it but empty cgroups.
//
// On its own /run, /var/lib and /var/log a node's programs work as they do anywhere, at their usual paths. Its network
// leads nowhere; gate.go opens the doors.
const machineNamespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET

// hiddenFolders are those that a node has its own of. What it needs of the machine may not be in there.
var hiddenFolders = []string{"/run", "/var/lib", "/var/log"}

// kernelSettings are what the kubelet insists on, but which would hold for the whole machine: a node is only shown that
// they are as it wants them.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// newMachineCommand is the component `node`: the first process in its namespaces.
func newMachineCommand() *cobra.Command {
	var data string
	var addresses []string
	var trial bool
	cmd := &cobra.Command{
		Use:  machine,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			children := make(chan os.Signal, 1)
			signal.Notify(children, syscall.SIGCHLD)
			if err := furnish(data, addresses); err != nil {
				return err
			}
			if trial {
				return tryKernel(filepath.Join(data, "trial"))
			}
			for range children { // of programs that have ended; this one never does by itself
				reap()
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "the folder for the node's own files")
	cmd.Flags().StringSliceVar(&addresses, "address", nil, "addresses that the node has")
	cmd.Flags().BoolVar(&trial, "trial", false, "only see whether it works")
	return cmd
}

func reap() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// furnished is the file on a node that says that all is there. Its addresses would not say it: in a network without any,
// the kernel lets one listen on all.
const furnished = "/run/furnished"

// furnish makes the fresh namespaces of this process a node's.
func furnish(data string, addresses []string) error {
	if err := furnishMounts(data); err != nil {
		return fmt.Errorf("mounts of the node: %w", err)
	}
	for i, address := range append([]string{"127.0.0.1"}, addresses...) {
		if err := addAddress(i, address); err != nil {
			return fmt.Errorf("address %s of the node: %w", address, err)
		}
	}
	return writeFile(furnished, nil)
}

func furnishMounts(data string) error {
	// What is mounted here should stay here. Inside, containers may share.
	for _, kind := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|kind, ""); err != nil {
			return fmt.Errorf("make / private: %w", err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, hidden := range hiddenFolders {
		own := filepath.Join(data, hidden)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(own, hidden, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", hidden, err)
		}
	}
	// Sockets and marks of programs that run: as on any machine, they go when it ends.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return showKernelSettings("/run/sysctl")
}

func showKernelSettings(dir string) error {
	for name, value := range kernelSettings {
		file := filepath.Join(dir, name)
		if err := writeFile(file, []byte(value+"\n")); err != nil {
			return err
		}
		if err := unix.Mount(file, "/proc/sys/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("show %s: %w", name, err)
		}
	}
	return nil
}

// addAddress gives the loopback device its nth address and makes sure that it is up. The kernel may have no other device
// that always is.
func addAddress(n int, address string) error {
	label := "lo"
	if n > 0 {
		label += ":" + strconv.Itoa(n)
	}
	ip := net.ParseIP(address).To4()
	if ip == nil {
		return errors.New("is not an IPv4 address")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(label)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		request uint
		ip      net.IP
	}{{unix.SIOCSIFADDR, ip}, {unix.SIOCSIFNETMASK, net.IPv4bcast.To4()}} {
		if n == 0 {
			break // 127.0.0.1 comes with the device
		}
		if err := request.SetInet4Addr(step.ip); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, step.request, request); err != nil {
			return err
		}
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// runEnter is `enter PID PROGRAM ARG...`: it becomes a program in the mounts and the network of the node with that pid.
// Into its processes one can only be born; see nursery.
func runEnter() int {
	if err := becomeInside(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error: enter the node:", err)
	}
	return 1
}

func becomeInside(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: enter PID PROGRAM [ARG]")
	}
	runtime.LockOSThread()                              // namespaces are a thread's; the one that calls exec is the one that stays
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // else mounts could not be changed for one thread
		return err
	}
	var namespaces []*os.File
	for _, kind := range []string{"net", "mnt"} {
		file, err := os.Open(filepath.Join("/proc", args[0], "ns", kind))
		if err != nil {
			return err
		}
		defer file.Close()
		namespaces = append(namespaces, file)
	}
	for _, file := range namespaces {
		if err := unix.Setns(int(file.Fd()), 0); err != nil {
			return fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	return os.NewSyscallError("exec "+args[1], syscall.Exec(args[1], args[1:], append(os.Environ(), pathWithNFT())))
}

// pathWithNFT is for kube-proxy, which looks for nft where users' paths may not.
func pathWithNFT() string { return "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin" }

// bornInside calls start with the effect that processes it starts are born among those of the node with that pid. It
// must be called on a thread of the caller's own.
func bornInside(node int, start func() error) error {
	theirs, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", node))
	if err != nil {
		return err
	}
	defer theirs.Close()
	ours, err := os.Open("/proc/self/ns/pid")
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := unix.Setns(int(theirs.Fd()), unix.CLONE_NEWPID); err != nil {
		return fmt.Errorf("enter %s: %w", theirs.Name(), err)
	}
	err = start()
	if back := unix.Setns(int(ours.Fd()), unix.CLONE_NEWPID); back != nil {
		panic(fmt.Sprintf("come back from %s: %v", theirs.Name(), back)) // else all that follow were born in there
	}
	return err
}

// insideCommand runs a program for a moment in the node with that pid.
func insideCommand(ctx context.Context, node int, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "/proc/self/exe", append([]string{enter, strconv.Itoa(node), program}, args...)...)
}
