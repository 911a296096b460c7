// Package version answers: which release is this? The variables are set by the linker.
package version

import (
	"fmt"
	"runtime"
)

// Set with -ldflags "-X …".
var (
	version   = "v0.1.0-dev"
	commit    = "unknown"
	treeState = "unknown"
	date      = "1970-01-01T00:00:00Z"
)

// Info is what a binary knows of itself, in the form that KubeFed printed.
type Info struct {
	Version      string `json:"version"`
	GitCommit    string `json:"gitCommit"`
	GitTreeState string `json:"gitTreeState"`
	BuildDate    string `json:"buildDate"`
	GoVersion    string `json:"goVersion"`
	Compiler     string `json:"compiler"`
	Platform     string `json:"platform"`
}

// Current is the info of this binary.
func Current() Info {
	return Info{version, commit, treeState, date, runtime.Version(), runtime.Compiler, runtime.GOOS + "/" + runtime.GOARCH}
}

func (i Info) String() string {
	return fmt.Sprintf("version.Info{Version:%q, GitCommit:%q, GitTreeState:%q, BuildDate:%q, GoVersion:%q, Compiler:%q, Platform:%q}",
		i.Version, i.GitCommit, i.GitTreeState, i.BuildDate, i.GoVersion, i.Compiler, i.Platform)
}
