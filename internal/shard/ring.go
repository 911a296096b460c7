package shard

import (
	"hash/fnv"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// era is which ring one is: the Lease, and how often it has changed. One that was removed and made anew may count what it has counted before.
type era struct {
	uid   types.UID
	epoch int64
}

// ring is which shards there are, as of an epoch.
type ring struct {
	era
	version uint64
	shards  []string // sorted
}

func (r ring) has(identity string) bool { return slices.Contains(r.shards, identity) }

// owner is the shard that owns a member, empty if there is no shard. Of all shards it is the one with the highest weight for that member:
// a shard that comes or goes moves no member but its own.
func (r ring) owner(member string) (owner string) {
	highest, key := uint64(0), hash(member)
	for _, shard := range r.shards {
		if w := mix(hash(shard) ^ key); owner == "" || w > highest {
			owner, highest = shard, w
		}
	}
	return owner
}

// before is how many of the owners of these members come before a shard, in an order that is all shards' and another for each key.
func (r ring) before(identity, key string, members []string) int {
	place := func(shard string) uint64 { return mix(hash(shard) ^ hash(key)) }
	mine, before := place(identity), map[string]bool{}
	for _, member := range members {
		if owner := r.owner(member); place(owner) > mine {
			before[owner] = true
		}
	}
	return len(before)
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return mix(h.Sum64())
}

// mix makes every bit depend on every other one, which the hash above does not do for names that differ at their ends only. It is the
// finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// claim is what a shard owns: what all of these rings give it. There are several while it follows a new one: what it has lost by that it no
// longer owns, what it has gained it does not own before the others have let go.
type claim []ring

func (c claim) owns(identity, member string) bool {
	for _, r := range c {
		if r.owner(member) != identity {
			return false
		}
	}
	return len(c) > 0
}
