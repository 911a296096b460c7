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
	// AtMinimum: its minReplicas, as the total leaves no more.
	AtMinimum Reason = "AtMinimum"
	// ByWeight: its share by weight.
	ByWeight Reason = "ByWeight"
)

// share is the result for one cluster. The first rule that matches is its reason.
func (p *participant) share() Share {
	s := Share{Cluster: p.name, Replicas: p.plan}
	switch {
	case !p.preferred:
		s.Reason, s.Message = NotPreferred, "spec.clusters names neither the cluster nor *"
	case p.plan > p.capacity:
		s.Reason, s.Message = BeyondCapacity, fmt.Sprintf("only %d can be scheduled; the rest fits nowhere else", p.capacity)
	case p.cutByMax && p.plan == p.limit:
		s.Reason, s.Message = AtMaximum, fmt.Sprintf("maxReplicas is %d", p.limit)
	case (p.cutByRoom || p.min > p.capacity) && p.plan == p.capacity:
		s.Reason, s.Message = AtCapacity, fmt.Sprintf("only %d can be scheduled", p.capacity)
	case p.plan < p.min:
		s.Reason, s.Message = BelowMinimum, fmt.Sprintf("totalReplicas is spent before its minReplicas of %d", p.min)
	case p.ahead > 0:
		s.Reason, s.Message = Kept, "runs there already, and rebalance is off"
	case p.weight == 0 && p.min > 0:
		s.Reason, s.Message = NoWeight, fmt.Sprintf("weight is 0 and minReplicas %d", p.min)
	case p.weight == 0:
		s.Reason, s.Message = NoWeight, "weight is 0"
	case p.plan == 0:
		s.Reason, s.Message = NothingLeft, "totalReplicas is spent before its share"
	case p.plan == p.min:
		s.Reason, s.Message = AtMinimum, fmt.Sprintf("minReplicas is %d, and no more is left", p.min)
	default:
		s.Reason, s.Message = ByWeight, fmt.Sprintf("weight is %d", p.weight)
	}
	return s
}
