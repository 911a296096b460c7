package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/discovery/corefile"
	"github.com/hansa-io/hansa/internal/discovery/definitions"
	"github.com/hansa-io/hansa/internal/lab"
)

// asServer makes a process of this test the program itself.
const asServer = "HANSA_DNS_SERVES"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

var clusters = lab.Shared(lab.Options{}, "member")

// kubeadm is the Corefile of kubeadm, as far as it can run here.
const kubeadm = `.:PORT {
    bind 127.0.0.1
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       kubeconfig KUBECONFIG member
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    forward . UPSTREAM {
       prefer_udp
    }
    loadbalance
}
`

// TestNames asks both servers, hansa-dns as it comes and the CoreDNS of a cluster with the option added, for every kind of record of the
// specification of multicluster DNS.
func TestNames(t *testing.T) {
	l := clusters(t)
	ns, address := world(t, l)
	listen := net.JoinHostPort("127.0.0.1", free(t))
	own := start(t, listen, "--kubeconfig", l.Kubeconfig(), "--context", "member", "--listen", listen)
	beyond := upstream(t)
	// coredns is a server with kubeadm's Corefile.
	coredns := func(edit func(string) (string, error)) server {
		port := free(t)
		text, err := edit(strings.NewReplacer("KUBECONFIG", l.Kubeconfig(), "PORT", port, "UPSTREAM", beyond).Replace(kubeadm))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "Corefile")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return start(t, net.JoinHostPort("127.0.0.1", port), "--corefile", file)
	}
	plain := coredns(func(text string) (string, error) { return text, nil })
	configured := coredns(func(text string) (string, error) { return corefile.Add(text, "clusterset.local") })
	for name, s := range map[string]server{"hansa-dns": own, "coredns": configured} {
		t.Run(name, func(t *testing.T) {
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) { row.check(t, s, ns) })
			}
		})
	}
	t.Run("version", func(t *testing.T) {
		s, want := "dns-version.clusterset.local TXT", `NOERROR TXT "1.0.0"`
		if got := own.ask(t, s, ns); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
		if got := configured.ask(t, s, ns); !strings.HasPrefix(got, `NOERROR TXT "1.`) { // CoreDNS's own
			t.Errorf("%s: %s", s, got)
		}
	})
	t.Run("cluster.local", func(t *testing.T) { sameAsBefore(t, plain, configured, ns, address) })
	t.Run("reverse", func(t *testing.T) { reverse(t, configured, ns, address) })
	t.Run("changes", func(t *testing.T) { changes(t, l, own, ns) })
}

// row is a rule of the specification and what it makes of questions; NS stands for the namespace.
type row struct {
	name    string
	answers map[string]string
}

var rows = []row{
	{"an import with an address has A and AAAA records", map[string]string{
		"web.NS.svc.clusterset.local A":    "NOERROR A 10.0.200.10",
		"web.NS.svc.clusterset.local AAAA": "NOERROR AAAA fd00::200:10",
		"web.NS.svc.clusterset.local MX":   "NOERROR",
		"WEB.NS.svc.ClusterSet.local A":    "NOERROR A 10.0.200.10",
	}},
	{"each named port has an SRV record, to the name itself", map[string]string{
		"_http._tcp.web.NS.svc.clusterset.local SRV":    "NOERROR SRV 80 web.NS.svc.clusterset.local",
		"_metrics._udp.web.NS.svc.clusterset.local SRV": "NOERROR SRV 9090 web.NS.svc.clusterset.local",
	}},
	{"no port that is not there", map[string]string{
		"_http._udp.web.NS.svc.clusterset.local SRV":  "NXDOMAIN",
		"_https._tcp.web.NS.svc.clusterset.local SRV": "NXDOMAIN",
	}},
	{"a port without a name has none", map[string]string{
		"_80._tcp.plain.NS.svc.clusterset.local SRV": "NXDOMAIN",
		"plain.NS.svc.clusterset.local A":            "NOERROR A 10.0.200.11",
	}},
	{"a headless import has the ready endpoints of all clusters", map[string]string{
		"db.NS.svc.clusterset.local A":    "NOERROR A 10.1.0.1 A 10.1.0.2 A 10.2.0.1",
		"db.NS.svc.clusterset.local AAAA": "NOERROR AAAA fd00:2::1",
	}},
	{"a Pod with a hostname has a name in its cluster", map[string]string{
		"db-0.east.db.NS.svc.clusterset.local A":    "NOERROR A 10.1.0.1",
		"db-0.west.db.NS.svc.clusterset.local A":    "NOERROR A 10.2.0.1",
		"db-0.west.db.NS.svc.clusterset.local AAAA": "NOERROR AAAA fd00:2::1",
		"db-9.west.db.NS.svc.clusterset.local A":    "NXDOMAIN", // not ready
		"db-0.north.db.NS.svc.clusterset.local A":   "NXDOMAIN",
	}},
	{"a headless import has an SRV record for each ready endpoint and port, to the Pod's name", map[string]string{
		"_pg._tcp.db.NS.svc.clusterset.local SRV": "NOERROR SRV 5432 10-1-0-2.east.db.NS.svc.clusterset.local SRV 5432 db-0.east.db.NS.svc.clusterset.local " +
			"SRV 5432 db-0.west.db.NS.svc.clusterset.local",
	}},
	{"the name of a cluster is reserved", map[string]string{
		"east.db.NS.svc.clusterset.local A":    "NXDOMAIN",
		"east.db.NS.svc.clusterset.local AAAA": "NXDOMAIN",
		"east.web.NS.svc.clusterset.local A":   "NXDOMAIN",
	}},
	{"without a ready endpoint a headless import has no name", map[string]string{
		"starting.NS.svc.clusterset.local A": "NXDOMAIN",
		"empty.NS.svc.clusterset.local A":    "NXDOMAIN",
	}},
	{"what is not exported has no name", map[string]string{
		"local.NS.svc.clusterset.local A":    "NXDOMAIN",
		"web.nowhere.svc.clusterset.local A": "NXDOMAIN",
	}},
}

func (r row) check(t *testing.T, s server, ns string) {
	got := map[string]string{}
	for q := range r.answers {
		got[q] = s.ask(t, q, ns)
	}
	if diff := cmp.Diff(r.answers, got); diff != "" {
		t.Error(diff)
	}
}

// sameAsBefore asks for names within the cluster: the option changes none of them.
func sameAsBefore(t *testing.T, before, after server, ns, localIP string) {
	questions := []string{
		"local.NS.svc.cluster.local A", "_http._tcp.local.NS.svc.cluster.local SRV", "web.NS.svc.cluster.local A", "db.NS.svc.cluster.local A",
		"derived-web.NS.svc.cluster.local A", "dns-version.cluster.local TXT", "example.com A", "kubernetes.default.svc.cluster.local A", "10-1-0-1.NS.pod.cluster.local A",
	}
	for _, q := range questions {
		was, is := before.ask(t, q, ns), after.ask(t, q, ns)
		if was != is {
			t.Errorf("%s: %s before, %s after", q, was, is)
		}
	}
	if got := after.ask(t, questions[0], ns); got != "NOERROR A "+localIP {
		t.Errorf("%s: %s", questions[0], got) // else the others prove little
	}
	if got := after.ask(t, "web.NS.svc.cluster.local A", ns); got != "NXDOMAIN" {
		t.Errorf("an import shows under cluster.local: %s", got)
	}
}

// reverse asks for the names of imported addresses. CoreDNS cannot answer at all where a slice does not name a Service of its cluster; with the name of
// the derived one it does.
func reverse(t *testing.T, s server, ns, localIP string) {
	for address, want := range map[string]string{
		"10.1.0.1":   "NOERROR PTR db-0.derived-db.NS.svc.cluster.local",
		"10.1.0.2":   "NOERROR PTR 10-1-0-2.derived-db.NS.svc.cluster.local",
		"fd00:2::1":  "NOERROR PTR db-0.derived-db.NS.svc.cluster.local",
		localIP:      "NOERROR PTR local.NS.svc.cluster.local",
		"10.99.99.9": "REFUSED", // falls through
	} {
		name, err := dns.ReverseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.ask(t, name+" PTR", ns); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// changes sees endpoints come and go.
func changes(t *testing.T, l *lab.Lab, s server, ns string) {
	c := connect(t, l)
	key := client.ObjectKey{Namespace: ns, Name: "imported-starting"}
	for _, ready := range []bool{true, false, true} {
		slice := &discoveryv1.EndpointSlice{}
		if err := c.Get(t.Context(), key, slice); err != nil {
			t.Fatal(err)
		}
		slice.Endpoints[0].Conditions.Ready = ptr.To(ready)
		if err := c.Update(t.Context(), slice); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "NOERROR A 10.1.0.50", false: "NXDOMAIN"}[ready]
		begin := time.Now()
		s.becomes(t, "starting.NS.svc.clusterset.local A", ns, want)
		t.Logf("ready=%v: answered after %v", ready, time.Since(begin).Round(time.Millisecond))
	}
	web := &mcsv1.ServiceImport{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}}
	if err := c.Delete(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, "web.NS.svc.clusterset.local A", ns, "NXDOMAIN")
}

// world makes what a federation makes in a member, in a namespace of the test's own, and a Service that is not exported. It returns the
// namespace, and the address of that Service.
func world(t *testing.T, l *lab.Lab) (ns, address string) {
	c := connect(t, l)
	if err := definitions.Ensure(t.Context(), c, func(string, definitions.Result) {}); err != nil {
		t.Fatal(err)
	}
	if err := definitions.Served(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ns = lab.Namespace(t, l.Config("member"), "dns")
	port := func(name string, protocol corev1.Protocol, n int32) mcsv1.ServicePort {
		return mcsv1.ServicePort{Name: name, Protocol: protocol, Port: n}
	}
	imported := func(name string, kind mcsv1.ServiceImportType, ips []string, ports ...mcsv1.ServicePort) client.Object {
		return &mcsv1.ServiceImport{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			Spec:       mcsv1.ServiceImportSpec{Type: kind, IPs: ips, Ports: ports},
		}
	}
	slice := func(name, service, cluster string, endpoints ...discoveryv1.Endpoint) client.Object {
		s := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{
				mcsv1.LabelServiceName: service, mcsv1.LabelSourceCluster: cluster, discoveryv1.LabelServiceName: "derived-" + service, discoveryv1.LabelManagedBy: "hansa",
			}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints,
			Ports: []discoveryv1.EndpointPort{{Name: ptr.To("pg"), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To[int32](5432)}},
		}
		if netip.MustParseAddr(endpoints[0].Addresses[0]).Is6() {
			s.AddressType = discoveryv1.AddressTypeIPv6
		}
		return s
	}
	endpoint := func(address, hostname string, ready bool) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(ready)}}
		if hostname != "" {
			e.Hostname = ptr.To(hostname)
		}
		return e
	}
	pg := port("pg", corev1.ProtocolTCP, 5432)
	local := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "local"}, Spec: corev1.ServiceSpec{
		Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
	}}
	for _, o := range []client.Object{
		imported("web", mcsv1.ClusterSetIP, []string{"10.0.200.10", "fd00::200:10"}, port("http", corev1.ProtocolTCP, 80), port("metrics", corev1.ProtocolUDP, 9090)),
		imported("plain", mcsv1.ClusterSetIP, []string{"10.0.200.11"}, port("", corev1.ProtocolTCP, 80)),
		imported("db", mcsv1.Headless, nil, pg),
		imported("starting", mcsv1.Headless, nil, pg),
		imported("empty", mcsv1.Headless, nil, pg),
		slice("imported-web", "web", "east", endpoint("10.1.0.80", "", true)),
		slice("imported-db-1", "db", "east", endpoint("10.1.0.1", "db-0", true), endpoint("10.1.0.2", "", true)),
		slice("imported-db-2", "db", "west", endpoint("10.2.0.1", "db-0", true), endpoint("10.2.0.9", "db-9", false)),
		slice("imported-db-3", "db", "west", endpoint("fd00:2::1", "db-0", true)),
		slice("imported-starting", "starting", "east", endpoint("10.1.0.50", "", false)),
		local,
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "derived-db"}, Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "pg", Port: 5432}},
		}},
	} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("%T %s: %v", o, o.GetName(), err)
		}
	}
	return ns, local.Spec.ClusterIP
}

func connect(t *testing.T, l *lab.Lab) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextv1.AddToScheme, mcsv1.Install} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(l.Config("member"), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// upstream is a DNS server that knows one name, and its address.
func upstream(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeRefused)
		if rr, err := dns.NewRR("example.com. 60 IN A 192.0.2.1"); err == nil && q.Question[0].Name == "example.com." {
			m.SetReply(q)
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return socket.LocalAddr().String()
}

// server is a running hansa-dns.
type server struct{ address string }

// start runs the program and waits until it answers at the address, which it does when it has read the cluster.
func start(t *testing.T, address string, args ...string) server {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asServer+"=1")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%v said:\n%s", args, &said)
		}
	})
	s := server{address}
	lab.Eventually(t, 30*time.Second, "an answer of hansa-dns", func(context.Context) error {
		_, err := s.exchange("ready.svc.cluster.local", dns.TypeA)
		return err
	})
	return s
}

// free is a port that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s server) exchange(name string, kind uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	c := &dns.Client{Net: "tcp", Timeout: 5 * time.Second} // a long answer comes whole
	r, _, err := c.Exchange(m, s.address)
	return r, err
}

// ask sends a question "NAME TYPE" and returns the code and the records of the answer, sorted, without what differs from run to run.
func (s server) ask(t *testing.T, question, ns string) string {
	t.Helper()
	name, kind, _ := strings.Cut(strings.ReplaceAll(question, "NS", ns), " ")
	r, err := s.exchange(name, dns.StringToType[kind])
	if err != nil {
		return err.Error()
	}
	var records []string
	for _, rr := range r.Answer {
		records = append(records, strings.ReplaceAll(record(rr), "."+ns+".", ".NS."))
	}
	slices.Sort(records)
	return strings.TrimSpace(dns.RcodeToString[r.Rcode] + " " + strings.Join(records, " "))
}

func record(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return "A " + rr.A.String()
	case *dns.AAAA:
		return "AAAA " + rr.AAAA.String()
	case *dns.SRV:
		return fmt.Sprintf("SRV %d %s", rr.Port, strings.TrimSuffix(rr.Target, "."))
	case *dns.PTR:
		return "PTR " + strings.TrimSuffix(rr.Ptr, ".")
	case *dns.TXT:
		return fmt.Sprintf("TXT %q", strings.Join(rr.Txt, ""))
	default:
		return rr.String()
	}
}

// becomes waits until a question has an answer.
func (s server) becomes(t *testing.T, question, ns, want string) {
	t.Helper()
	lab.Eventually(t, 20*time.Second, question+" is "+want, func(context.Context) error {
		if got := s.ask(t, question, ns); got != want {
			return fmt.Errorf("got %s", got)
		}
		return nil
	})
}
