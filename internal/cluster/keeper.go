package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster/credential"
)

// powers are what a keeper may do, all that it does to the world.
type powers struct {
	look   func(context.Context, *link, question) sight
	write  func(context.Context, *fedv1.KubeFedCluster) (*fedv1.KubeFedCluster, error) // the status
	read   func(context.Context, string) (*fedv1.KubeFedCluster, error)                // live
	claim  func(claim) (older string)
	tell   Watcher
	record func(*fedv1.KubeFedCluster, event)
	rotate Rotator
}

// setting is what is the same for all keepers.
type setting struct {
	namespace string
	hostIDs   []types.UID
	connect   ConnectOptions
	health    func() Health
	clock     clock.Clock
	metrics   *metrics
}

// Waits of a keeper that nobody has asked to set.
const (
	topologyPeriod  = 5 * time.Minute
	rotationRetry   = time.Minute
	rotationTimeout = 30 * time.Second
	writeTimeout    = 10 * time.Second
)

// record is a KubeFedCluster with its secret, which may be nil.
type record struct {
	cluster *fedv1.KubeFedCluster
	secret  *corev1.Secret
}

// mode says how a member is kept.
type mode int

const (
	// keeps: the member is this process's: it is probed, and its status is written.
	keeps mode = iota
	// observes: it is another shard's, and probed here only so that it can be read.
	observes
	// listens: it is another shard's, and what the host says of it is all that is known.
	listens
)

// keeper keeps one member: it probes it, writes its status and tells the watcher, all from one goroutine.
type keeper struct {
	powers
	setting
	mode mode
	log  logr.Logger
	wake chan struct{} // holds one call
	gone chan struct{} // closed when nothing more comes from the keeper

	mu   sync.Mutex
	news record // the newest from the host

	// Below only the keeper's goroutine reads and writes.
	record
	link       *link
	malformed  *ConfigError
	streak     streak
	verified   bool // who the member is, at its present address, by this process
	moved      bool
	last       verdict // of the last probe
	ready      bool    // as last judged
	joining    bool    // it has joined, and was not ready yet
	probed     bool
	topologyAt time.Time
	rotation   rotation
	told       *Member
}

// rotation is what is known of the attempts to renew a token.
type rotation struct {
	notBefore time.Time
	failed    string // why the last attempt failed
}

func newKeeper(r record, p powers, s setting, log logr.Logger) *keeper {
	return &keeper{powers: p, setting: s, log: log, news: r, wake: make(chan struct{}, 1), gone: make(chan struct{})}
}

// meet tells a keeper what the host says now. It wakes the keeper if that is more than a status that it has written itself.
func (k *keeper) meet(r record) {
	k.mu.Lock()
	was := k.news
	k.news = r
	k.mu.Unlock()
	if !sameIntent(was, r) || k.mode != keeps && !sameStatus(was.cluster.Status, r.cluster.Status) {
		k.rouse()
	}
}

// sameIntent tells whether two records differ at most in status.
func sameIntent(a, b record) bool {
	secretVersion := func(s *corev1.Secret) string {
		if s == nil {
			return ""
		}
		return string(s.UID) + s.ResourceVersion
	}
	return a.cluster.Generation == b.cluster.Generation && secretVersion(a.secret) == secretVersion(b.secret) &&
		maps.Equal(a.cluster.Labels, b.cluster.Labels) && maps.Equal(a.cluster.Annotations, b.cluster.Annotations)
}

// rouse lets a keeper probe now.
func (k *keeper) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run keeps the member until the context ends.
func (k *keeper) run(ctx context.Context) {
	defer func() { k.link.close() }()
	for ctx.Err() == nil {
		k.safely(ctx, k.round)
		timer := k.clock.NewTimer(k.health().Period)
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// safely keeps a panic from ending more than the round that it happens in.
func (k *keeper) safely(ctx context.Context, do func(context.Context)) {
	defer func() {
		if p := recover(); p != nil {
			k.log.Error(fmt.Errorf("panic: %v", p), "the cluster could not be probed", "stack", string(debug.Stack()))
		}
	}()
	do(ctx)
}

// round probes the member once and draws the consequences.
func (k *keeper) round(ctx context.Context) {
	if k.mode == listens {
		k.listen()
		return
	}
	k.follow()
	k.publish()
	start := k.clock.Now()
	seen := k.probe(ctx)
	if ctx.Err() != nil {
		return // a probe that was cut off says nothing
	}
	if k.malformed == nil {
		k.metrics.probed(k.cluster.Name, k.clock.Since(start))
	}
	f := k.findings(seen)
	k.draw(f)
	k.commit(ctx, f)
	k.publish()
	k.metrics.show(k.cluster, k.credentialEnd())
	k.renew(ctx)
}

// listen tells what the host says of a member that is another shard's.
func (k *keeper) listen() {
	k.mu.Lock()
	k.record = k.news
	k.mu.Unlock()
	k.claim(claim{name: k.cluster.Name, id: Pinned(k.cluster, k.secret), created: k.cluster.CreationTimestamp})
	k.publish()
}

// follow takes over what the host says now, and with it a changed address or credential.
func (k *keeper) follow() {
	k.mu.Lock()
	r := k.news
	k.mu.Unlock()
	if k.cluster != nil && k.cluster.UID == r.cluster.UID && newer(k.cluster.ResourceVersion, r.cluster.ResourceVersion) {
		r.cluster = k.cluster // our own write, which the host's watch has not told of yet
	}
	k.record = r
	l, err := k.link.follow(r.cluster, r.secret, k.connect)
	if err != nil {
		k.malformed = configError(err)
		return
	}
	if k.link == nil || l.main != k.link.main {
		k.moveTo(l)
	}
	if l != k.link {
		k.rotation = rotation{}
	}
	k.probed = k.probed && k.malformed == nil
	k.link, k.malformed = l, nil
}

// moveTo begins anew at another address: what was verified was verified elsewhere.
func (k *keeper) moveTo(l *link) {
	k.moved = k.link != nil
	k.link.close()
	l.identity.suspect = func() {
		l.scout.CloseIdleConnections() // they may still lead where the others no longer do
		k.rouse()
	}
	k.streak, k.verified, k.probed, k.topologyAt = streak{}, false, false, time.Time{}
}

func (k *keeper) probe(ctx context.Context) sight {
	if k.malformed != nil {
		return sight{}
	}
	q := question{
		pinned:    Pinned(k.cluster, k.secret),
		namespace: k.namespace,
		topology:  !k.verified || k.clock.Since(k.topologyAt) >= topologyPeriod,
		timeout:   k.health().Timeout,
	}
	s := k.look(ctx, k.link, q)
	if q.topology && s.id != "" {
		k.topologyAt = k.clock.Now() // a member that does not show its nodes is not asked again at once
	}
	return s
}

// findings adds to what was seen what is known besides.
func (k *keeper) findings(s sight) findings {
	f := findings{config: k.malformed, sight: s, pinned: Pinned(k.cluster, k.secret)}
	id := f.pinned
	if id == "" {
		id = s.id
	}
	f.older = k.claim(claim{name: k.cluster.Name, id: id, created: k.cluster.CreationTimestamp})
	if k.malformed == nil {
		f.disabled = k.link.address.checks.String()
	}
	switch life, err := k.life(); {
	case err != nil:
		f.overdue = clean(err.Error())
	case life.Eternal():
		f.eternal = true
	case life.Alarming(k.clock.Now()):
		f.overdue = k.rotation.failed
	}
	return f
}

// life is that of the credential.
func (k *keeper) life() (credential.Life, error) {
	if k.secret == nil {
		return credential.Life{}, nil
	}
	return credential.LifeOf(k.secret)
}

func (k *keeper) credentialEnd() time.Time {
	life, _ := k.life()
	return life.Expires
}

// draw takes the verdict into account, and opens or shuts the way for requests.
func (k *keeper) draw(f findings) {
	k.last, k.probed = f.verdict(), true
	k.streak = k.streak.next(k.last.standing == standsReady)
	switch k.last.standing {
	case standsReady:
		k.verified = true
		k.link.identity.expect(f.sight.idPath, f.sight.id)
	case standsForeign:
		k.verified = false
		k.link.identity.forbid()
	case standsMalformed:
		k.verified = false
		if k.link != nil {
			k.link.identity.forbid()
		}
	}
}

// commit writes the status if its meaning changed, and records what happened.
func (k *keeper) commit(ctx context.Context, f findings) {
	if k.mode == observes { // its shard says how it is
		k.ready, _ = wasReady(k.cluster.Status)
		return
	}
	c := circumstances{streak: k.streak, health: k.health(), moved: k.moved, now: metav1.NewTime(k.clock.Now())}
	for range 3 {
		old := k.cluster
		next := judge(old.Status, f, c)
		k.ready, _ = wasReady(next)
		if sameStatus(old.Status, next) {
			k.moved = false
			return
		}
		err := k.save(ctx, next)
		if err == nil {
			k.moved = false
			k.join(old.Status)
			for _, e := range eventsOf(old.Status, k.cluster.Status) {
				k.powers.record(k.cluster, e)
			}
			return
		}
		if !apierrors.IsConflict(err) || k.reread(ctx) != nil {
			if ctx.Err() == nil && !apierrors.IsNotFound(err) {
				k.log.Error(err, "the cluster's status could not be written, the next probe tries again")
			}
			return
		}
	}
}

// join measures how long a member took from its KubeFedCluster's creation until it was ready. One that this process did not see before is
// no news.
func (k *keeper) join(old fedv1.KubeFedClusterStatus) {
	k.joining = k.joining || len(old.Conditions) == 0
	if k.joining && k.ready {
		k.joining = false
		took := k.clock.Since(k.cluster.CreationTimestamp.Time)
		k.metrics.join.WithLabelValues().Observe(max(took, 0).Seconds()) // the host's clock may be ahead
	}
}

func (k *keeper) save(ctx context.Context, s fedv1.KubeFedClusterStatus) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	c := k.cluster.DeepCopy()
	c.Status = s
	written, err := k.write(ctx, c)
	if err == nil {
		k.cluster = written
	}
	return err
}

// reread replaces the KubeFedCluster by what the host has now, if it is the same one.
func (k *keeper) reread(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now, err := k.read(ctx, k.cluster.Name)
	if err != nil {
		return err
	}
	if now.UID != k.cluster.UID {
		return errReplaced
	}
	k.cluster = now
	return nil
}

var errReplaced = errors.New("another KubeFedCluster has the name now")

// renew lets the credential be renewed if the member is well.
func (k *keeper) renew(ctx context.Context) {
	now := k.clock.Now()
	if k.mode != keeps || k.rotate == nil || k.secret == nil || k.last.standing != standsReady || now.Before(k.rotation.notBefore) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rotationTimeout)
	defer cancel()
	err := k.rotate(ctx, k.link.config, k.secret)
	if err == nil {
		k.rotation = rotation{}
		return
	}
	if ctx.Err() == nil {
		k.log.Error(err, "the member's credential could not be renewed, the present one stays")
	}
	k.rotation = rotation{notBefore: now.Add(rotationRetry), failed: clean(err.Error())}
}

// publish tells the watcher if the member changed.
func (k *keeper) publish() {
	m := k.member()
	if k.told != nil && k.told.same(m) {
		return
	}
	k.told = &m
	k.tell.ClusterChanged(m)
}

func (k *keeper) member() Member {
	id := Pinned(k.cluster, k.secret)
	m := Member{
		Name:     k.cluster.Name,
		ID:       id,
		Labels:   k.cluster.Labels,
		Revision: k.cluster.ResourceVersion, Generation: k.cluster.Generation,
		Host: id != "" && slices.Contains(k.hostIDs, id), Elsewhere: k.mode != keeps,
	}
	if k.malformed == nil && k.link != nil {
		m.Config = k.link.config
	}
	m.Ready, m.Reason, m.Message = k.readiness()
	return m
}

// readiness is the first rule that applies.
func (k *keeper) readiness() (bool, string, string) {
	switch {
	case k.mode == listens:
		return false, ReasonElsewhere, "another shard has the cluster"
	case k.malformed != nil:
		return false, k.malformed.Reason, k.malformed.Message
	case !k.probed:
		return false, ReasonProbing, "the cluster has not been probed yet"
	case !k.verified:
		return false, k.last.reason, k.last.message
	case k.last.standing == standsReady && k.cluster.Status.ClusterID == "":
		return false, ReasonNotPinned, "the cluster's identity could not be written down yet"
	case k.ready:
		return true, ReasonReady, textReady
	case k.last.standing == standsReady:
		return false, ReasonRecovering, "the cluster answers again, but not yet often enough in a row"
	}
	return false, k.last.reason, k.last.message
}

// newer tells whether one resource version is newer than another of the same object; false if that cannot be told.
func newer(a, b string) bool {
	c, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && c > 0
}
