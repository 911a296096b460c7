package survey

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
)

func inShop(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }

func conditions(list ...string) []metav1.Condition {
	var out []metav1.Condition
	for _, text := range list {
		f := strings.Fields(text)
		out = append(out, metav1.Condition{Type: f[0], Status: metav1.ConditionStatus(f[1]), Reason: f[2]})
	}
	return out
}

func slice(label, service string, ready ...bool) discoveryv1.EndpointSlice {
	s := discoveryv1.EndpointSlice{ObjectMeta: inShop("s")}
	// An imported slice has both labels: that of its derived service says nothing of this one.
	s.Labels = map[string]string{discoveryv1.LabelServiceName: "derived-1", label: service}
	for _, r := range ready {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(r)}})
	}
	return s
}

func federatedObject(kind, annotation string, status map[string]any) unstructured.Unstructured {
	u := unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"placement": map[string]any{"clusterSelector": map[string]any{}}}, "status": status}}
	u.SetKind(kind)
	u.SetNamespace("shop")
	u.SetName("web")
	if annotation != "" {
		u.SetAnnotations(map[string]string{"discovery.kubefed.io/expose": annotation})
	}
	return u
}

// good is a service that is exposed in a and b, and all is well.
func good() (Host, []Member) {
	h := Host{
		Enabled: true, Exportable: true, Domains: []string{"fed"},
		Services: []unstructured.Unstructured{federatedObject("FederatedService", "clusterset,public,balance", map[string]any{
			"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": "192.0.2.1", "ports": []any{map[string]any{"port": int64(80)}}}, map[string]any{"hostname": "lb.example.com"}}},
		})},
		Exports: []unstructured.Unstructured{federatedObject("FederatedServiceExport", "", map[string]any{
			"ready": "2/2", "clusters": []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}},
		})},
		Records: []dnsv1.ServiceDNSRecord{{
			ObjectMeta: inShop("web"), Spec: dnsv1.ServiceDNSRecordSpec{DomainRef: "fed"},
			Status: dnsv1.ServiceDNSRecordStatus{Conditions: conditions("Ready True Published")},
		}},
		Endpoints: []dnsv1.DNSEndpoint{{ObjectMeta: inShop("service-web"), Spec: dnsv1.DNSEndpointSpec{Endpoints: []dnsv1.Endpoint{
			{DNSName: "web.shop.fed.svc.example.com", RecordType: "A", Targets: []string{"192.0.2.7"}},
		}}}},
	}
	var members []Member
	for i, name := range []string{"a", "b"} {
		members = append(members, Member{
			Name:    name,
			Exports: []mcsv1.ServiceExport{{ObjectMeta: inShop("web"), Status: mcsv1.ServiceExportStatus{Conditions: conditions("Valid True Valid", "Ready True Ready", "Conflict False NoConflicts")}}},
			Imports: []mcsv1.ServiceImport{{
				ObjectMeta: inShop("web"), Spec: mcsv1.ServiceImportSpec{Type: mcsv1.ClusterSetIP, IPs: []string{fmt.Sprintf("10.0.0.%d", i+1)}},
				Status: mcsv1.ServiceImportStatus{Clusters: []mcsv1.ClusterStatus{{Cluster: "b"}, {Cluster: "a"}}},
			}},
			Slices: []discoveryv1.EndpointSlice{slice(discoveryv1.LabelServiceName, "web", true, false), slice(mcsv1.LabelServiceName, "web", true, true), slice(mcsv1.LabelServiceName, "other", true)},
		})
	}
	return h, members
}

func TestAllIsWell(t *testing.T) {
	r := Of(good())
	if len(r.Items) != 1 || !r.Enabled || len(r.Items[0].Missing()) > 0 {
		t.Fatalf("%+v, and missing %q", r, r.Items[0].Missing())
	}
	s := r.Items[0]
	got := fmt.Sprintln(s.DNSName, s.Expose, s.Exports, s.Addresses, s.Public) + fmt.Sprintln(s.Clusters[0].Export.State, s.Clusters[0].Endpoints, *s.Clusters[0].Import)
	want := "web.shop.svc.clusterset.local [clusterset public balance] 2/2 [192.0.2.1:80 lb.example.com] [{web.shop.fed.svc.example.com A [192.0.2.7] <nil>}]\n" +
		"Ready {1 2} {ClusterSetIP [10.0.0.1] [a b] {2 2}}\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is missing is told, of the host and of each member.
func TestMissing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Host, []Member)
		want   string
	}{
		"no export in the host": {func(h *Host, _ []Member) { h.Exports = nil }, "none of the clusters meant have the export"},
		"not propagated": {func(h *Host, _ []Member) {
			_ = unstructured.SetNestedField(h.Exports[0].Object, "1/2", "status", "ready")
		}, "1/2 of the clusters meant have the export"},
		"no export in a member": {func(_ *Host, m []Member) { m[1].Exports = nil }, "b has no ServiceExport yet"},
		"nothing said yet":      {func(_ *Host, m []Member) { m[1].Exports[0].Status.Conditions = nil }, "the export in b is Pending"},
		"not valid":             {func(_ *Host, m []Member) { m[0].Exports[0].Status.Conditions = conditions("Valid False NoService") }, "the export in a is NoService"},
		"not ready": {func(_ *Host, m []Member) {
			m[0].Exports[0].Status.Conditions = conditions("Valid True Valid", "Ready False Failed")
		}, "the export in a is Failed"},
		"a conflict is not in way": {func(_ *Host, m []Member) {
			m[0].Exports[0].Status.Conditions[2] = conditions("Conflict True PortConflict")[0]
		}, ""},
		"no import":                {func(_ *Host, m []Member) { m[0].Imports = nil }, "a has no ServiceImport yet"},
		"no address":               {func(_ *Host, m []Member) { m[0].Imports[0].Spec.IPs = nil }, "the import in a has no address yet"},
		"headless has none":        {func(_ *Host, m []Member) { m[0].Imports[0].Spec.IPs, m[0].Imports[0].Spec.Type = nil, mcsv1.Headless }, ""},
		"a member away":            {func(_ *Host, m []Member) { m[0] = Member{Name: "a", Problem: "no answer in time"} }, "a cannot be asked: no answer in time"},
		"a member not meant":       {func(h *Host, m []Member) { h.setClusters("a"); m[1] = Member{Name: "b", Problem: "no answer in time"} }, ""},
		"no names":                 {func(h *Host, _ []Member) { h.Endpoints = nil }, "public names: not made yet"},
		"names not as they should": {func(h *Host, _ []Member) { h.Records[0].Status.Conditions = conditions("Ready False NoTargets") }, "public names: NoTargets: "},
		"no load balancer":         {func(h *Host, _ []Member) { unstructured.RemoveNestedField(h.Services[0].Object, "status") }, "the load balancers have no address for it yet"},
		"exports not federated":    {func(h *Host, _ []Member) { h.Exportable = false }, "FederatedServiceExports are not federated: kubefedctl discovery enable, or kubefedctl enable serviceexports.multicluster.x-k8s.io"},
	} {
		t.Run(name, func(t *testing.T) {
			h, m := good()
			c.change(&h, m)
			if got := strings.Join(Of(h, m).Items[0].Missing(), "; "); got != c.want {
				t.Errorf("missing %q, not %q", got, c.want)
			}
		})
	}
}

func (h *Host) setClusters(names ...string) {
	var list []any
	for _, name := range names {
		list = append(list, map[string]any{"name": name})
	}
	_ = unstructured.SetNestedSlice(h.Exports[0].Object, list, "status", "clusters")
}

// A conflict is the state of an export, although it is ready.
func TestConflict(t *testing.T) {
	h, m := good()
	m[0].Exports[0].Status.Conditions[2] = conditions("Conflict True PortConflict,TypeConflict")[0]
	if e := Of(h, m).Items[0].Clusters[0].Export; e.State != "PortConflict,TypeConflict" || !e.Ready {
		t.Errorf("%+v", e)
	}
}

// What somebody exports by hand is reported on, what nobody exposes is not; what is asked for by name is in any case.
func TestWhatIsReported(t *testing.T) {
	h, m := good()
	m[1].Exports = append(m[1].Exports, mcsv1.ServiceExport{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "by-hand"}})
	plain := federatedObject("FederatedService", "", nil)
	plain.SetName("plain")
	h.Services = append(h.Services, plain)
	var got []string
	for _, s := range Of(h, m, types.NamespacedName{Namespace: "shop", Name: "asked"}).Items {
		got = append(got, s.Namespace+"/"+s.Name)
	}
	if diff := cmp.Diff([]string{"a/by-hand", "shop/asked", "shop/web"}, got); diff != "" {
		t.Error(diff)
	}
}

// serve runs a DNS server on loopback, by UDP and TCP, that knows few names.
func serve(t *testing.T) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		_, overTCP := w.RemoteAddr().(*net.TCPAddr)
		switch name := q.Question[0].Name; {
		case name == "long.shop.svc.clusterset.local." && !overTCP:
			m.Truncated = true
		case strings.HasPrefix(name, "web.") || strings.HasPrefix(name, "long."):
			if q.Question[0].Qtype == dns.TypeA {
				for _, last := range []string{"9", "2"} {
					rr, _ := dns.NewRR(name + " 5 A 10.0.0." + last)
					m.Answer = append(m.Answer, rr)
				}
			}
		default:
			m.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: stream, Handler: handler}} {
		go func() { _ = s.ActivateAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return packets.LocalAddr().String()
}

func TestAsk(t *testing.T) {
	server := serve(t)
	report := func(name string) Report {
		return Report{Items: []Service{{
			DNSName: name + ".shop.svc.clusterset.local", Clusters: []Cluster{{Name: "a"}, {Name: "b"}},
			Public: []Name{{Name: "web.example.com", Type: "A"}},
		}}}
	}
	for name, want := range map[string]string{
		"web":  "NOERROR [10.0.0.2 10.0.0.9]",
		"long": "NOERROR [10.0.0.2 10.0.0.9]",
		"none": "NXDOMAIN []",
	} {
		r := report(name)
		Ask(t.Context(), &r, Servers{Clusterset: map[string]string{"a": server}, Public: server})
		a := r.Items[0].Clusters[0].DNS
		if got := fmt.Sprint(a.Code, " ", a.Addresses); got != want || a.Problem != "" {
			t.Errorf("%s: %s (%s), not %s", name, got, a.Problem, want)
		}
		if r.Items[0].Clusters[1].DNS != nil {
			t.Error("b was asked, though no server was named for it")
		}
		if p := r.Items[0].Public[0].DNS; p == nil || p.Code != "NOERROR" {
			t.Errorf("public: %+v", p)
		}
	}
	r := report("web")
	Ask(t.Context(), &r, Servers{Clusterset: map[string]string{"": server}})
	if r.Items[0].Clusters[0].DNS == nil || r.Items[0].Clusters[1].DNS == nil || r.Items[0].Public[0].DNS != nil {
		t.Error("one server is for all clusters, and for no public name")
	}
}

// A server that is not there is no answer, and never an empty one.
func TestNoAnswer(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.LocalAddr().String()
	_ = closed.Close()
	if a := ask(t.Context(), address, "web.shop.svc.clusterset.local", dns.TypeA); a.Problem == "" || a.Code != "" {
		t.Errorf("%+v", a)
	}
}
