package drive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/go-logr/logr"
)

// Child runs HAProxy as a child of this process, in master-worker mode.
type Child struct {
	// Program is HAProxy's, Files its configuration; the last is the driver's and must be there before it starts.
	Program string
	Files   []string
	// Master is the socket that the master process opens.
	Master Socket
	// Grace is how long connections may take to end when the context ends.
	Grace time.Duration
	Log   logr.Logger
}

// Run starts HAProxy as soon as it has a configuration, again if it ends, and stops it when the context ends.
func (c Child) Run(ctx context.Context) {
	wait := leastRetry
	for ctx.Err() == nil {
		began := time.Now()
		if _, err := os.Stat(c.Files[len(c.Files)-1]); err == nil {
			err := c.once(ctx)
			if ctx.Err() == nil {
				c.Log.Error(err, "HAProxy has ended and is started again")
			}
			if wait = min(2*wait, mostRetry); time.Since(began) > time.Minute {
				wait = leastRetry
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// once runs HAProxy until it ends.
func (c Child) once(ctx context.Context) error {
	args := []string{"-W", "-S", string(c.Master)}
	for _, f := range c.Files {
		args = append(args, "-f", f)
	}
	command := exec.CommandContext(ctx, c.Program, args...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGUSR1) } // end when the connections have
	command.WaitDelay = c.Grace
	// If this process dies HAProxy ends as well, or the next one would find its addresses taken. The kernel takes the end of the thread that
	// started it for that of the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, in := io.Pipe()
	defer in.Close()
	command.Stdout, command.Stderr = in, in
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.Log.Info(lines.Text(), "from", "haproxy")
		}
		_, _ = io.Copy(io.Discard, out) // a line too long to read must not keep HAProxy from writing
	}()
	if err := command.Run(); err != nil {
		return fmt.Errorf("run HAProxy: %w", err)
	}
	return errors.New("run HAProxy: it ended by itself")
}
