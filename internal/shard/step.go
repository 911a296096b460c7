package shard

import (
	"maps"
	"slices"
	"time"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Times of a shard's Lease, as of the leader's.
type Times struct {
	// Duration is how long others wait for a shard that no longer renews its Lease. Its fractions of seconds do not count.
	Duration time.Duration
	// Renew is how long a shard that cannot renew its Lease goes on.
	Renew time.Duration
	// Retry is the time between two renewals, at most.
	Retry time.Duration
}

// period is the time between two renewals. Four of them fit in the time that a shard goes on without, as its term begins with the last renewal
// that it knows to be older than the leader's last.
func (t Times) period() time.Duration { return min(t.Retry, t.Renew/4) }

// state is what a shard knows of itself. It is a value: what is in it is not changed, but replaced.
type state struct {
	id    string
	times Times
	// leads says that this process was told that it leads, leaving that it is to leave.
	leads, leaving bool
	// told is what the others are to know.
	told map[string]string

	// held is the Lease of this shard as it last wrote it; without a holder it has none. taken is the version in which it took it.
	held  lease
	taken uint64
	// renewals are the last ones, the newest at the end.
	renewals []renewal
	// tried is when the Lease was last to be written, pause how long nothing else is.
	tried, pause time.Time

	// ring is the one that is followed, if this shard has joined it; newest the newest seen, and epoch the highest ever seen.
	ring   ring
	joined bool
	newest uint64
	epoch  int64
	// claim is what this shard owns, unless it is at rest: then it owns nothing, until it is known that it may.
	claim claim
	rest  bool
	// need counts how often there was less to own. When quiet is equal, nothing is under way in what is not owned.
	need, quiet int

	// began is when the term began, zero if it has ended; ruled the latest moment at which nobody else could lead but a shard.
	began, ruled time.Time
	// wait is until when this shard does not join.
	wait time.Time
}

// renewal is one that succeeded: when its request was begun, and the version that it made.
type renewal struct {
	began   time.Time
	version uint64
}

// request is a write to a Lease. It is done only if the Lease is in the version that is given in it.
type request struct {
	verb  verb
	lease lease
}

type verb string

const (
	nothing verb = ""
	create  verb = "create"
	update  verb = "update"
	remove  verb = "delete"
)

// answer to a request.
type answer struct {
	result result
	// lease is what was written, or what is there instead; without a name if there is none.
	lease lease
}

type result int

const (
	done result = iota
	// conflict: another was faster.
	conflict
	// failed: nobody knows whether it was done, or will be.
	failed
)

func newState(id string, times Times) state { return state{id: id, times: times, rest: true} }

// step is what the shard makes of what it sees: what it owns from now on, and what is to be written next.
func (m state) step(s sight, now time.Time) (state, request) {
	m = m.check(s, now).follow(s, now).settle(s).rule(s, now)
	return m, m.next(s, now)
}

// check notes when the Lease is not this shard's any more: what its own requests made of it has its mark and is newer.
func (m state) check(s sight, now time.Time) state {
	if m.held.holder == "" {
		return m
	}
	l, ok := s.of(m.id)
	if ok && l.version <= m.held.version {
		return m
	}
	return m.found(l, now)
}

// found notes the Lease of this shard as it is there, without a name if it is not.
func (m state) found(l lease, now time.Time) state {
	switch {
	case l.holder == m.id && l.acquired.Equal(m.held.acquired) && !l.renewed.Before(m.held.renewed):
		m.held = l // an answer was lost
		return m
	case l.name != "" && l.holder == "":
		return m.lose() // it was fenced
	default:
		// Somebody removed it, or the host went back in time: then others may have to notice, too.
		m.wait = now.Add(m.times.Duration)
		return m.lose()
	}
}

// lose is the end of all that this shard has: it begins anew, when nothing is under way any more.
func (m state) lose() state {
	m = m.retire()
	m.held, m.taken, m.renewals, m.claim, m.joined, m.ring = lease{}, 0, nil, nil, false, ring{}
	return m
}

// retire ends the term.
func (m state) retire() state {
	if !m.rest {
		m.need++
	}
	m.rest, m.began, m.ruled = true, time.Time{}, time.Time{}
	return m
}

// follow takes a newer ring over.
func (m state) follow(s sight, now time.Time) state {
	r, ok := s.ring()
	if !ok || r.version < m.newest && m.held.holder != "" {
		return m // it will be made anew, or will be seen again
	}
	m.newest, m.epoch = r.version, max(m.epoch, r.epoch)
	if m.held.holder == "" || m.leaving {
		return m
	}
	in, same := r.has(m.id) && r.version > m.taken, r.uid == m.ring.uid
	switch {
	case m.joined && same && r.epoch < m.ring.epoch: // the host went back in time
		m.wait = now.Add(m.times.Duration)
		return m.lose()
	case m.joined && !in:
		return m.lose()
	case !m.joined && in:
		m.claim, m.ring, m.joined = claim{ring{}, r}, r, true
	case m.joined && (!same || r.epoch > m.ring.epoch):
		m.claim, m.ring = append(slices.Clip(m.claim), r), r
		m.need++
	}
	return m
}

// settle takes what was gained, when all others have let go of it.
func (m state) settle(s sight) state {
	if m.joined && len(m.claim) > 1 && s.followed(m.ring, m.id) {
		m.claim = claim{m.ring}
	}
	return m
}

// rule begins and ends the term. It begins with a renewal, and not later than a moment at which a shard led.
func (m state) rule(s sight, now time.Time) state {
	if !m.joined || m.leaving {
		return m.retire()
	}
	r, ok := s.ring()
	switch {
	case s.leader.holder == "": // nobody leads, or nobody is seen to: what is known holds
	case !ok || !r.has(s.leader.holder):
		return m.retire()
	default:
		m.ruled = later(m.ruled, m.before(s.leader))
	}
	if !m.rest && now.Sub(m.began) >= m.times.Duration.Truncate(time.Second) {
		m = m.retire()
		return m
	}
	began := m.ruled
	if n := len(m.renewals); n == 0 {
		return m
	} else if last := m.renewals[n-1].began; last.Before(began) {
		began = last
	}
	if m.rest && (began.IsZero() || now.Sub(began) >= m.times.Renew || m.need != m.quiet) {
		return m
	}
	m.rest, m.began = false, later(m.began, began)
	return m
}

// before is a moment before the leader's last renewal: the begin of the last renewal of this shard that the host did before. All versions
// are in one order, so no clock but this shard's own is asked. It is the earlier, the sooner others give that leader up.
func (m state) before(l leader) time.Time {
	for _, own := range slices.Backward(m.renewals) {
		if own.version < l.version {
			return own.began.Add(min(0, l.lasts-m.times.Duration.Truncate(time.Second)))
		}
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// owns says whether a member is this shard's; the term aside.
func (m state) owns(member string) bool { return !m.rest && m.claim.owns(m.id, member) }

// left says that nothing of this shard is left.
func (m state) left(s sight) bool {
	r, _ := s.ring()
	_, there := s.of(m.id)
	return m.leaving && m.need == m.quiet && !r.has(m.id) && !there
}

// next is what is to be written next, the most urgent first.
func (m state) next(s sight, now time.Time) request {
	held := m.held.holder != ""
	if held && m.due(now) {
		return m.renew(now)
	}
	r, there := s.ring()
	if now.Before(m.pause) || !s.listed || there && r.version < m.newest {
		return request{}
	}
	if !held && !m.leaving {
		return m.take(s, now)
	}
	for _, rule := range []func(sight, time.Time) request{m.reshape, m.fence, m.clean} {
		if q := rule(s, now); q.verb != nothing {
			return q
		}
	}
	return request{}
}

// due says whether the own Lease is to be written: because it is time, or because it says too little.
func (m state) due(now time.Time) bool {
	since := now.Sub(m.tried)
	if m.leaving && m.need == m.quiet {
		return false
	}
	return since >= m.times.period() || !now.Before(m.pause) && (m.follows() != m.held.follows || !maps.Equal(m.told, m.held.told))
}

// follows is the ring that the others may know of: when nothing is under way in what was lost by it.
func (m state) follows() era {
	if m.joined && m.need == m.quiet {
		return m.ring.era
	}
	return m.held.follows
}

func (m state) renew(now time.Time) request {
	l := m.held
	l.follows, l.told, l.lasts = m.follows(), m.told, m.times.Duration
	l.renewed = later(now.Round(0), l.renewed.Add(time.Microsecond))
	return request{update, l}
}

// take makes the own Lease, before this shard joins.
func (m state) take(s sight, now time.Time) request {
	l, there := s.of(m.id)
	if m.need != m.quiet || now.Before(m.wait) || !m.mayJoin(s, now) || l.holder != "" && l.holder != m.id {
		return request{}
	}
	own := lease{name: leaseName(m.id), shard: true, holder: m.id, lasts: m.times.Duration, told: m.told, acquired: now.Round(0), renewed: now.Round(0)}
	if !there {
		return request{create, own}
	}
	own.version = l.version
	return request{update, own}
}

// mayJoin says whether the ring is alive: a shard that is in it leads, or this one does.
func (m state) mayJoin(s sight, now time.Time) bool {
	if m.leads && s.leader.holder == m.id {
		return true
	}
	r, _ := s.ring()
	return s.leader.holder != "" && r.has(s.leader.holder) && now.Sub(s.leader.at) < s.leader.lasts
}

// reshape writes the ring as it should be: with this shard, without those that may not act any more.
func (m state) reshape(s sight, now time.Time) request {
	r, there := s.ring()
	may := !m.leaving && m.mayJoin(s, now)
	joins := may && !m.joined
	switch {
	case !there && may && m.leads:
		return m.open(s, now)
	case !there || m.leaving && (m.need != m.quiet || !r.has(m.id)) || !m.leaving && !m.joined && !joins:
		return request{}
	}
	var shards []string
	for _, identity := range r.shards {
		if identity != m.id && (!s.whole(r) || !m.gone(s, identity, now)) {
			shards = append(shards, identity)
		}
	}
	if !m.leaving {
		shards = append(shards, m.id)
		slices.Sort(shards)
	}
	if !joins && slices.Equal(shards, r.shards) {
		return request{}
	}
	return request{update, lease{name: fedv1.ShardsLeaseName, version: r.version, epoch: max(r.epoch, m.epoch) + 1, shards: shards}}
}

// open makes the ring. It may have been there and have been removed: all that hold a Lease may follow it still, and are in the new one. Who
// has lost that as well may act no more when there was no ring for so long.
func (m state) open(s sight, now time.Time) request {
	if !s.silent(fedv1.ShardsLeaseName, m.times.Duration, now) {
		return request{}
	}
	in, epoch := map[string]bool{m.id: true}, m.epoch
	for _, l := range s.leases {
		if l.shard && l.holder != "" {
			in[l.holder], epoch = true, max(epoch, l.follows.epoch)
		}
	}
	return request{create, lease{name: fedv1.ShardsLeaseName, epoch: epoch + 1, shards: slices.Sorted(maps.Keys(in))}}
}

// gone says that another shard may not act any more, and cannot begin to without joining anew: its Lease was taken from it, or it was seen
// long enough that it has none.
func (m state) gone(s sight, identity string, now time.Time) bool {
	l, there := s.of(identity)
	return there && l.holder == "" && (!l.acquired.IsZero() || s.silent(l.name, m.times.Duration, now))
}

// fence takes its Lease from another shard of the ring that did not renew it. Where there is none it makes one that nobody holds: who has
// lost it does not come back unseen.
func (m state) fence(s sight, now time.Time) request {
	if !m.joined || m.leaving {
		return request{}
	}
	r, _ := s.ring()
	for _, identity := range r.shards {
		l, there := s.of(identity)
		switch {
		case identity == m.id:
		case !there:
			return request{create, lease{name: leaseName(identity), shard: true, lasts: m.times.Duration}}
		case l.holder != "" && s.silent(l.name, m.times.Duration, now):
			l.holder = ""
			return request{update, l}
		}
	}
	return request{}
}

// clean removes Leases of shards that are not in the ring: of one that was fenced, or died before it had joined; and at the end the own one.
func (m state) clean(s sight, now time.Time) request {
	r, _ := s.ring()
	in := map[string]bool{}
	for _, identity := range r.shards {
		in[leaseName(identity)] = true
	}
	own := leaseName(m.id)
	if l, there := s.leases[own]; m.leaving {
		if there && !in[own] && m.need == m.quiet {
			return request{remove, l}
		}
		return request{}
	}
	for _, name := range slices.Sorted(maps.Keys(s.leases)) {
		l := s.leases[name]
		if m.joined && l.shard && name != own && !in[name] && (l.holder == "" || s.silent(name, m.times.Duration, now)) {
			return request{remove, l}
		}
	}
	return request{}
}

// after notes what became of a request that was begun at a moment.
func (m state) after(q request, a answer, began, now time.Time) state {
	if a.result == failed {
		m.pause = now.Add(m.times.period())
	}
	if q.lease.name != leaseName(m.id) {
		return m
	}
	if q.verb == remove {
		return m.lose()
	}
	m.tried = began
	switch {
	case a.result == done && m.held.holder == "": // taken
		m.held, m.taken = a.lease, a.lease.version
		m.renewals = []renewal{{began, a.lease.version}}
	case a.result == done:
		m.held = a.lease
		m.renewals = append(m.recent(now), renewal{began, a.lease.version})
	case a.result == conflict && m.held.holder != "":
		m = m.found(a.lease, now)
		m.tried = time.Time{} // at once again
	case a.result == conflict:
		m.pause = now.Add(m.times.period())
	}
	return m
}

// recent are the renewals that still count.
func (m state) recent(now time.Time) []renewal {
	return slices.DeleteFunc(slices.Clone(m.renewals), func(r renewal) bool { return now.Sub(r.began) >= m.times.Duration })
}

// wake is how long it takes until something is to be done, whatever is seen until then.
func (m state) wake(now time.Time) time.Duration {
	period := m.times.period()
	if m.held.holder == "" {
		return period
	}
	return min(max(period-now.Sub(m.tried), period/8), period)
}
