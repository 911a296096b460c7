package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podAt(name, ip string, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec:       corev1.PodSpec{NodeName: "node"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func sliceOf(port int32, pods ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Ports:      []discoveryv1.EndpointPort{{Name: new("http"), Port: new(port), Protocol: new(corev1.ProtocolTCP)}},
	}
	for _, pod := range pods {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod}})
	}
	return slice
}

// TestWherePodsAnswer: only Pods that run, at their containers' ports and at those where Services look for them.
func TestWherePodsAnswer(t *testing.T) {
	pods := []*corev1.Pod{
		podAt("a", "10.0.0.1", func(p *corev1.Pod) {
			p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{
				{ContainerPort: 9000}, {ContainerPort: 53, Protocol: corev1.ProtocolUDP}, {ContainerPort: 54, Protocol: corev1.ProtocolSCTP},
			}}}
		}),
		podAt("b", "10.0.0.2", nil),
		podAt("waits", "10.0.0.3", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
		podAt("goes", "10.0.0.4", func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) }),
		podAt("goes-slowly", "10.0.0.5", func(p *corev1.Pod) {
			p.DeletionTimestamp = new(metav1.Now())
			p.Spec.Containers = []corev1.Container{{Lifecycle: &corev1.Lifecycle{
				PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}},
			}}}
		}),
		podAt("of-the-node", "10.160.0.1", func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
	}
	got := podPlaces("global", pods, []*discoveryv1.EndpointSlice{sliceOf(8080, "a", "b", "waits", "goes", "goes-slowly", "of-the-node", "gone")})
	want := []string{"tcp 10.0.0.1:8080", "tcp 10.0.0.1:9000", "tcp 10.0.0.2:8080", "tcp 10.0.0.5:8080", "udp 10.0.0.1:53"}
	if names := placeNames(got); !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	b := got[place{"tcp", netip.MustParseAddrPort("10.0.0.2:8080")}]
	if len(b) != 1 || b[0].String() != "pod ip 10.0.0.2, pod ns/b, cluster global, node node" {
		t.Errorf("b says %v", b)
	}
}

func placeNames(places map[place][]voice) []string {
	var names []string
	for p := range places {
		names = append(names, fmt.Sprint(p.protocol, " ", p.address))
	}
	slices.Sort(names)
	return names
}

// TestWhoAnswersAtNodePorts: the ready Pods of the Service with the port, on every node; nobody if there is none.
func TestWhoAnswersAtNodePorts(t *testing.T) {
	service := func(name string, nodePort int32) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", NodePort: nodePort}, {Name: "other", NodePort: nodePort + 1}}},
		}
	}
	slice := sliceOf(8080, "b", "a", "unready", "gone")
	slice.Endpoints[2].Conditions.Ready = new(false)
	pods := []*corev1.Pod{podAt("a", "10.0.0.1", nil), podAt("b", "10.0.0.2", nil), podAt("unready", "10.0.0.3", nil)}
	got := nodePortPlaces("global", []string{"127.9.9.1", "127.9.9.2"},
		[]*corev1.Service{service("web", 30080), service("empty", 30090), service("internal", 0)}, pods, []*discoveryv1.EndpointSlice{slice})
	want := []string{"tcp 127.9.9.1:30080", "tcp 127.9.9.2:30080"}
	if names := placeNames(got); !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	for p, voices := range got {
		if len(voices) != 2 || voices[0].pod != "ns/a" || voices[1].pod != "ns/b" {
			t.Errorf("at %v answer %v", p.address, voices)
		}
	}
}

// TestEchoSaysWhoItIs, in the way in which it is spoken to, and no longer when it has stopped.
func TestEchoSaysWhoItIs(t *testing.T) {
	for protocol, ask := range map[string]func(t *testing.T, address string) string{
		"tcp": func(t *testing.T, address string) string { return askLine(t, "tcp", address, "hi\n") },
		"udp": func(t *testing.T, address string) string { return askLine(t, "udp", address, "hi\n") },
		"tcp, the client waits": func(t *testing.T, address string) string {
			return askLine(t, "tcp", address, "")
		},
		"tcp, HTTP": func(t *testing.T, address string) string {
			resp, err := http.Get("http://" + address + "/any/path")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			return string(body)
		},
	} {
		t.Run(protocol, func(t *testing.T) {
			p := place{protocol[:3], freePlace(t)}
			a, b := voice{pod: "ns/a"}, voice{pod: "ns/b"}
			e, err := openEcho(p, []voice{a, b})
			if err != nil {
				t.Fatal(err)
			}
			http.DefaultClient.CloseIdleConnections()
			said := map[string]int{}
			for range 4 {
				said[ask(t, p.address.String())]++
				http.DefaultClient.CloseIdleConnections()
			}
			if want := map[string]int{fmt.Sprintln(a): 2, fmt.Sprintln(b): 2}; !maps.Equal(said, want) {
				t.Errorf("it said %v, want %v", said, want)
			}
			e.speak([]voice{b})
			if got := ask(t, p.address.String()); got != fmt.Sprintln(b) {
				t.Errorf("without a, %s said it", got)
			}
			if err := e.stop(); err != nil {
				t.Error(err)
			}
			if conn, err := net.Dial("tcp", p.address.String()); protocol != "udp" && err == nil {
				conn.Close()
				t.Error("it can be reached after its end")
			}
		})
	}
}

// TestEchoEndsConnectionsToPodsThatAreGone: a client that keeps its connection must not be served by a Pod that is not there.
func TestEchoEndsConnectionsToPodsThatAreGone(t *testing.T) {
	p := place{"tcp", freePlace(t)}
	e, err := openEcho(p, []voice{{pod: "ns/a"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.stop() })
	conn, err := net.Dial("tcp", p.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	answers := bufio.NewReader(conn)
	for range 2 { // it is kept
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	e.speak([]voice{{pod: "ns/b"}})
	if _, err := answers.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection to a Pod that is gone: %v", err)
	}
}

func freePlace(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func askLine(t *testing.T, network, address, says string) string {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, says)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// TestHowPodsAnswerDoesNotChange: the API server and the nodes' addresses depend on it.
func TestHowPodsAnswerDoesNotChange(t *testing.T) {
	c, err := admitCluster(lab{}, "a", upRequest{Nodes: 1, Answer: onLoopback})
	if err != nil {
		t.Fatal(err)
	}
	l := lab{}.with(c)
	if again, err := admitCluster(l, "a", upRequest{Nodes: 2}); err != nil || again.Answer != onLoopback || again.nodeIP(1) != c.Loopback+".2" {
		t.Errorf("up without --answer: %+v, %v", again, err)
	}
	if _, err := admitCluster(l, "a", upRequest{Nodes: 1, Answer: inNetwork}); err == nil {
		t.Error("up in another way was taken")
	}
	other, err := admitCluster(l, "b", upRequest{Nodes: 1, Answer: onLoopback})
	if err != nil || other.nodeIP(0) == c.nodeIP(0) {
		t.Errorf("two clusters have the node %s: %v", c.nodeIP(0), err)
	}
}

func TestSplitAtDash(t *testing.T) {
	for _, c := range []struct {
		args    []string
		dash    int
		cluster string
		command int // words
		ok      bool
	}{
		{[]string{"global", "curl", "x"}, 1, "global", 2, true},
		{[]string{"curl", "x"}, 0, "", 2, true},
		{[]string{"global"}, 1, "", 0, false},
		{[]string{"curl"}, -1, "", 0, false},
		{[]string{"a", "b", "c"}, 2, "", 0, false},
	} {
		cluster, command, err := splitAtDash(c.args, c.dash)
		if cluster != c.cluster || len(command) != c.command || (err == nil) != c.ok {
			t.Errorf("%v at %d: %q %v %v", c.args, c.dash, cluster, command, err)
		}
	}
}
