package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// lease is what counts of a Lease: the leader's, the ring's or that of a shard.
type lease struct {
	name, holder string
	shard        bool // it is a shard's
	uid          types.UID
	// version is the resource version: all Leases are written in one order. It is 0, which is never current, if it is no number.
	version           uint64
	acquired, renewed time.Time
	lasts             time.Duration
	// epoch and shards are the ring's; follows and told are a shard's.
	epoch   int64
	shards  []string
	follows era
	told    map[string]string
}

// leaseName is the name of a shard's Lease.
func leaseName(identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return fedv1.ShardLeasePrefix + hex.EncodeToString(sum[:6])
}

// parse reads a Lease. What cannot be read is zero: an epoch that nobody follows, a ring without shards.
func parse(in *coordinationv1.Lease) lease {
	l := lease{name: in.Name, uid: in.UID, shard: in.Labels[fedv1.ShardLabel] == "true"}
	l.version, _ = strconv.ParseUint(in.ResourceVersion, 10, 64)
	if epoch, _ := strconv.ParseInt(in.Annotations[fedv1.EpochAnnotation], 10, 64); l.shard {
		l.follows = era{types.UID(in.Annotations[fedv1.RingAnnotation]), epoch}
	} else {
		l.epoch = epoch
	}
	if s := in.Annotations[fedv1.ShardsAnnotation]; s != "" {
		l.shards = strings.Split(s, ",")
	}
	if in.Spec.HolderIdentity != nil {
		l.holder = *in.Spec.HolderIdentity
	}
	if in.Spec.LeaseDurationSeconds != nil {
		l.lasts = time.Duration(*in.Spec.LeaseDurationSeconds) * time.Second
	}
	if in.Spec.AcquireTime != nil {
		l.acquired = in.Spec.AcquireTime.Time
	}
	if in.Spec.RenewTime != nil {
		l.renewed = in.Spec.RenewTime.Time
	}
	for k, v := range in.Annotations {
		if key, ok := strings.CutPrefix(k, fedv1.ShardStatePrefix); ok {
			if l.told == nil {
				l.told = map[string]string{}
			}
			l.told[key] = v
		}
	}
	return l
}

// object is the Lease as it is written: only if it still has this version, or, without one, only if there is none.
func (l lease) object(namespace string) *coordinationv1.Lease {
	out := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: l.name, Annotations: map[string]string{},
	}}
	if l.version != 0 {
		out.ResourceVersion = strconv.FormatUint(l.version, 10)
	}
	if !l.shard {
		out.Annotations[fedv1.EpochAnnotation] = strconv.FormatInt(l.epoch, 10)
		out.Annotations[fedv1.ShardsAnnotation] = strings.Join(l.shards, ",")
		return out
	}
	out.Labels = map[string]string{fedv1.ShardLabel: "true"}
	out.Annotations[fedv1.EpochAnnotation] = strconv.FormatInt(l.follows.epoch, 10)
	out.Annotations[fedv1.RingAnnotation] = string(l.follows.uid)
	for _, key := range slices.Sorted(maps.Keys(l.told)) {
		out.Annotations[fedv1.ShardStatePrefix+key] = l.told[key]
	}
	seconds := int32(l.lasts / time.Second)
	out.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &l.holder, LeaseDurationSeconds: &seconds,
	}
	if !l.acquired.IsZero() {
		out.Spec.AcquireTime, out.Spec.RenewTime = &metav1.MicroTime{Time: l.acquired}, &metav1.MicroTime{Time: l.renewed}
	}
	return out
}
