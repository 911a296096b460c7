package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// TestOneOwnerAtMost plays shards that share members while all kinds of things happen to them. At no moment may two processes write to
// the same member, and when nothing happens any more, each member has an owner soon.
func TestOneOwnerAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"))
		w.mixed = rapid.Bool().Draw(t, "mixed")
		// Few kinds at once make more of what only comes together.
		some := rapid.SliceOfNDistinct(rapid.IntRange(0, kinds-1), 1, 6, rapid.ID[int]).Draw(t, "kinds")
		faults := rapid.SliceOfN(drawFault(some), 0, 30).Draw(t, "faults")
		for range rapid.IntRange(2, 4).Draw(t, "shards") {
			w.start(true)
		}
		for _, f := range faults {
			for range f.After {
				w.moves()
			}
			w.happens(f)
		}
		w.calm()
		for range lasts { // what is on its way comes
			w.moves()
		}
		for deadline := w.tick + settles; w.unsettled() != ""; w.moves() {
			if w.tick > deadline {
				t.Fatalf("nothing has happened for %v: %s\n%s", settles*tick, w.unsettled(), w)
			}
		}
		for range 3 * lasts {
			w.moves()
			if why := w.unsettled(); why != "" {
				t.Fatalf("it did not stay so: %s\n%s", why, w)
			}
		}
	})
}

// What is played: in ticks, times as by default in proportion.
const (
	tick    = 50 * time.Millisecond
	lasts   = 60 // ticks that a Lease lasts
	settles = 8 * lasts
)

var (
	played  = Times{Duration: lasts * tick, Renew: lasts * tick * 2 / 3, Retry: lasts * tick / 3}
	members = []string{"m0", "m1", "m2", "m3", "m4", "m5"}
)

// fault is something that happens to one of the processes, or to a Lease.
type fault struct {
	After, Kind, Who, Ticks int
}

const (
	pauses = iota // SIGSTOP, and SIGCONT later
	dies
	leaves
	joins
	joinsAlone // a manager that has all members
	lags       // its watch stands still
	cutOff     // its requests are lost, with their answers or without
	slow       // a step in a member takes long
	losesLease
	losesRing
	losesAll
	losesLeader
	kinds
)

func drawFault(some []int) *rapid.Generator[fault] {
	return rapid.Custom(func(t *rapid.T) fault {
		return fault{
			After: rapid.OneOf(rapid.IntRange(0, 6), rapid.IntRange(0, 2*lasts)).Draw(t, "after"), Kind: rapid.SampledFrom(some).Draw(t, "kind"),
			Who: rapid.IntRange(0, 5).Draw(t, "who"), Ticks: rapid.IntRange(1, 2*lasts).Draw(t, "ticks"),
		}
	})
}

// world is a host that keeps Leases, and the processes that use it.
type world struct {
	*rapid.T
	random *rand.Rand
	tick   int
	now    time.Time
	host   register
	all    []*process
	late   []call // requests whose client has given up
	quiet  bool
	// mixed says that there are managers without shards, too. They and the shards see each other by Leases alone: then nobody removes those.
	mixed bool
	told  []string
}

func newWorld(t *rapid.T, seed uint64) *world {
	return &world{T: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0), host: register{leases: map[string]lease{}}}
}

// register is what the host is to the shards: each Lease is written only in the version that the writer knows, all in one order.
type register struct {
	version uint64
	leases  map[string]lease
	log     []lease // a gone one has no uid
}

func (r *register) do(q request) answer {
	there, ok := r.leases[q.lease.name]
	switch {
	case q.verb == create && ok, q.verb != create && (!ok || there.version != q.lease.version):
		return answer{conflict, there}
	case q.verb == remove:
		r.drop(q.lease.name)
		return answer{result: done}
	}
	l := q.lease
	r.version++
	if l.version = r.version; q.verb == create {
		l.uid = types.UID(fmt.Sprint("uid-", r.version))
	} else {
		l.uid = there.uid
	}
	r.leases[l.name] = l
	r.log = append(r.log, l)
	return answer{done, l}
}

func (r *register) drop(name string) {
	if _, ok := r.leases[name]; ok {
		r.version++
		delete(r.leases, name)
		r.log = append(r.log, lease{name: name, version: r.version})
	}
}

// process is a manager: a shard, or one that has all members when it leads.
type process struct {
	id      string
	sharded bool
	m       state
	sight   sight
	skew    time.Duration // of its clock
	// view is what it has seen of Leases, gone what it has seen vanish, watched how much of the log it has seen.
	view    map[string]lease
	gone    map[string]uint64
	watched int
	call    *call
	wakes   int
	// stops is the need that is worked at.
	stops int
	// flight is until which tick it is busy with a member, began the term by which it may write.
	flight map[string]int
	began  time.Time
	ended  bool
	// Until when it stands still, sees nothing new, reaches nobody, is slow.
	paused, lagging, cut, slow int
	// It takes part in the election of a leader.
	looks    int
	observed string
	since    time.Time
	leads    bool
	// until is when it ends, if it was told to.
	until int
}

// call is a request under way.
type call struct {
	request
	by             *process
	began          time.Time
	lands, answers int
	landed         bool
	answer         answer
}

func (w *world) start(sharded bool) {
	p := &process{
		id: fmt.Sprintf("%c%d", "us"[map[bool]int{true: 1}[sharded]], len(w.all)), sharded: sharded, skew: time.Duration(w.random.IntN(7200)-3600) * time.Second,
		view: map[string]lease{}, gone: map[string]uint64{}, flight: map[string]int{}, looks: w.tick + w.random.IntN(lasts/3),
	}
	p.m = newState(p.id, played)
	w.all = append(w.all, p)
}

// clock is what a process takes for the time.
func (w *world) clock(p *process) time.Time { return w.now.Add(p.skew) }

func (p *process) writes(now time.Time) bool {
	return !p.began.IsZero() && now.Sub(p.began) < played.Renew
}

func (p *process) sends(now time.Time) bool {
	return !p.began.IsZero() && now.Sub(p.began) < played.Duration.Truncate(time.Second)
}

// owns is Shards.Owns; a manager without shards owns all.
func (w *world) owns(p *process, member string) bool {
	return !p.ended && p.writes(w.clock(p)) && (!p.sharded || p.m.owns(member))
}

func (w *world) happens(f fault) {
	p := w.all[f.Who%len(w.all)]
	if w.mixed && (f.Kind == losesLease || f.Kind == losesAll || f.Kind == losesLeader) || !w.mixed && f.Kind == joinsAlone {
		return
	}
	w.note("%s %v", p.id, f)
	switch f.Kind {
	case pauses:
		p.paused = w.tick + f.Ticks
	case dies:
		w.ends(p)
	case leaves:
		if p.until == 0 {
			w.leaves(p, w.tick+f.Ticks)
		}
	case joins, joinsAlone:
		if len(w.all) < 8 {
			w.start(f.Kind == joins)
		}
	case lags:
		p.lagging = w.tick + f.Ticks
	case cutOff:
		p.cut = w.tick + f.Ticks
	case slow:
		p.slow = w.tick + f.Ticks
	case losesLease:
		w.host.drop(leaseName(p.id))
	case losesRing:
		w.host.drop(fedv1.ShardsLeaseName)
	case losesLeader:
		w.host.drop(fedv1.LockName)
	case losesAll:
		for name := range maps.Clone(w.host.leases) {
			w.host.drop(name)
		}
	}
}

// ends is a process that dies. It is not started anew by this: that is another fault.
func (w *world) ends(p *process) {
	if p.call != nil && !p.call.landed {
		w.late = append(w.late, *p.call)
	}
	p.ended, p.call = true, nil
}

// leaves is a process that was told to end: it gives the leader's Lease back, and what it owns.
func (w *world) leaves(p *process, until int) {
	p.until, p.m.leaving, p.wakes = until, true, w.tick
	if !p.sharded {
		p.began = time.Time{}
	}
	if l, ok := w.host.leases[fedv1.LockName]; ok && l.holder == p.id && w.tick >= p.paused && w.tick >= p.cut {
		l.holder = ""
		w.host.do(request{update, l})
	}
	p.leads = false
}

// calm ends all troubles. What remains are shards, and one comes.
func (w *world) calm() {
	w.quiet = true
	for _, p := range w.all {
		p.paused, p.lagging, p.cut, p.slow = 0, 0, 0, 0
		if !p.ended && p.until == 0 && !p.sharded {
			w.leaves(p, w.tick+lasts)
		}
	}
	w.start(true)
	w.note("all is calm")
}

// moves lets a tick pass, in which all do what they have to, in any order.
func (w *world) moves() {
	w.tick++
	w.now = w.now.Add(tick)
	w.late = slices.DeleteFunc(w.late, func(c call) bool {
		if c.lands <= w.tick {
			w.host.do(c.request)
		}
		return c.lands <= w.tick
	})
	for _, n := range w.random.Perm(len(w.all)) {
		p := w.all[n]
		if p.call != nil && !p.call.landed && p.call.lands <= w.tick {
			p.call.answer, p.call.landed = w.host.do(p.call.request), true
			if p.call.verb == "" {
				panic("a call for nothing")
			}
		}
		if p.ended || w.tick < p.paused {
			continue
		}
		w.campaigns(p)
		if p.sharded && !p.ended {
			w.plays(p)
		}
		w.works(p)
		w.check()
	}
}

// plays is Shards.loop.
func (w *world) plays(p *process) {
	w.watches(p)
	if c := p.call; c != nil {
		w.answered(p, c)
	}
	if p.stops != 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(p.flight)), func(member string) bool { return !p.m.owns(member) }) {
		p.m.quiet, p.stops, p.wakes = p.stops, 0, w.tick
	}
	if p.call != nil || w.tick < p.wakes {
		return
	}
	now := w.clock(p)
	p.sight = p.sight.next(slices.Collect(maps.Values(p.view)), p.watched > 0, now)
	before := p.m
	var q request
	p.m, q = p.m.step(p.sight, now)
	if p.began = p.m.began; p.m.rest {
		p.began = time.Time{}
	}
	if p.m.need != p.m.quiet && p.stops != p.m.need {
		p.stops = p.m.need
	}
	if before.ring.epoch != p.m.ring.epoch || before.rest != p.m.rest || before.joined != p.m.joined || len(before.claim) != len(p.m.claim) {
		w.note("%s follows %d %v, joined %t, rests %t, %d rings", p.id, p.m.ring.epoch, p.m.ring.shards, p.m.joined, p.m.rest, len(p.m.claim))
	}
	if p.m.left(p.sight) || p.until != 0 && w.tick >= p.until {
		w.note("%s has left", p.id)
		w.ends(p)
		return
	}
	if p.wakes = w.tick + int(p.m.wake(now)/tick); q.verb != nothing {
		if q.verb != update || q.lease.holder != p.id || q.lease.follows != p.m.held.follows {
			w.note("%s: %s %s of %d: %q, epoch %d, %v", p.id, q.verb, q.lease.name, q.lease.version, q.lease.holder, max(q.lease.epoch, q.lease.follows.epoch), q.lease.shards)
		}
		w.asks(p, q, now)
	}
}

// asks sends a request.
func (w *world) asks(p *process, q request, now time.Time) {
	c := &call{request: q, by: p, began: now}
	c.lands = w.tick + w.delay()
	c.answers = c.lands + w.delay()
	if w.tick < p.cut {
		if c.answers = w.tick + 100*lasts; w.random.IntN(2) == 0 {
			c.lands = w.tick + w.random.IntN(3*lasts)
		} else {
			c.lands = c.answers
		}
	}
	p.call = c
}

// delay is how long a message is on its way: mostly no time, seldom long.
func (w *world) delay() int {
	switch n := w.random.IntN(100); {
	case n < 70:
		return 0
	case n < 98 || w.quiet:
		return w.random.IntN(3)
	default:
		return w.random.IntN(lasts)
	}
}

// answered notes the answer to a request, or gives up.
func (w *world) answered(p *process, c *call) {
	now := w.clock(p)
	switch {
	case c.landed && c.answers <= w.tick:
		if c.answer.result == conflict { // it looks at what is there
			c.answer.lease = w.host.leases[c.lease.name]
		}
		if l := c.answer.lease; l.name != "" {
			p.sees(l)
		} else {
			known := c.lease
			if c.answer.result == conflict {
				known = p.view[c.lease.name]
			}
			if l, ok := p.view[c.lease.name]; ok && l.version <= known.version {
				p.gone[l.name] = l.version
				delete(p.view, l.name)
			}
		}
		p.m = p.m.after(c.request, c.answer, c.began, now)
	case now.Sub(c.began) >= played.Renew/3:
		if !c.landed {
			w.late = append(w.late, *c)
		}
		p.m = p.m.after(c.request, answer{result: failed}, c.began, now)
	default:
		return
	}
	p.call, p.wakes = nil, w.tick
}

// watches shows a process what has happened, or some of it.
func (w *world) watches(p *process) {
	if w.tick < p.lagging || w.tick < p.cut {
		return
	}
	to := len(w.host.log)
	if !w.quiet && w.random.IntN(4) == 0 && to > p.watched {
		to = p.watched + w.random.IntN(to-p.watched)
	}
	for ; p.watched < to; p.watched++ {
		p.wakes = w.tick
		l := w.host.log[p.watched]
		if l.uid != "" {
			p.sees(l)
		} else if p.view[l.name].version < l.version {
			delete(p.view, l.name)
			p.gone[l.name] = l.version
		}
	}
}

// sees keeps the newer of two versions.
func (p *process) sees(l lease) {
	if p.view[l.name].version < l.version && p.gone[l.name] < l.version {
		p.view[l.name] = l
	}
}

// works begins and ends steps in members.
func (w *world) works(p *process) {
	for _, member := range members {
		if ends, ok := p.flight[member]; ok {
			if ends <= w.tick {
				delete(p.flight, member)
			}
			continue
		}
		if w.owns(p, member) && w.random.IntN(3) == 0 {
			long := lasts / 6
			if w.tick < p.slow || !w.quiet && w.random.IntN(20) == 0 {
				long = 2 * lasts
			}
			p.flight[member] = w.tick + w.random.IntN(long)
		}
	}
}

// check is what all this is about.
func (w *world) check() {
	for _, member := range members {
		var by []string
		for _, p := range w.all {
			_, flies := p.flight[member]
			if w.owns(p, member) || !p.ended && flies && p.sends(w.clock(p)) {
				by = append(by, p.id)
			}
		}
		if len(by) > 1 {
			w.Fatalf("%v may all write to %s\n%s", by, member, w)
		}
	}
}

// campaigns is the election of a leader, as client-go has it.
func (w *world) campaigns(p *process) {
	if w.tick < p.looks || p.until != 0 {
		if p.until != 0 && !p.sharded && w.tick >= p.until {
			w.ends(p)
		}
		return
	}
	p.looks = w.tick + lasts/3 - w.random.IntN(3)
	if w.tick < p.cut {
		return
	}
	now := w.clock(p)
	l, there := w.host.leases[fedv1.LockName]
	raw, holder, long := fmt.Sprint(l.version), l.holder, l.lasts
	if p.leads && l.holder != p.id && l.holder != "" {
		w.note("%s has lost the leader's Lease", p.id)
		w.ends(p)
		return
	}
	if !p.sharded && l.holder != p.id { // who has all members waits for all shards
		for _, name := range slices.Sorted(maps.Keys(w.host.leases)) {
			if s := w.host.leases[name]; s.shard && s.holder != "" {
				raw, long = raw+fmt.Sprint(" ", name, s.version), max(long, s.lasts)
				if holder == "" {
					holder = s.holder
				}
			}
		}
	}
	if raw != p.observed {
		p.observed, p.since = raw, now
	}
	if holder != "" && holder != p.id && now.Sub(p.since) < long {
		return
	}
	next := lease{name: fedv1.LockName, version: l.version, holder: p.id, renewed: now, lasts: played.Duration}
	verb := update
	if !there {
		verb = create
	}
	if w.host.do(request{verb, next}).result != done {
		return
	}
	if !p.leads {
		w.note("%s leads", p.id)
	}
	if p.leads = true; p.sharded {
		p.m.leads, p.wakes = true, w.tick
	} else {
		p.began = now
	}
}

// unsettled says what is amiss, when nothing happens any more.
func (w *world) unsettled() string {
	for _, member := range members {
		var by []string
		for _, p := range w.all {
			if w.owns(p, member) {
				by = append(by, p.id)
			}
		}
		if len(by) != 1 {
			return fmt.Sprintf("%s is owned by %q", member, by)
		}
	}
	r := w.host.leases[fedv1.ShardsLeaseName]
	var shards []string
	for _, p := range w.all {
		if p.ended {
			continue
		}
		if shards = append(shards, p.id); p.m.ring.epoch != r.epoch || len(p.m.claim) != 1 || p.m.held.follows.epoch != r.epoch {
			return fmt.Sprintf("%s follows %d and says %d, not %d", p.id, p.m.ring.epoch, p.m.held.follows.epoch, r.epoch)
		}
	}
	if slices.Sort(shards); !slices.Equal(shards, r.shards) {
		return fmt.Sprintf("the ring is %q, but there are %q", r.shards, shards)
	}
	for name, l := range w.host.leases {
		if l.shard && !r.has(l.holder) {
			return name + " is left over"
		}
	}
	return ""
}

func (r lease) has(identity string) bool { return slices.Contains(r.shards, identity) }

func (w *world) note(format string, args ...any) {
	w.told = append(w.told, fmt.Sprintf("%d: ", w.tick)+fmt.Sprintf(format, args...))
}

// String is what has happened of late.
func (w *world) String() string {
	return strings.Join(w.told[max(0, len(w.told)-120):], "\n")
}
