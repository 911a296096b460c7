// Package cli answers: what does each verb of kubefedctl read from its flags, what does it call, and what does it print? One file for
// each verb. Data goes to stdout, talk to stderr.
package cli

//go:generate go test . -run TestReferenceIsGenerated -update

import (
	"context"
	"errors"
	goflag "flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

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
		fmt.Fprintln(s.Err, fail.Clean(fmt.Sprintf(format, args...)))
	}
}

// quiet tells nothing.
var quiet = Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}

// Run executes kubefedctl with its arguments, the name of the program first, and returns the exit code.
func Run(ctx context.Context, argv []string, s Streams) int {
	called, args := calledAs(argv[0]), argv[1:]
	if called.completing {
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	started := false
	s.verbosity = new(int)
	root := New(s)
	called.rename(root)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		started = true
		setLogLevel(*s.verbosity)
		return checkOutput(c)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var known *fail.Error
	if err != nil && !started && !errors.As(err, &known) {
		err = usage(err)
	}
	if err != nil {
		tell := fail.Text
		if wantsJSON(args) {
			tell = fail.JSON
		}
		fmt.Fprint(s.Err, tell(called.hint(err)))
	}
	return int(fail.ExitOf(err))
}

// wantsJSON says whether a command line asks for JSON. It is asked of lines that cannot be parsed as well.
func wantsJSON(args []string) bool {
	for i, a := range args {
		switch {
		case a == "--":
			return false
		case a == "-ojson", a == "-o=json", a == "--output=json", i > 0 && a == "json" && (args[i-1] == "-o" || args[i-1] == "--output"):
			return true
		}
	}
	return false
}

// checkOutput refuses other forms of output where a verb has none of its own.
func checkOutput(c *cobra.Command) error {
	f := c.Root().PersistentFlags().Lookup("output")
	if v := f.Value.String(); v != "" && v != "json" {
		return fail.BadUsage.New("Invalid value for --output: %s", v).Try("%s can only tell failures as json", c.CommandPath())
	}
	return nil
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

// subverb refuses a word that is none of a command's own commands, and names those that are near.
func subverb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	err := fail.BadUsage.New("unknown command %q for %q", args[0], c.CommandPath())
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return err.Try("Did you mean this? %s", strings.Join(near, ", "))
	}
	return err.Try("%s --help", c.CommandPath())
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
		Use:   "kubefedctl",
		Short: "kubefedctl controls a federation of Kubernetes clusters",
		Long:  "kubefedctl controls a federation of Kubernetes clusters: which clusters belong to it, and what they hold.",
		Example: "  # Two clusters become a federation\n  kubefedctl init --host-cluster-context global\n" +
			"  kubefedctl join global --cluster-context global --host-cluster-context global\n" +
			"  kubefedctl join business --cluster-context business --host-cluster-context global\n\n" +
			"  # A namespace, with all that makes sense in it, comes into all clusters\n  kubefedctl federate namespace shop --contents",
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
	root.SetUsageTemplate(usageTemplate)
	root.PersistentFlags().StringP("output", "o", "", `"json" tells a failure as JSON`)
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
	{"start", "Get started:", []func(Streams) *cobra.Command{initVerb, takeoverVerb}},
	{"clusters", "Clusters:", []func(Streams) *cobra.Command{joinVerb, unjoinVerb}},
	{"federate", "Federate:", []func(Streams) *cobra.Command{enableVerb, disableVerb, federateVerb, orphaningVerb, resumeVerb}},
	{"services", "Services:", []func(Streams) *cobra.Command{discoveryVerb, exposeVerb}},
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

// setLogLevel lets the libraries talk from a certain -v on. The logger of controller-runtime must be set in any case: after half a
// minute without one it prints a stack.
func setLogLevel(v int) {
	ctrllog.SetLogger(logr.Discard())
	if v >= libraryVerbosity {
		_ = logFlags().Set("v", strconv.Itoa(v))
	}
}
