package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
)

// meter counts requests and the manager's work between two moments.
type meter struct {
	f      *federation
	start  time.Time
	writes []map[string]float64 // host first, then members: writes by verb and resource
	cpu    float64
}

func (f *federation) meter(ctx context.Context) (*meter, error) {
	m := &meter{f: f, start: time.Now()}
	var err error
	if m.writes, err = f.requests(ctx); err != nil {
		return nil, err
	}
	m.cpu, _ = f.usage()
	m.start = time.Now()
	return m, nil
}

// read fills in a row. own is the driver's writes per object on the host and in each member, resource the ones to look at.
func (m *meter) read(ctx context.Context, r result, k kind, ownHost, ownMembers float64) (result, error) {
	r.Seconds = time.Since(m.start).Seconds()
	time.Sleep(2 * time.Second) // late writes count as well: events, a second status
	now, err := m.f.requests(ctx)
	if err != nil {
		return r, err
	}
	n := float64(r.Objects)
	for i := range now {
		writes, reads := 0.0, 0.0
		for key, v := range now[i] {
			verb, resource, _ := strings.Cut(key, " ")
			d := v - m.writes[i][key]
			switch {
			case resource == "leases" || d == 0:
			case verb == "GET" && resource == k.resource:
				reads += d
			case verb == "GET" || verb == "LIST" || verb == "WATCH" || verb == "CONNECT":
			case i == 0 || resource == k.resource:
				writes += d
			}
		}
		if i == 0 {
			r.HostWrites = writes/n - ownHost
		} else {
			r.MemberWrites += writes/n - ownMembers
			r.MemberReads += reads / n
		}
	}
	cpu, rss := m.f.usage()
	if r.Way == "hansa" {
		r.CPU, r.RSS = cpu-m.cpu, rss
	}
	return r, nil
}

var requestTotal = regexp.MustCompile(`(?m)^apiserver_request_total\{([^}]*)\} ([0-9.e+]+)$`)

// requests reads every cluster's own count of requests, by verb and resource.
func (f *federation) requests(ctx context.Context) ([]map[string]float64, error) {
	var out []map[string]float64
	for _, s := range append([]site{f.host}, f.members...) {
		c, err := kubernetes.NewForConfig(s.config)
		if err != nil {
			return nil, err
		}
		raw, err := c.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %w", s.name, err)
		}
		counts := map[string]float64{}
		for _, match := range requestTotal.FindAllSubmatch(raw, -1) {
			labels := string(match[1])
			v, err := strconv.ParseFloat(string(match[2]), 64)
			if err != nil {
				return nil, err
			}
			counts[label(labels, "verb")+" "+label(labels, "resource")] += v
		}
		out = append(out, counts)
	}
	return out, nil
}

func label(labels, name string) string {
	_, rest, _ := strings.Cut(labels, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// usage is the manager's CPU time in seconds and its resident memory in MiB, from /proc.
func (f *federation) usage() (cpu, rss float64) {
	if f.hansa == nil {
		return 0, 0
	}
	dir := path.Join("/proc", strconv.Itoa(f.hansa.Process.Pid))
	if stat, err := os.ReadFile(path.Join(dir, "stat")); err == nil {
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		user, _ := strconv.ParseFloat(string(fields[11]), 64)
		system, _ := strconv.ParseFloat(string(fields[12]), 64)
		cpu = (user + system) / 100
	}
	if status, err := os.ReadFile(path.Join(dir, "status")); err == nil {
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				rss = kb / 1024
			}
		}
	}
	return cpu, rss
}

// measure runs all tests of one kind.
func (f *federation) measure(ctx context.Context, k kind, o options) ([]result, error) {
	var rows []result
	ways := []struct {
		name string
		run  func(context.Context, kind, options) ([]result, error)
	}{{"raw", f.raw}, {"raw+host+status", f.least}, {"hansa", f.hansas}}
	for _, w := range ways {
		fmt.Fprintf(os.Stderr, "%s: %s …\n", k.name, w.name)
		got, err := w.run(ctx, k, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		rows = append(rows, got...)
	}
	slices.SortStableFunc(rows, func(a, b result) int { return strings.Compare(order[a.Test], order[b.Test]) })
	return ratios(rows), nil
}

var order = map[string]string{"create": "1", "update": "2", "drift": "3", "delete": "4", "one at a time": "5", "restart": "6"}

// ratios sets each row beside its yardstick: how much of its rate is reached, or, one at a time, how many times its latency.
func ratios(rows []result) []result {
	for i, r := range rows {
		yardstick := "raw+host+status"
		if r.Test == "one at a time" || r.Test == "delete" || r.Test == "drift" {
			yardstick = "raw"
		}
		for _, y := range rows {
			switch {
			case y.Test != r.Test || y.Way != yardstick || y.Way == r.Way:
			case r.P50 > 0:
				rows[i].Ratio = r.P50 / y.P50
			default:
				rows[i].Ratio = y.Seconds / r.Seconds * float64(r.Objects) / float64(y.Objects)
			}
		}
	}
	return rows
}

// burst times one act on n objects in all members, and on the host where the way has one.
func (f *federation) burst(ctx context.Context, k kind, o options, r result, revision string, do act, withHost bool) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	m, err := f.meter(ctx)
	if err != nil {
		return r, err
	}
	err = each(o.n, o.workers, func(n int) error {
		if withHost {
			if err := do(ctx, f.host, federated(k.resource), k.federated(n, revision)); err != nil {
				return err
			}
		}
		for _, s := range f.members {
			if err := do(ctx, s, k.gvr, k.object(n, revision)); err != nil {
				return err
			}
		}
		if withHost && revision != "" {
			return status(ctx, f.host, federated(k.resource), k.federated(n, revision))
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	r.Seconds = time.Since(m.start).Seconds()
	return r, nil
}

func (f *federation) raw(ctx context.Context, k kind, o options) ([]result, error) {
	var rows []result
	for _, t := range []struct {
		test, revision string
		do             act
	}{{"create", "cjE=", create}, {"update", "cjI=", update}, {"drift", "cjM=", update}, {"delete", "", remove}} {
		r, err := f.burst(ctx, k, o, result{Kind: k.name, Test: t.test, Way: "raw", Objects: o.n}, t.revision, t.do, false)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	one, err := f.oneAtATime(ctx, k, o, "raw", func(ctx context.Context, n int) error {
		return each(len(f.members), len(f.members), func(i int) error { return create(ctx, f.members[i], k.gvr, k.object(n, "cjE=")) })
	})
	if err != nil {
		return nil, err
	}
	return append(rows, one), each(o.latency, o.workers, func(n int) error {
		for _, s := range f.members {
			if err := remove(ctx, s, k.gvr, k.object(n, "")); err != nil {
				return err
			}
		}
		return nil
	})
}

// least is what any federation must do: the user's write and one status on the host, one write in each member. Hansa is away.
func (f *federation) least(ctx context.Context, k kind, o options) ([]result, error) {
	if err := f.end(); err != nil {
		return nil, err
	}
	var rows []result
	for _, t := range []struct {
		test, revision string
		do             act
	}{{"create", "cjE=", create}, {"update", "cjI=", update}, {"delete", "", remove}} {
		r, err := f.burst(ctx, k, o, result{Kind: k.name, Test: t.test, Way: "raw+host+status", Objects: o.n}, t.revision, t.do, true)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	if err := f.start(); err != nil {
		return nil, err
	}
	// Objects that got their finalizer at admission are let go by the manager only.
	return rows, f.told(ctx, k, o, true)
}

// oneAtATime times objects one after another, from the write until the last member has it.
func (f *federation) oneAtATime(ctx context.Context, k kind, o options, way string, do func(context.Context, int) error) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	r := result{Kind: k.name, Test: "one at a time", Way: way, Objects: o.latency}
	watches, err := f.watches(ctx, k)
	if err != nil {
		return r, err
	}
	var times []float64
	for n := range o.latency {
		start := time.Now()
		if err := do(ctx, n); err != nil {
			return r, err
		}
		for _, a := range watches {
			if err := a.has(ctx, objectName(n), "cjE="); err != nil {
				return r, err
			}
		}
		times = append(times, time.Since(start).Seconds())
	}
	slices.Sort(times)
	r.P50, r.P99 = times[len(times)/2], times[min(len(times)-1, len(times)*99/100)]
	return r, nil
}

func (f *federation) watches(ctx context.Context, k kind) ([]*arrivals, error) {
	var out []*arrivals
	for _, s := range f.members {
		a, err := watchArrivals(ctx, s, k)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (f *federation) hansas(ctx context.Context, k kind, o options) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	watches, err := f.watches(ctx, k)
	if err != nil {
		return nil, err
	}
	if err := f.warm(ctx, k, watches); err != nil {
		return nil, err
	}
	var rows []result
	for _, t := range []struct {
		test, revision string
		do             act
	}{{"create", "cjE=", create}, {"update", "cjI=", update}, {"drift", "cjI=", nil}, {"restart", "cjI=", nil}, {"delete", "", remove}} {
		r := result{Kind: k.name, Test: t.test, Way: "hansa", Objects: o.n}
		if r, err = f.hansaTest(ctx, k, o, r, t.revision, t.do, watches); err != nil {
			return nil, fmt.Errorf("%s: %w", t.test, err)
		}
		rows = append(rows, r)
	}
	one, err := f.oneAtATime(ctx, k, o, "hansa", func(ctx context.Context, n int) error {
		return create(ctx, f.host, federated(k.resource), k.federated(n, "cjE="))
	})
	if err != nil {
		return nil, err
	}
	err = each(o.latency, o.workers, func(n int) error { return remove(ctx, f.host, federated(k.resource), k.federated(n, "")) })
	if err != nil {
		return nil, err
	}
	return append(rows, one), f.told(ctx, k, o, true)
}

// warm sends one object through, so that the manager leads, and watches the kind.
func (f *federation) warm(ctx context.Context, k kind, watches []*arrivals) error {
	if err := create(ctx, f.host, federated(k.resource), k.federated(0, "cjA=")); err != nil {
		return err
	}
	if err := f.arrived(ctx, watches, 1, "cjA="); err != nil {
		return err
	}
	if err := remove(ctx, f.host, federated(k.resource), k.federated(0, "")); err != nil {
		return err
	}
	return f.told(ctx, k, options{}, true)
}

func (f *federation) arrived(ctx context.Context, watches []*arrivals, n int, revision string) error {
	for _, a := range watches {
		if err := a.have(ctx, n, revision); err != nil {
			return err
		}
	}
	return nil
}

func (f *federation) hansaTest(ctx context.Context, k kind, o options, r result, revision string, do act, watches []*arrivals) (result, error) {
	if r.Test == "restart" {
		if err := f.end(); err != nil {
			return r, err
		}
	}
	m, err := f.meter(ctx)
	if err != nil {
		return r, err
	}
	save := f.profile(ctx, o, r)
	ownHost, ownMembers := 1.0, 0.0
	switch r.Test {
	case "restart":
		ownHost = 0
		if err := f.start(); err != nil {
			return r, err
		}
		if err := f.idle(ctx, &r); err != nil {
			return r, err
		}
	case "drift":
		ownHost, ownMembers = 0, 1
		err = each(o.n, o.workers, func(n int) error {
			for _, s := range f.members {
				if err := update(ctx, s, k.gvr, k.object(n, "eHg=")); err != nil {
					return err
				}
			}
			return nil
		})
	default:
		err = each(o.n, o.workers, func(n int) error {
			return do(ctx, f.host, federated(k.resource), k.federated(n, revision))
		})
	}
	if err != nil {
		return r, err
	}
	if err := f.arrived(ctx, watches, o.n, revision); err != nil {
		return r, err
	}
	if r.Test == "create" || r.Test == "update" || r.Test == "delete" {
		if err := f.told(ctx, k, o, r.Test == "delete"); err != nil {
			return r, err
		}
	}
	seconds := time.Since(m.start).Seconds()
	if r, err = m.read(ctx, r, k, ownHost, ownMembers); err != nil {
		return r, err
	}
	if err := save(); err != nil && r.Test != "restart" {
		return r, err
	}
	if r.Test != "restart" {
		r.Seconds = seconds
	} else {
		r.Seconds = 0
	}
	return r, nil
}

// told waits until the host says of every object that all is done, or that it is gone.
func (f *federation) told(ctx context.Context, k kind, o options, gone bool) error {
	for {
		list, err := f.host.client.Resource(federated(k.resource)).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			generation := list.Items[i].GetGeneration()
			observed, _, _ := unstructured.NestedInt64(list.Items[i].Object, "status", "observedGeneration")
			if text, _ := json.Marshal(list.Items[i].Object["status"]); observed == generation && bytes.Contains(text, []byte(`"type":"Propagation"`)) {
				ready++
			}
		}
		if gone && len(list.Items) == 0 || !gone && ready >= o.n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// idle waits until a manager that has just started uses less than a tenth of a core.
func (f *federation) idle(ctx context.Context, r *result) error {
	start := time.Now()
	last, _ := f.usage()
	for quiet := 0; quiet < 3; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		cpu, _ := f.usage()
		if cpu-last < 0.05 && time.Since(start) > 2*time.Second {
			quiet++
		} else {
			quiet = 0
		}
		last = cpu
	}
	r.P50 = 0
	return nil
}
