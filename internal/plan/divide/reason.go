package divide

import "fmt"

// Reason is why a cluster gets what it gets.
type Reason string

// The reasons.
const (
	// NotPreferred: neither its name nor "*" is among the preferences.
	NotPreferred Reason = "NotPreferred"
	// BeyondCapacity: more than can be scheduled there, because it fits nowhere else.
	BeyondCapacity Reason = "BeyondCapacity"
	// AtMaximum: its maxReplicas.
	AtMaximum Reason = "AtMaximum"
	// AtCapacity: as much as can be scheduled there.
	AtCapacity Reason = "AtCapacity"
	// BelowMinimum: the total was spent before its minimum was reached.
	BelowMinimum Reason = "BelowMinimum"
	// NothingLeft: the total was spent before it was this cluster's turn.
	NothingLeft Reason = "NothingLeft"
	// NoWeight: its weight is 0, so that it gets its minimum and no more.
	NoWeight Reason = "NoWeight"
	// Kept: more than its share, because it runs there already and is not moved.
	Kept Reason = "Kept"
	// KeptByOthers: less than its share, because others keep theirs.
	KeptByOthers Reason = "KeptByOthers"
	// AtMinimum: its minReplicas, as the total leaves no more.
	AtMinimum Reason = "AtMinimum"
	// ByWeight: its share by weight.
	ByWeight Reason = "ByWeight"
)

// share is the result for one cluster. fair is what it would get if nothing were kept where it runs.
func (p *participant) share(fair *participant) Share {
	s := Share{Cluster: p.name, Replicas: p.plan}
	switch {
	case p.plan > p.capacity:
		s.Reason, s.Message = BeyondCapacity, fmt.Sprintf("only %d can be scheduled; the rest fits nowhere else", p.capacity)
	case p.plan > fair.plan:
		s.Reason, s.Message = Kept, fmt.Sprintf("its share is %d, but more runs there already, and rebalance is off", fair.plan)
	case p.plan < fair.plan:
		s.Reason, s.Message = KeptByOthers, fmt.Sprintf("its share is %d, but others keep what they run, as rebalance is off", fair.plan)
	default:
		s.Reason, s.Message = fair.why()
	}
	return s
}

// why is the reason where nothing is kept. The first rule that matches wins.
func (p *participant) why() (Reason, string) {
	switch {
	case !p.preferred:
		return NotPreferred, "spec.clusters names neither the cluster nor *"
	case p.cutByMax && p.plan == p.limit:
		return AtMaximum, fmt.Sprintf("maxReplicas is %d", p.limit)
	case (p.cutByRoom || p.min > p.capacity) && p.plan == p.capacity:
		return AtCapacity, fmt.Sprintf("only %d can be scheduled", p.capacity)
	case p.plan < p.min:
		return BelowMinimum, fmt.Sprintf("totalReplicas is spent before its minReplicas of %d", p.min)
	case p.weight == 0 && p.min > 0:
		return NoWeight, fmt.Sprintf("weight is 0 and minReplicas %d", p.min)
	case p.weight == 0:
		return NoWeight, "weight is 0"
	case p.plan == 0:
		return NothingLeft, "totalReplicas is spent before its share"
	case p.plan == p.min:
		return AtMinimum, fmt.Sprintf("minReplicas is %d, and no more is left", p.min)
	default:
		return ByWeight, fmt.Sprintf("weight is %d", p.weight)
	}
}
