package haproxy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// The file that each configuration leads to, and that HAProxy takes it where there is one.
func TestFile(t *testing.T) {
	casefile.Answer(t, "testdata/*.txtar", "config", "haproxy.cfg", func(t *testing.T, a *txtar.Archive) string {
		var c haproxy.Config
		if err := yaml.UnmarshalStrict(a.Files[0].Data, &c); err != nil {
			t.Fatal(err)
		}
		got := c.File(haproxy.Files{State: "/run/hansa/haproxy.state", Socket: "/run/hansa/admin.sock"})
		taken(t, got)
		return got
	})
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
