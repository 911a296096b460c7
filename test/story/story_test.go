// Package story holds the user's stories: scripts that read like a manual and run on real clusters. Each starts a lab of its own,
// types what a user types, and clears up.
package story

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// binaries is where hansa and kubefedctl are built, once for all stories.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	var err error
	if binaries, err = os.MkdirTemp("", "hansa-bin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(binaries)
	out, err := exec.Command("go", "build", "-o", binaries, "../../cmd/hansa", "../../cmd/kubefedctl").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestStories(t *testing.T) {
	if testing.Short() {
		t.Skip("stories need a lab")
	}
	dns := servers{}
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		Setup:               stage,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"until": until, "nameserver": dns.start, "answers": dns.answers},
	})
}

// stage gives a story its clusters' folder and the commands.
func stage(env *testscript.Env) error {
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(bin, "kubectl")); err != nil {
		return fmt.Errorf("%w: make lab-build makes it", err)
	}
	dir, err := os.MkdirTemp("", "hansa-story-")
	if err != nil {
		return err
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	env.Setenv("PATH", strings.Join([]string{binaries, bin, os.Getenv("PATH")}, string(os.PathListSeparator)))
	env.Setenv("LAB", dir)
	env.Setenv("EXAMPLES", examples)
	env.Setenv("KUBECONFIG", filepath.Join(dir, "kubeconfig"))
	env.Defer(func() {
		if out, err := exec.Command(filepath.Join(bin, "hansa-lab"), "down", "--dir", dir).CombinedOutput(); err != nil {
			env.T().Log("hansa-lab down:", err, string(out))
		}
		_ = os.RemoveAll(dir)
	})
	return nil
}

// until runs a command again and again until it succeeds and its output matches:
//
//	until 30s 'regexp' command arg...
//
// With ! it runs until the command fails or no longer matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: until DURATION REGEXP COMMAND ARG...")
	}
	patience, err := time.ParseDuration(args[0])
	ts.Check(err)
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	deadline := time.Now().Add(patience)
	for {
		var out bytes.Buffer
		cmd := exec.Command("env", append([]string{"-C", ts.Getenv("WORK"), "PATH=" + ts.Getenv("PATH"), "KUBECONFIG=" + ts.Getenv("KUBECONFIG")}, args[2:]...)...)
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if (err == nil && want.Match(out.Bytes())) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not in %s: %s\nprinted:\n%s", patience, strings.Join(args[1:], " "), out.String())
		}
		time.Sleep(100 * time.Millisecond)
	}
}
