// Package casefile answers: does what is decided agree with the files that say what should be? A case is a txtar file: a line that says what it
// proves, then questions and answers. With -update the answers are written anew, to be read.
package casefile

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the answers in the case files")

// Each runs f on every case that a pattern finds, each as a test of its own. f returns the case as it should be, and does not change its
// argument.
func Each(t *testing.T, pattern string, f func(*testing.T, *txtar.Archive) *txtar.Archive) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			is, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := f(t, is)
			if *update {
				if err := os.WriteFile(file, txtar.Format(want), 0o644); err != nil { //nolint:gosec // a case is no secret
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(is)), string(txtar.Format(want))); diff != "" {
				t.Errorf("%s(run with -update, and read what it wrote)\n%s", is.Comment, diff)
			}
		})
	}
}

// Answer is Each for cases with one answer, the last of their files. The first is the question.
func Answer(t *testing.T, pattern, question, answer string, f func(*testing.T, *txtar.Archive) string) {
	t.Helper()
	Each(t, pattern, func(t *testing.T, is *txtar.Archive) *txtar.Archive {
		if len(is.Comment) == 0 || len(is.Files) == 0 || is.Files[0].Name != question {
			t.Fatalf("a case is a line that says what it proves, then the files %s and %s", question, answer)
		}
		out := &txtar.Archive{Comment: is.Comment}
		for _, f := range is.Files {
			if f.Name != answer {
				out.Files = append(out.Files, f)
			}
		}
		out.Files = append(out.Files, txtar.File{Name: answer, Data: []byte(f(t, is))})
		return out
	})
}
