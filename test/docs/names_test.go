package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants returns the string constants and variables of a Go file, by name.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, v := range spec.Values {
			if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				out[spec.Names[i].Name], _ = strconv.Unquote(lit.Value) // it was parsed
			}
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("no constants in %s", file)
	}
	return out
}

func mentions(t *testing.T, p page, word, what string) {
	t.Helper()
	if !strings.Contains(p.text, "`"+word) {
		t.Errorf("%s does not tell of %s `%s`", p.name, what, word)
	}
}

func TestNamesAreTold(t *testing.T) {
	p := read(t, "docs/spec/names.md")
	for name, value := range constants(t, "api/core/v1beta1/names.go") {
		mentions(t, p, value, name)
	}
}

// internalReasons are verdicts that a status never shows.
var internalReasons = []string{
	"InSync", "Creating", "Updating", "Claiming", "Deleted", "Deselected", "Owed", "Gone", "Orphaned", "Retained", "HostNamespace", "Adopted", "Unclaimed",
	"Elsewhere",
}

// actions and states of internal/plan that are no reasons.
var noReason = regexp.MustCompile(`^(Place|Withdraw|Release|Hold|KeepFinalizer|AddFinalizer|RemoveFinalizer|Unchanged|Pending|Done|Failed|Refused|Did.*)$`)

func TestStatusesAreTold(t *testing.T) {
	p := read(t, "docs/spec/federated-objects.md")
	for name, value := range constants(t, "internal/plan/plan.go") {
		if noReason.MatchString(name) || slices.Contains(internalReasons, value) {
			continue
		}
		mentions(t, p, value, "status")
	}
	for name, value := range constants(t, "internal/plan/world.go") {
		if strings.HasPrefix(name, "View") && value != "Synced" && value != "Waiting" {
			mentions(t, p, value, "status")
		}
	}
	literal := regexp.MustCompile(`"((?:Creation|Update|Deletion|LabelRemoval|Retrieval|FieldRetention|ClientRetrieval)(?:Failed|TimedOut)|Fighting)"`)
	for _, file := range []string{"internal/apply/apply.go", "internal/fleet/lane.go", "internal/fleet/member.go", "internal/rollup/rollup.go"} {
		for _, m := range literal.FindAllStringSubmatch(source(t, file), -1) {
			mentions(t, p, m[1], "status")
		}
	}
}

func TestReasonsOfClustersAreTold(t *testing.T) {
	p := read(t, "docs/spec/kubefedcluster.md")
	for _, file := range []string{"internal/cluster/fault.go", "internal/cluster/connect.go"} {
		for name, value := range constants(t, file) {
			if strings.HasPrefix(name, "Reason") {
				mentions(t, p, value, "reason")
			}
		}
	}
}

func source(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestFlagsAreTold(t *testing.T) {
	p := read(t, "docs/guide/operations.md")
	for _, file := range []string{"cmd/hansa/manager.go", "cmd/hansa/measure.go", "internal/cli/join.go"} {
		for _, m := range regexp.MustCompile(`\.\w+Var\(&[fm]\.[\w.]+, "([a-z-]+)"`).FindAllStringSubmatch(source(t, file), -1) {
			mentions(t, p, "--"+m[1], "flag")
		}
	}
}

// Each error of kubefedctl names a page: it must be there and be about that error.
func TestErrorsHavePages(t *testing.T) {
	index := read(t, "docs/errors/README.md")
	exits := map[string]string{"Refused": "1", "Usage": "2", "Unreachable": "3", "Forbidden": "4", "Conflict": "5", "Partial": "6", "Paused": "7"}
	known := map[string]bool{"README.md": true}
	for _, m := range regexp.MustCompile(`Code\{"(KF\d+)", (\w+), "([^"]+)"\}`).FindAllStringSubmatch(source(t, "internal/fail/codes.go"), -1) {
		id, exit, what := m[1], m[2], m[3]
		known[id+".md"] = true
		p := read(t, "docs/errors/"+id+".md")
		if want := fmt.Sprintf("# %s: %s\n\nExit code %s.\n", id, what, exits[exit]); !strings.HasPrefix(p.text, want) {
			t.Errorf("%s does not begin with %q", p.name, want)
		}
		if !strings.Contains(index.text, fmt.Sprintf("[%s](%s.md) | %s |", id, id, what)) {
			t.Errorf("%s does not list %s", index.name, id)
		}
	}
	files, err := os.ReadDir(filepath.Join(root, "docs/errors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("docs/errors/%s is about no error", f.Name())
		}
	}
}

// Every package has its line in ARCHITECTURE.md, and no line is about a package that is not there.
func TestPackagesAreTold(t *testing.T) {
	p := read(t, "ARCHITECTURE.md")
	for _, pattern := range []string{"internal/*", "cmd/*"} {
		dirs, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dirs {
			rel, _ := filepath.Rel(root, d) // it came from root
			mentions(t, p, rel+"`", "package")
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9/-]+)` \\|").FindAllStringSubmatch(p.text, -1) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("%s tells of %s, which is not there", p.name, m[1])
		}
	}
}

// Decisions are numbered without gaps, have the same three parts, and are listed.
func TestDecisionsAreNumbered(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/adr/[0-9]*.md"))
	if err != nil {
		t.Fatal(err)
	}
	index := read(t, "docs/adr/README.md")
	for i, f := range files {
		p := read(t, "docs/adr/"+filepath.Base(f))
		number := fmt.Sprintf("%04d-", i+1)
		if !strings.HasPrefix(filepath.Base(f), number) || !strings.HasPrefix(p.text, fmt.Sprintf("# %d. ", i+1)) {
			t.Errorf("%s: number and title should be %d", p.name, i+1)
		}
		var parts []string
		for _, h := range p.headings {
			if h.level == 2 {
				parts = append(parts, h.text)
			}
		}
		if !slices.Equal(parts, []string{"Context", "Decision", "Consequences"}) {
			t.Errorf("%s has the parts %q", p.name, parts)
		}
		if !strings.Contains(index.text, "("+filepath.Base(f)+")") {
			t.Errorf("%s does not list %s", index.name, filepath.Base(f))
		}
	}
}

// What `make` targets the documentation names is in the Makefile, and the guide for contributors names them all.
func TestTargetsAreTold(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):.*## `).FindAllStringSubmatch(source(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	for _, p := range pages(t) {
		for _, m := range regexp.MustCompile("(?:`|\n)make ([a-z-]+)").FindAllStringSubmatch(p.text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s names make %s, which is no target", p.name, m[1])
			}
		}
	}
	p := read(t, "CONTRIBUTING.md")
	for target := range targets {
		mentions(t, p, "make "+target+"`", "target")
	}
}
