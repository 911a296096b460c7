package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func checkNodesCommand(lab *folder) *cobra.Command {
	return &cobra.Command{
		Use:   "check-nodes",
		Short: "Say whether real nodes work on this machine, and if they do not, why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := realPrograms(cmd.Context(), *lab)
			return err
		},
	}
}

func checkAnswerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-answer",
		Short: "Say whether Pods on fake nodes can answer in a network of their own on this machine, and if they cannot, why",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, reason := chooseAnswering(); reason != nil {
				return fmt.Errorf("no network for Pods to answer in: %w", reason)
			}
			return nil
		},
	}
}

// realPrograms is the folder with the programs of real nodes, which is beside this one, if real nodes work here.
func realPrograms(ctx context.Context, lab folder) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	programs := filepath.Join(filepath.Dir(self), "node")
	return programs, checkRealNodes(ctx, lab, programs)
}

// checkRealNodes returns the first reason why real nodes do not work here, in words for the user.
func checkRealNodes(ctx context.Context, lab folder, programs string) error {
	for _, check := range []func() error{
		checkRoot,
		func() error { return checkPrograms(programs) },
		func() error { return checkNotHidden(string(lab), programs) },
		checkCgroups,
		func() error { return tryNode(ctx, lab) },
	} {
		if err := check(); err != nil {
			return fmt.Errorf("real nodes do not work here: %w", err)
		}
	}
	return nil
}

func checkRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("they need root, for cgroups, namespaces and mounts")
	}
	return nil
}

func checkPrograms(dir string) error {
	for _, name := range nodePrograms {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("a program is missing, run `make node-build`: %w", err)
		}
	}
	return nil
}

func checkNotHidden(paths ...string) error {
	for _, path := range paths {
		for _, hidden := range hiddenFolders {
			if strings.HasPrefix(path+"/", hidden+"/") {
				return fmt.Errorf("a node has a %s of its own, and could not see %s; move it elsewhere", hidden, path)
			}
		}
	}
	return nil
}

// tryNode makes a node without programs for a moment.
func tryNode(ctx context.Context, lab folder) error {
	if err := os.MkdirAll(string(lab), 0o700); err != nil {
		return err
	}
	defer os.Remove(string(lab)) // unless there is something in it
	dir, err := os.MkdirTemp(string(lab), "trial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := selfCommand(machine, "--data="+dir, "--address="+gateIP, "--trial")
	cmd.Env = append(cmd.Env, pathWithNFT())
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: machineNamespaces}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("no node can be made: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return ctx.Err()
}

// tryKernel uses, in the node's namespaces, what containerd and kube-proxy cannot do without.
func tryKernel(dir string) error {
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := unix.Mount("overlay", filepath.Join(dir, "merged"), "overlay", 0, options); err != nil {
		return fmt.Errorf("overlayfs on %s: %w", dir, err)
	}
	out, err := exec.Command("nft", "add", "table", "ip", "trial").CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft (package nftables) cannot make a table: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
