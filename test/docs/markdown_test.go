// Package docs tests the documentation: that what it says of names, flags and files is so, and that its examples work.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// page is one Markdown file.
type page struct {
	// name is its path from the root of the repository.
	name     string
	text     string
	headings []heading
	blocks   []block
	// prose is the text without code blocks.
	prose string
}

type heading struct {
	level int
	text  string
}

// block is a fenced code block.
type block struct {
	line int
	info string
	text string
}

var (
	fence = regexp.MustCompile("^( *)```(.*)$")
	title = regexp.MustCompile(`^(#+) (.+)$`)
)

// read parses a page.
func read(t *testing.T, name string) page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	p := page{name: name, text: string(data)}
	var open *block
	var prose strings.Builder
	for n, line := range strings.Split(p.text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && open == nil:
			open = &block{line: n + 1, info: m[2]}
		case m != nil:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			prose.WriteString(line + "\n")
			if h := title.FindStringSubmatch(line); h != nil {
				p.headings = append(p.headings, heading{len(h[1]), h[2]})
			}
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: code block without an end", name, open.line)
	}
	p.prose = prose.String()
	return p
}

// pages are all pages of the documentation.
func pages(t *testing.T) []page {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]page, len(names))
	for i, name := range names {
		rel, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = read(t, rel)
	}
	return all
}

// The Chinese README is the English one in another language: the same headings in the same order, the same commands and manifests.
func TestREADMEsAreAlike(t *testing.T) {
	en, zh := read(t, "README.md"), read(t, "README.zh.md")
	if len(en.headings) != len(zh.headings) {
		t.Errorf("%d headings in English, %d in Chinese", len(en.headings), len(zh.headings))
	}
	for i := range min(len(en.headings), len(zh.headings)) {
		if e, z := en.headings[i], zh.headings[i]; e.level != z.level {
			t.Errorf("heading %d: %q has level %d, %q has level %d", i+1, e.text, e.level, z.text, z.level)
		}
	}
	if len(en.blocks) != len(zh.blocks) {
		t.Errorf("%d code blocks in English, %d in Chinese", len(en.blocks), len(zh.blocks))
	}
	for i := range min(len(en.blocks), len(zh.blocks)) {
		if e, z := en.blocks[i], zh.blocks[i]; e.info != z.info || e.text != z.text {
			t.Errorf("code block %d differs: README.md:%d, README.zh.md:%d", i+1, e.line, z.line)
		}
	}
	if e, z := strings.Count(en.prose, "\n|"), strings.Count(zh.prose, "\n|"); e != z {
		t.Errorf("%d lines of tables in English, %d in Chinese", e, z)
	}
	if e, z := strings.Count(en.prose, "\n- "), strings.Count(zh.prose, "\n- "); e != z {
		t.Errorf("%d items of lists in English, %d in Chinese", e, z)
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Links within the repository lead to a file, and to a heading of it if they name one.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(p.prose, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := p.name
			if target != "" {
				path = filepath.Join(filepath.Dir(p.name), target)
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: link to %s leads nowhere", p.name, m[1])
				continue
			}
			if anchor != "" && !anchors(read(t, path))[anchor] {
				t.Errorf("%s: %s has no heading for #%s", p.name, path, anchor)
			}
		}
	}
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are those that GitHub makes of headings.
func anchors(p page) map[string]bool {
	out := map[string]bool{}
	for _, h := range p.headings {
		out[strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(h.text), ""), " ", "-")] = true
	}
	return out
}

// A page says in its first line what it is about.
func TestPagesBeginWithATitle(t *testing.T) {
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.text, "# ") {
			t.Errorf("%s does not begin with a title", p.name)
		}
	}
}
