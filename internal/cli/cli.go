// Package cli answers: what does each verb of kubefedctl read from its flags, what does it call, and what does it print? One file for
// each verb. Data goes to stdout, talk to stderr.
package cli

import (
	"context"
	"errors"
	goflag "flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hansa-io/hansa/internal/fail"
)

// Streams are where a command reads from and writes to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// verbosity is the value of -v.
	verbosity *int
}

// say tells the user something on stderr, if -v is at least the level.
func (s Streams) say(level int, format string, args ...any) {
	if level == 0 || s.verbosity != nil && *s.verbosity >= level {
		fmt.Fprintf(s.Err, format+"\n", args...)
	}
}

// quiet tells nothing.
var quiet = Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}

// Run executes kubefedctl with its arguments and returns the exit code.
func Run(ctx context.Context, args []string, s Streams) int {
	started := false
	s.verbosity = new(int)
	root := New(s)
	root.PersistentPreRun = func(*cobra.Command, []string) {
		started = true
		setLogLevel(*s.verbosity)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var known *fail.Error
	if err != nil && !started && !errors.As(err, &known) {
		err = usage(err)
	}
	if err != nil {
		fmt.Fprint(s.Err, fail.Text(err))
	}
	return int(fail.ExitOf(err))
}

// needs says that these arguments, and no more, must be given.
func needs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fail.BadUsage.New("%s is required", strings.Join(names[len(args):], " and ")).Try("%s --help", c.CommandPath())
		case len(args) > len(names):
			return fail.BadUsage.New("unexpected argument %q", args[len(names)]).Try("%s --help", c.CommandPath())
		}
		return nil
	}
}

// usage is cobra's complaint about the command line as a failure; its suggestion, if there is one, is the hint.
func usage(err error) error {
	what, suggestion, _ := strings.Cut(err.Error(), "\n\n")
	e := fail.BadUsage.New("%s", what)
	if suggestion = strings.Join(strings.Fields(suggestion), " "); suggestion != "" {
		return e.Try("%s", suggestion)
	}
	return e.Try("kubefedctl --help")
}

// New returns the command tree.
func New(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "kubefedctl",
		Short:         "kubefedctl controls a federation of Kubernetes clusters",
		Long:          "kubefedctl controls a federation of Kubernetes clusters: which clusters belong to it, and what they hold.",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fail.BadUsage.New("%s", err).Try("%s --help", c.CommandPath())
	})
	addLogFlags(root.PersistentFlags(), s)
	root.SetGlobalNormalizationFunc(normalize)
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, build := range g.verbs {
			verb := build(s)
			verb.GroupID = g.id
			root.AddCommand(verb)
		}
	}
	return root
}

type group struct {
	id, title string
	verbs     []func(Streams) *cobra.Command
}

// groups are the verbs as --help lists them.
var groups = []group{
	{"start", "Get started:", []func(Streams) *cobra.Command{initVerb}},
	{"clusters", "Clusters:", []func(Streams) *cobra.Command{joinVerb, unjoinVerb}},
	{"federate", "Federate:", []func(Streams) *cobra.Command{enableVerb, disableVerb, federateVerb, orphaningVerb, resumeVerb}},
	{"other", "Other commands:", []func(Streams) *cobra.Command{versionVerb}},
}

// normalize accepts underscores for dashes, as KubeFed does, and --context for --host-cluster-context, as kubectl's users expect.
func normalize(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	name = strings.ReplaceAll(name, "_", "-")
	if name == "context" {
		name = "host-cluster-context"
	}
	return pflag.NormalizedName(name)
}

// libraryVerbosity is the -v from which on the libraries below tell what they do, as each request to an API server.
const libraryVerbosity = 6

// addLogFlags accepts the flags of Kubernetes' logging library on every command; all but -v are out of sight.
func addLogFlags(flags *pflag.FlagSet, s Streams) {
	logs := logFlags()
	logs.Duration("log_flush_frequency", 5*time.Second, "how often log files are flushed")
	logs.VisitAll(func(f *goflag.Flag) {
		if f.Name == "v" {
			return
		}
		p := pflag.PFlagFromGoFlag(f)
		p.Name = strings.ReplaceAll(p.Name, "_", "-")
		p.Hidden = true
		flags.AddFlag(p)
	})
	if s.verbosity == nil {
		s.verbosity = new(int)
	}
	flags.IntVarP(s.verbosity, "v", "v", 0, fmt.Sprintf("how much to tell: 2 tells each step, %d and more each request", libraryVerbosity))
}

func logFlags() *goflag.FlagSet {
	logs := goflag.NewFlagSet("logs", goflag.ContinueOnError)
	klog.InitFlags(logs)
	return logs
}

func setLogLevel(v int) {
	if v >= libraryVerbosity {
		_ = logFlags().Set("v", strconv.Itoa(v))
	}
}
