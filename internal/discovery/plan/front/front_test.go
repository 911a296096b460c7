package front_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/plan/front"
)

// TestCases makes the plan of every world in testdata. A case file says in its first line what it proves.
func TestCases(t *testing.T) {
	casefile.Answer(t, "testdata/*.txtar", "objects", "plan", runCase)
}

func runCase(t *testing.T, a *txtar.Archive) string {
	w := readWorld(t, a)
	p := front.Make(w)
	got := show(p)
	if again := show(front.Make(shuffled(w))); again != got {
		t.Errorf("the same world in another order gives another plan: %s", gocmp.Diff(got, again))
	}
	if again := show(front.Make(told(w, p))); again != noParent.ReplaceAllString(got, "") {
		t.Errorf("the world that the plan makes gives another plan: %s", gocmp.Diff(got, again))
	}
	checkPorts(t, p)
	return got
}

// noParent is what is told once, when the last parent of ours has left.
var noParent = regexp.MustCompile(`.* has no parent of ours any more\n`)

// checkPorts: nobody listens where another does.
func checkPorts(t *testing.T, p front.Plan) {
	for n, l := range p.Listeners {
		for _, other := range p.Listeners[n+1:] {
			if l.Port == other.Port && (l.Address == other.Address || l.Address == "" || other.Address == "") {
				t.Errorf("%s and %s both listen to %d", l.Name, other.Name, l.Port)
			}
		}
	}
}

var now = metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))

// readWorld: the class hansa, the AddressPool edge and the namespaces of all objects are there unless the case says otherwise.
func readWorld(t *testing.T, a *txtar.Archive) front.World {
	w := front.World{Home: "kube-federation-system", Namespaces: map[string]labels.Set{}, Now: now}
	bare := false
	for _, f := range a.Files {
		switch f.Name {
		case "objects":
			readObjects(t, f.Data, &w)
		case "services":
			for line := range strings.Lines(string(f.Data)) {
				fields := strings.Fields(line)
				namespace, name, _ := strings.Cut(fields[0], "/")
				for _, port := range fields[1:] {
					number, _ := strconv.Atoi(port)
					w.Services = append(w.Services, balance.Service{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}, Port: int32(number)})
				}
			}
		case "namespaces":
			for line := range strings.Lines(string(f.Data)) {
				fields := strings.Fields(line)
				w.Namespaces[fields[0]], _ = labels.ConvertSelectorToLabelsMap(strings.Join(fields[1:], ","))
			}
		case "bare":
			bare = true
		}
	}
	if len(w.Classes) == 0 {
		w.Classes = []*gwv1.GatewayClass{{ObjectMeta: metav1.ObjectMeta{Name: "hansa"}, Spec: gwv1.GatewayClassSpec{ControllerName: front.Controller}}}
	}
	if len(w.Pools) == 0 && !bare {
		w.Pools = []*discv1.AddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "edge"}, Spec: discv1.AddressPoolSpec{Addresses: []discv1.PoolAddress{{IP: "203.0.113.10"}}}}}
	}
	return w
}

func readObjects(t *testing.T, data []byte, w *front.World) {
	from := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := from.Decode(&u.Object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		switch u.GetKind() {
		case "GatewayClass":
			w.Classes = append(w.Classes, read[gwv1.GatewayClass](t, u))
		case "Gateway":
			w.Gateways = append(w.Gateways, read[gwv1.Gateway](t, u))
		case "HTTPRoute":
			w.HTTPRoutes = append(w.HTTPRoutes, read[gwv1.HTTPRoute](t, u))
		case "TCPRoute":
			w.TCPRoutes = append(w.TCPRoutes, read[gwv1.TCPRoute](t, u))
		case "ReferenceGrant":
			w.Grants = append(w.Grants, read[gwv1.ReferenceGrant](t, u))
		case "AddressPool":
			w.Pools = append(w.Pools, read[discv1.AddressPool](t, u))
		case "FederatedService":
			w.Federated = append(w.Federated, front.FederatedOf(u))
		default:
			t.Fatalf("kind %q", u.GetKind())
		}
	}
}

func read[T any](t *testing.T, u *unstructured.Unstructured) *T {
	out := new(T)
	data, err := u.MarshalJSON()
	if err == nil {
		err = yaml.UnmarshalStrict(data, out)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", u.GetKind(), u.GetName(), err)
	}
	return out
}

// shuffled has the same objects in another order.
func shuffled(w front.World) front.World {
	r := rand.New(rand.NewPCG(1, 2))
	w.Gateways, w.HTTPRoutes, w.TCPRoutes = slices.Clone(w.Gateways), slices.Clone(w.HTTPRoutes), slices.Clone(w.TCPRoutes)
	w.Federated, w.Pools = slices.Clone(w.Federated), slices.Clone(w.Pools)
	r.Shuffle(len(w.Gateways), func(i, j int) { w.Gateways[i], w.Gateways[j] = w.Gateways[j], w.Gateways[i] })
	r.Shuffle(len(w.HTTPRoutes), func(i, j int) { w.HTTPRoutes[i], w.HTTPRoutes[j] = w.HTTPRoutes[j], w.HTTPRoutes[i] })
	r.Shuffle(len(w.TCPRoutes), func(i, j int) { w.TCPRoutes[i], w.TCPRoutes[j] = w.TCPRoutes[j], w.TCPRoutes[i] })
	r.Shuffle(len(w.Federated), func(i, j int) { w.Federated[i], w.Federated[j] = w.Federated[j], w.Federated[i] })
	r.Shuffle(len(w.Pools), func(i, j int) { w.Pools[i], w.Pools[j] = w.Pools[j], w.Pools[i] })
	return w
}

// told is the world after everybody was told of the plan, an hour later.
func told(w front.World, p front.Plan) front.World {
	w = shuffled(w)
	w.Now = metav1.NewTime(now.Add(time.Hour))
	w.Classes = slices.Clone(w.Classes)
	for n, c := range w.Classes {
		c = c.DeepCopy()
		if s, ok := p.Classes[c.Name]; ok {
			c.Status = s
		}
		w.Classes[n] = c
	}
	for n, g := range w.Gateways {
		g = g.DeepCopy()
		if s, ok := p.Gateways[types.NamespacedName{Namespace: g.Namespace, Name: g.Name}]; ok {
			g.Status = s
		}
		w.Gateways[n] = g
	}
	for n, r := range w.HTTPRoutes {
		r = r.DeepCopy()
		if s, ok := p.HTTPRoutes[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}]; ok {
			r.Status.RouteStatus = s
		}
		w.HTTPRoutes[n] = r
	}
	for n, pool := range w.Pools {
		pool = pool.DeepCopy()
		pool.Status = p.Pools[pool.Name]
		w.Pools[n] = pool
	}
	for n, r := range w.TCPRoutes {
		r = r.DeepCopy()
		if s, ok := p.TCPRoutes[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}]; ok {
			r.Status.RouteStatus = s
		}
		w.TCPRoutes[n] = r
	}
	for n, f := range w.Federated {
		w.Federated[n].Told = p.Federated[f.NamespacedName]
	}
	return w
}

func show(p front.Plan) string {
	var b strings.Builder
	for _, l := range p.Listeners {
		fmt.Fprintf(&b, "listen %s:%d %s %s\n", cmp.Or(l.Address, "*"), l.Port, l.Protocol, l.Name)
		for _, r := range l.Routes {
			fmt.Fprintf(&b, "  %s%s -> %s  (%s)\n", cmp.Or(strings.Join(r.Hosts, ","), "*"), matches(r.Matches), backends(r.Backends), r.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Classes)) {
		if name != "hansa" {
			fmt.Fprintf(&b, "class %s\n%s", name, conditions("  ", p.Classes[name].Conditions))
		}
	}
	for _, k := range inOrder(p.Gateways) {
		s := p.Gateways[k]
		fmt.Fprintf(&b, "gateway %s", k)
		for _, a := range s.Addresses {
			fmt.Fprintf(&b, " %s", a.Value)
		}
		fmt.Fprintf(&b, "\n%s", conditions("  ", s.Conditions))
		for _, l := range s.Listeners {
			fmt.Fprintf(&b, "  listener %s, kinds [", l.Name)
			for _, kind := range l.SupportedKinds {
				fmt.Fprint(&b, kind.Kind)
			}
			fmt.Fprintf(&b, "], %d attached\n%s", l.AttachedRoutes, conditions("    ", l.Conditions))
		}
	}
	routes(&b, "HTTPRoute", p.HTTPRoutes)
	routes(&b, "TCPRoute", p.TCPRoutes)
	for _, k := range inOrder(p.Federated) {
		if told := p.Federated[k]; told != nil {
			fmt.Fprintf(&b, "FederatedService %s %s %s: %s\n", k, told.Address, told.Reason, told.Message)
			for _, in := range told.Ingress {
				fmt.Fprintf(&b, "  %s%s %v\n", in.IP, in.Hostname, in.Ports)
			}
		} else {
			fmt.Fprintf(&b, "FederatedService %s is told nothing\n", k)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Pools)) {
		fmt.Fprintf(&b, "pool %s %v\n", name, p.Pools[name].Ports)
	}
	return b.String()
}

func routes(b *strings.Builder, kind string, all map[types.NamespacedName]gwv1.RouteStatus) {
	for _, k := range inOrder(all) {
		fmt.Fprintf(b, "%s %s", kind, k)
		if len(all[k].Parents) == 0 {
			fmt.Fprint(b, " has no parent of ours any more")
		}
		fmt.Fprintln(b)
		for _, p := range all[k].Parents {
			fmt.Fprintf(b, "  parent %s", p.ParentRef.Name)
			if p.ParentRef.SectionName != nil {
				fmt.Fprintf(b, " %s", *p.ParentRef.SectionName)
			}
			if p.ParentRef.Port != nil {
				fmt.Fprintf(b, " %d", *p.ParentRef.Port)
			}
			if p.ControllerName != front.Controller {
				fmt.Fprintf(b, " of %s", p.ControllerName)
			}
			fmt.Fprintf(b, "\n%s", conditions("    ", p.Conditions))
		}
	}
}

func conditions(indent string, list []metav1.Condition) string {
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%s%s=%s %s", indent, c.Type, c.Status, c.Reason)
		if c.Message != "" {
			fmt.Fprintf(&b, ": %s", c.Message)
		}
		if !c.LastTransitionTime.Equal(&now) {
			fmt.Fprintf(&b, " (since %s)", c.LastTransitionTime.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func matches(list []balance.Match) string {
	out := ""
	for _, m := range list {
		if m.Exact != "" {
			out += " =" + m.Exact
		}
		if m.Prefix != "" {
			out += " " + m.Prefix + "/*"
		}
		if m.Method != "" {
			out += " " + m.Method
		}
		for _, h := range m.Headers {
			out += " " + h.Name + ":" + h.Value
		}
	}
	return out
}

func backends(list []balance.Backend) string {
	var out []string
	for _, b := range list {
		out = append(out, fmt.Sprintf("%s:%d x%d", b.NamespacedName, b.Port, b.Weight))
	}
	return cmp.Or(strings.Join(out, ", "), "nothing")
}

func inOrder[V any](m map[types.NamespacedName]V) []types.NamespacedName {
	return slices.SortedFunc(maps.Keys(m), func(a, b types.NamespacedName) int { return cmp.Compare(a.String(), b.String()) })
}
