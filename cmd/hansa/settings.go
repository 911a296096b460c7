package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/schedule"
)

// settings are what the KubeFedConfig says, with KubeFed's defaults where it says nothing. The scope and the leader election are
// those of the start, the rest follows the object.
type settings struct {
	spec         atomic.Pointer[fedv1.KubeFedConfigSpec]
	accepted     atomic.Pointer[string] // revision of an accepted rollback of the host
	rollback     string                 // what the KubeFedConfig says of one, at the start
	controlPlane types.UID
	hostIDs      []types.UID
	namespace    string
	deadline     time.Duration
}

// load reads the settings, and who this control plane is, before anything starts.
func load(ctx context.Context, c client.Client, f flags) (*settings, error) {
	s := &settings{namespace: f.namespace, deadline: f.deletionDeadline}
	var home, system corev1.Namespace
	if err := c.Get(ctx, types.NamespacedName{Name: f.namespace}, &home); err != nil {
		return nil, fmt.Errorf("read namespace %s of the host (run kubefedctl init first?): %w", f.namespace, err)
	}
	s.controlPlane = home.UID
	s.hostIDs = []types.UID{cluster.NamespaceID(home.UID)}
	if err := c.Get(ctx, types.NamespacedName{Name: "kube-system"}, &system); err == nil {
		s.hostIDs = append(s.hostIDs, system.UID)
	}
	var config fedv1.KubeFedConfig
	err := c.Get(ctx, types.NamespacedName{Namespace: f.namespace, Name: fedv1.ConfigName}, &config)
	if apierrors.IsNotFound(err) {
		config.Namespace, config.Name, config.Spec.Scope = f.namespace, fedv1.ConfigName, fedv1.ScopeCluster
		err = c.Create(ctx, &config)
	}
	if err != nil {
		return nil, fmt.Errorf("read KubeFedConfig %s/%s: %w", f.namespace, fedv1.ConfigName, err)
	}
	s.spec.Store(&config.Spec)
	s.rollback = config.Annotations[fedv1.HostRollbackAnnotation]
	s.accepted.Store(new(config.Annotations[fedv1.AcceptHostRollbackAnnotation]))
	return s, nil
}

func (s *settings) scope() fedv1.ResourceScope { return s.spec.Load().Scope }

func (s *settings) namespaced() bool { return s.scope() == fedv1.ScopeNamespaced }

// watched is the namespace that watches are restricted to; empty means all.
func (s *settings) watched() string {
	if s.namespaced() {
		return s.namespace
	}
	return ""
}

func (s *settings) health() cluster.Health { return cluster.HealthOf(s.spec.Load().ClusterHealthCheck) }

func (s *settings) schedule() schedule.Settings { return schedule.SettingsOf(s.spec.Load()) }

func (s *settings) plan() plan.Settings {
	sync := s.spec.Load().SyncController
	return plan.Settings{
		ControlPlane:     string(s.controlPlane),
		SystemNamespaces: []string{"kube-system", "kube-public", "default", s.namespace},
		Adopt:            sync == nil || sync.AdoptResources == nil || *sync.AdoptResources == fedv1.Enabled,
		DeletionDeadline: s.deadline,
		Accepted:         *s.accepted.Load(),
	}
}

// rawStatus is the feature gate RawResourceStatusCollection, off by default.
func (s *settings) rawStatus() bool {
	return slices.ContainsFunc(s.spec.Load().FeatureGates, func(g fedv1.FeatureGatesConfig) bool {
		return g.Name == fedv1.GateRawResourceStatusCollection && g.Configuration == fedv1.Enabled
	})
}

// concurrency is how many federated objects are decided on at the same time. KubeFed's chart writes its own default of 1 into every
// KubeFedConfig; deciding is fast and never waits for a member, so ours is the least.
func (s *settings) concurrency() int {
	const least = 8
	sync := s.spec.Load().SyncController
	if sync == nil || sync.MaxConcurrentReconciles == nil {
		return least
	}
	return max(least, int(*sync.MaxConcurrentReconciles))
}

type leaderElection struct{ lease, renew, retry time.Duration }

func (s *settings) leaderElection() leaderElection {
	le := leaderElection{lease: 15 * time.Second, renew: 10 * time.Second, retry: 5 * time.Second}
	c := s.spec.Load().LeaderElect
	if c == nil {
		return le
	}
	if c.LeaseDuration != nil && c.LeaseDuration.Duration > 0 {
		le.lease = c.LeaseDuration.Duration
	}
	if c.RenewDeadline != nil && c.RenewDeadline.Duration > 0 {
		le.renew = c.RenewDeadline.Duration
	}
	if c.RetryPeriod != nil && c.RetryPeriod.Duration > 0 {
		le.retry = c.RetryPeriod.Duration
	}
	return le
}
