package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/federate"
	"github.com/hansa-io/hansa/internal/fleet"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/lead"
	"github.com/hansa-io/hansa/internal/observe"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/settings"
	"github.com/hansa-io/hansa/internal/shard"
)

// What shards tell each other, in their Leases.
const (
	surveyed = "surveyed" // "true" when all that its members hold has been read
	rollback = "rollback" // the newest revision of the host that a member of it has seen and the host has not
)

// shards are the processes that have the members among them, as this one knows of them, and what it does when members come and go.
type shards struct {
	*shard.Shards
	term *lead.Term
	log  logr.Logger
	news observe.Signal

	leads, surveying, behind atomic.Bool
	told                     atomic.Pointer[string] // what this process found of the host's being behind

	clusters *cluster.Controller
	fleet    *fleet.Fleet
	conduct  *federate.Reconciler
	wakeAll  func()
}

// newShards returns nil where this process is to have all members.
func newShards(f flags, config *rest.Config, identity string, times settings.Lease, log logr.Logger) (*shards, error) {
	if !f.shards {
		return nil, nil //nolint:nilnil // there are none
	}
	s := &shards{term: lead.NewTerm(times.Renew, times.Duration), log: log}
	s.told.Store(new(string))
	s.surveying.Store(true)
	var err error
	s.Shards, err = shard.New(shard.Options{
		Config: config, Namespace: f.namespace, Identity: identity, Times: shard.Times(times), Term: s.term,
		Changed: s.news.Moved, Stop: s.stop, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("share the members: %w", err)
	}
	return s, nil
}

// stop ends what is under way in members that are another shard's.
func (s *shards) stop(ctx context.Context, owns func(member string) bool) error {
	return errors.Join(s.clusters.Yield(ctx, owns), s.fleet.Yield(ctx, owns))
}

// Speaks implements federate.Shards.
func (s *shards) Speaks(key intent.Key) bool { return s.Owner(key.String()) }

// Before implements federate.Shards.
func (s *shards) Before(key intent.Key, members []string) int {
	return s.Shards.Before(key.String(), members)
}

// Surveying implements federate.Shards.
func (s *shards) Surveying() bool { return s.surveying.Load() }

// Behind implements federate.Shards.
func (s *shards) Behind() bool { return s.behind.Load() }

// Leads implements federate.Shards.
func (s *shards) Leads() bool { return s.leads.Load() }

// NeedLeaderElection says that every process takes part.
func (s *shards) NeedLeaderElection() bool { return false }

// Start takes part until the context ends.
func (s *shards) Start(ctx context.Context) error { return s.Run(ctx) }

// follow takes over what has changed between the shards, each time that something has, until the context ends.
func (s *shards) follow(ctx context.Context, newest func(string)) {
	for ctx.Err() == nil {
		news := s.news.Next()
		s.heed(newest)
		s.clusters.Moved(ctx)
		wait(ctx, news)
	}
}

// survey looks, at the start and each time that members have come from other shards, at all that is there, until the context ends. The
// others are told, as what is found may concern them.
func (s *shards) survey(ctx context.Context) {
	var before map[string]bool
	for ctx.Err() == nil {
		news := s.news.Next()
		now, gained := s.gained(before)
		if before == nil || gained {
			s.Tell(surveyed, "")
			s.conduct.Survey(ctx)
		}
		s.Tell(surveyed, "true")
		before = now
		wait(ctx, news)
	}
}

// gained says which members are this shard's, of all that are known, and whether some were another's before.
func (s *shards) gained(before map[string]bool) (now map[string]bool, some bool) {
	now = map[string]bool{}
	for _, name := range s.fleet.Names() {
		now[name] = s.Owns(name)
		was, known := before[name]
		some = some || known && !was && now[name]
	}
	return now, some
}

func wait(ctx context.Context, news <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-news:
	}
}

// heed takes over what the others tell. The leader passes on the newest revision that any of them has found.
func (s *shards) heed(newest func(string)) {
	surveying, revision := false, *s.told.Load()
	behind := false
	for _, o := range s.Others() {
		surveying = surveying || o.Told[surveyed] != "true"
		behind = behind || o.Told[rollback] != ""
		if plan.Newer(o.Told[rollback], revision) {
			revision = o.Told[rollback]
		}
	}
	if s.leads.Load() {
		newest(revision)
	}
	if s.surveying.Swap(surveying) != surveying || s.behind.Swap(behind) != behind {
		s.wakeAll()
	}
}

// rolledBack tells the others what this process has found.
func (s *shards) rolledBack(revision string) {
	s.told.Store(&revision)
	s.Tell(rollback, revision)
	s.news.Moved()
}

// guard lets requests to the host pass while this process leads, or is one of the shards.
func (s *shards) guard(leads *lead.Term) cluster.Guard {
	if s == nil {
		return leads
	}
	return lead.Either{leads, s.term}
}

// owner says whose a member is; nil if all are this process's.
func (s *shards) owner() func(member string) bool {
	if s == nil {
		return nil
	}
	return s.Owns
}

func (s *shards) forConductor() federate.Shards {
	if s == nil {
		return nil
	}
	return s
}

// leave gives the members to the others.
func (s *shards) leave() {
	if s == nil {
		return
	}
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Leave(ctx); err != nil {
		s.log.Error(err, "leave: the others take over when the Lease of this shard has run out")
	}
}

// addShards adds what shares the members out, and what only the leader does about it.
func (p *plane) addShards(context.Context, flags) error {
	s := p.shards
	if s == nil {
		return nil
	}
	s.fleet, s.conduct, s.wakeAll = p.fleet, p.conduct, p.wakeAll
	if err := p.mgr.Add(s); err != nil {
		return err
	}
	return p.mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		s.leads.Store(true)
		s.Lead()
		p.switchDiscovery()
		s.news.Moved()
		p.wakeTypes(ctx)
		p.wakeAll()
		return nil
	}))
}

// alone says whether what concerns the members needs leadership: it does where one process has them all.
func (p *plane) alone() *bool { return ptr.To(p.shards == nil) }

// member is a runnable of every process that has members.
func (p *plane) member(run func(context.Context) error) manager.Runnable {
	if p.shards == nil {
		return manager.RunnableFunc(run)
	}
	return everywhere(run)
}

// everywhere runs whether this process leads or not.
type everywhere func(context.Context) error

func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

func (everywhere) NeedLeaderElection() bool { return false }
