package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/discovery/definitions"
	"github.com/hansa-io/hansa/internal/lab"
)

// TestScale tells what 1,000 headless imports with 20,000 endpoints cost, and how long a change takes to be answered. It fails only where an answer is
// wrong.
func TestScale(t *testing.T) {
	if os.Getenv("HANSA_LONG") == "" {
		t.Skip("HANSA_LONG is not set")
	}
	const imports, endpoints = 1000, 20
	l := clusters(t)
	c := connect(t, l)
	if err := errors.Join(definitions.Ensure(t.Context(), c, func(string, definitions.Result) {}), definitions.Served(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	ns := lab.Namespace(t, l.Config("member"), "scale")
	fill(t, c, ns, imports, endpoints)
	listen := net.JoinHostPort("127.0.0.1", free(t))
	begin := time.Now()
	s := start(t, listen, "--kubeconfig", l.Kubeconfig(), "--context", "member", "--listen", listen)
	lab.Eventually(t, time.Minute, "an answer for the last import", func(context.Context) error {
		r, err := s.exchange(fmt.Sprintf("svc-%d.%s.svc.clusterset.local", imports-1, ns), dns.TypeA)
		if err == nil && len(r.Answer) != endpoints {
			err = fmt.Errorf("%d addresses", len(r.Answer))
		}
		return err
	})
	t.Logf("all answered %v after the start, %s", time.Since(begin).Round(time.Millisecond), memory(t))
	t.Logf("change to answer: %s", latency(t, c, s, ns))
	t.Logf("A records: %.0f answers a second, %s", rate(t, s, ns, imports, endpoints), memory(t))
}

// fill makes imports with endpoints, all alike but for their names, in two slices each.
func fill(t *testing.T, c client.Client, ns string, imports, endpoints int) {
	t.Helper()
	var all sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range imports {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			name := fmt.Sprintf("svc-%d", i)
			objects := []client.Object{&mcsv1.ServiceImport{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
				Spec:       mcsv1.ServiceImportSpec{Type: mcsv1.Headless, Ports: []mcsv1.ServicePort{{Name: "pg", Protocol: corev1.ProtocolTCP, Port: 5432}}},
			}}
			for k, cluster := range []string{"east", "west"} {
				slice := &discoveryv1.EndpointSlice{
					ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name + "-" + cluster, Labels: map[string]string{
						mcsv1.LabelServiceName: name, mcsv1.LabelSourceCluster: cluster, discoveryv1.LabelServiceName: "derived-" + name, discoveryv1.LabelManagedBy: "hansa",
					}},
					AddressType: discoveryv1.AddressTypeIPv4,
					Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("pg"), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To[int32](5432)}},
				}
				for e := range endpoints / 2 {
					slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
						Addresses: []string{fmt.Sprintf("10.%d.0.%d", k+1, e+1)}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
					})
				}
				objects = append(objects, slice)
			}
			for _, o := range objects {
				if err := c.Create(t.Context(), o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// latency is how long it takes from the server's answer to a write until the DNS answer is another one.
func latency(t *testing.T, c client.Client, s server, ns string) string {
	t.Helper()
	var times []time.Duration
	for i := range 20 {
		slice := &discoveryv1.EndpointSlice{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "svc-0-east"}, slice); err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("10.9.0.%d", i+1)
		slice.Endpoints[0].Addresses = []string{address}
		if err := c.Update(t.Context(), slice); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for !strings.Contains(s.ask(t, "svc-0.NS.svc.clusterset.local A", ns), address) {
			if time.Since(begin) > 20*time.Second {
				t.Fatal("the answer does not change")
			}
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return fmt.Sprintf("p50 %v, longest %v", times[len(times)/2].Round(100*time.Microsecond), times[len(times)-1].Round(100*time.Microsecond))
}

// rate asks for addresses for three seconds.
func rate(t *testing.T, s server, ns string, imports, endpoints int) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var answers atomic.Int64
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			conn, err := dns.Dial("tcp", s.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for i := w; ctx.Err() == nil; i++ {
				m := new(dns.Msg)
				m.SetQuestion(fmt.Sprintf("svc-%d.%s.svc.clusterset.local.", i%imports, ns), dns.TypeA)
				if err := conn.WriteMsg(m); err != nil {
					t.Error(err)
					return
				}
				if r, err := conn.ReadMsg(); err != nil || len(r.Answer) != endpoints {
					t.Errorf("%v: %v", err, r)
					return
				}
				answers.Add(1)
			}
		})
	}
	all.Wait()
	return float64(answers.Load()) / 3
}

// memory is the resident size of the newest child of this process.
func memory(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ps", "--ppid", strconv.Itoa(os.Getpid()), "-o", "rss=,args=").Output()
	if err != nil {
		return "memory unknown: " + err.Error()
	}
	for line := range strings.Lines(string(out)) {
		rss, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kib, err := strconv.Atoi(rss); err == nil && strings.Contains(args, "--listen") {
			return fmt.Sprintf("%d MiB", kib>>10)
		}
	}
	return "memory unknown"
}
