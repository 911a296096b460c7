package divide

import (
	"math"
	"math/bits"
)

// rounds gives out what is left by weight. In each round every cluster still in the game gets its share of what was left at the
// round's start, rounded up, until nothing is left; a cluster that cannot take its share takes what it can and leaves the game. What a
// cluster was let keep counts against its shares first. It returns what nobody could take.
func rounds(game []*participant, left int64, most bound) int64 {
	for left > 0 {
		weights := int64(0)
		for _, p := range game {
			weights += p.weight
		}
		if weights == 0 {
			break
		}
		var next []*participant
		before := left
		for _, p := range game {
			due := min(share(before, p.weight, weights), left)
			taken, stays := p.take(due, most(p))
			left -= taken
			if stays {
				next = append(next, p)
			}
		}
		if left == before && len(next) == len(game) {
			skip(game, left, weights)
		}
		game = next
	}
	return left
}

// take adds a share, less what is ahead of it, and says how much was taken and whether the cluster can take more.
func (p *participant) take(due, most int64) (taken int64, stays bool) {
	used := min(due, p.ahead)
	p.ahead -= used
	total := p.plan + due - used
	if total <= most {
		taken = total - p.plan
		p.plan = total
		return taken, true
	}
	if most == p.limit {
		p.cutByMax = true
	} else {
		p.cutByRoom = true
	}
	taken = max(most-p.plan, 0)
	p.plan += taken
	return taken, false
}

// skip leaps over rounds in which every cluster would only catch up with what it was let keep, which is alike each time; one cluster
// at least then has less ahead of it than its share.
func skip(game []*participant, left, weights int64) {
	times := int64(math.MaxInt64)
	for _, p := range game {
		if due := min(share(left, p.weight, weights), left); due > 0 {
			times = min(times, p.ahead/due)
		}
	}
	for _, p := range game {
		p.ahead -= times * min(share(left, p.weight, weights), left)
	}
}

// share is n * weight / weights, rounded up. weight is at most weights.
func share(n, weight, weights int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(weight)) //nolint:gosec // neither is negative
	lo, carry := bits.Add64(lo, uint64(weights-1), 0)
	q, _ := bits.Div64(hi+carry, lo, uint64(weights)) // fits: weight <= weights
	return int64(q)                                   //nolint:gosec // at most n
}
