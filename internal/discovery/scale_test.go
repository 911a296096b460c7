package discovery_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/lab"
)

// What TestScale makes: services × endpoints, in namespaces of two members.
const (
	scaleNamespaces = 10
	scaleServices   = 100 // in each
	scaleEndpoints  = 20  // of each
	scaleChanges    = 60
)

// TestScale measures. It fails only where what is measured does not come true at all, or costs more writes than it should.
func TestScale(t *testing.T) {
	if os.Getenv("HANSA_LONG") == "" {
		t.Skip("HANSA_LONG is not set")
	}
	l := clusters(t)
	f := newFederation(t, l, patient)
	var namespaces []string
	for range scaleNamespaces {
		namespaces = append(namespaces, f.namespace("scale", "a", "b"))
	}
	t.Logf("idle: %s", memory())
	start := time.Now()
	f.fill(namespaces)
	t.Logf("made %d services with %d endpoints after %v", scaleNamespaces*scaleServices, scaleNamespaces*scaleServices*scaleEndpoints, time.Since(start))
	for _, in := range []string{"a", "b"} {
		lab.Eventually(t, 5*time.Minute, "all slices in "+in, func(ctx context.Context) error {
			list, err := f.core(in).DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{LabelSelector: mcsv1.LabelSourceCluster + "=a"})
			if err == nil && len(list.Items) < scaleNamespaces*scaleServices {
				err = fmt.Errorf("%d", len(list.Items))
			}
			return err
		})
		lab.Eventually(t, 5*time.Minute, "all imports to be told in "+in, func(ctx context.Context) error { return f.allTold(ctx, in) })
	}
	t.Logf("imported in both members after %v: %s", time.Since(start), memory())
	f.measureChanges(namespaces)
	t.Logf("after changes: %s", memory())
}

// allTold says that every import and export has its conditions.
func (f *federation) allTold(ctx context.Context, in string) error {
	imports, err := f.mcs(in).MulticlusterV1beta1().ServiceImports("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	exports, err := f.mcs(in).MulticlusterV1beta1().ServiceExports("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	told := 0
	for _, i := range imports.Items {
		told += len(i.Status.Conditions)
	}
	for _, e := range exports.Items {
		told += len(e.Status.Conditions)
	}
	if want := len(imports.Items) + 3*len(exports.Items); len(imports.Items) < scaleNamespaces*scaleServices || told < want {
		return fmt.Errorf("%d imports, %d of %d conditions", len(imports.Items), told, want)
	}
	return nil
}

// fill makes the services, some at the same time.
func (f *federation) fill(namespaces []string) {
	addresses := make([]string, scaleEndpoints)
	for n := range addresses {
		addresses[n] = fmt.Sprintf("10.1.0.%d", n+1)
	}
	var done sync.WaitGroup
	for _, ns := range namespaces {
		done.Go(func() {
			for n := range scaleServices {
				s := web()
				s.Name = fmt.Sprintf("web-%d", n)
				f.serve("a", ns, s, addresses...)
				f.export("a", ns, s.Name)
			}
		})
	}
	done.Wait()
}

// measureChanges changes endpoints of one service after the other and waits for each in the other member.
func (f *federation) measureChanges(namespaces []string) {
	f.t.Helper()
	before := map[string]int{}
	for _, in := range []string{"a", "b"} {
		before[in] = len(f.settledAll(in))
	}
	var took []time.Duration
	for n := range scaleChanges {
		took = append(took, f.change(namespaces[n%len(namespaces)], fmt.Sprintf("web-%d", n), n))
	}
	slices.Sort(took)
	f.t.Logf("endpoint change until the other member holds it: p50 %v, p90 %v, most %v", took[len(took)/2], took[len(took)*9/10], took[len(took)-1])
	for _, in := range []string{"a", "b"} {
		wrote := len(f.settledAll(in)) - before[in]
		f.t.Logf("writes to %s for %d changes: %d", in, scaleChanges, wrote)
		if wrote > scaleChanges {
			f.t.Errorf("more than one write for a change in %s", in)
		}
	}
}

func (f *federation) settledAll(in string) []lab.Request {
	f.t.Helper()
	var last []lab.Request
	seen := -1
	lab.Eventually(f.t, long, "the audit log to come to rest", func(context.Context) error {
		last = f.lab.Requests(f.t, in, func(r lab.Request) bool { return r.UserAgent == agent && r.Mutates() })
		if len(last) != seen {
			seen = len(last)
			return fmt.Errorf("%d writes", seen)
		}
		return nil
	})
	return last
}

// change gives a service another address and says how long it took until the other member told of it.
func (f *federation) change(ns, name string, n int) time.Duration {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), long)
	defer cancel()
	w, err := f.core("b").DiscoveryV1().EndpointSlices(ns).Watch(ctx, metav1.ListOptions{LabelSelector: mcsv1.LabelServiceName + "=" + name})
	must(f.t, err)
	defer w.Stop()
	address := fmt.Sprintf("10.9.0.%d", n+1)
	s := web()
	s.Name = name
	start := time.Now()
	f.slice("a", ns, s, address)
	for e := range w.ResultChan() {
		if slice, ok := e.Object.(*discoveryv1.EndpointSlice); ok && slice.Endpoints[0].Addresses[0] == address {
			return time.Since(start)
		}
	}
	f.t.Fatalf("%s/%s was not told", ns, name)
	return 0
}

// memory is that of this process: the control plane and the test.
func memory() string {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, _ := os.ReadFile("/proc/self/status")
	rss := ""
	for line := range strings.SplitSeq(string(status), "\n") {
		if strings.HasPrefix(line, "VmRSS") {
			rss = strings.Join(strings.Fields(line)[1:], " ")
		}
	}
	return fmt.Sprintf("heap %d MiB, RSS %s", m.HeapAlloc>>20, rss)
}
