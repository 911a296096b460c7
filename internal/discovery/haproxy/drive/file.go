package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// CheckBy returns what asks a HAProxy program whether it would take a file. Other files that it is given are checked together with it.
func CheckBy(program string, others ...string) func(context.Context, string) error {
	return func(ctx context.Context, path string) error {
		args := []string{"-c", "-q"}
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
