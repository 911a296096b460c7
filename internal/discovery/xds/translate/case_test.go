package translate_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/xds/translate"
)

// caseFile is a model and the places from which it is looked at.
type caseFile struct {
	Places []translate.Place
	// Show are the types of resources to show: endpoints in short, others in full.
	Show  []string
	Model balance.Model
}

// TestCases translates every model in testdata. A case file says in its first line what it proves.
func TestCases(t *testing.T) {
	casefile.Answer(t, "testdata/*.txtar", "model", "resources", runCase)
}

func runCase(t *testing.T, a *txtar.Archive) string {
	var f caseFile
	if err := yaml.UnmarshalStrict(a.Files[0].Data, &f); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range f.Places {
		fmt.Fprintf(&b, "# %s\n", placeOf(p))
		r, problems := translate.Of(f.Model, p)
		for _, show := range f.Show {
			b.WriteString(print(t, r, show))
		}
		for _, p := range problems {
			fmt.Fprintf(&b, "! %s\n", p)
		}
	}
	return b.String()
}

func placeOf(p translate.Place) string {
	words := []string{"a proxy"}
	if p.GRPC {
		words[0] = "a gRPC client"
	}
	for _, w := range [][2]string{{"region", p.Region}, {"zone", p.Zone}, {"cluster", p.Cluster}} {
		if w[1] != "" {
			words = append(words, w[0]+" "+w[1])
		}
	}
	return strings.Join(words, ", ")
}

// print shows the resources of a type, sorted.
func print(t *testing.T, r translate.Resources, show string) string {
	var b strings.Builder
	for _, typ := range translate.Types {
		if path.Ext(typ) != "."+show {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(r[typ])) {
			if l, ok := r[typ][name].(*endpointv3.ClusterLoadAssignment); ok {
				b.WriteString(name + "\n" + endpoints(l))
				continue
			}
			b.WriteString(full(t, r[typ][name]))
		}
	}
	return b.String()
}

// endpoints has a line for each locality.
func endpoints(l *endpointv3.ClusterLoadAssignment) string {
	var b strings.Builder
	for _, e := range l.GetEndpoints() {
		fmt.Fprintf(&b, "  priority=%d weight=%d %s/%s/%s:", e.GetPriority(), e.GetLoadBalancingWeight().GetValue(), e.GetLocality().GetRegion(), e.GetLocality().GetZone(), e.GetLocality().GetSubZone())
		for _, a := range e.GetLbEndpoints() {
			at := a.GetEndpoint().GetAddress().GetSocketAddress()
			fmt.Fprintf(&b, " %s:%d", at.GetAddress(), at.GetPortValue())
			if s := a.GetHealthStatus().String(); s != "HEALTHY" {
				b.WriteString("=" + s)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func full(t *testing.T, m proto.Message) string {
	j, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.JSONToYAML(j)
	if err != nil {
		t.Fatal(err)
	}
	return "---\n" + string(y)
}
