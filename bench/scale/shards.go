package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/bench/member"
)

var leases = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

// sharedRow is what was measured with so many managers.
type sharedRow struct {
	Managers, Members, Objects int
	// Create and Update are what it cost to place all objects, and to change them.
	Create, Update change
	// RSS is the resident memory of each manager in MiB, largest first; Connections are those to each member.
	RSS         []float64
	Connections float64
	// Idle is the share of a core of all managers while nothing happens.
	Idle float64
	// TakeOver is seconds from the death of a manager until all members hold a change that was made right after it, TakeOverTold until the
	// host says so.
	TakeOver, TakeOverTold float64
	TakeOverWrites         member.Written
	// Halved is what was written by a change in the midst of which a manager died, HalvedSeconds how long all members waited for it then.
	Halved        member.Written
	HalvedSeconds float64
}

// change is a burst of changes of all objects.
type change struct {
	// Copies per second, CPU seconds of all managers for each copy, and writes of the host for each object, with its CPU seconds.
	Rate, CPU, HostWrites, HostCPU float64
	Written                        member.Written
}

var sharedLines = []line[sharedRow]{
	{"managers", func(r sharedRow) string { return whole(r.Managers) }},
	{"members", func(r sharedRow) string { return whole(r.Members) }},
	{"objects", func(r sharedRow) string { return whole(r.Objects) }},
	{"create: copies per second", func(r sharedRow) string { return fixed(r.Create.Rate, 0) }},
	{"  managers' CPU per copy, ms", func(r sharedRow) string { return millis(r.Create.CPU, 2) }},
	{"  host writes per object", func(r sharedRow) string { return fixed(r.Create.HostWrites, 2) }},
	{"  host's CPU per object, ms", func(r sharedRow) string { return millis(r.Create.HostCPU, 0) }},
	{"  member writes per copy", func(r sharedRow) string { return perCopy(r.Create.Written) }},
	{"  copies of several writers", func(r sharedRow) string { return whole(r.Create.Written.Several) }},
	{"update: copies per second", func(r sharedRow) string { return fixed(r.Update.Rate, 0) }},
	{"  managers' CPU per copy, ms", func(r sharedRow) string { return millis(r.Update.CPU, 2) }},
	{"  host writes per object", func(r sharedRow) string { return fixed(r.Update.HostWrites, 2) }},
	{"  host's CPU per object, ms", func(r sharedRow) string { return millis(r.Update.HostCPU, 0) }},
	{"  member writes per copy", func(r sharedRow) string { return perCopy(r.Update.Written) }},
	{"  copies of several writers", func(r sharedRow) string { return whole(r.Update.Written.Several) }},
	{"RSS of each, MiB", func(r sharedRow) string {
		var each []string
		for _, v := range r.RSS {
			each = append(each, fixed(v, 0))
		}
		return strings.Join(each, " ")
	}},
	{"connections per member", func(r sharedRow) string { return fixed(r.Connections, 1) }},
	{"idle, % of a core", func(r sharedRow) string { return fixed(100*r.Idle, 1) }},
	{"one dies: its members have the news, s", func(r sharedRow) string { return ifShared(r, fixed(r.TakeOver, 1)) }},
	{"  and the host says so, s", func(r sharedRow) string { return ifShared(r, fixed(r.TakeOverTold, 1)) }},
	{"  member writes per copy", func(r sharedRow) string { return ifShared(r, perCopy(r.TakeOverWrites)) }},
	{"  copies written more than once", func(r sharedRow) string { return ifShared(r, whole(r.TakeOverWrites.Twice)) }},
	{"  copies of several writers", func(r sharedRow) string { return ifShared(r, whole(r.TakeOverWrites.Several)) }},
	{"one dies at work: all have the news, s", func(r sharedRow) string { return ifShared(r, fixed(r.HalvedSeconds, 1)) }},
	{"  member writes per copy", func(r sharedRow) string { return ifShared(r, perCopy(r.Halved)) }},
	{"  copies written more than once", func(r sharedRow) string { return ifShared(r, whole(r.Halved.Twice)) }},
	{"  copies of several writers", func(r sharedRow) string { return ifShared(r, whole(r.Halved.Several)) }},
}

func perCopy(w member.Written) string { return fixed(float64(w.Writes)/float64(max(w.Copies, 1)), 3) }

func ifShared(r sharedRow, s string) string {
	if r.Managers < 2 {
		return "-"
	}
	return s
}

// share measures several managers.
func share(ctx context.Context, members, managers, objects int) (sharedRow, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	r := sharedRow{Managers: managers, Members: members, Objects: objects}
	s, err := newStage(ctx, members, "")
	if s != nil {
		defer s.clear()
	}
	if err != nil {
		return r, err
	}
	for range managers {
		if err := s.start("--shards"); err != nil {
			return r, err
		}
	}
	for _, test := range []struct {
		name string
		run  func(context.Context, *sharedRow) error
		// several says that it takes several managers.
		several bool
	}{
		{"join", s.joinShards, false},
		{"create", s.createShared, false},
		{"update", s.updateShared, false},
		{"idle", s.idleShared, false},
		{"take over", s.takeOver, true},
		{"take over at work", s.takeOverAtWork, true},
	} {
		if test.several && managers < 2 {
			continue
		}
		fmt.Fprintf(os.Stderr, "%d managers, %d members: %s …\n", managers, members, test.name)
		if err := test.run(ctx, &r); err != nil {
			return r, fmt.Errorf("%s: %w", test.name, err)
		}
	}
	return r, nil
}

func (s *stage) joinShards(ctx context.Context, r *sharedRow) error {
	if err := s.shared(ctx, r.Managers); err != nil {
		return err
	}
	if err := s.joinAll(ctx); err != nil {
		return err
	}
	_, err := s.calm(ctx)
	r.Connections = float64(s.members.Connections.Load()) / float64(s.count)
	return err
}

// shared waits until so many managers have the members among them, and all know it.
func (s *stage) shared(ctx context.Context, want int) error {
	from := s.host.Resource(leases).Namespace(system)
	return until(ctx, func() (bool, error) {
		list, err := from.List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ring, following := "", 0
		for _, l := range list.Items {
			if l.GetName() == fedv1.ShardsLeaseName && len(strings.Split(l.GetAnnotations()[fedv1.ShardsAnnotation], ",")) == want {
				ring = l.GetAnnotations()[fedv1.EpochAnnotation]
			}
		}
		for _, l := range list.Items {
			if l.GetLabels()[fedv1.ShardLabel] == "true" && ring != "" && l.GetAnnotations()[fedv1.EpochAnnotation] == ring {
				following++
			}
		}
		return following == want, nil
	})
}

func (s *stage) createShared(ctx context.Context, r *sharedRow) error {
	u, err := s.burst(ctx, r.Objects, func(n int) error { return s.create(ctx, n) },
		func() (bool, error) { return s.arrived(r.Objects) },
		func() error { return s.isTold(ctx, r.Objects) })
	r.Create = s.costs(u, r.Objects)
	return err
}

func (s *stage) updateShared(ctx context.Context, r *sharedRow) error {
	u, err := s.burst(ctx, r.Objects, func(n int) error { return s.change(ctx, n, 1) },
		func() (bool, error) { return s.changed(1) },
		func() error { return s.current(ctx, r.Objects) })
	r.Update = s.costs(u, r.Objects)
	for _, m := range s.managers {
		r.RSS = append(r.RSS, m.rss())
	}
	slices.SortFunc(r.RSS, func(a, b float64) int { return int(b - a) })
	return err
}

func (s *stage) costs(u burst, objects int) change {
	copies := float64(objects * s.count)
	each := float64(objects)
	return change{Rate: copies / u.took, CPU: u.cpu / copies, HostWrites: u.host.writes/each - 1, HostCPU: u.host.cpu / each, Written: u.written}
}

func (s *stage) idleShared(ctx context.Context, r *sharedRow) (err error) {
	r.Idle, err = s.rests(ctx)
	return err
}

// takeOver kills a manager while nothing happens and changes all objects right after.
func (s *stage) takeOver(ctx context.Context, r *sharedRow) error {
	s.members.Written(configMaps)
	start := time.Now()
	s.kill()
	if err := parallel(r.Objects, func(n int) error { return s.change(ctx, n, 2) }); err != nil {
		return err
	}
	var err error
	r.TakeOver, r.TakeOverTold, err = s.settled(ctx, start, r.Objects, 2)
	if err != nil {
		return err
	}
	r.TakeOverWrites = s.members.Written(configMaps)
	if err := s.start("--shards"); err != nil {
		return err
	}
	if err := s.shared(ctx, r.Managers); err != nil {
		return err
	}
	_, err = s.calm(ctx)
	return err
}

// takeOverAtWork changes all objects, and kills a manager when half of the change has arrived.
func (s *stage) takeOverAtWork(ctx context.Context, r *sharedRow) error {
	s.members.Written(configMaps)
	before, half := s.members.Writes.Load(), int64(r.Objects*s.count/2)
	done := make(chan error, 1)
	go func() { done <- parallel(r.Objects, func(n int) error { return s.change(ctx, n, 3) }) }()
	if err := until(ctx, func() (bool, error) { return s.members.Writes.Load()-before >= half, nil }); err != nil {
		return err
	}
	start := time.Now()
	s.kill()
	if err := <-done; err != nil {
		return err
	}
	var err error
	r.HalvedSeconds, _, err = s.settled(ctx, start, r.Objects, 3)
	r.Halved = s.members.Written(configMaps)
	return err
}

// settled waits until all members hold a change, and the host says so, and returns the seconds that either took.
func (s *stage) settled(ctx context.Context, start time.Time, objects, change int) (held, told float64, err error) {
	if err := until(ctx, func() (bool, error) { return s.changed(change) }); err != nil {
		return 0, 0, err
	}
	held = time.Since(start).Seconds()
	err = s.current(ctx, objects)
	return held, time.Since(start).Seconds(), err
}
