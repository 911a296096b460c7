package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func execCommand(lab *folder) *cobra.Command {
	var doors []int
	cmd := &cobra.Command{
		Use:   "exec [CLUSTER] -- COMMAND [ARG...]",
		Short: "Run a command in the network of a cluster's Pods, or, without a cluster, in the network between the clusters",
		Long: `Run a command in the network of a cluster's Pods, as the cluster's first node: it reaches Pods, Services and nodes. Without a
cluster it runs in the network between the clusters, as somebody who is in none of them: it reaches Pods and nodes.
Only the network is another; files, processes and users are this machine's.

It takes clusters that are up with --answer or with --nodes real, and root.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, command, err := splitAtDash(args, cmd.ArgsLenAtDash())
			if err != nil {
				return err
			}
			code, err := execInside(*lab, cluster, doors, command)
			if err != nil {
				return fmt.Errorf("exec: %w", err)
			}
			if code != 0 {
				os.Exit(code)
			}
			return nil
		},
	}
	cmd.Flags().IntSliceVar(&doors, "door", nil, "while the command runs, this `port` of 127.0.0.1 leads to that of this machine, as if the command had not gone anywhere")
	return cmd
}

// splitAtDash takes "[CLUSTER] -- COMMAND" apart.
func splitAtDash(args []string, dash int) (cluster string, command []string, err error) {
	switch {
	case dash < 0 || dash > 1 || len(args) == dash:
		return "", nil, errors.New("exec: usage: exec [CLUSTER] -- COMMAND [ARG...]")
	case dash == 1:
		return args[0], args[1:], nil
	default:
		return "", args, nil
	}
}

// execInside returns the command's exit code.
func execInside(lab folder, cluster string, doors []int, command []string) (int, error) {
	path, err := lab.networkPath(cluster)
	if err != nil {
		return 0, err
	}
	network, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("%w (it takes root)", err)
	}
	g := &gate{network: network}
	defer g.close()
	for _, port := range doors {
		door, err := g.openDoorAt("127.0.0.1", port)
		if err != nil {
			return 0, err
		}
		defer door.Close()
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(interrupts)
	done := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked; Pdeathsig looks at this thread, so it waits here, too
		err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return 0, err
	}
	for {
		select {
		case s := <-interrupts:
			_ = cmd.Process.Signal(s) // it may have ended
		case err := <-done:
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return max(exit.ExitCode(), 1), nil
			}
			return 0, err
		}
	}
}

func forwardCommand(lab *folder) *cobra.Command {
	return &cobra.Command{
		Use:   "forward [CLUSTER] [LOCAL=]ADDRESS:PORT",
		Short: "Let a port of 127.0.0.1 lead to an address in the network of a cluster's Pods, or between the clusters, until interrupted",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster := ""
			if len(args) == 2 {
				cluster = args[0]
			}
			local, address, err := splitForward(args[len(args)-1])
			if err != nil {
				return fmt.Errorf("forward: %w", err)
			}
			path, err := lab.networkPath(cluster)
			if err != nil {
				return fmt.Errorf("forward: %w", err)
			}
			network, err := os.Open(path)
			if err != nil {
				return fmt.Errorf("forward: %w (it takes root)", err)
			}
			listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(local)))
			if err != nil {
				return fmt.Errorf("forward: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s leads to %s\n", listener.Addr(), address)
			g := &gate{network: network}
			letThrough(listener, func() (net.Conn, error) { return g.dial(cmd.Context(), "tcp", address) })
			return nil
		},
	}
}

// splitForward takes "[LOCAL=]ADDRESS:PORT" apart; without a local port any that is free is taken.
func splitForward(arg string) (local int, address string, err error) {
	before, address, ok := strings.Cut(arg, "=")
	if !ok {
		return 0, arg, nil
	}
	if local, err = strconv.Atoi(before); err != nil {
		return 0, "", fmt.Errorf("%q is not [LOCAL=]ADDRESS:PORT", arg)
	}
	return local, address, nil
}
