package divide_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/plan/divide"
)

// requestFile is a request as the case files write it.
type requestFile struct {
	Total       int64                     `json:"total"`
	Key         string                    `json:"key"`
	Rebalance   bool                      `json:"rebalance"`
	Preferences map[string]preferenceFile `json:"preferences"`
	// Clusters are A, B and C by default.
	Clusters map[string]clusterFile `json:"clusters"`
	// KubeFed is what KubeFed's planner writes for the same request.
	KubeFed map[string]int64 `json:"kubefed"`
}

type preferenceFile struct {
	Min    int64  `json:"min"`
	Max    *int64 `json:"max"`
	Weight int64  `json:"weight"`
}

type clusterFile struct {
	Current  int64  `json:"current"`
	Capacity *int64 `json:"capacity"`
}

// TestCases divides every request in testdata. A case file says in its first line what it proves; what KubeFed would write stands in
// the request, and where we differ the division says so.
func TestCases(t *testing.T) {
	casefile.Each(t, "testdata/*.txtar", runCase)
}

// runCase runs the pairs of request and division in a file.
func runCase(t *testing.T, a *txtar.Archive) *txtar.Archive {
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		if f.Name != "request" {
			continue
		}
		out.Files = append(out.Files, f, txtar.File{Name: "division", Data: []byte(divideFile(t, f.Data))})
	}
	if len(out.Files) == 0 {
		t.Errorf("%sthere is no request", a.Comment)
	}
	return out
}

func divideFile(t *testing.T, data []byte) string {
	var f requestFile
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatal(err)
	}
	r := divide.Request{Total: f.Total, Key: f.Key, Rebalance: f.Rebalance, Preferences: map[string]divide.Preference{}}
	if r.Key == "" {
		r.Key = "test-ns/test-deployment"
	}
	if f.Clusters == nil {
		f.Clusters = map[string]clusterFile{"A": {}, "B": {}, "C": {}}
	}
	for name, c := range f.Clusters {
		r.Clusters = append(r.Clusters, divide.Cluster{Name: name, Current: c.Current, Capacity: c.Capacity})
	}
	for name, p := range f.Preferences {
		r.Preferences[name] = divide.Preference{Min: p.Min, Max: p.Max, Weight: p.Weight}
	}
	d := divide.Divide(r)
	got := map[string]int64{}
	var b strings.Builder
	for _, s := range d.Shares {
		got[s.Cluster] = s.Replicas
		fmt.Fprintf(&b, "%s %d %s: %s\n", s.Cluster, s.Replicas, s.Reason, s.Message)
	}
	if d.Unplaced > 0 {
		fmt.Fprintf(&b, "unplaced %d\n", d.Unplaced)
	}
	if f.KubeFed != nil && !maps.Equal(got, f.KubeFed) {
		b.WriteString("KubeFed writes")
		for _, name := range slices.Sorted(maps.Keys(f.KubeFed)) {
			fmt.Fprintf(&b, " %s %d", name, f.KubeFed[name])
		}
		b.WriteString("\n")
	}
	return b.String()
}
