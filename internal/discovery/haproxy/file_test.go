package haproxy_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

var update = flag.Bool("update", false, "write the files that follow from the configurations")

// The file that each configuration leads to, and that HAProxy takes it where there is one.
func TestFile(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var c haproxy.Config
			if err := yaml.UnmarshalStrict(a.Files[0].Data, &c); err != nil {
				t.Fatal(err)
			}
			got := c.File(haproxy.Files{State: "/run/hansa/haproxy.state", Socket: "/run/hansa/admin.sock"})
			taken(t, got)
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "haproxy.cfg", Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 {
				t.Fatal("no haproxy.cfg in the case: run with -update, and read what it wrote")
			}
			if d := cmp.Diff(string(a.Files[1].Data), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// taken fails the test if HAProxy does not take a file. Without HAProxy nothing is known.
func taken(t *testing.T, content string) {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			t.Log("not checked by HAProxy, which is not installed: test/packages.sh installs it")
			return
		}
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "-c", "-f", path).CombinedOutput(); err != nil {
		t.Errorf("HAProxy does not take the file: %v\n%s\n%s", err, out, content)
	}
}
