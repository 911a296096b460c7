package lead

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// shards are the Leases of processes that have the members among them. Who is to have all members does not begin to lead beside them.
type shards struct {
	list func(context.Context, metav1.ListOptions) (*coordinationv1.LeaseList, error)
	// seen is since when each Lease is as it is.
	seen map[string]seen
}

type seen struct {
	version string
	at      time.Time
}

// others are the shards, as they were read.
type others struct {
	// living are the records of those that may act.
	living []resourcelock.LeaderElectionRecord
	// holder is the first of those, by the name of its Lease.
	holder Holder
	// raw changes with each renewal of any Lease, and does not when a shard falls silent.
	raw []byte
}

// read reads the Leases. It is to be called after the leader's was read: a shard acts only by a Lease that is older than that.
func (s *shards) read(ctx context.Context) (out others, err error) {
	found, err := s.list(ctx, metav1.ListOptions{LabelSelector: fedv1.ShardLabel + "=true"})
	if err != nil {
		return out, fmt.Errorf("read the Leases of shards: %w", err)
	}
	slices.SortFunc(found.Items, func(a, b coordinationv1.Lease) int { return strings.Compare(a.Name, b.Name) })
	before, now := s.seen, time.Now()
	s.seen = make(map[string]seen, len(found.Items))
	for _, l := range found.Items {
		r := resourcelock.LeaderElectionRecord{HolderIdentity: ptr.Deref(l.Spec.HolderIdentity, "")}
		r.LeaseDurationSeconds = int(ptr.Deref(l.Spec.LeaseDurationSeconds, 0))
		if r.HolderIdentity == "" {
			continue
		}
		at := before[l.Name]
		if at.version != l.ResourceVersion {
			at = seen{l.ResourceVersion, now}
		}
		s.seen[l.Name] = at
		out.raw = fmt.Appendln(out.raw, l.Name, l.ResourceVersion)
		if now.Sub(at.at) >= time.Duration(r.LeaseDurationSeconds)*time.Second {
			continue
		}
		if out.living = append(out.living, r); len(out.living) == 1 {
			out.holder = Holder{Identity: r.HolderIdentity, Namespace: l.Namespace, Name: l.Name}
		}
	}
	return out, nil
}
