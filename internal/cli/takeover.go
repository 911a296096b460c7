package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/takeover"
)

type takeoverFlags struct {
	hostFlags
	output   string
	patience time.Duration
}

func takeoverVerb(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "takeover",
		Short: "Make a federation of KubeFed Hansa's where it stands, or give it back",
		Long: "Make a federation of KubeFed Hansa's where it stands, or give it back. No object in a member is made anew, and nothing in one\n" +
			"changes but the federation's marks.",
		Args: needs(),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(takeoverCheck(s),
		takeoverAct(s, "apply", "Take the federation over",
			"Stop KubeFed, bring the host up to date, wait until Hansa leads and has marked every copy, make sure that none was made anew,\n"+
				"and remove what only KubeFed needs. Run again, it goes on where it was.", (*takeover.Federation).Apply),
		takeoverAct(s, "back", "Give the federation back to KubeFed",
			"Have Hansa write KubeFed's records, so that KubeFed finds nothing to rewrite, wait until Hansa has stopped, and put back what\n"+
				"the take-over took away. Run again, it goes on where it was.", (*takeover.Federation).Back))
	return c
}

func (f *takeoverFlags) open(c *cobra.Command, s Streams) (*takeover.Federation, error) {
	host, err := f.connect(c.Context(), s)
	if err != nil {
		return nil, err
	}
	return takeover.New(takeover.Options{
		Host: host, Namespace: f.namespace, DryRun: f.dryRun, Patience: f.patience,
		Tell: func(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) },
	})
}

func takeoverCheck(s Streams) *cobra.Command {
	var f takeoverFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what a take-over will change, and what stands in its way",
		Long: "Say what a take-over will change, and what stands in its way. Nothing is written: the members try what Hansa would apply, and\n" +
			"keep nothing of it. The exit code is 1 if something stands in the way.",
		Example: "  kubefedctl takeover check --host-cluster-context global",
		Args:    needs(),
		RunE: func(c *cobra.Command, _ []string) error {
			federation, err := f.open(c, s)
			if err != nil {
				return err
			}
			findings, err := federation.Check(c.Context())
			if err != nil {
				return err
			}
			if err := printFindings(s.Out, f.output, findings); err != nil {
				return err
			}
			if takeover.Blocked(findings) {
				return fail.TakeoverBlocked.New("the federation cannot be taken over as it is").Try("see the lines that are marked as blockers above")
			}
			return nil
		},
	}
	f.add(c)
	_ = c.Flags().MarkHidden("dry-run")
	c.Flags().StringVarP(&f.output, "output", "o", "", `print the findings as "json"`)
	complete(c, "output", words("json"))
	return c
}

func takeoverAct(s Streams, verb, short, long string, do func(*takeover.Federation, context.Context) error) *cobra.Command {
	var f takeoverFlags
	c := &cobra.Command{
		Use: verb, Short: short, Long: long,
		Example: "  kubefedctl takeover " + verb + " --host-cluster-context global",
		Args:    needs(),
		RunE: func(c *cobra.Command, _ []string) error {
			federation, err := f.open(c, s)
			if err != nil {
				return err
			}
			return do(federation, c.Context())
		},
	}
	f.add(c)
	c.Flags().DurationVar(&f.patience, "timeout", 10*time.Minute, "how long to wait for each thing that takes its time, as a manager that starts or stops")
	return c
}

// signs stand before a finding; a terminal that is not set to UTF-8 gets the second.
var signs = map[takeover.Level][2]string{takeover.Fine: {"✓", "+"}, takeover.Note: {"!", "!"}, takeover.Blocker: {"✗", "x"}}

func printFindings(w io.Writer, format string, findings []takeover.Finding) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(findings)
	case "":
		plain := 0
		if !speaksUTF8() {
			plain = 1
		}
		for _, f := range findings {
			fmt.Fprintf(w, "%s %-12s %s\n", signs[f.Level][plain], f.Area, f.Text)
			for _, d := range f.Details {
				fmt.Fprintf(w, "    %s\n", d)
			}
		}
		return nil
	default:
		return fail.BadUsage.New("Invalid value for --output: %s", format).Try("use json")
	}
}

func speaksUTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			return strings.Contains(strings.ToUpper(strings.ReplaceAll(value, "-", "")), "UTF8")
		}
	}
	return false
}
