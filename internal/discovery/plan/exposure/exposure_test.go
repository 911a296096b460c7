package exposure_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/discovery/plan/exposure"
)

// TestCases makes the plan of every world in testdata. A case file says in its first line what it proves.
func TestCases(t *testing.T) {
	casefile.Answer(t, "testdata/*.txtar", "world", "plan", runCase)
}

func runCase(t *testing.T, a *txtar.Archive) string {
	return words(exposure.Make(read(t, a.Files[0].Data)))
}

// worldFile is a world as the case files write it. What they leave out is as it is on a good day: everything has been read, exports are
// federated, there is one Domain "fed", and the service is placed in all clusters.
type worldFile struct {
	Expose    string            `json:"expose"`
	Domain    string            `json:"domain"`
	Type      string            `json:"type"`
	Deleting  bool              `json:"deleting"`
	Passed    map[string]string `json:"passed"`
	Placement map[string]any    `json:"placement"`
	Export    *neighbourFile    `json:"export"`
	Record    *neighbourFile    `json:"record"`
	// NotFederated says that FederatedServiceExports are not.
	NotFederated bool     `json:"notFederated"`
	Domains      []string `json:"domains"`
	Unread       bool     `json:"unread"`
}

// neighbourFile is one that is there, made for this service unless Owner says otherwise; "none" is nobody.
type neighbourFile struct {
	Owner     string            `json:"owner"`
	Deleting  bool              `json:"deleting"`
	Placement map[string]any    `json:"placement"`
	Passed    map[string]string `json:"passed"`
	Domain    string            `json:"domain"`
	Unread    bool              `json:"unread"`
	Problem   string            `json:"problem"`
}

func everywhere() map[string]any { return map[string]any{"clusterSelector": map[string]any{}} }

func read(t *testing.T, data []byte) exposure.World {
	t.Helper()
	f := worldFile{Placement: everywhere(), Domains: []string{"fed"}}
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatal(err)
	}
	return exposure.World{
		Service: exposure.Service{
			Namespace: "shop", Name: "web", UID: "u1", Deleting: f.Deleting, Expose: f.Expose, Domain: f.Domain, Type: f.Type,
			Placement: f.Placement, Passed: f.Passed,
		},
		Export: f.Export.neighbour("e"), Record: f.Record.neighbour("r"),
		Exportable: !f.NotFederated, Domains: f.Domains, DomainsRead: !f.Unread,
	}
}

func (f *neighbourFile) neighbour(uid types.UID) exposure.Neighbour {
	switch {
	case f == nil:
		return exposure.Neighbour{Read: true}
	case f.Unread, f.Problem != "":
		return exposure.Neighbour{Problem: f.Problem}
	}
	owner := types.UID("u1")
	switch f.Owner {
	case "":
	case "none":
		owner = ""
	default:
		owner = types.UID(f.Owner)
	}
	placement := f.Placement
	if placement == nil {
		placement = everywhere()
	}
	return exposure.Neighbour{Read: true, UID: uid, Deleting: f.Deleting, Owner: owner, Placement: placement, Passed: f.Passed, Domain: f.Domain}
}

func words(p exposure.Plan) string {
	line := func(name string, s exposure.Step) string {
		out := fmt.Sprintf("%s: %s %s", name, s.Verdict, s.Reason)
		if s.Domain != "" {
			out += " domain=" + s.Domain
		}
		return out + "\n"
	}
	out := line("export", p.Export) + line("record", p.Record)
	for _, problem := range p.Problems {
		out += fmt.Sprintf("problem: %s: %s\n", problem.Reason, problem.Message)
	}
	return out
}

func TestWords(t *testing.T) {
	for annotation, want := range map[string]string{
		"":                              "",
		"clusterset":                    "clusterset",
		" balance , public,clusterset ": "clusterset,public,balance",
		"public,,public":                "public",
		"Public,web":                    "Public,web",
	} {
		if got := exposure.Read(annotation).String(); got != want {
			t.Errorf("%q is %q, not %q", annotation, got, want)
		}
	}
	if exposure.Read("wide").Exported() || !exposure.Read("balance").Exported() {
		t.Error("what is exported")
	}
}

// TestNothingOfOthers: whatever the world is, what was not made for the service is left, what was not read is left, a plan that is done is
// not done again, and the same world has the same plan.
func TestNothingOfOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p := exposure.Make(w)
		if !reflect.DeepEqual(p, exposure.Make(w)) {
			t.Fatal("the same world has another plan")
		}
		for name, s := range map[string]struct {
			exposure.Step
			of exposure.Neighbour
		}{"export": {p.Export, w.Export}, "record": {p.Record, w.Record}} {
			if s.Reason == "" || s.Message == "" {
				t.Fatalf("%s: a step without a reason: %+v", name, s.Step)
			}
			others := s.of.UID != "" && s.of.Owner != w.Service.UID
			if s.Verdict != exposure.Leave && (!s.of.Read || others || w.Service.Deleting || s.of.Deleting) {
				t.Fatalf("%s: %s of what is not known, not ours, or leaving", name, s.Verdict)
			}
			if s.Verdict == exposure.Remove && len(exposure.Read(w.Service.Expose).Unknown) > 0 {
				t.Fatalf("%s: a word that nobody knows takes it away", name)
			}
		}
		if again := exposure.Make(done(w, p)); again.Export.Verdict != exposure.Leave || again.Record.Verdict != exposure.Leave {
			t.Fatalf("done, and to be done again: %+v", again)
		}
	})
}

func drawWorld(t *rapid.T) exposure.World {
	placements := rapid.SampledFrom([]map[string]any{nil, everywhere(), {"clusters": []any{}}, {"clusters": []any{map[string]any{"name": "a"}}}})
	passed := rapid.SampledFrom([]map[string]string{nil, {"kubefed.io/orphan": "true"}})
	domain := rapid.SampledFrom([]string{"", "fed", "other", "gone"})
	neighbour := rapid.Custom(func(t *rapid.T) exposure.Neighbour {
		if rapid.Bool().Draw(t, "absent") {
			return exposure.Neighbour{Read: rapid.Bool().Draw(t, "read"), Problem: rapid.SampledFrom([]string{"", "forbidden"}).Draw(t, "problem")}
		}
		return exposure.Neighbour{
			Read: true, UID: "n", Deleting: rapid.Bool().Draw(t, "leaving"), Owner: rapid.SampledFrom([]types.UID{"", "u1", "u0"}).Draw(t, "owner"),
			Placement: placements.Draw(t, "its placement"), Passed: passed.Draw(t, "its annotations"), Domain: domain.Draw(t, "its domain"),
		}
	})
	return exposure.World{
		Service: exposure.Service{
			UID: "u1", Deleting: rapid.Bool().Draw(t, "deleting"), Type: rapid.SampledFrom([]string{"", "ExternalName"}).Draw(t, "type"),
			Expose: strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"clusterset", "public", "balance", "wide"}), 0, 3).Draw(t, "words"), ","),
			Domain: domain.Draw(t, "domain"), Placement: placements.Draw(t, "placement"), Passed: passed.Draw(t, "annotations"),
		},
		Export: neighbour.Draw(t, "export"), Record: neighbour.Draw(t, "record"), Exportable: rapid.Bool().Draw(t, "exportable"),
		Domains: slices.Sorted(maps.Keys(rapid.MapOfN(rapid.SampledFrom([]string{"fed", "other"}), rapid.Bool(), 0, 2).Draw(t, "domains"))), DomainsRead: rapid.Bool().Draw(t, "domains read"),
	}
}

// done is the world after a plan has been carried out.
func done(w exposure.World, p exposure.Plan) exposure.World {
	after := func(n exposure.Neighbour, s exposure.Step) exposure.Neighbour {
		switch s.Verdict {
		case exposure.Put:
			n.UID, n.Owner, n.Placement, n.Passed, n.Domain = "n", w.Service.UID, w.Service.Placement, w.Service.Passed, s.Domain
		case exposure.Remove:
			n = exposure.Neighbour{Read: true}
		}
		return n
	}
	w.Export, w.Record = after(w.Export, p.Export), after(w.Record, p.Record)
	return w
}
