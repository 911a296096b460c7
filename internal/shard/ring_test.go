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

// Of the shards that have some members, one is before no other, and the next before one more, whoever asks; who has no member is before none.
func TestAllAgreeOnTheOrder(t *testing.T) {
	r := ring{shards: []string{"a", "b", "c", "d"}}
	var members []string
	for i := range 100 {
		if m := fmt.Sprint("m", i); r.owner(m) != "d" {
			members = append(members, m)
		}
	}
	firsts := map[string]int{}
	for key := range 300 {
		seen := map[int]bool{}
		for _, shard := range []string{"a", "b", "c"} {
			n := r.before(shard, fmt.Sprint(key), members)
			if seen[n] = true; n == 0 {
				firsts[shard]++
			}
		}
		if len(seen) != 3 || !seen[0] || !seen[1] || !seen[2] {
			t.Fatalf("key %d: places %v", key, seen)
		}
	}
	for shard, n := range firsts {
		if n < 70 || n > 130 {
			t.Errorf("%s is first for %d of 300 keys", shard, n)
		}
	}
	if n := r.before("a", "key", nil); n != 0 {
		t.Errorf("%d shards are before one that waits for nobody", n)
	}
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
