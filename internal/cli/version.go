package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Set by the linker: -X github.com/hansa-io/hansa/internal/cli.release=v1.0.0
var (
	release   = "v0.0.0-dev"
	commit    = "unknown"
	treeState = "unknown"
	date      = "1970-01-01T00:00:00Z"
)

func versionVerb(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  needs(),
		Run: func(*cobra.Command, []string) {
			fmt.Fprintf(s.Out, "kubefedctl version: version.Info{Version:%q, GitCommit:%q, GitTreeState:%q, BuildDate:%q, GoVersion:%q, Compiler:%q, Platform:%q}\n",
				release, commit, treeState, date, runtime.Version(), runtime.Compiler, runtime.GOOS+"/"+runtime.GOARCH)
		},
	}
}
