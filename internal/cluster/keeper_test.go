package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// scene is a keeper among functions that stand for the world.
type scene struct {
	*keeper
	clock  *testingclock.FakeClock
	sight  sight
	asked  []question
	writes int
	fail   error // of writes
	stored *fedv1.KubeFedCluster
	events []string
	watch  *diary
	older  string
}

// diary is a Watcher that writes down what it is told.
type diary struct {
	mu    sync.Mutex
	lines []string
	last  map[string]Member
}

func (d *diary) ClusterChanged(m Member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := m.Name + " not ready: " + m.Reason
	if m.Ready {
		line = m.Name + " ready: " + string(m.ID)
	}
	if d.last == nil {
		d.last = map[string]Member{}
	}
	d.lines, d.last[m.Name] = append(d.lines, line), m
}

func (d *diary) ClusterGone(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, name+" gone")
	delete(d.last, name)
}

func (d *diary) member(name string) (Member, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := d.last[name]
	return m, ok
}

func (d *diary) want(t *testing.T, lines ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if diff := cmp.Diff(lines, d.lines); diff != "" {
		t.Errorf("the watcher was told (-want +got):\n%s", diff)
	}
	d.lines = nil
}

func newScene(t *testing.T, c *fedv1.KubeFedCluster, secret *corev1.Secret) *scene {
	t.Helper()
	s := &scene{clock: testingclock.NewFakeClock(time.Unix(1000, 0)), sight: aGoodSight, stored: c, watch: &diary{}}
	s.keeper = newKeeper(record{c, secret}, powers{
		look: func(_ context.Context, _ *link, q question) sight { s.asked = append(s.asked, q); return s.sight },
		write: func(_ context.Context, c *fedv1.KubeFedCluster) (*fedv1.KubeFedCluster, error) {
			s.writes++
			if s.fail != nil {
				return nil, s.fail
			}
			c.ResourceVersion += "0" // ever newer
			s.stored = c
			return c, nil
		},
		read:   func(context.Context, string) (*fedv1.KubeFedCluster, error) { s.fail = nil; return s.stored, nil },
		claim:  func(claim) string { return s.older },
		tell:   s.watch,
		record: func(_ *fedv1.KubeFedCluster, e event) { s.events = append(s.events, e.reason) },
	}, setting{namespace: "fed", hostIDs: []types.UID{"H"}, health: func() Health {
		return Health{Period: time.Second, Timeout: time.Second, FailureThreshold: 3, SuccessThreshold: 1}
	}, clock: s.clock, metrics: newMetrics(nil)}, logr.Discard())
	return s
}

func (s *scene) rounds(n int) *scene {
	for range n {
		s.round(context.Background())
		s.clock.Step(time.Second)
	}
	return s
}

func readyBefore(c *fedv1.KubeFedCluster) { c.Status = after(findings{sight: aGoodSight}) }

func TestKeeperFirstContact(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t")).rounds(3)
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
	if s.writes != 1 || len(s.events) > 0 {
		t.Errorf("%d writes, events %v", s.writes, s.events)
	}
}

// After a restart nobody has verified the member yet, though its status says ready. If it is as it was, nothing is written.
func TestKeeperRestart(t *testing.T) {
	s := newScene(t, aCluster(readyBefore), aSecret("t", fedv1.CredentialIssuedAnnotation, "1970-01-01T00:00:00Z",
		fedv1.CredentialExpiresAnnotation, "1971-01-01T00:00:00Z"))
	if m := func() Member { s.follow(); return s.member() }(); m.Ready || m.ID != "A" || m.Config == nil {
		t.Errorf("before the first probe: %+v", m)
	}
	s.rounds(3)
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
	if s.writes != 0 {
		t.Errorf("%d writes", s.writes)
	}
}

func TestKeeperRestartWithDeadMember(t *testing.T) {
	s := newScene(t, aCluster(readyBefore), aSecret("t"))
	s.sight = failed(ReasonConnectionRefused)
	s.rounds(2)
	s.watch.want(t, "m1 not ready: Probing", "m1 not ready: ConnectionRefused")
	if ready, _ := wasReady(s.stored.Status); !ready {
		t.Error("two failures changed the status")
	}
	s.rounds(2)
	if ready, _ := wasReady(s.stored.Status); ready {
		t.Error("three failures did not change the status")
	}
}

func TestKeeperThresholds(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t")).rounds(1)
	s.sight = failed(ReasonTimeout)
	s.rounds(2)
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
	s.rounds(2)
	s.watch.want(t, "m1 not ready: Timeout")
	s.sight = aGoodSight
	s.rounds(1)
	s.watch.want(t, "m1 ready: A")
	if got := strings.Join(s.events, " "); got != "RetrievingClusterHealthFailed ClusterRecovered" {
		t.Errorf("events: %s", got)
	}
}

// What another shard has is not probed by one that listens only: it follows what the host says, and is never ready here.
func TestKeeperListens(t *testing.T) {
	s := newScene(t, aCluster(readyBefore), aSecret("t"))
	s.mode = listens
	s.rounds(2)
	s.watch.want(t, "m1 not ready: Elsewhere")
	if m, _ := s.watch.member("m1"); !m.Elsewhere || m.Config != nil || m.ID != "A" {
		t.Errorf("%+v", m)
	}
	relabelled := aCluster(readyBefore)
	relabelled.Labels = map[string]string{"tier": "gold"}
	s.meet(record{relabelled, aSecret("t")})
	s.rounds(1)
	s.watch.want(t, "m1 not ready: Elsewhere")
	if m, _ := s.watch.member("m1"); m.Labels["tier"] != "gold" {
		t.Errorf("%+v", m)
	}
	if len(s.asked) > 0 || s.writes > 0 || len(s.events) > 0 {
		t.Errorf("%d probes, %d writes, events %v", len(s.asked), s.writes, s.events)
	}
}

// One that observes probes, so that it reads from nobody else than the member, and leaves it to the member's shard to tell of it.
func TestKeeperObserves(t *testing.T) {
	s := newScene(t, aCluster(readyBefore), aSecret("t"))
	s.mode = observes
	s.rounds(1)
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
	if m, _ := s.watch.member("m1"); !m.Elsewhere || m.Config == nil {
		t.Errorf("%+v", m)
	}
	s.sight = failed(ReasonConnectionRefused)
	s.rounds(4)
	away := aCluster(readyBefore)
	away.Status, away.ResourceVersion = judge(away.Status, findings{sight: s.sight}, circumstances{streak: streak{bad: 9}, health: s.health()}), "8"
	s.meet(record{away, aSecret("t")})
	s.rounds(1)
	s.watch.want(t, "m1 not ready: ConnectionRefused")
	s.sight = aGoodSight
	s.rounds(2)
	s.watch.want(t, "m1 not ready: Recovering") // as long as its shard does not say so
	if s.writes > 0 || len(s.events) > 0 {
		t.Errorf("%d writes, events %v", s.writes, s.events)
	}
}

// Nothing is written to a member before it is written down which cluster it is.
func TestKeeperPinsBeforeReady(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t"))
	s.fail = errors.New("the host is down")
	s.rounds(2)
	s.watch.want(t, "m1 not ready: Probing", "m1 not ready: IdentityNotPinned")
	s.fail = nil
	s.rounds(1)
	s.watch.want(t, "m1 ready: A")
}

// The watcher learns that a member is away though the host does not take the status.
func TestKeeperHostDown(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t")).rounds(1)
	s.sight, s.fail = failed(ReasonTimeout), errors.New("the host is down")
	s.rounds(3)
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A", "m1 not ready: Timeout")
}

func TestKeeperConflict(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t"))
	s.stored = aCluster(func(c *fedv1.KubeFedCluster) { c.ResourceVersion, c.Labels = "2", map[string]string{"a": "b"} })
	s.fail = apierrors.NewConflict(schema.GroupResource{}, "m1", nil)
	s.rounds(1)
	if s.writes != 2 || s.stored.Labels["a"] != "b" || s.stored.Status.ClusterID != "A" {
		t.Errorf("after %d writes: %+v", s.writes, s.stored)
	}
}

func TestKeeperForeign(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t")).rounds(1)
	s.sight.id = "B"
	s.rounds(1)
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A", "m1 not ready: IdentityMismatch")
	if err := s.link.identity.admit(); !errors.Is(err, ErrNotVerified) {
		t.Errorf("the gate is open: %v", err)
	}
	s.sight.id, s.older = "A", "m0"
	s.rounds(1)
	s.watch.want(t, "m1 not ready: DuplicateCluster")
	s.older = ""
	s.rounds(1)
	s.watch.want(t, "m1 ready: A")
}

func TestKeeperFollowsTheRecord(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t")).rounds(1)
	first := s.link.config
	change := func(secret *corev1.Secret, change ...func(*fedv1.KubeFedCluster)) {
		c := s.stored.DeepCopy()
		c.ResourceVersion += "0"
		for _, f := range change {
			f(c)
		}
		s.meet(record{c, secret})
		s.rounds(1)
	}
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
	change(aSecret("t"), func(c *fedv1.KubeFedCluster) { c.Labels = map[string]string{"a": "b"} })
	s.watch.want(t, "m1 ready: A")
	change(aSecret("t2"))
	s.watch.want(t, "m1 ready: A")
	if s.link.config == first || s.link.config.BearerToken != "t2" {
		t.Error("the config did not change with the token")
	}
	change(nil)
	s.watch.want(t, "m1 not ready: SecretNotFound")
	change(aSecret("t2"))
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
	change(aSecret("t2"), func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint = "h2" })
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
	s.sight = failed(ReasonTimeout)
	change(aSecret("t2"), func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint = "h3" })
	s.watch.want(t, "m1 not ready: Probing", "m1 not ready: Timeout")
	if ready, _ := wasReady(s.stored.Status); ready {
		t.Error("what was known of another address still counts")
	}
}

// A watch that is behind does not bring back what was there before the keeper's own write.
func TestKeeperKeepsItsOwnWrite(t *testing.T) {
	stale := aCluster()
	s := newScene(t, stale, aSecret("t")).rounds(1)
	s.meet(record{stale, aSecret("t")})
	s.rounds(2)
	if s.writes != 1 {
		t.Errorf("%d writes", s.writes)
	}
}

func TestKeeperHost(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t"))
	s.sight.id = "H"
	s.rounds(1)
	if m, _ := s.watch.member("m1"); !m.Host {
		t.Errorf("member = %+v", m)
	}
}

// Topology is looked for at first contact, then rarely.
func TestKeeperTopologyIsRare(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t")).rounds(10)
	s.clock.Step(topologyPeriod)
	s.rounds(2)
	var at []int
	for i, q := range s.asked {
		if q.topology {
			at = append(at, i)
		}
	}
	if diff := cmp.Diff([]int{0, 10}, at); diff != "" {
		t.Errorf("rounds that asked for nodes (-want +got):\n%s", diff)
	}
}

func TestKeeperRotation(t *testing.T) {
	secret := aSecret("t", fedv1.CredentialIssuedAnnotation, time.Unix(1000, 0).UTC().Format(time.RFC3339),
		fedv1.CredentialExpiresAnnotation, time.Unix(2000, 0).UTC().Format(time.RFC3339))
	s := newScene(t, aCluster(), secret)
	calls := 0
	var failure error
	s.rotate = func(context.Context, *rest.Config, *corev1.Secret) error { calls++; return failure }
	reason := func() string {
		c, _ := find(s.stored.Status.Conditions, fedv1.ClusterCredentialsValid)
		return text(c.Reason)
	}
	s.rounds(2)
	if calls != 2 || reason() != "TokenAccepted" {
		t.Errorf("%d calls, %s", calls, reason())
	}
	failure, calls = errors.New("not today"), 0
	s.rounds(50)
	if calls != 1 {
		t.Errorf("%d attempts in 50 s, want 1 a minute", calls)
	}
	if s.clock.SetTime(time.Unix(1790, 0)); s.rounds(5) != nil && reason() != "TokenAccepted" {
		t.Errorf("alarm too early: %s", reason())
	}
	if s.clock.SetTime(time.Unix(1801, 0)); s.rounds(2) != nil && reason() != "RotationFailed" {
		t.Errorf("no alarm: %s", reason())
	}
	failure = nil
	s.clock.Step(time.Minute)
	if s.rounds(2); reason() != "TokenAccepted" {
		t.Errorf("the alarm stays: %s", reason())
	}
}

func TestKeeperOutlivesPanic(t *testing.T) {
	s := newScene(t, aCluster(), aSecret("t"))
	s.look = func(context.Context, *link, question) sight { panic("poison") }
	s.safely(t.Context(), s.round)
	s.look = func(context.Context, *link, question) sight { return aGoodSight }
	s.safely(t.Context(), s.round)
	s.watch.want(t, "m1 not ready: Probing", "m1 ready: A")
}

// A keeper ends with its context, even in the middle of a probe that hangs, and draws no conclusion from that.
func TestKeeperEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newScene(t, aCluster(readyBefore), aSecret("t"))
	hangs := make(chan struct{})
	s.look = func(ctx context.Context, _ *link, _ question) sight {
		close(hangs)
		<-ctx.Done()
		return sight{fault: faultOf(ctx.Err())}
	}
	ctx, end := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { s.run(ctx) })
	<-hangs
	end()
	done.Wait()
	s.watch.want(t, "m1 not ready: Probing")
	if s.writes != 0 {
		t.Errorf("%d writes", s.writes)
	}
}
