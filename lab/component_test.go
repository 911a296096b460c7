package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestComponentsListenOnLoopbackOnly looks for any other address in a component's flags, ranges aside.
func TestComponentsListenOnLoopbackOnly(t *testing.T) {
	c := cluster{Name: "a", Ports: ports{Etcd: 20001, Peer: 20002, API: 20003}, Nodes: 1, Audit: true}
	address := regexp.MustCompile(`\d+\.\d+\.\d+\.\d+(/\d+)?`)
	for _, component := range c.components() {
		args := folder("/lab").cluster("a").args(c, component)
		if len(args) == 0 {
			t.Errorf("%s has no flags", component)
		}
		for _, arg := range args {
			for _, found := range address.FindAllString(arg, -1) {
				if found != "127.0.0.1" && !strings.Contains(found, "/") {
					t.Errorf("%s: %s", component, arg)
				}
			}
		}
	}
}

func TestTokenFile(t *testing.T) {
	got := string(tokenFile(cluster{Tokens: map[string]string{admin: "t1", schedulerUser: "t2"}}))
	want := "t1,admin,admin,\"system:masters\"\nt2,system:kube-scheduler,system:kube-scheduler\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestServingCertificateVerifies(t *testing.T) {
	files, err := pkiFiles(net.IPv4(10, 96, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(files["apiserver.crt"], files["apiserver.key"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(files["ca.crt"])
	for _, name := range []string{"127.0.0.1", "10.96.0.1", gateIP, "localhost", "kubernetes.default.svc"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if pair.Leaf.IsCA {
		t.Error("the serving certificate is a CA's")
	}
}

func TestPKIIsMadeOnce(t *testing.T) {
	dir := t.TempDir() + "/pki"
	var first []byte
	for range 2 {
		if err := makePKI(dir, net.IPv4(10, 96, 0, 1)); err != nil {
			t.Fatal(err)
		}
		ca, err := os.ReadFile(dir + "/ca.crt")
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && string(first) != string(ca) {
			t.Error("the second call made another CA: kubeconfigs would break")
		}
		first = ca
	}
}

func TestPortsAreFreeAndDifferent(t *testing.T) {
	used := map[int]bool{}
	taken := map[int]bool{}
	for range 50 {
		p, err := choosePorts(taken)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range []int{p.Etcd, p.Peer, p.API} {
			if used[port] || port < firstPort || port > lastPort {
				t.Errorf("port %d of %+v", port, p)
			}
			used[port] = true
		}
	}
}

func TestTakenPortIsNotFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if portIsFree(l.Addr().(*net.TCPAddr).Port) {
		t.Errorf("%v counts as free", l.Addr())
	}
}

// TestWhatANodeHides: programs and labs that a node could not see are refused, and only those.
func TestWhatANodeHides(t *testing.T) {
	for path, ok := range map[string]bool{
		"/home/me/lab": true, "/var/library/lab": true, "/running": true,
		"/run": false, "/run/lab": false, "/var/lib/jenkins/lab": false, "/var/log/lab": false,
	} {
		if err := checkNotHidden("/home", path); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestARealNodesAPIServerStaysOnLoopback(t *testing.T) {
	c := cluster{Name: "a", Ports: ports{Etcd: 20001, Peer: 20002, API: 20003}, Real: &realNode{}}
	args := strings.Join(folder("/lab").cluster("a").args(c, kubeAPIServer), " ")
	if !strings.Contains(args, "--bind-address=127.0.0.1 ") || strings.Contains(args, "--endpoint-reconciler-type=none") {
		t.Errorf("got %s", args)
	}
}
