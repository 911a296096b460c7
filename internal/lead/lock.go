// Package lead answers: may this process act, and who else does? One process of a control plane leads. It holds a Lease, and what
// KubeFed's managers take for their lock where that exists. Its Term says, without asking anybody, how long it may go on.
package lead

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Options of a Lock.
type Options struct {
	// Namespace of the control plane.
	Namespace string
	// Identity of this process, the same in no other.
	Identity string
	// Term is begun anew by each renewal, and ended when the Lease is given back.
	Term *Term
	// Alone says that this process has all members when it leads: it does not begin to while shards have them among them.
	Alone bool
	// Waiting is called when a KubeFed manager or a shard keeps this process from leading, once for each.
	Waiting func(Holder)
	// Lost is called when another process is seen to lead although this one has not given the Lease back.
	Lost func(holder string)
}

// Holder is a KubeFed manager or a shard, and the lock that it holds: without a kind, which is a shard's, it is a Lease.
type Holder struct{ Identity, Kind, Namespace, Name string }

// Shard says that it is a shard.
func (h Holder) Shard() bool { return h.Kind == "" }

func (h Holder) String() string {
	if h.Shard() {
		return fmt.Sprintf("the manager %s runs with --shards and holds its Lease %s/%s: the members are theirs until the last of these managers has ended",
			h.Identity, h.Namespace, h.Name)
	}
	return fmt.Sprintf("the KubeFed manager %s still holds its lock, %s %s/%s: scale its deployment to 0, or wait until the lock has run out",
		h.Identity, h.Kind, h.Namespace, h.Name)
}

// Lock is a Lease and, where they exist, KubeFed's locks, as one: while a manager of KubeFed renews one of those, nobody leads who uses
// this, and who leads holds them all, so that no manager of KubeFed comes back beside it. It records no events: a restart with nothing
// changed writes nothing else.
type Lock struct {
	*resourcelock.LeaseLock
	opts Options
	old  []*oldLock
	// shards is nil in one of them.
	shards *shards
	// absent says that there was no Lease when Get last looked, but another lock.
	absent bool

	mu sync.Mutex
	// waits is what Waiting was last called with, leads whether this process holds the Lease as far as it knows.
	waits Holder
	leads bool
}

// New returns a lock. It uses a connection of its own: what guards the others must not hold up a renewal.
func New(config *rest.Config, o Options) (*Lock, error) {
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = rest.NoWarnings{} // Endpoints are out of date; so are who use them as a lock
	leases, err := coordinationclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect for the leader's Lease: %w", err)
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect for KubeFed's locks: %w", err)
	}
	l := &Lock{opts: o, LeaseLock: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: fedv1.LockName},
		Client:     leases,
		LockConfig: resourcelock.ResourceLockConfig{Identity: o.Identity},
	}}
	for kind, resource := range map[string]string{"ConfigMap": "configmaps", "Endpoints": "endpoints"} {
		at := objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Namespace(o.Namespace)
		l.old = append(l.old, &oldLock{kind: kind, objects: at})
	}
	if o.Alone {
		l.shards = &shards{list: leases.Leases(o.Namespace).List}
	}
	return l, nil
}

// Get implements resourcelock.Interface. The record is that of whoever keeps this process from leading; the bytes are those of all
// locks, so that who compares them sees each renewal of each.
func (l *Lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	var found []resourcelock.LeaderElectionRecord
	var raw bytes.Buffer
	l.absent = false
	lease, bytesOfLease, err := l.LeaseLock.Get(ctx)
	switch {
	case err == nil:
		found = append(found, *lease)
		raw.Write(bytesOfLease)
	case apierrors.IsNotFound(err):
		l.absent = true
	default:
		return nil, nil, err
	}
	others, failed := l.others(ctx, lease)
	if failed != nil {
		return nil, nil, failed
	}
	found = append(found, others.living...)
	raw.Write(others.raw)
	holder := others.holder
	for _, old := range l.old {
		if err := old.read(ctx); err != nil {
			return nil, nil, err
		}
		raw.WriteString(old.raw)
		r, ok := old.record()
		if !ok {
			continue
		}
		found = append(found, r)
		if l.foreign(r) && (lease == nil || lease.HolderIdentity != r.HolderIdentity) {
			holder = Holder{Identity: r.HolderIdentity, Kind: old.kind, Namespace: l.opts.Namespace, Name: fedv1.LockName}
		}
	}
	if len(found) == 0 {
		return nil, nil, err // there is no lock of any kind: it is to be created
	}
	l.notice(holder, lease)
	return l.first(found), raw.Bytes(), nil
}

// others are the shards that this process has to wait for. Who leads has done so.
func (l *Lock) others(ctx context.Context, lease *resourcelock.LeaderElectionRecord) (others, error) {
	if l.shards == nil || lease != nil && lease.HolderIdentity == l.Identity() {
		return others{}, nil
	}
	return l.shards.read(ctx)
}

func (l *Lock) foreign(r resourcelock.LeaderElectionRecord) bool {
	return r.HolderIdentity != "" && r.HolderIdentity != l.Identity()
}

// first is the record of somebody else, if there is one; with the longest of their times.
func (l *Lock) first(found []resourcelock.LeaderElectionRecord) *resourcelock.LeaderElectionRecord {
	first := found[0]
	for _, r := range found {
		if !l.foreign(r) {
			continue
		}
		if !l.foreign(first) {
			first = r
		}
		first.LeaseDurationSeconds = max(first.LeaseDurationSeconds, r.LeaseDurationSeconds)
	}
	return &first
}

// notice tells what is new about others.
func (l *Lock) notice(holder Holder, lease *resourcelock.LeaderElectionRecord) {
	l.mu.Lock()
	tell := holder != l.waits && holder.Identity != ""
	l.waits = holder
	lost := l.leads && lease != nil && l.foreign(*lease)
	l.leads = l.leads && !lost
	l.mu.Unlock()
	if tell && l.opts.Waiting != nil {
		l.opts.Waiting(holder)
	}
	if lost {
		l.opts.Term.End()
		if l.opts.Lost != nil {
			l.opts.Lost(lease.HolderIdentity)
		}
	}
}

// Create implements resourcelock.Interface.
func (l *Lock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.hold(ctx, r, l.LeaseLock.Create)
}

// Update implements resourcelock.Interface. An update without a holder gives the lock back.
func (l *Lock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	if r.HolderIdentity == "" {
		l.opts.Term.End()
	}
	return l.hold(ctx, r, func(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
		if l.absent {
			return l.LeaseLock.Create(ctx, r)
		}
		return l.LeaseLock.Update(ctx, r)
	})
}

// hold writes all locks, KubeFed's first: they are the ones that others may have taken since.
func (l *Lock) hold(ctx context.Context, r resourcelock.LeaderElectionRecord, lease func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	began := time.Now()
	for _, old := range l.old {
		if err := old.write(ctx, r, l.Identity()); err != nil {
			return err
		}
	}
	if err := lease(ctx, r); err != nil {
		return err
	}
	l.absent = false
	l.mu.Lock()
	l.leads = r.HolderIdentity == l.Identity()
	l.mu.Unlock()
	if r.HolderIdentity == l.Identity() {
		l.opts.Term.Renewed(began)
	}
	return nil
}

// oldLock is one of the two kinds of lock that KubeFed's managers take: an annotation on an object.
type oldLock struct {
	kind    string
	objects metadata.ResourceInterface
	// raw is the annotation as last seen or written; empty if there is no such object, or nobody ever held it.
	raw string
}

// read looks at the lock.
func (o *oldLock) read(ctx context.Context) error {
	_, raw, err := o.get(ctx)
	if err == nil {
		o.raw = raw
	}
	return err
}

func (o *oldLock) get(ctx context.Context) (*metav1.PartialObjectMetadata, string, error) {
	found, err := o.objects.Get(ctx, fedv1.LockName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read KubeFed's lock, a %s: %w", o.kind, err)
	}
	return found, found.Annotations[resourcelock.LeaderElectionRecordAnnotationKey], nil
}

// record is who holds the lock. One that cannot be read is held by nobody: KubeFed would take it, too.
func (o *oldLock) record() (r resourcelock.LeaderElectionRecord, ok bool) {
	return r, json.Unmarshal([]byte(o.raw), &r) == nil
}

// write takes, keeps or gives back the lock, if there is one, unless somebody else has written to it since it was last seen.
func (o *oldLock) write(ctx context.Context, r resourcelock.LeaderElectionRecord, identity string) error {
	found, raw, err := o.get(ctx)
	if err != nil || found == nil {
		return err
	}
	if raw != o.raw {
		seen := oldLock{raw: raw}
		if now, ok := seen.record(); ok && now.HolderIdentity != "" && now.HolderIdentity != identity {
			return fmt.Errorf("KubeFed's lock, a %s, was taken or renewed by %s", o.kind, now.HolderIdentity)
		}
	}
	record, err := json.Marshal(r)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": found.ResourceVersion,
		"annotations":     map[string]any{resourcelock.LeaderElectionRecordAnnotationKey: string(record)},
	}})
	if err != nil {
		return err
	}
	_, err = o.objects.Patch(ctx, fedv1.LockName, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager})
	if err != nil {
		return fmt.Errorf("hold KubeFed's lock, a %s: %w", o.kind, err)
	}
	o.raw = string(record)
	return nil
}
