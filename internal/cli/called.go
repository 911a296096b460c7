package cli

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hansa-io/hansa/internal/fail"
)

// called is the name by which the program was called: its own, that of a plug-in of kubectl, or that by which kubectl asks a plug-in
// for completions.
type called struct {
	// plugin says that users type "kubectl kubefed".
	plugin, completing bool
}

const (
	itself  = "kubefedctl"
	plugin  = "kubectl-kubefed"
	asked   = "kubectl_complete-kubefed"
	asTyped = "kubectl kubefed"
)

func calledAs(path string) called {
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	return called{plugin: name == plugin || name == asked, completing: name == asked}
}

// rename makes help and examples say what the user types.
func (n called) rename(root *cobra.Command) {
	if !n.plugin {
		return
	}
	root.Use = plugin
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: asTyped}
	n.reword(root)
}

func (n called) reword(c *cobra.Command) {
	c.Short, c.Long, c.Example = n.words(c.Short), n.words(c.Long), n.words(c.Example)
	for _, sub := range c.Commands() {
		n.reword(sub)
	}
}

func (n called) words(s string) string {
	if !n.plugin {
		return s
	}
	return strings.ReplaceAll(s, itself, asTyped)
}

// hint makes the way out of a failure one that the user can type.
func (n called) hint(err error) error {
	var e *fail.Error
	if !errors.As(err, &e) || e.Hint == "" {
		return err
	}
	return e.Try("%s", n.words(e.Hint))
}

// usageTemplate is cobra's with the examples first.
const usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if .HasAvailableSubCommands}}{{$all := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $all}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}

Additional Commands:{{range $all}}{{if and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global Flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

Use "{{.CommandPath}} [command] --help" for more information about a command.{{end}}
`
