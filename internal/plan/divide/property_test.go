package divide_test

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"reflect"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hansa-io/hansa/internal/plan/divide"
)

func maybe(number *rapid.Generator[int64]) *rapid.Generator[*int64] {
	return rapid.Custom(func(t *rapid.T) *int64 {
		if !rapid.Bool().Draw(t, "there") {
			return nil
		}
		n := number.Draw(t, "number")
		return &n
	})
}

// requests are of any shape that number allows. Some clusters have a preference of their own, some do not.
func requests(number *rapid.Generator[int64]) *rapid.Generator[divide.Request] {
	return rapid.Custom(func(t *rapid.T) divide.Request {
		r := divide.Request{
			Total: number.Draw(t, "total"), Rebalance: rapid.Bool().Draw(t, "rebalance"),
			Key: rapid.SampledFrom([]string{"a/b", "shop/web", ""}).Draw(t, "key"), Preferences: map[string]divide.Preference{},
		}
		for n := range rapid.IntRange(0, 6).Draw(t, "clusters") {
			r.Clusters = append(r.Clusters, divide.Cluster{
				Name: fmt.Sprintf("c%d", n), Current: number.Draw(t, "current"), Capacity: maybe(number).Draw(t, "capacity"),
			})
		}
		for _, name := range append(namesOf(r.Clusters), divide.Any, "unknown") {
			if rapid.Bool().Draw(t, "preference of "+name) {
				r.Preferences[name] = divide.Preference{
					Min: number.Draw(t, "min"), Max: maybe(number).Draw(t, "max"), Weight: number.Draw(t, "weight"),
				}
			}
		}
		return r
	})
}

func namesOf(clusters []divide.Cluster) []string {
	names := make([]string, len(clusters))
	for i, c := range clusters {
		names[i] = c.Name
	}
	return names
}

var (
	usual = rapid.Int64Range(0, 12)
	odd   = rapid.Int64Range(-3, 12)
	wild  = rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, math.MaxInt32, 0, 1, -1}), odd)
)

func preference(r divide.Request, name string) (divide.Preference, bool) {
	if len(r.Preferences) == 0 {
		return divide.Preference{Weight: 1}, true
	}
	if p, ok := r.Preferences[name]; ok {
		return p, true
	}
	p, ok := r.Preferences[divide.Any]
	return p, ok
}

// boundOf is the most that a cluster may get, written down anew: its maximum; without a weight its minimum, or what is kept there.
func boundOf(r divide.Request, c divide.Cluster) (least, most int64) {
	p, ok := preference(r, c.Name)
	if !ok {
		return 0, 0
	}
	limit := int64(math.MaxInt64)
	if p.Max != nil {
		limit = max(*p.Max, 0)
	}
	least = min(max(p.Min, 0), limit)
	if p.Weight > 0 {
		return least, limit
	}
	most = least
	if !r.Rebalance {
		fits := max(c.Current, 0)
		if c.Capacity != nil {
			fits = min(fits, max(*c.Capacity, 0))
		}
		most = max(most, min(fits, limit))
	}
	return least, most
}

// TestSums: whatever is asked for, nothing is negative, nothing is above its bound, all that bounds allow is placed, and every
// cluster has a reason.
func TestSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests(wild).Draw(t, "request")
		d := divide.Divide(r)
		sum, room := new(big.Int), new(big.Int)
		if len(d.Shares) != len(r.Clusters) {
			t.Fatalf("%d clusters, %d shares", len(r.Clusters), len(d.Shares))
		}
		for i, s := range d.Shares {
			_, most := boundOf(r, r.Clusters[i])
			sum.Add(sum, big.NewInt(s.Replicas))
			room.Add(room, big.NewInt(most))
			if s.Cluster != r.Clusters[i].Name || s.Replicas < 0 || s.Replicas > most || s.Reason == "" || s.Message == "" {
				t.Fatalf("%+v: at most %d", s, most)
			}
		}
		want := big.NewInt(max(r.Total, 0))
		if room.Cmp(want) < 0 {
			want = room
		}
		if sum.Cmp(want) != 0 || d.Placed != sum.Int64() || d.Unplaced != max(r.Total, 0)-d.Placed {
			t.Fatalf("placed %s of %d (%d, %d left): %s is possible", sum, r.Total, d.Placed, d.Unplaced, want)
		}
	})
}

// TestOrderDoesNotMatter: the same clusters in any order give the same division, and the request is not changed.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests(odd).Draw(t, "request")
		before := fmt.Sprintf("%+v", r)
		d := divide.Divide(r)
		shuffled := r
		shuffled.Clusters = rapid.Permutation(r.Clusters).Draw(t, "order")
		if other := divide.Divide(shuffled); !reflect.DeepEqual(d, other) {
			t.Fatal(gocmp.Diff(d, other))
		}
		if after := fmt.Sprintf("%+v", r); after != before {
			t.Fatalf("the request was changed: %s", gocmp.Diff(before, after))
		}
	})
}

// achieved is a request as it looks when its division has become true.
func achieved(r divide.Request, d divide.Division) divide.Request {
	r.Clusters = slices.Clone(r.Clusters)
	for i := range r.Clusters {
		r.Clusters[i].Current = d.Shares[i].Replicas
	}
	return r
}

func replicas(d divide.Division) []int64 {
	out := make([]int64, len(d.Shares))
	for i, s := range d.Shares {
		out[i] = s.Replicas
	}
	return out
}

// TestStable: what has been divided stays as it is, also where nothing more is known of capacities and all minimums are met.
func TestStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests(odd).Draw(t, "request")
		d := divide.Divide(r)
		again := achieved(r, d)
		if got := divide.Divide(again); !slices.Equal(replicas(got), replicas(d)) {
			t.Fatalf("it moves: %v, then %v", replicas(d), replicas(got))
		}
		met := !r.Rebalance && d.Unplaced == 0
		for i, c := range r.Clusters {
			least, _ := boundOf(r, c)
			met = met && d.Shares[i].Replicas >= least
		}
		if met {
			for i := range again.Clusters {
				again.Clusters[i].Capacity = nil
			}
			if got := divide.Divide(again); !slices.Equal(replicas(got), replicas(d)) {
				t.Fatalf("it moves when it fits: %v, then %v", replicas(d), replicas(got))
			}
		}
	})
}

// TestMonotone: a greater total never places less; without rebalance it takes nothing away from anybody, and a smaller one gives
// nothing to anybody.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests(odd).Draw(t, "request")
		d := divide.Divide(r)
		more := achieved(r, d)
		more.Total = r.Total + rapid.Int64Range(0, 12).Draw(t, "more")
		m := divide.Divide(more)
		if m.Placed < d.Placed {
			t.Fatalf("placed %d of %d, but %d of %d", d.Placed, r.Total, m.Placed, more.Total)
		}
		if r.Rebalance {
			return
		}
		less := achieved(r, d)
		less.Total = r.Total - rapid.Int64Range(0, 12).Draw(t, "less")
		l := divide.Divide(less)
		for i := range d.Shares {
			if m.Shares[i].Replicas < d.Shares[i].Replicas {
				t.Fatalf("total %d gives %v, total %d %v", r.Total, replicas(d), more.Total, replicas(m))
			}
			if l.Shares[i].Replicas > d.Shares[i].Replicas {
				t.Fatalf("total %d gives %v, total %d %v", r.Total, replicas(d), less.Total, replicas(l))
			}
		}
	})
}

// TestMinimums: as long as the total covers all minimums, everyone has at least its own.
func TestMinimums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests(odd).Draw(t, "request")
		needed := int64(0)
		for i, c := range r.Clusters {
			r.Clusters[i].Capacity = nil
			least, _ := boundOf(r, c)
			needed += least
		}
		d := divide.Divide(r)
		for i, s := range d.Shares {
			least, _ := boundOf(r, r.Clusters[i])
			if s.Replicas < least && r.Total >= needed {
				t.Fatalf("%+v: at least %d", s, least)
			}
			if (s.Reason == divide.BelowMinimum) != (s.Replicas < least) {
				t.Fatalf("%+v: the minimum is %d", s, least)
			}
		}
	})
}

// TestLikeKubeFed: where KubeFed's planner is sane, the numbers are its own.
func TestLikeKubeFed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests(usual).Draw(t, "request")
		for i := range r.Clusters {
			r.Clusters[i].Capacity = nil
		}
		for name, p := range r.Preferences {
			if p.Max != nil && *p.Max < p.Min {
				p.Max = &p.Min
				r.Preferences[name] = p
			}
		}
		if got, want := replicas(divide.Divide(r)), kubefed(r); !slices.Equal(got, want) {
			t.Fatalf("%v, but KubeFed writes %v", got, want)
		}
	})
}

// kubefed is the planner as KubeFed's behaviour describes it, step by step, for requests without capacities.
func kubefed(r divide.Request) []int64 {
	plan, ahead := map[string]int64{}, map[string]int64{}
	var order []string
	current := map[string]int64{}
	for _, c := range r.Clusters {
		if _, ok := preference(r, c.Name); ok {
			order = append(order, c.Name)
			current[c.Name] = c.Current
		}
	}
	hash := func(name string) uint32 {
		h := fnv.New32()
		_, _ = h.Write([]byte(name + r.Key))
		return h.Sum32()
	}
	pref := func(name string) divide.Preference { p, _ := preference(r, name); return p }
	slices.SortFunc(order, func(a, b string) int {
		return cmp.Or(cmp.Compare(pref(b).Weight, pref(a).Weight), cmp.Compare(hash(a), hash(b)))
	})
	left := r.Total
	for _, name := range order {
		plan[name] = min(pref(name).Min, left)
		left -= plan[name]
	}
	for _, name := range order {
		stay := current[name]
		if limit := pref(name).Max; limit != nil {
			stay = min(stay, *limit)
		}
		if extra := min(stay-plan[name], left); !r.Rebalance && extra > 0 {
			plan[name], ahead[name] = plan[name]+extra, extra
			left -= extra
		}
	}
	for changed := true; changed && left > 0; {
		changed = false
		weights, start := int64(0), left
		for _, name := range order {
			weights += pref(name).Weight
		}
		var next []string
		for _, name := range order {
			if weights == 0 {
				break
			}
			extra := min((start*pref(name).Weight+weights-1)/weights, left)
			used := min(extra, ahead[name])
			ahead[name] -= used
			total := plan[name] + extra - used
			if limit := pref(name).Max; limit != nil && total > *limit {
				total = *limit
			} else {
				next = append(next, name)
			}
			changed = changed || used > 0 || total > plan[name]
			left -= total - plan[name]
			plan[name] = total
		}
		order = next
	}
	out := make([]int64, len(r.Clusters))
	for i, c := range r.Clusters {
		out[i] = plan[c.Name]
	}
	return out
}
