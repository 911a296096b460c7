// Package charts holds the Helm chart. What it installs is generated from package config, so that kubefedctl init and Helm install the
// same objects; test/chart renders it and compares.
//
//go:generate go test . -run TestFilesAreGenerated -update
package charts

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the generated files")

// The chart's crds/ and files/ are copies of config/: Helm reads nothing outside of a chart. Definitions go where Helm installs them
// first, and the namespace is left to Helm.
func TestFilesAreGenerated(t *testing.T) {
	want := copies(t)
	if *update {
		for _, dir := range []string{"crds", "files"} {
			if err := os.RemoveAll(filepath.Join("hansa", dir)); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range want {
			file := filepath.Join("hansa", name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[string]string{}
	for _, dir := range []string{"crds", "files"} {
		for name, text := range tree(t, filepath.Join("hansa", dir)) {
			got[path.Join(dir, name)] = text
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the chart is stale, run `make gen`:\n%s", diff)
	}
}

// copies are the files of config/ as the chart holds them, by their path in the chart.
func copies(t *testing.T) map[string]string {
	out := map[string]string{}
	for name, text := range tree(t, filepath.Join("..", "config")) {
		switch path.Ext(name) {
		case ".json":
			out[path.Join("files", name)] = text
			continue
		case ".yaml":
		default:
			continue
		}
		var rest []string
		for _, document := range strings.Split(text, "\n---\n") {
			var object struct {
				Kind     string
				Metadata struct{ Name string }
			}
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch document = strings.TrimPrefix(strings.TrimRight(document, "\n")+"\n", "---\n"); object.Kind {
			case "CustomResourceDefinition":
				out[path.Join("crds", object.Metadata.Name+".yaml")] = document
			case "Namespace":
			default:
				rest = append(rest, document)
			}
		}
		if len(rest) > 0 {
			out[path.Join("files", name)] = strings.Join(rest, "---\n")
		}
	}
	return out
}

// tree reads all files below a folder.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every value has a default, a line in the table of the README with that default, and a place in the schema.
func TestValuesAreDocumented(t *testing.T) {
	var values, schema map[string]any
	read(t, "hansa/values.yaml", &values)
	read(t, "hansa/values.schema.json", &schema)
	readme, err := os.ReadFile("hansa/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table []string
	for line := range strings.Lines(string(readme)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") && len(cells) >= 3 {
			table = append(table, strings.TrimPrefix(cells[0], "| ")+" "+cells[1])
		}
	}
	var want []string
	for _, v := range leaves("", values) {
		want = append(want, "`"+strings.ReplaceAll(v.path, "/", ".")+"` `"+v.value+"`")
		if !inSchema(schema, strings.Split(v.path, "/")) {
			t.Errorf("value %s is not in values.schema.json", v.path)
		}
	}
	slices.Sort(table)
	slices.Sort(want)
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("the table of values in README.md differs from values.yaml:\n%s", diff)
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

type leaf struct{ path, value string }

// leaves are the values that are no sections, with their paths. All types are one line.
func leaves(prefix string, section map[string]any) []leaf {
	var out []leaf
	for name, v := range section {
		p := path.Join(prefix, name)
		if m, ok := v.(map[string]any); ok && len(m) > 0 && p != "types" {
			out = append(out, leaves(p, m)...)
			continue
		}
		if p == "types" {
			v = "Enabled"
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(v)
		out = append(out, leaf{p, strings.Trim(b.String(), "\n")})
	}
	return out
}

func inSchema(schema map[string]any, names []string) bool {
	for _, name := range names {
		properties, _ := schema["properties"].(map[string]any)
		next, ok := properties[name].(map[string]any)
		if !ok {
			return false
		}
		schema = next
	}
	return true
}
