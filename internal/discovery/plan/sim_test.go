package plan_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// worldFile is a world as cases write it.
type worldFile struct {
	After    metav1.Duration `json:"after"` // time that has passed since the start
	Unknown  bool            `json:"unknown"`
	Clusters []clusterFile   `json:"clusters"`
	Left     []string        `json:"left"` // clusters that have left
}

type clusterFile struct {
	Name     string        `json:"name"`
	Presence plan.Presence `json:"presence"`
	// Since the start, or whatever is said here.
	Since *metav1.Duration `json:"since"`
	Zones []string         `json:"zones"`
	Reach plan.Reach       `json:"reach"`
	Nodes []string         `json:"nodes"`
	Drain bool             `json:"drain"`
	// Families of addresses that the cluster gives to Services; IPv4 if nothing is said.
	Families []corev1.IPFamily `json:"families"`
	Trouble  string            `json:"trouble"`
	Problem  string            `json:"problem"`

	Unseen      bool `json:"unseen"`
	Forgotten   bool `json:"forgotten"` // nothing is known of what it held
	NoNamespace bool `json:"noNamespace"`
	// Export is how long before the start the export was made, as "1h"; "none" takes it away.
	Export      string                       `json:"export"`
	Labels      map[string]string            `json:"exportedLabels"`
	Annotations map[string]string            `json:"exportedAnnotations"`
	Service     *corev1.ServiceSpec          `json:"service"` // of what is exported, unless "noService"
	NoService   bool                         `json:"noService"`
	Ingress     []corev1.LoadBalancerIngress `json:"ingress"`
	Endpoints   []endpointFile               `json:"endpoints"`
	Ports       []discoveryv1.EndpointPort   `json:"endpointPorts"`
	Foreign     map[string]map[string]string `json:"foreign"` // labels of an "import" or "derived" that somebody else has made
}

type endpointFile struct {
	Address  string   `json:"address"`
	Zone     string   `json:"zone"`
	Hostname string   `json:"hostname"`
	Node     string   `json:"node"`
	Unready  bool     `json:"unready"`
	Leaving  bool     `json:"terminating"`
	For      []string `json:"forZones"`
}

// sim is a world in which what is planned comes true.
type sim struct {
	world    plan.World
	families map[string][]corev1.IPFamily
	slices   []map[string]*discoveryv1.EndpointSlice
	uids     int
}

func newSim() *sim {
	return &sim{world: plan.World{Service: service}, families: map[string][]corev1.IPFamily{}}
}

func (s *sim) uid() types.UID {
	s.uids++
	return types.UID(fmt.Sprintf("uid-%d", s.uids))
}

// cluster takes what a case says of a cluster.
func (s *sim) cluster(t tester, f clusterFile) {
	t.Helper()
	w := &s.world
	n := slices.IndexFunc(w.Clusters, func(c plan.Cluster) bool { return c.Name == f.Name })
	if n < 0 {
		n = len(w.Clusters)
		w.Clusters = append(w.Clusters, plan.Cluster{Name: f.Name, ID: plan.IDOf(f.Name), Reach: plan.Flat, Presence: plan.Present, Since: start.Add(-24 * time.Hour), Weight: 100})
		w.Sources = append(w.Sources, plan.Source{Cluster: f.Name})
		w.Held = append(w.Held, plan.Held{})
		s.slices = append(s.slices, map[string]*discoveryv1.EndpointSlice{})
		s.families[f.Name] = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	c, source, held := &w.Clusters[n], &w.Sources[n], &w.Held[n]
	c.Presence, c.Reach, c.Drain, c.Trouble = cmp.Or(f.Presence, plan.Present), cmp.Or(f.Reach, c.Reach), f.Drain, f.Trouble
	if f.Since != nil {
		c.Since = start.Add(f.Since.Duration)
	}
	if f.Zones != nil {
		c.Zones = f.Zones
	}
	if f.Nodes != nil {
		c.Nodes = f.Nodes
	}
	if f.Families != nil {
		s.families[f.Name] = f.Families
	}
	seen := c.Presence == plan.Present && !f.Unseen
	source.Seen, held.Seen, source.Namespace = seen, seen, !f.NoNamespace
	held.Problem, held.FamilyProblem = f.Problem, false
	s.source(t, source, f)
	s.foreign(held, f)
	if f.Forgotten {
		*source, *held = plan.Source{Cluster: f.Name}, plan.Held{}
	}
}

func (s *sim) source(t tester, source *plan.Source, f clusterFile) {
	t.Helper()
	switch f.Export {
	case "":
	case "none":
		source.Export = nil
	default:
		age, err := time.ParseDuration(f.Export)
		if err != nil {
			t.Fatal(err)
		}
		source.Export = &mcsv1.ServiceExport{ObjectMeta: metav1.ObjectMeta{UID: s.uid(), CreationTimestamp: metav1.NewTime(start.Add(-age))}}
		source.Export.Spec = mcsv1.ServiceExportSpec{ExportedLabels: f.Labels, ExportedAnnotations: f.Annotations}
	}
	spec := corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}, SessionAffinity: corev1.ServiceAffinityNone}
	if f.Service != nil {
		spec = *f.Service
		spec.Ports = slices.Clone(spec.Ports)
		spec.SessionAffinity, spec.Type = cmp.Or(spec.SessionAffinity, corev1.ServiceAffinityNone), cmp.Or(spec.Type, corev1.ServiceTypeClusterIP)
		if spec.Ports == nil {
			spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}}
		}
	}
	if spec.IPFamilies == nil {
		spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	switch {
	case f.NoService:
		source.Service = nil
	case f.Service != nil || f.Export != "" && f.Export != "none" && source.Service == nil:
		source.Service = &corev1.Service{Spec: spec}
	}
	if source.Service != nil && f.Ingress != nil {
		source.Service.Status.LoadBalancer.Ingress = f.Ingress
	}
	if f.Endpoints != nil {
		source.Slices = slicesOf(f, spec)
	}
}

// slicesOf makes one slice for each family.
func slicesOf(f clusterFile, spec corev1.ServiceSpec) []*discoveryv1.EndpointSlice {
	ports := f.Ports
	if ports == nil {
		for _, p := range spec.Ports {
			ports = append(ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: new(cmp.Or(p.Protocol, corev1.ProtocolTCP)), Port: new(8000 + p.Port)})
		}
	}
	byFamily := map[discoveryv1.AddressType]*discoveryv1.EndpointSlice{}
	for _, e := range f.Endpoints {
		family := discoveryv1.AddressTypeIPv4
		if strings.Contains(e.Address, ":") {
			family = discoveryv1.AddressTypeIPv6
		}
		if byFamily[family] == nil {
			byFamily[family] = &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "web-" + string(family)}, AddressType: family, Ports: ports}
		}
		byFamily[family].Endpoints = append(byFamily[family].Endpoints, endpointOf(e))
	}
	var out []*discoveryv1.EndpointSlice
	for _, family := range slices.Sorted(maps.Keys(byFamily)) {
		out = append(out, byFamily[family])
	}
	return out
}

func endpointOf(f endpointFile) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{
		Addresses: []string{f.Address}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "web-1"},
		Conditions: discoveryv1.EndpointConditions{Ready: new(!f.Unready), Serving: new(!f.Unready || f.Leaving), Terminating: new(f.Leaving)},
	}
	for _, field := range []struct {
		from string
		to   **string
	}{{f.Zone, &e.Zone}, {f.Hostname, &e.Hostname}, {f.Node, &e.NodeName}} {
		if field.from != "" {
			*field.to = new(field.from)
		}
	}
	for _, zone := range f.For {
		if e.Hints == nil {
			e.Hints = &discoveryv1.EndpointHints{}
		}
		e.Hints.ForZones = append(e.Hints.ForZones, discoveryv1.ForZone{Name: zone})
	}
	return e
}

// foreign puts in what somebody else has made.
func (s *sim) foreign(held *plan.Held, f clusterFile) {
	if labels, ok := f.Foreign["import"]; ok {
		held.Import = &mcsv1.ServiceImport{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: s.uid(), Labels: labels}, Spec: mcsv1.ServiceImportSpec{Type: mcsv1.ClusterSetIP}}
	}
	if labels, ok := f.Foreign["derived"]; ok {
		held.Derived = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: plan.DerivedName(service), UID: s.uid(), Labels: labels}}
	}
}

// obey makes what is planned come true, and says whether there was anything.
func (s *sim) obey(p plan.Plan) bool {
	moved := false
	for n, step := range p.Steps {
		for _, a := range step.Acts {
			moved = s.act(n, a) || moved
		}
	}
	return moved
}

// act does one act and says whether that has changed anything.
func (s *sim) act(n int, a plan.Act) bool {
	held := &s.world.Held[n]
	switch {
	case a.Export != nil:
		s.world.Sources[n].Export.Status = a.Export.Status
	case a.Verb == plan.Tell:
		held.Import = held.Import.DeepCopy()
		held.Import.Status = a.Import.Status
	case a.Import != nil && a.Verb == plan.Remove:
		held.Import = nil
	case a.Import != nil:
		next := a.Import.DeepCopy()
		next.UID, next.Generation = s.uid(), 1
		if held.Import != nil {
			next.UID, next.Generation, next.Status = held.Import.UID, held.Import.Generation+1, held.Import.Status
		}
		held.Import = next
	case a.Derived != nil && a.Verb == plan.Remove:
		held.Derived = nil
	case a.Derived != nil:
		return s.derive(n, a.Derived.DeepCopy())
	default:
		s.slice(n, a)
	}
	return true
}

// derive gives a Service what an API server gives it. Families that the cluster does not have are refused.
func (s *sim) derive(n int, d *corev1.Service) bool {
	held := &s.world.Held[n]
	if has := s.families[s.world.Clusters[n].Name]; !slices.Contains(has, d.Spec.IPFamilies[0]) {
		news := !held.FamilyProblem
		held.Problem, held.FamilyProblem = "spec.ipFamilies[0]: not configured on this cluster", true
		return news
	}
	d.UID = s.uid()
	if held.Derived != nil {
		d.UID = held.Derived.UID
	}
	has := s.families[s.world.Clusters[n].Name]
	if d.Spec.IPFamilyPolicy != nil && *d.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyPreferDualStack {
		d.Spec.IPFamilies = has
	}
	for _, f := range d.Spec.IPFamilies {
		ip := fmt.Sprintf("10.96.0.%d", n+1)
		if f == corev1.IPv6Protocol {
			ip = fmt.Sprintf("fd00:96::%d", n+1)
		}
		d.Spec.ClusterIPs = append(d.Spec.ClusterIPs, ip)
	}
	held.Derived = d
	return true
}

func (s *sim) slice(n int, a plan.Act) {
	held := &s.world.Held[n]
	at := slices.IndexFunc(held.Slices, func(w plan.Written) bool { return w.Name == a.Slice.Name })
	if a.Verb == plan.Remove {
		held.Slices = slices.Delete(slices.Clone(held.Slices), at, at+1)
		return
	}
	slice := a.Slice.DeepCopy()
	if a.Verb == plan.Demote {
		slice = s.slices[n][slice.Name].DeepCopy()
		for i := range slice.Endpoints {
			slice.Endpoints[i].Conditions = plan.Demoted(slice.Endpoints[i].Conditions)
		}
	}
	if a.Verb == plan.Restore {
		slice = s.slices[n][slice.Name].DeepCopy()
		for i := range slice.Endpoints {
			slice.Endpoints[i].Conditions = plan.Restored(slice.Endpoints[i].Conditions)
		}
	}
	s.slices[n][slice.Name] = slice
	written := plan.Written{Name: slice.Name, UID: s.uid(), Cluster: slice.Labels[mcsv1.LabelSourceCluster], Digest: plan.Digest(slice), Ready: plan.ReadyIn(slice), Last: plan.LastIn(slice)}
	if at >= 0 {
		held.Slices = slices.Clone(held.Slices)
		held.Slices[at] = written
	} else {
		held.Slices = append(slices.Clone(held.Slices), written)
	}
}

func importWords(i *mcsv1.ServiceImport) []string {
	var out []string
	for _, p := range i.Spec.Ports {
		word := fmt.Sprintf("%s=%d/%s", p.Name, p.Port, p.Protocol)
		if p.AppProtocol != nil {
			word += "(" + *p.AppProtocol + ")"
		}
		out = append(out, word)
	}
	out = append(out, fmt.Sprintf("ips=%v", i.Spec.IPs), fmt.Sprintf("families=%v", i.Spec.IPFamilies))
	out = append(out, specWords(i.Spec.SessionAffinity, i.Spec.SessionAffinityConfig, i.Spec.InternalTrafficPolicy, i.Spec.TrafficDistribution)...)
	for _, m := range []map[string]string{i.Labels, i.Annotations} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if k != fedv1.ControlPlaneLabel && k != fedv1.PrecedenceAnnotation && k != fedv1.AppliedAnnotation {
				out = append(out, k+"="+m[k])
			}
		}
	}
	return out
}

func specWords(a corev1.ServiceAffinity, c *corev1.SessionAffinityConfig, p *corev1.ServiceInternalTrafficPolicy, d *string) []string {
	var out []string
	if a != corev1.ServiceAffinityNone {
		out = append(out, "affinity="+string(a))
	}
	if c != nil {
		out = append(out, fmt.Sprintf("timeout=%d", *c.ClientIP.TimeoutSeconds))
	}
	if p != nil {
		out = append(out, "policy="+string(*p))
	}
	if d != nil {
		out = append(out, "distribution="+*d)
	}
	return out
}

func derivedWords(d *corev1.Service) []string {
	var out []string
	for _, p := range d.Spec.Ports {
		out = append(out, fmt.Sprintf("%s=%d/%s", p.Name, p.Port, p.Protocol))
	}
	out = append(out, fmt.Sprintf("ips=%v", d.Spec.ClusterIPs))
	return append(out, specWords(d.Spec.SessionAffinity, d.Spec.SessionAffinityConfig, d.Spec.InternalTrafficPolicy, d.Spec.TrafficDistribution)...)
}

func sliceWords(s *discoveryv1.EndpointSlice) string {
	out := "slice from " + s.Labels[mcsv1.LabelSourceCluster] + " " + string(s.AddressType)
	if _, ok := s.Labels[corev1.IsHeadlessService]; ok {
		out += " headless"
	}
	for _, p := range s.Ports {
		out += fmt.Sprintf(" %s=%d/%s", *p.Name, *p.Port, *p.Protocol)
	}
	out += ":"
	for _, e := range s.Endpoints {
		out += " " + e.Addresses[0] + "("
		var words []string
		switch c := e.Conditions; {
		case *c.Ready:
			words = append(words, "ready")
		case *c.Serving && *c.Terminating:
			words = append(words, "last")
		default:
			words = append(words, "unready")
		}
		for _, field := range []struct {
			name string
			is   *string
		}{{"zone", e.Zone}, {"host", e.Hostname}, {"node", e.NodeName}} {
			if field.is != nil {
				words = append(words, field.name+"="+*field.is)
			}
		}
		if e.Hints != nil {
			for _, z := range e.Hints.ForZones {
				words = append(words, "for="+z.Name)
			}
		}
		if e.TargetRef != nil {
			words = append(words, "target")
		}
		out += strings.Join(words, " ") + ")"
	}
	return out
}

// tester is a test of either kind.
type tester interface {
	Helper()
	Fatal(...any)
}
