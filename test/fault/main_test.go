// Package fault breaks things around a whole control plane, and shows that what it promises under faults holds (docs/spec/safety.md,
// the numbers in brackets are of its fault matrix): the manager runs as a process of its own, against a real host and two real members
// that it reaches by links which the stories cut, stall and bend. What it did is read from the clusters and from their audit logs.
//
// The long variants (100 kills at random instead of 15, kills at ten writes instead of two, a link that flaps, a link that swallows all)
// run with -long, or with HANSA_LONG=1 in the environment.
package fault

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/hansa-io/hansa/internal/lab"
)

var long = flag.Bool("long", os.Getenv("HANSA_LONG") != "", "run the long variants: more kills, more rounds")

// What all stories share.
var (
	hansa    string   // the binary
	clusters *lab.Lab // host, m1, m2
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctrllog.SetLogger(logr.Discard())
	if testing.Short() {
		return m.Run()
	}
	if err := lookAtSources(); err != nil {
		return failed(err)
	}
	dir, err := os.MkdirTemp("", "hansa-fault-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	hansa = filepath.Join(dir, "hansa")
	if out, err := exec.Command("go", "build", "-o", hansa, "../../cmd/hansa").CombinedOutput(); err != nil {
		return failed(fmt.Errorf("build hansa: %w\n%s", err, out))
	}
	l, down, err := lab.StartMain(lab.Options{Audit: true}, "host", "m1", "m2")
	if err != nil {
		return failed(err)
	}
	clusters = l
	if err := install("host"); err != nil {
		return failed(fmt.Errorf("install in the host: %w", err))
	}
	code := m.Run()
	if err := down(); err != nil {
		return failed(err)
	}
	return code
}

// lookAtSources opens every folder that the control plane is built from. go test takes an old result for a new one as long as what the
// test itself has opened is unchanged; what a compiler that it calls opens does not count.
func lookAtSources() error {
	for _, dir := range []string{"api", "cmd", "config", "internal"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(string, fs.DirEntry, error) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
