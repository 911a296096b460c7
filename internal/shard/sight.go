package shard

import (
	"slices"
	"time"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// sight is what a shard has seen of the Leases, and since when it sees them so, by its own clock. It may be old. What was written before the
// leader's Lease that is in it is in it, too; of the others, those that this shard has written or asked for may be newer than the rest.
type sight struct {
	// listed says that it has seen all.
	listed bool
	leases map[string]lease
	// marks has an entry also for the ring if it is missing.
	marks  map[string]mark
	leader leader
}

// mark is when a Lease was first seen in a version; 0 is a missing one.
type mark struct {
	version uint64
	at      time.Time
}

// leader is who held the leader's Lease, and its last renewal.
type leader struct {
	holder  string
	version uint64
	renewed time.Time
	lasts   time.Duration
	at      time.Time
}

// next is the sight after the Leases were seen once more.
func (s sight) next(leases []lease, listed bool, now time.Time) sight {
	out := sight{listed: listed, leases: make(map[string]lease, len(leases)), marks: make(map[string]mark, len(leases)), leader: s.leader}
	for _, l := range leases {
		out.leases[l.name] = l
		out.marks[l.name] = s.mark(l.name, l.version, now)
	}
	if _, ok := out.ring(); !ok && listed {
		out.marks[fedv1.ShardsLeaseName] = s.mark(fedv1.ShardsLeaseName, 0, now)
	}
	l := out.leases[fedv1.LockName]
	if l.holder != s.leader.holder || !l.renewed.Equal(s.leader.renewed) {
		out.leader = leader{holder: l.holder, version: l.version, renewed: l.renewed, lasts: l.lasts, at: now}
	}
	return out
}

func (s sight) mark(name string, version uint64, now time.Time) mark {
	if m, ok := s.marks[name]; ok && m.version == version {
		return m
	}
	return mark{version, now}
}

// ring is the ring as seen; false if there is none.
func (s sight) ring() (ring, bool) {
	l, ok := s.leases[fedv1.ShardsLeaseName]
	return ring{era: era{l.uid, l.epoch}, version: l.version, shards: l.shards}, ok
}

// of is the Lease of a shard.
func (s sight) of(identity string) (lease, bool) {
	l, ok := s.leases[leaseName(identity)]
	return l, ok
}

// silent says that a Lease, or its absence, has been seen unchanged for so long that whoever held it may not act any more.
func (s sight) silent(name string, least time.Duration, now time.Time) bool {
	m, ok := s.marks[name]
	return ok && now.Sub(m.at) >= max(least, s.leases[name].lasts)
}

// followed says that all other shards of a ring follow it.
func (s sight) followed(r ring, me string) bool {
	return !slices.ContainsFunc(r.shards, func(identity string) bool {
		l, _ := s.of(identity)
		return identity != me && l.follows != r.era
	})
}

// whole says that all that was written before a ring is seen.
func (s sight) whole(r ring) bool { return s.leader.version > r.version }
