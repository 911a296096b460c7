// Package admission tells, case by case, what the API server takes and what it refuses, and in which words. The cases are the files in
// testdata; its README.md says which bad inputs are found elsewhere, and where that is tested.
package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
	"github.com/hansa-io/hansa/internal/convert"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/lab"
)

// oneCase is a document of a file in testdata: a request, and what the API server says to it. What is neither refused nor warned of is
// accepted without a word.
type oneCase struct {
	Case string `json:"case"`
	// Base is an object of bases.yaml, With a merge patch on it. Object is a whole object, for what a merge patch cannot say.
	Base   string         `json:"base"`
	With   map[string]any `json:"with"`
	Object map[string]any `json:"object"`
	// Then is a merge patch that is sent when the object is stored, ThenStatus one for its status; Delete deletes it.
	Then       map[string]any `json:"then"`
	ThenStatus map[string]any `json:"thenStatus"`
	Delete     bool           `json:"delete"`
	// As is the user of the request; else it is the administrator.
	As string `json:"as"`
	// Refused and Warns are parts of the answer, the path of the field among them. Becomes is the spec that is stored.
	Refused []string       `json:"refused"`
	Warns   []string       `json:"warns"`
	Becomes map[string]any `json:"becomes"`
}

func TestCases(t *testing.T) {
	h := clusters(t)
	files, err := filepath.Glob("testdata/cases-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "cases-"), ".yaml"), func(t *testing.T) {
			for _, c := range documents[oneCase](t, file) {
				t.Run(c.Case, func(t *testing.T) {
					t.Parallel()
					h.try(t, c)
				})
			}
		})
	}
}

// host is a cluster with all that an installation has, and the users of users.yaml.
type host struct {
	config *rest.Config
	scheme *runtime.Scheme
	admin  client.Client
	bases  map[string]map[string]any
}

var labs = lab.Shared(lab.Options{}, "host")

var once sync.Once

var shared *host

// clusters installs once, for all tests.
func clusters(t testing.TB) *host {
	t.Helper()
	l := labs(t)
	once.Do(func() { shared = prepare(t, l) })
	if shared == nil {
		t.Fatal("the host could not be prepared")
	}
	return shared
}

// prepare installs on a fresh host and goes on at once: what is installed must count by then, and nothing may answer 503 any more.
func prepare(t testing.TB, l *lab.Lab) *host {
	t.Helper()
	h := &host{config: l.Config("host"), scheme: runtime.NewScheme(), bases: map[string]map[string]any{}}
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, fedv1.AddToScheme} {
		if err := add(h.scheme); err != nil {
			t.Fatal(err)
		}
	}
	h.admin = h.as(t, "", nil)
	objects, err := config.Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	if err != nil {
		t.Fatal(err)
	}
	i := install.Installer{Client: h.admin, At: fail.Place{Context: "host"}, Told: func(*unstructured.Unstructured, install.Result) {}}
	if err := i.Install(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
	users, err := os.ReadFile("testdata/users.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rights, err := convert.Decode(users)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range rights {
		if err := h.admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range documents[map[string]any](t, "testdata/bases.yaml") {
		for name, object := range b {
			h.bases[name] = object.(map[string]any)
		}
	}
	return h
}

// as is a client of a user that hears the server's warnings.
func (h *host) as(t testing.TB, user string, heard *warnings) client.Client {
	t.Helper()
	c := rest.CopyConfig(h.config)
	c.Impersonate.UserName = user
	c.WarningHandler = heard
	if heard == nil {
		c.WarningHandler = rest.NoWarnings{}
	}
	out, err := client.New(c, client.Options{Scheme: h.scheme})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type warnings struct{ texts []string }

func (w *warnings) HandleWarningHeader(_ int, _, text string) { w.texts = append(w.texts, text) }

// try sends the request of a case. A request about a stored object comes after the administrator has stored it; nothing else is kept.
func (h *host) try(t *testing.T, c oneCase) {
	t.Helper()
	heard := &warnings{}
	user := h.as(t, c.As, heard)
	o := h.object(t, c)
	var err error
	if c.Then == nil && c.ThenStatus == nil && !c.Delete {
		err = user.Create(t.Context(), o, client.DryRunAll)
	} else {
		o.SetName(unique(o, c))
		if err := h.admin.Create(t.Context(), o); client.IgnoreAlreadyExists(err) != nil {
			t.Fatalf("cannot be stored: %v", err)
		}
		err = change(t.Context(), user, o, c)
	}
	judge(t, "refused", c.Refused, err)
	judge(t, "warned of", c.Warns, heard.err())
	if c.Becomes != nil {
		if diff := cmp.Diff(text(t, c.Becomes), text(t, o.Object["spec"])); diff != "" {
			t.Errorf("the spec becomes (- want, + got):\n%s", diff)
		}
	}
}

func change(ctx context.Context, user client.Client, o *unstructured.Unstructured, c oneCase) error {
	switch {
	case c.Delete:
		return user.Delete(ctx, o, client.DryRunAll)
	case c.ThenStatus != nil:
		return user.Status().Patch(ctx, o, merge(map[string]any{"status": c.ThenStatus}), &client.SubResourcePatchOptions{PatchOptions: client.PatchOptions{DryRun: []string{metav1.DryRunAll}}})
	default:
		return user.Patch(ctx, o, merge(c.Then), client.DryRunAll)
	}
}

func merge(patch map[string]any) client.Patch {
	data, err := json.Marshal(patch)
	if err != nil {
		panic(err) // it was decoded from a file
	}
	return client.RawPatch(types.MergePatchType, data)
}

// unique keeps stored objects of one kind apart, but for those whose name is not theirs to choose.
func unique(o *unstructured.Unstructured, c oneCase) string {
	switch o.GetKind() {
	case "FederatedNamespace", "FederatedTypeConfig":
		return o.GetName()
	}
	word := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}
	return strings.Trim(strings.Map(word, c.Case), "-")
}

// object is the base with the patch on it, or the whole object of the case.
func (h *host) object(t *testing.T, c oneCase) *unstructured.Unstructured {
	t.Helper()
	if c.Object != nil {
		return &unstructured.Unstructured{Object: c.Object}
	}
	base, ok := h.bases[c.Base]
	if !ok {
		t.Fatalf("there is no base %q", c.Base)
	}
	doc, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	if c.With != nil {
		patch, err := json.Marshal(c.With)
		if err != nil {
			t.Fatal(err)
		}
		if doc, err = jsonpatch.MergePatch(doc, patch); err != nil {
			t.Fatal(err)
		}
	}
	o := map[string]any{}
	if err := utiljson.Unmarshal(doc, &o); err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: o}
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (w *warnings) err() error {
	if len(w.texts) == 0 {
		return nil
	}
	return said(strings.Join(w.texts, "\n"))
}

type said string

func (s said) Error() string { return string(s) }

// judge compares what was said with the parts that must be in it; no parts mean that nothing may be said.
func judge(t *testing.T, what string, want []string, got error) {
	t.Helper()
	switch {
	case got == nil && len(want) > 0:
		t.Errorf("is not %s", what)
	case got != nil && len(want) == 0:
		t.Errorf("is %s: %v", what, got)
	}
	for _, part := range want {
		if got != nil && !strings.Contains(got.Error(), part) {
			t.Errorf("is %s, but without the words %q: %v", what, part, got)
		}
	}
}

// documents reads the YAML documents of a file, whose numbers are as those of the API.
func documents[T any](t testing.TB, file string) []T {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	for _, doc := range bytes.Split(data, []byte("\n---\n")) {
		raw, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", file, err, doc)
		}
		var item T
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&item); err != nil {
			t.Fatalf("%s: %v in\n%s", file, err, doc)
		}
		out = append(out, item)
	}
	return out
}
