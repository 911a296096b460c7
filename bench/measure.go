package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The ways to bring objects to the members.
const (
	// raw: the driver writes to the members.
	raw = "raw"
	// least: the driver writes to the host and the members, and one status, which is the least that a federation must do.
	least = "raw+host+status"
	// hansa: the driver writes to the host only.
	hansa = "hansa"
)

// Revisions of an object, as they stand in a Secret's data.
const (
	first, second, third, foreign = "cjE=", "cjI=", "cjM=", "eHg="
	gone                          = ""
)

// measure runs all tests of one kind once.
func (f *federation) measure(ctx context.Context, k kind, o options) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	var rows []result
	for _, w := range []struct {
		name string
		run  func(context.Context, kind, options) ([]result, error)
	}{{raw, f.raw}, {least, f.least}, {hansa, f.hansas}} {
		if !listed(o.ways, w.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s …\n", k.name, w.name)
		got, err := w.run(ctx, k, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// burst times one act on n objects in all members, and on the host where the way has one.
func (f *federation) burst(ctx context.Context, k kind, o options, r result, revision string, do act) (result, error) {
	start := time.Now()
	err := each(o.n, o.workers, func(n int) error {
		if r.Way == least {
			if err := do(ctx, f.host, federated(k.resource), k.federated(n, revision)); err != nil {
				return err
			}
		}
		for _, s := range f.members {
			if err := do(ctx, s, k.gvr, k.object(n, revision)); err != nil {
				return err
			}
		}
		if r.Way == least {
			return f.close(ctx, k, n, revision)
		}
		return nil
	})
	r.Seconds = time.Since(start).Seconds()
	return r, err
}

// close is the second write on the host: the status of what has been written, or the end of what has been deleted.
func (f *federation) close(ctx context.Context, k kind, n int, revision string) error {
	if revision == gone {
		return release(ctx, f.host, federated(k.resource), k.federated(n, revision))
	}
	return f.status(ctx, k, n, revision)
}

// raw is the driver alone with the members.
func (f *federation) raw(ctx context.Context, k kind, o options) ([]result, error) {
	var rows []result
	for _, t := range []struct {
		test, revision string
		do             act
	}{{"create", first, create}, {"update", second, update}, {"repair", third, update}, {"delete", gone, remove}} {
		r, err := f.burst(ctx, k, o, result{Kind: k.name, Test: t.test, Way: raw, Objects: o.n}, t.revision, t.do)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	for _, t := range []struct {
		test, revision string
		do             act
	}{{placed, first, create}, {"one repair", second, update}} {
		r, err := f.oneAtATime(ctx, k, o, result{Kind: k.name, Test: t.test, Way: raw}, t.revision, func(ctx context.Context, n int) error {
			return f.toMembers(ctx, k, n, t.revision, t.do)
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, each(o.latency, o.workers, func(n int) error {
		for _, s := range f.members {
			if err := remove(ctx, s, k.gvr, k.object(n, gone)); err != nil {
				return err
			}
		}
		return nil
	})
}

// toMembers does something with an object in all members at the same time.
func (f *federation) toMembers(ctx context.Context, k kind, n int, revision string, do act) error {
	return each(len(f.members), len(f.members), func(i int) error { return do(ctx, f.members[i], k.gvr, k.object(n, revision)) })
}

// least is what any federation must do: the user's write and one more on the host, one write in each member. Hansa is away.
func (f *federation) least(ctx context.Context, k kind, o options) ([]result, error) {
	if err := f.end(); err != nil {
		return nil, err
	}
	var rows []result
	for _, t := range []struct {
		test, revision string
		do             act
	}{{"create", first, create}, {"update", second, update}, {"delete", gone, remove}} {
		r, err := f.burst(ctx, k, o, result{Kind: k.name, Test: t.test, Way: least, Objects: o.n}, t.revision, t.do)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	ones, err := f.leastOnes(ctx, k, o)
	if err != nil {
		return nil, err
	}
	return append(rows, ones...), f.start()
}

// leastOnes are the tests of one object at a time of the least federation: when the host has it, when the members do, when it is told.
func (f *federation) leastOnes(ctx context.Context, k kind, o options) ([]result, error) {
	t := newStages(k, least, o.latency)
	for n := range o.latency {
		t.begin()
		if err := create(ctx, f.host, federated(k.resource), k.federated(n, first)); err != nil {
			return nil, err
		}
		t.reached(accepted)
		if err := f.toMembers(ctx, k, n, first, create); err != nil {
			return nil, err
		}
		t.reached(placed)
		if err := f.status(ctx, k, n, first); err != nil {
			return nil, err
		}
		t.reached(known)
	}
	return t.rows(), each(o.latency, o.workers, func(n int) error {
		return errors.Join(
			remove(ctx, f.host, federated(k.resource), k.federated(n, gone)), f.close(ctx, k, n, gone), f.toMembers(ctx, k, n, gone, remove))
	})
}

// oneAtATime times objects one after another, from the write until the last member has the revision.
func (f *federation) oneAtATime(ctx context.Context, k kind, o options, r result, revision string, do func(context.Context, int) error) (result, error) {
	return f.timed(ctx, k, o, r, func(ctx context.Context, n int, watches []*arrivals) error {
		if err := do(ctx, n); err != nil {
			return err
		}
		for _, a := range watches {
			if err := a.has(ctx, objectName(n), revision); err != nil {
				return err
			}
		}
		return nil
	})
}

// oneRepair times how long a change in one member lasts.
func (f *federation) oneRepair(ctx context.Context, k kind, o options, r result) (result, error) {
	return f.timed(ctx, k, o, r, func(ctx context.Context, n int, watches []*arrivals) error {
		before := watches[0].events(objectName(n))
		if err := update(ctx, f.members[0], k.gvr, k.object(n, foreign)); err != nil {
			return err
		}
		return watches[0].back(ctx, objectName(n), before, first)
	})
}

func (f *federation) timed(ctx context.Context, k kind, o options, r result, do func(context.Context, int, []*arrivals) error) (result, error) {
	r.Objects = o.latency
	watches, stop, err := f.watches(ctx, k)
	if err != nil {
		return r, err
	}
	defer stop()
	var times []float64
	for n := range o.latency {
		start := time.Now()
		if err := do(ctx, n, watches); err != nil {
			return r, err
		}
		times = append(times, time.Since(start).Seconds())
	}
	r.P50, r.P99 = percentiles(times)
	return r, nil
}

// percentiles are the 50th and the 99th.
func percentiles(times []float64) (p50, p99 float64) {
	if len(times) == 0 {
		return 0, 0
	}
	slices.Sort(times)
	return times[len(times)/2], times[min(len(times)-1, len(times)*99/100)]
}

func (f *federation) watches(ctx context.Context, k kind) ([]*arrivals, context.CancelFunc, error) {
	ctx, stop := context.WithCancel(ctx)
	var out []*arrivals
	for _, s := range f.members {
		a, err := watchArrivals(ctx, s, k.gvr, k.revision)
		if err != nil {
			stop()
			return nil, nil, err
		}
		out = append(out, a)
	}
	return out, stop, nil
}

func arrived(ctx context.Context, watches []*arrivals, n int, revision string) error {
	for _, a := range watches {
		if err := a.have(ctx, n, revision); err != nil {
			return err
		}
	}
	return nil
}

// hansas are the tests of the federation, one after another on the same objects.
func (f *federation) hansas(ctx context.Context, k kind, o options) ([]result, error) {
	watches, stop, err := f.watches(ctx, k)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := f.warm(ctx, k, watches); err != nil {
		return nil, err
	}
	run := &tests{federation: f, k: k, o: o, watches: watches}
	var rows []result
	for _, t := range []struct {
		name string
		run  func(context.Context) (float64, error)
		// own are the driver's own writes for each object, on the host and in each member.
		ownHost, ownMember float64
	}{
		{"create", run.writes(create, first), 1, 0},
		{"update", run.writes(update, second), 1, 0},
		{"repair", run.repair, 0, 1},
		{"idle", run.idle, 0, 0},
		{"restart", run.restart, 0, 0},
		{"delete", run.writes(remove, gone), 1, 0},
	} {
		if !listed(o.tests, t.name) {
			continue
		}
		if t.name == "idle" {
			if err := f.calm(ctx); err != nil {
				return nil, err
			}
		}
		r, err := run.metered(ctx, result{Kind: k.name, Test: t.name, Way: hansa, Objects: o.n}, t.run, t.ownHost, t.ownMember)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		rows = append(rows, r)
	}
	if !listed(o.tests, "delete") && (o.rounds > 1 || listed(o.tests, "one")) { // else they go with the lab
		if _, err := run.writes(remove, gone)(ctx); err != nil {
			return nil, err
		}
	}
	if !listed(o.tests, "one") {
		return rows, nil
	}
	ones, err := f.ones(ctx, k, o)
	return append(rows, ones...), err
}

// listed says whether a list, separated by commas, has a name in it.
func listed(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// ones are the tests of one object at a time.
func (f *federation) ones(ctx context.Context, k kind, o options) ([]result, error) {
	if err := f.calm(ctx); err != nil {
		return nil, err
	}
	created, err := f.oneCreate(ctx, k, o)
	if err != nil {
		return nil, err
	}
	repaired, err := f.oneRepair(ctx, k, o, result{Kind: k.name, Test: "one repair", Way: hansa})
	if err != nil {
		return nil, err
	}
	err = each(o.latency, o.workers, func(n int) error { return remove(ctx, f.host, federated(k.resource), k.federated(n, gone)) })
	if err != nil {
		return nil, err
	}
	return append(created, repaired), f.told(ctx, k, 0)
}

// oneCreate times when the host has accepted an object, when the last member has it, and when the host says so. The next one begins
// after that: what is left of one object must not be counted with another.
func (f *federation) oneCreate(ctx context.Context, k kind, o options) ([]result, error) {
	watches, stop, err := f.watches(ctx, k)
	if err != nil {
		return nil, err
	}
	defer stop()
	ctx, end := context.WithCancel(ctx)
	defer end()
	host, err := watchArrivals(ctx, f.host, federated(k.resource), func(o *unstructured.Unstructured) string { return strconv.FormatBool(settled(o)) })
	if err != nil {
		return nil, err
	}
	t := newStages(k, hansa, o.latency)
	for n := range o.latency {
		t.begin()
		if err := create(ctx, f.host, federated(k.resource), k.federated(n, first)); err != nil {
			return nil, err
		}
		t.reached(accepted)
		for _, a := range watches {
			if err := a.has(ctx, objectName(n), first); err != nil {
				return nil, err
			}
		}
		t.reached(placed)
		if err := host.has(ctx, objectName(n), "true"); err != nil {
			return nil, err
		}
		t.reached(known)
	}
	return t.rows(), nil
}

// warm sends one object through, so that the manager leads, and watches the kind.
func (f *federation) warm(ctx context.Context, k kind, watches []*arrivals) error {
	if err := create(ctx, f.host, federated(k.resource), k.federated(0, third)); err != nil {
		return err
	}
	if err := arrived(ctx, watches, 1, third); err != nil {
		return err
	}
	if err := remove(ctx, f.host, federated(k.resource), k.federated(0, gone)); err != nil {
		return err
	}
	return f.told(ctx, k, 0)
}

// metered counts what a test costs.
func (t *tests) metered(ctx context.Context, r result, run func(context.Context) (float64, error), ownHost, ownMember float64) (result, error) {
	m, err := t.meter(ctx)
	if err != nil {
		return r, err
	}
	t.meted = m
	save := t.profile(ctx, t.o, r)
	if r.Seconds, err = run(ctx); err != nil {
		return r, err
	}
	if r, err = m.read(ctx, r, t.k, ownHost, ownMember); err != nil {
		return r, err
	}
	if err := save(); err != nil && r.Test != "restart" { // which ends the process that was asked
		return r, err
	}
	return r, nil
}

// tests are those of the federation; each gives the seconds that it took.
type tests struct {
	*federation
	k       kind
	o       options
	watches []*arrivals
	meted   *meter // of the test that runs
}

// writes does one act with n objects on the host, and waits until all members have it and the host says so.
func (t *tests) writes(do act, revision string) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		err := each(t.o.n, t.o.workers, func(n int) error {
			return do(ctx, t.host, federated(t.k.resource), t.k.federated(n, revision))
		})
		if err != nil {
			return 0, err
		}
		if err := arrived(ctx, t.watches, t.o.n, revision); err != nil {
			return 0, err
		}
		left := t.o.n
		if revision == gone {
			left = 0
		}
		err = t.told(ctx, t.k, left)
		return time.Since(start).Seconds(), err
	}
}

// repair changes all objects in all members while the manager is stopped, and times what it does once it goes on.
func (t *tests) repair(ctx context.Context) (float64, error) {
	if err := t.hansa.Process.Signal(syscall.SIGSTOP); err != nil {
		return 0, err
	}
	err := each(t.o.n, t.o.workers, func(n int) error {
		for _, s := range t.members {
			if err := update(ctx, s, t.k.gvr, t.k.object(n, foreign)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = arrived(ctx, t.watches, t.o.n, foreign)
	}
	start := time.Now()
	if again := t.hansa.Process.Signal(syscall.SIGCONT); again != nil {
		return 0, again
	}
	if err != nil {
		return 0, err
	}
	err = arrived(ctx, t.watches, t.o.n, second)
	return time.Since(start).Seconds(), err
}

// quiet is how long the test of idleness looks.
const quiet = 20 * time.Second

func (t *tests) idle(ctx context.Context) (float64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(quiet):
		return quiet.Seconds(), nil
	}
}

// restart starts the manager anew with all objects in place, until it uses less than a twentieth of a core.
func (t *tests) restart(ctx context.Context) (float64, error) {
	if err := t.end(); err != nil {
		return 0, err
	}
	if err := t.start(); err != nil {
		return 0, err
	}
	t.meted.cpu = 0 // it is another process
	const look, enough = 500 * time.Millisecond, 4
	start, last := time.Now(), 0.0
	for calm := 0; calm < enough; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(look):
		}
		cpu, _ := t.usage()
		calm++
		if cpu-last > look.Seconds()/20 || time.Since(start) < 3*time.Second {
			calm = 0
		}
		last = cpu
	}
	return (time.Since(start) - enough*look).Seconds(), nil
}

// told waits until the host says of n objects that all is done, or that none is left.
func (f *federation) told(ctx context.Context, k kind, n int) error {
	for {
		list, err := f.host.client.Resource(federated(k.resource)).Namespace(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			if settled(&list.Items[i]) {
				ready++
			}
		}
		if n == 0 && len(list.Items) == 0 || n > 0 && ready >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// settled says that the status speaks of the object as it is.
func settled(o *unstructured.Unstructured) bool {
	observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	text, _ := json.Marshal(o.Object["status"])
	return observed == o.GetGeneration() && bytes.Contains(text, []byte(`"type":"Propagation"`))
}
