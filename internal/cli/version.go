package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hansa-io/hansa/internal/version"
)

func versionVerb(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  needs(),
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(s.Out, "kubefedctl version:", version.Current()) },
	}
}
