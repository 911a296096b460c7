package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// replace writes a file so that who reads it sees the old or the new one, also after a power failure.
func replace(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// read returns what is in a file; nothing if it is not there.
func read(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read what HAProxy was told last: %w", err)
	}
	return string(b), nil
}

// CheckBy returns what asks an HAProxy program whether it would take a file. Other files that it is given are checked together with it. Without a
// program nothing is asked: HAProxy itself finds out when it is reloaded, and goes on with what it has.
func CheckBy(program string, others ...string) func(context.Context, string) error {
	if program == "" {
		return func(context.Context, string) error { return nil }
	}
	return func(ctx context.Context, path string) error {
		args := []string{"-c"}
		for _, f := range append(others, path) {
			args = append(args, "-f", f)
		}
		out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("HAProxy does not take the new configuration: %w: %s", err, strings.TrimSpace(string(out)))
		}
		return nil
	}
}

// bindable says whether HAProxy could open the listeners of a new file beside those of the old one. HAProxy itself finds out too late: while
// it tries, it closes all listeners that it has.
func bindable(ctx context.Context, old, content string) error {
	had, ports := map[string]bool{}, map[string]bool{}
	for _, a := range haproxy.Binds(old) {
		_, port, _ := net.SplitHostPort(a)
		had[a], ports[port] = true, true
	}
	seen := map[string]bool{}
	for _, a := range haproxy.Binds(content) {
		if seen[a] {
			return fmt.Errorf("two listeners have the address %s", a)
		}
		seen[a] = true
		if _, port, _ := net.SplitHostPort(a); had[a] || ports[port] {
			continue // who holds the port is HAProxy itself
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", a)
		switch {
		case err == nil:
			l.Close()
		case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EADDRNOTAVAIL):
			return fmt.Errorf("HAProxy could not open a listener: %w", err)
		}
		// Other failures, such as a port that only root may open, are this process's own.
	}
	return nil
}

// ReloadBy returns what reloads HAProxy by a command of the shell.
func ReloadBy(command string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, "/bin/sh", "-c", command).CombinedOutput()
		if err != nil {
			return fmt.Errorf("reload HAProxy by %q: %w: %s", command, err, strings.TrimSpace(string(out)))
		}
		return nil
	}
}
