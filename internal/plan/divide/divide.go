// Package divide answers: how many replicas does each member run, and why that many? It follows KubeFed's planner, whose order and
// numbers users know, and mends where that gave negative numbers, gave more than the total, or gave up without a word. It is pure and
// total: any request gives a division, and equal requests give equal divisions, whatever the order of their clusters.
package divide

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"strings"
)

// Any is the key of the preference of every cluster that is not named.
const Any = "*"

// Preference is what a cluster should get.
type Preference struct {
	// Min is what the cluster gets first; Weight is its share of the rest, 0 for none.
	Min, Weight int64
	// Max bounds all that it gets; nil means no bound.
	Max *int64
}

// Cluster is one that may get replicas.
type Cluster struct {
	Name string
	// Current is the number of replicas that are well there; without rebalance they stay as far as possible.
	Current int64
	// Capacity is the most that can be scheduled there; nil if that is not known. More than that is given only where it fits nowhere
	// else, so that it waits there for room.
	Capacity *int64
}

// Request is what to divide.
type Request struct {
	Total       int64
	Preferences map[string]Preference
	// Clusters that are available; of two with the same name, the first counts.
	Clusters  []Cluster
	Rebalance bool
	// Key of the preference: it orders clusters of equal weight, differently for each key, so that not all first replicas meet.
	Key string
}

// Division is the result.
type Division struct {
	// Shares are sorted by cluster, one for each.
	Shares []Share
	// Placed is the sum of the shares, Unplaced what is left of the total.
	Placed, Unplaced int64
}

// Share is what one cluster gets.
type Share struct {
	Cluster  string
	Replicas int64
	Reason   Reason
	Message  string
}

// Divide divides.
func Divide(r Request) Division {
	all, left := planned(r, !r.Rebalance)
	fair := all
	if !r.Rebalance {
		fair, _ = planned(r, false)
	}
	d := Division{Unplaced: left}
	for i, p := range all {
		d.Placed += p.plan
		d.Shares = append(d.Shares, p.share(fair[i]))
	}
	return d
}

// planned are the clusters, sorted by name, with what they get, and what is left; kept says that what runs stays.
func planned(r Request, kept bool) (all []*participant, left int64) {
	all = participants(r)
	game := slices.DeleteFunc(slices.Clone(all), func(p *participant) bool { return !p.preferred })
	slices.SortFunc(game, inOrder)
	left = minimums(game, max(r.Total, 0), (*participant).room)
	if kept {
		left = keep(game, left)
	}
	left = rounds(game, left, (*participant).room)
	if left > 0 {
		left = overflow(game, left)
	}
	return all, left
}

// participant is a cluster while it is being planned for. All its numbers are non-negative.
type participant struct {
	name      string
	order     uint32
	preferred bool
	// min is at most limit, which is maxReplicas.
	min, limit, weight, current, capacity int64

	plan int64
	// ahead is what it was let keep beyond what its shares came to so far.
	ahead               int64
	cutByMax, cutByRoom bool
}

const (
	unbounded = int64(math.MaxInt64)
	// heaviest keeps sums of weights within 64 bits.
	heaviest = int64(1) << 40
)

// participants are the clusters of a request, sorted by name.
func participants(r Request) []*participant {
	clusters := slices.Clone(r.Clusters)
	slices.SortStableFunc(clusters, func(a, b Cluster) int { return strings.Compare(a.Name, b.Name) })
	clusters = slices.CompactFunc(clusters, func(a, b Cluster) bool { return a.Name == b.Name })
	out := make([]*participant, len(clusters))
	for i, c := range clusters {
		out[i] = newParticipant(r, c)
	}
	return out
}

func newParticipant(r Request, c Cluster) *participant {
	p := &participant{name: c.Name, current: max(c.Current, 0), capacity: unbounded, limit: unbounded, order: order(c.Name, r.Key)}
	if c.Capacity != nil {
		p.capacity = max(*c.Capacity, 0)
	}
	pref, ok := r.Preferences[c.Name]
	if !ok {
		pref, ok = r.Preferences[Any]
	}
	if len(r.Preferences) == 0 {
		pref, ok = Preference{Weight: 1}, true
	}
	if pref.Max != nil {
		p.limit = max(*pref.Max, 0)
	}
	p.preferred, p.weight, p.min = ok, min(max(pref.Weight, 0), heaviest), min(max(pref.Min, 0), p.limit)
	p.cutByMax = pref.Min > p.limit
	return p
}

// order is KubeFed's hash, by which clusters of equal weight are ordered.
func order(cluster, key string) uint32 {
	h := fnv.New32()
	_, _ = h.Write([]byte(cluster + key)) // a hash never fails
	return h.Sum32()
}

func inOrder(a, b *participant) int {
	return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.order, b.order), strings.Compare(a.name, b.name))
}

// bound is the most that a participant may get in a step.
type bound func(*participant) int64

// room is bounded by maxReplicas and by what can be scheduled; wish only by maxReplicas.
func (p *participant) room() int64 { return min(p.limit, p.capacity) }
func (p *participant) wish() int64 { return p.limit }

// minimums gives each its minimum as far as the total goes, the heavier first, and returns what is left.
func minimums(game []*participant, left int64, most bound) int64 {
	for _, p := range game {
		extra := max(min(p.min, most(p))-p.plan, 0)
		extra = min(extra, left)
		p.plan += extra
		left -= extra
	}
	return left
}

// keep leaves replicas where they are well, as far as the total goes.
func keep(game []*participant, left int64) int64 {
	for _, p := range game {
		extra := min(max(min(p.current, p.room())-p.plan, 0), left)
		p.plan += extra
		p.ahead = extra
		left -= extra
	}
	return left
}

// overflow gives what can be scheduled nowhere to the clusters that ought to have had it: there it waits for room.
func overflow(game []*participant, left int64) int64 {
	return rounds(game, minimums(game, left, (*participant).wish), (*participant).wish)
}
