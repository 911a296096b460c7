package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/hansa-io/hansa/bench/process"
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
			case i > 0 && verb == "PUT": // by Kubernetes' own controllers: neither the manager nor the driver replaces whole objects there
			case verb == "GET" && (resource == k.resource || i == 0 && resource == federated(k.resource).Resource):
				reads += d
			case !writing(verb):
			case i == 0 || resource == k.resource:
				writes += d
			}
		}
		if i == 0 {
			r.HostWrites, r.HostReads = writes/n-ownHost, reads/n
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

// writing says whether a verb, as API servers count it, may change something.
func writing(verb string) bool {
	return !slices.Contains([]string{"GET", "LIST", "WATCH", "CONNECT"}, verb)
}

// calm waits until nothing is written to the host any more but Leases: the events of a burst come after it.
func (f *federation) calm(ctx context.Context) error {
	const look, enough = time.Second, 4
	last := -1.0
	for same := 0; same < enough; {
		counts, err := f.requests(ctx)
		if err != nil {
			return err
		}
		writes := 0.0
		for key, n := range counts[0] {
			verb, resource, _ := strings.Cut(key, " ")
			if resource != "leases" && writing(verb) {
				writes += n
			}
		}
		if same++; writes != last {
			same, last = 0, writes
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
	return nil
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

// usage is the manager's CPU time in seconds and its resident memory in MiB.
func (f *federation) usage() (cpu, rss float64) {
	if f.hansa == nil {
		return 0, 0
	}
	cpu, rss = process.Usage(f.hansa.Process.Pid)
	return cpu, rss / 1024
}
