package shard

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Members are spread evenly: with n shards each has its n-th part, give or take a quarter of that.
func TestSharesAreEven(t *testing.T) {
	const members = 1000
	for n := 1; n <= 8; n++ {
		for _, form := range []string{"hansa-%d", "hansa-manager-7d9f8b6c5-x%dq2z_1f0c", "%d"} {
			r := ring{}
			for i := range n {
				r.shards = append(r.shards, fmt.Sprintf(form, i))
			}
			slices.Sort(r.shards)
			count := map[string]int{}
			for i := range members {
				count[r.owner(fmt.Sprintf("member-%04d", i))]++
			}
			for _, shard := range r.shards {
				if want := members / n; count[shard] < want*3/4 || count[shard] > want*5/4 {
					t.Errorf("%s has %d of %d members, with %d shards", shard, count[shard], members, n)
				}
			}
		}
	}
}

// A shard that comes takes members from the others and moves none between them; when it goes, they get back what they had.
func TestOnlyTheSharesOfWhoComesMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9-]{0,12}`), 1, 8, rapid.ID[string])
		all := names.Draw(t, "shards")
		comes, others := all[0], slices.Clone(all[1:])
		slices.Sort(all)
		with, without := ring{shards: all}, ring{shards: rapid.Permutation(others).Draw(t, "order")}
		for _, member := range rapid.SliceOfN(rapid.StringMatching(`[a-z0-9.-]{1,20}`), 1, 50).Draw(t, "members") {
			before, after := without.owner(member), with.owner(member)
			if after != before && after != comes {
				t.Fatalf("%s moves from %q to %q when %q comes", member, before, after, comes)
			}
			if !with.has(after) || len(others) > 0 && !without.has(before) {
				t.Fatalf("%s is owned by %q of %q, and by %q of %q", member, before, without.shards, after, with.shards)
			}
		}
	})
}

// A claim is what all its rings give; one that has none is empty.
func TestClaim(t *testing.T) {
	old, now := ring{shards: []string{"a", "b"}}, ring{shards: []string{"a", "b", "c"}}
	for i := range 100 {
		member := fmt.Sprint("m", i)
		for _, shard := range now.shards {
			in, will := old.owner(member) == shard, now.owner(member) == shard
			if got := (claim{old, now}).owns(shard, member); got != (in && will) {
				t.Errorf("%s owns %s: %t, by the old ring %t, by the new one %t", shard, member, got, in, will)
			}
			if (claim{}).owns(shard, member) || (claim{{}, now}).owns(shard, member) {
				t.Errorf("%s owns %s without having been in a ring", shard, member)
			}
		}
	}
}
