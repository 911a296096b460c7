package fleet

import (
	"errors"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/audit"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// account says what is to be on record of a step; false if it destroyed nothing and took nothing over.
func account(key intent.Key, t intent.Type, clusterID string, s plan.Step, r apply.Result) (audit.Record, bool) {
	act := acts[r.Did]
	switch {
	case r.State == plan.Done && act != "":
	case r.State == plan.Failed && !s.Confirm && !errors.Is(r.Err, apply.ErrChanged):
		// It may have been done all the same, if the member did not answer.
		if act = attempts[s.Verdict]; act == "" {
			return audit.Record{}, false
		}
	default:
		return audit.Record{}, false
	}
	uid := string(s.UID)
	if r.Record != nil {
		uid = string(r.Record.UID)
	}
	return audit.Record{
		Act: act, Cluster: s.Member, ClusterID: clusterID,
		Group: t.Target.Group, Version: t.Target.Version, Kind: t.Target.Kind, Namespace: s.Namespace, Name: s.Name, UID: uid, Seen: s.Seen,
		Reason: string(s.Reason), Federated: key.String(), OwnerUID: string(s.Owner),
		Outcome: string(r.State), Message: r.Message,
	}, true
}

var (
	acts     = map[plan.Did]string{plan.DidDelete: "delete", plan.DidRelease: "release", plan.DidAdopt: "adopt"}
	attempts = map[plan.Verdict]string{plan.Withdraw: "delete", plan.Release: "release"}
)
