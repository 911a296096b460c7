package corefile

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

const zone = "clusterset.local"

// A case is a Corefile before and after, or the error. It says what it proves in its first line. What was added can be taken out again; what is then
// left, if that is not what was there before, is the file "removed".
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file := map[string]string{}
			for _, f := range a.Files {
				file[f.Name] = string(f.Data)
			}
			before := file["before"]
			got, err := Add(before, zone)
			if err != nil {
				if want := strings.TrimSpace(file["error"]); err.Error() != want {
					t.Errorf("%s got  %v\nwant %s", a.Comment, err, want)
				}
				return
			}
			if diff := cmp.Diff(file["after"], got); diff != "" {
				t.Fatalf("%s%s", a.Comment, diff)
			}
			if again, err := Add(got, zone); err != nil || again != got {
				t.Errorf("adding it twice is another thing: %v\n%s", err, cmp.Diff(got, again))
			}
			left, ok := file["removed"]
			if !ok {
				left = before
			}
			if removed, err := Remove(got, zone); err != nil || removed != left {
				t.Errorf("removed: %v\n%s", err, cmp.Diff(left, removed))
			}
			if undone, err := Undo(before, got, zone); err != nil || undone != before {
				t.Errorf("undone: %v\n%s", err, cmp.Diff(before, undone))
			}
		})
	}
}

// What others have edited since is kept.
func TestUndoKeepsWhatOthersEdited(t *testing.T) {
	before := ".:53 {\n    kubernetes cluster.local {\n    }\n    reload\n}\n"
	added, err := Add(before, zone)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(added, "    reload", "    reload 10s\n    log", 1)
	edited = strings.Replace(edited, "multicluster", "ttl 30\n        multicluster", 1)
	got, err := Undo(before, edited, zone)
	want := ".:53 {\n    kubernetes cluster.local {\n        ttl 30\n    }\n    reload 10s\n    log\n}\n"
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
}

func TestLinesEndAsTheyDo(t *testing.T) {
	before := ".:53 {\r\n    kubernetes cluster.local {\r\n        ttl 5\r\n    }\r\n}\r\n"
	want := ".:53 {\r\n    kubernetes cluster.local clusterset.local {\r\n        ttl 5\r\n        multicluster clusterset.local\r\n    }\r\n}\r\n"
	if got, err := Add(before, zone); err != nil || got != want {
		t.Errorf("%v: %q", err, got)
	}
}

func TestReloads(t *testing.T) {
	for text, want := range map[string]bool{
		".:53 {\n  reload\n}\n":                                  true,
		".:53 {\n  reload 10s\n}\nb:53 {\n log\n}\n":             true,
		".:53 {\n  # reload\n  log reload\n}\n":                  false,
		".:53 {\n  kubernetes cluster.local {\n reload\n }\n}\n": false,
	} {
		if got := Reloads(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestDiff(t *testing.T) {
	before := "a\nb\nc\nd\ne\nf\ng\nh\n"
	want := "  ...\n  c\n  d\n  e\n- f\n+ F\n+ F2\n  g\n  h\n"
	if got := Diff(before, "a\nb\nc\nd\ne\nF\nF2\ng\nh\n"); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := Diff(before, before); got != "" {
		t.Errorf("equal texts differ:\n%s", got)
	}
}

func TestJudge(t *testing.T) {
	for image, want := range map[string]Verdict{
		"registry.k8s.io/coredns/coredns:v1.12.2":                                      Supported,
		"registry.k8s.io/coredns/coredns:v1.14.0@sha256:0123":                          Supported,
		"coredns/coredns:1.15.0":                                                       Supported,
		"rancher/mirrored-coredns-coredns:1.12.3":                                      Supported,
		"localhost:5000/coredns:2.0.0":                                                 Supported,
		"registry.k8s.io/coredns/coredns:v1.12.1":                                      TooOld,
		"602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/coredns:v1.11.4-eksbuild.14": TooOld,
		"coredns/coredns:1.9.4":                                                        TooOld,
		"coredns/coredns:latest":                                                       Unknown,
		"coredns/coredns":                                                              Unknown,
		"localhost:5000/coredns":                                                       Unknown,
		"coredns@sha256:0123":                                                          Unknown,
		"coredns:1.12":                                                                 Unknown,
		"":                                                                             Unknown,
	} {
		if got, tag := Judge(image); got != want {
			t.Errorf("%s: %s (%q), want %s", image, got, tag, want)
		}
	}
}

// Whatever a Corefile holds: no word of it is lost or moved, adding twice is adding once, and what was added can be taken out.
func FuzzAdd(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			f.Add(string(file.Data))
		}
	}
	f.Fuzz(func(t *testing.T, before string) {
		after, err := Add(before, zone)
		if err != nil {
			return
		}
		if !part([]byte(before), []byte(after)) || !part(words(t, before), words(t, after)) {
			t.Fatalf("something was lost or moved:\n%q\n%q", before, after)
		}
		again, err := Add(after, zone)
		if err != nil || again != after {
			t.Fatalf("adding twice: %v\n%q\n%q", err, after, again)
		}
		if strings.Contains(strings.ToLower(strings.ReplaceAll(before, "\r", "")), zone) {
			return // a part of it was there before
		}
		removed, err := Remove(after, zone)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(words(t, before), words(t, removed)) && !ambiguous(before) {
			t.Fatalf("removed:\n%q\n%q", before, removed)
		}
	})
}

// part says whether a list is a part of another one, in the same order.
func part[T comparable](list, of []T) bool {
	for _, x := range of {
		if len(list) > 0 && list[0] == x {
			list = list[1:]
		}
	}
	return len(list) == 0
}

func words(t *testing.T, text string) []string {
	all, err := lex(text)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, w := range all {
		out = append(out, w.text)
	}
	return out
}

// ambiguous says whether a text has braces with nothing in them, or the option without a zone: they look like what adding makes.
func ambiguous(text string) bool {
	blocks, _ := parse(text)
	for _, b := range blocks {
		for _, d := range named(b.body, plugin) {
			empty := func(d directive) bool { return len(d.args) == 0 }
			if d.open != nil && len(d.body) == 0 || slices.ContainsFunc(named(d.body, option), empty) {
				return true
			}
		}
	}
	return false
}
