package cli_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hansa-io/hansa/internal/cli"
)

var update = flag.Bool("update", false, "write the generated files")

// The reference page says what the commands say of themselves.
func TestReferenceIsGenerated(t *testing.T) {
	const path = "../../docs/reference/kubefedctl.md"
	want := reference(cli.New(cli.Streams{}))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not up to date (make gen): %s", path, diff)
	}
}

func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# kubefedctl\n\n<!-- Made by make gen. Do not edit. -->\n\n" + root.Long + "\n\nCalled as `kubectl-kubefed`, it is a plug-in: " +
		"`kubectl kubefed join …`. A link to it named `kubectl_complete-kubefed` makes kubectl complete its arguments.\n\n" +
		"What it fails with is listed under [errors](../errors/README.md), with the exit codes.\n\n```sh\n" + dedent(root.Example) + "\n```\n")
	b.WriteString("\n## Flags of every command\n\n" + flags(root.PersistentFlags()))
	for _, c := range root.Commands() {
		section(&b, c)
	}
	return b.String()
}

// dedent takes away the two spaces before each line of an example.
func dedent(s string) string {
	return strings.TrimPrefix(strings.ReplaceAll(s, "\n  ", "\n"), "  ")
}

func section(b *strings.Builder, c *cobra.Command) {
	if c.Hidden || c.Deprecated != "" {
		return
	}
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n", c.CommandPath(), text)
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", dedent(c.Example))
	}
	fmt.Fprintf(b, "\n```text\n%s\n```\n", c.UseLine())
	if f := flags(c.LocalNonPersistentFlags()); f != "" {
		b.WriteString("\n" + f)
	}
	for _, sub := range c.Commands() {
		section(b, sub)
	}
}

// flags are a table of those that --help shows; none if there are none.
func flags(set *pflag.FlagSet) string {
	var b strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value, text := pflag.UnquoteUsage(f)
		if value == "" {
			value = "bool"
		}
		def := ""
		if f.DefValue != "" && f.DefValue != "[]" {
			def = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, value, def, strings.ReplaceAll(text, "|", "\\|"))
	})
	if b.Len() == 0 {
		return ""
	}
	return "| Flag | Value | Default | Meaning |\n|---|---|---|---|\n" + b.String()
}
