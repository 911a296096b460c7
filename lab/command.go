package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const longHelp = `hansa-lab runs real Kubernetes control planes (etcd, kube-apiserver, kube-controller-manager; with --nodes also
kube-scheduler and fake nodes) as processes on 127.0.0.1. It needs no root, no containers and no network; only
--nodes=real does need root.

  hansa-lab up --clusters global,business
  export KUBECONFIG=$PWD/.lab/kubeconfig
  kubectl --context business get namespaces
  hansa-lab down

All of a lab is in one folder, --dir. Labs in different folders know nothing of each other.`

// newCommand is the command line.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "hansa-lab",
		Short: "Real Kubernetes control planes on loopback",
		Long:  longHelp,

		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	dir := root.PersistentFlags().String("dir", ".lab", "the lab's folder")
	var lab folder
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		path, err := filepath.Abs(*dir)
		lab = folder(path)
		return err
	}
	root.AddCommand(upCommand(&lab), downCommand(&lab), statusCommand(&lab), logsCommand(&lab), superviseCommand(&lab),
		imageCommand(&lab), checkNodesCommand(&lab), checkAnswerCommand(), execCommand(&lab), forwardCommand(&lab),
		actCommand(&lab, "pause", "Stop a cluster's processes without ending them (SIGSTOP)"),
		actCommand(&lab, "resume", "Let paused processes go on (SIGCONT)"),
		actCommand(&lab, "kill", "End a cluster's processes at once (SIGKILL); their data stays"),
		actCommand(&lab, "start", "Start what was killed again, on the same ports with the same data"))
	return root
}

func upCommand(lab *folder) *cobra.Command {
	var r upRequest
	var nodes nodesFlag
	var keeper int
	var way answerFlag
	var withDNS bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make clusters ready and leave them running; what runs already stays",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			r.Nodes = nodes.fake
			var err error
			if r.Answer, err = way.choose(nodes, cmd.ErrOrStderr()); err != nil {
				return fmt.Errorf("up: %w", err)
			}
			if r.Answer == inNetwork && withDNS {
				if r.DNS, err = dnsProgram(); err != nil {
					return fmt.Errorf("up: %w", err)
				}
			}
			if nodes.real {
				if r.Programs, err = realPrograms(ctx, *lab); err != nil {
					return fmt.Errorf("up: %w", err)
				}
			}
			text, err := up(ctx, *lab, r, keeper)
			fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringSliceVar(&r.Clusters, "clusters", []string{"global", "business"}, "names of the clusters; the first is the kubeconfig's current context")
	cmd.Flags().Var(&nodes, "nodes", "`N` fake nodes per cluster, on which Pods seem to run, or real: one node that runs them (needs root)")
	cmd.Flags().Var(&way, "answer", "let Pods on fake nodes answer: in a `network` of each cluster's own, with kube-proxy, which takes root and nft, or on "+
		"loopback, behind node ports only; without a value the first of these that works")
	cmd.Flags().Lookup("answer").NoOptDefVal = answerAnyhow
	cmd.Flags().BoolVar(&withDNS, "dns", false, "where Pods answer in a network, give each cluster a DNS server, bin/hansa-dns")
	cmd.Flags().BoolVar(&r.Audit, "audit", false, "log every request to clusters/NAME/audit.log; a running API server is not restarted for it")
	cmd.Flags().DurationVar(&r.Timeout, "timeout", 3*time.Minute, "how long all of it may take")
	cmd.Flags().IntVar(&keeper, "until-exit-of", 0, "`pid` of a process with whose end a new lab goes down by itself")
	return cmd
}

// answerFlag is the value of --answer: how, or answerAnyhow.
type answerFlag string

const answerAnyhow = "anyhow"

// Type is part of pflag.Value.
func (a *answerFlag) Type() string { return "answer" }

func (a *answerFlag) String() string { return string(*a) }

// Set is part of pflag.Value.
func (a *answerFlag) Set(value string) error {
	if value != answerAnyhow && value != string(inNetwork) && value != string(onLoopback) {
		return fmt.Errorf("neither %s nor %s", inNetwork, onLoopback)
	}
	*a = answerFlag(value)
	return nil
}

// choose says to the user if it is not the better way, and why.
func (a *answerFlag) choose(nodes nodesFlag, out io.Writer) (answering, error) {
	switch {
	case *a == "":
		return "", nil
	case nodes.fake == 0:
		return "", errors.New("--answer is for Pods on fake nodes: give --nodes a number")
	case *a == answerFlag(onLoopback):
		return onLoopback, nil
	}
	how, reason := chooseAnswering()
	switch {
	case reason == nil:
		return how, nil
	case *a == answerFlag(inNetwork):
		return "", fmt.Errorf("no network for Pods to answer in: %w", reason)
	default:
		fmt.Fprintf(out, "Pods answer on loopback only, behind node ports: %v\n", reason)
		return how, nil
	}
}

// nodesFlag is the value of --nodes.
type nodesFlag struct {
	fake int
	real bool
}

// Type is part of pflag.Value.
func (n *nodesFlag) Type() string { return "nodes" }

func (n *nodesFlag) String() string {
	if n.real {
		return "real"
	}
	return strconv.Itoa(n.fake)
}

// Set is part of pflag.Value.
func (n *nodesFlag) Set(value string) error {
	if value == "real" {
		*n = nodesFlag{real: true}
		return nil
	}
	fake, err := strconv.Atoi(value)
	if err != nil || fake < 0 {
		return errors.New("neither a number nor real")
	}
	*n = nodesFlag{fake: fake}
	return nil
}

func up(ctx context.Context, lab folder, r upRequest, keeper int) (string, error) {
	if len(r.Clusters) == 0 {
		return "", errors.New("up: --clusters must name one at least")
	}
	if err := os.MkdirAll(string(lab), 0o700); err != nil {
		return "", err
	}
	if err := ensureSupervisor(ctx, lab, keeper); err != nil {
		return "", err
	}
	text, err := lab.send(ctx, "/up", r)
	if err != nil {
		return "", fmt.Errorf("up: %w", err)
	}
	return text + "export KUBECONFIG=" + lab.kubeconfig() + "\n", nil
}

func ensureSupervisor(ctx context.Context, lab folder, keeper int) error {
	_, err := lab.send(ctx, "/ping", nil)
	if !errors.Is(err, errNoSupervisor) {
		return err
	}
	if err := startSupervisor(lab, keeper); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := lab.send(ctx, "/ping", nil)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("the supervisor does not answer: %w\n--- end of %s\n%s", err, lab.supervisorLog(), tail(lab.supervisorLog(), 25))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func downCommand(lab *folder) *cobra.Command {
	return &cobra.Command{
		Use:   "down [CLUSTER...]",
		Short: "End the lab, or the named clusters of it, and remove their state",
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := down(cmd.Context(), *lab, names); err != nil {
				return fmt.Errorf("down: %w", err)
			}
			return nil
		},
	}
}

// down works from the folder alone: the supervisor may have been killed, or be stuck.
func down(ctx context.Context, lab folder, names []string) error {
	l, err := lab.load()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ok := l.find(name); !ok {
			return fmt.Errorf("no cluster %q in %s", name, lab)
		}
	}
	if len(names) > 0 && len(l.without(names).Clusters) > 0 {
		_, err := lab.send(ctx, "/down", downRequest{names})
		if !errors.Is(err, errNoSupervisor) {
			return err
		}
	} else {
		names = l.names()
		if err := endSupervisor(lab); err != nil {
			return err
		}
	}
	if err := lab.killAll(names); err != nil {
		return err
	}
	return lab.forget(names)
}

// endSupervisor asks the supervisor to end, and with it its children; if it does not, it is killed.
func endSupervisor(lab folder) error {
	id, err := readIdent(lab.supervisorPID())
	if err != nil {
		return err
	}
	if err := id.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if id.become(dead, 15*time.Second) == nil {
		return nil
	}
	return id.kill()
}

func actCommand(lab *folder, verb, short string) *cobra.Command {
	r := actRequest{Verb: verb, Timeout: 3 * time.Minute}
	return &cobra.Command{
		Use:   verb + " CLUSTER [COMPONENT]",
		Short: short,
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Cluster = args[0]
			if len(args) > 1 {
				r.Component = args[1]
			}
			if _, err := lab.send(cmd.Context(), "/act", r); err != nil {
				return fmt.Errorf("%s: %w", verb, err)
			}
			return nil
		},
	}
}

func logsCommand(lab *folder) *cobra.Command {
	return &cobra.Command{
		Use:   "logs CLUSTER COMPONENT",
		Short: "Print the log of a component",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.load()
			if err != nil {
				return err
			}
			c, ok := l.find(args[0])
			if !ok || !slices.Contains(c.components(), args[1]) {
				return fmt.Errorf("logs: no %q in a cluster %q of %s", args[1], args[0], *lab)
			}
			file, err := os.Open(lab.cluster(c.Name).log(args[1]))
			if err != nil {
				return fmt.Errorf("logs: %w", err)
			}
			defer file.Close()
			_, err = io.Copy(cmd.OutOrStdout(), file)
			return err
		},
	}
}

func superviseCommand(lab *folder) *cobra.Command {
	var keeper int
	cmd := &cobra.Command{
		Use:    "supervise",
		Short:  "Be the lab's supervising process; `up` starts it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return supervise(*lab, keeper)
		},
	}
	cmd.Flags().IntVar(&keeper, "until-exit-of", 0, "end and remove the lab when this process ends")
	return cmd
}
