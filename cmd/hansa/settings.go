package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/schedule"
	"github.com/hansa-io/hansa/internal/settings"
)

// scopeVariable says which scope a KubeFedConfig gets that the manager makes.
const scopeVariable = "DEFAULT_KUBEFED_SCOPE"

// current are the settings in force, and who this control plane is.
type current struct {
	in           atomic.Pointer[settings.Settings]
	accepted     atomic.Pointer[string] // revision of an accepted rollback of the host
	rollback     string                 // what the KubeFedConfig says of one, at the start
	controlPlane types.UID
	hostIDs      []types.UID
	namespace    string
	deadline     time.Duration
	// file says that the settings are those of a file, and are not followed.
	file bool
}

// load reads the settings, and who this control plane is, before anything starts.
func load(ctx context.Context, c client.Client, f flags, log logr.Logger) (*current, error) {
	s := &current{namespace: f.namespace, deadline: f.deletionDeadline, file: f.config != ""}
	var home, system corev1.Namespace
	if err := c.Get(ctx, types.NamespacedName{Name: f.namespace}, &home); err != nil {
		return nil, fmt.Errorf("read namespace %s of the host (run kubefedctl init first?): %w", f.namespace, err)
	}
	s.controlPlane = home.UID
	s.hostIDs = []types.UID{cluster.NamespaceID(home.UID)}
	if err := c.Get(ctx, types.NamespacedName{Name: "kube-system"}, &system); err == nil {
		s.hostIDs = append(s.hostIDs, system.UID)
	}
	config, name, err := configOf(ctx, c, f)
	if err != nil {
		return nil, err
	}
	spec, _, _ := unstructured.NestedMap(config.Object, "spec")
	read := settings.Read(spec, settings.Default())
	if len(read.Bad) > 0 {
		return nil, fmt.Errorf("%s: %s", name, settings.Words(read.Bad))
	}
	if read.Settings.Lease, err = f.lease(read.Settings.Lease); err != nil {
		return nil, err
	}
	for _, ignored := range read.Ignored {
		log.Info("a setting has no effect", "setting", ignored.Field, "because", ignored.Message)
	}
	if asked := os.Getenv(scopeVariable); asked != "" && asked != string(read.Settings.Scope) {
		log.Info(scopeVariable+" counts only for a KubeFedConfig that does not exist yet: this one keeps its scope", "asked", asked, "scope", read.Settings.Scope)
	}
	log.Info(fmt.Sprintf("Using valid KubeFedConfig %q", f.namespace+"/"+fedv1.ConfigName), "from", name, "gates", read.Settings.Gates)
	s.in.Store(&read.Settings)
	s.rollback = config.GetAnnotations()[fedv1.HostRollbackAnnotation]
	s.accepted.Store(new(config.GetAnnotations()[fedv1.AcceptHostRollbackAnnotation]))
	return s, nil
}

// configOf reads the KubeFedConfig, from a file or from the host, where one is made if there is none. It also says whose words they are.
func configOf(ctx context.Context, c client.Client, f flags) (*unstructured.Unstructured, string, error) {
	if f.config != "" {
		config, err := configFile(f)
		return config, f.config, err
	}
	name := fmt.Sprintf("KubeFedConfig %s/%s", f.namespace, fedv1.ConfigName)
	config := newConfig()
	key := types.NamespacedName{Namespace: f.namespace, Name: fedv1.ConfigName}
	err := c.Get(ctx, key, config)
	if apierrors.IsNotFound(err) {
		if config, err = firstConfig(f.namespace); err != nil {
			return nil, "", err
		}
		if err = c.Create(ctx, config); apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, key, config) // another manager was faster
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	return config, name, nil
}

func newConfig() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(fedv1.GroupVersion.WithKind("KubeFedConfig"))
	return u
}

// firstConfig has a scope and nothing else.
func firstConfig(namespace string) (*unstructured.Unstructured, error) {
	scope := os.Getenv(scopeVariable)
	switch fedv1.ResourceScope(scope) {
	case "":
		scope = string(fedv1.ScopeCluster)
	case fedv1.ScopeCluster, fedv1.ScopeNamespaced:
	default:
		return nil, fmt.Errorf("the environment variable %s must be Cluster or Namespaced, is %q", scopeVariable, scope)
	}
	u := newConfig()
	u.SetNamespace(namespace)
	u.SetName(fedv1.ConfigName)
	return u, unstructured.SetNestedField(u.Object, scope, "spec", "scope")
}

// configFile reads the KubeFedConfig in a file. Where it is to live counts as little as its name.
func configFile(f flags) (*unstructured.Unstructured, error) {
	data, err := os.ReadFile(f.config)
	if err != nil {
		return nil, fmt.Errorf("read --kubefed-config: %w", err)
	}
	raw, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("read --kubefed-config %s: %w", f.config, err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("read --kubefed-config %s: %w", f.config, err)
	}
	if want := fedv1.GroupVersion.WithKind("KubeFedConfig"); u.GroupVersionKind() != want {
		return nil, fmt.Errorf("read --kubefed-config %s: it holds a %s %s, not a %s %s", f.config, u.GetAPIVersion(), u.GetKind(), want.GroupVersion(), want.Kind)
	}
	return u, nil
}

var errFlags = errors.New("the flags and the KubeFedConfig do not go together")

// lease puts what the flags say before what the KubeFedConfig says.
func (f flags) lease(l settings.Lease) (settings.Lease, error) {
	for _, t := range []struct {
		flag time.Duration
		to   *time.Duration
	}{{f.leaseDuration, &l.Duration}, {f.renewDeadline, &l.Renew}, {f.retryPeriod, &l.Retry}} {
		if t.flag != 0 {
			*t.to = t.flag
		}
	}
	if problem := l.Check(); problem != "" {
		return l, fmt.Errorf("%w: --leader-elect-lease-duration, --leader-elect-renew-deadline, --leader-elect-retry-period: %s", errFlags, problem)
	}
	return l, nil
}

// follow takes a KubeFedConfig that has changed, and says what came of it and what was in force before.
func (s *current) follow(config *unstructured.Unstructured, f flags) (now settings.Reading, before settings.Settings) {
	before = *s.in.Load()
	spec, _, _ := unstructured.NestedMap(config.Object, "spec")
	base := before
	// What a flag says goes before it, now and after a restart.
	said := settings.Read(spec, before).Settings.Lease
	if f.leaseDuration != 0 {
		base.Lease.Duration = said.Duration
	}
	if f.renewDeadline != 0 {
		base.Lease.Renew = said.Renew
	}
	if f.retryPeriod != 0 {
		base.Lease.Retry = said.Retry
	}
	now = settings.Follow(spec, base)
	now.Settings.Lease = before.Lease
	s.in.Store(&now.Settings)
	return now, before
}

func (s *current) scope() fedv1.ResourceScope { return s.in.Load().Scope }

func (s *current) namespaced() bool { return s.scope() == fedv1.ScopeNamespaced }

// watched is the namespace that watches are restricted to; empty means all.
func (s *current) watched() string {
	if s.namespaced() {
		return s.namespace
	}
	return ""
}

func (s *current) health() settings.Health { return s.in.Load().Health }

func (s *current) schedule() schedule.Settings {
	in := s.in.Load()
	return schedule.Settings{Enabled: in.Gates.On(fedv1.GateSchedulerPreferences), UnavailableDelay: in.UnavailableDelay}
}

// propagatedVersions says whether KubeFed's records of what was written where are kept.
func (s *current) propagatedVersions() bool {
	return s.in.Load().Gates.On(fedv1.GatePropagatedVersions)
}

// discovery says whether services are told to other clusters.
func (s *current) discovery() bool {
	return s.in.Load().Gates.On(fedv1.GateCrossClusterServiceDiscovery)
}

func (s *current) plan() plan.Settings {
	in := s.in.Load()
	return plan.Settings{
		ControlPlane:     string(s.controlPlane),
		SystemNamespaces: []string{"kube-system", "kube-public", "default", s.namespace},
		Adopt:            in.Adopt,
		Idle:             !in.Gates.On(fedv1.GatePushReconciler),
		DeletionDeadline: s.deadline,
		Accepted:         *s.accepted.Load(),
	}
}

func (s *current) rawStatus() bool {
	return s.in.Load().Gates.On(fedv1.GateRawResourceStatusCollection)
}

// switched are the gates that differ.
func switched(before, now settings.Gates) settings.Gates {
	out := maps.Clone(now)
	maps.DeleteFunc(out, func(name string, on bool) bool { return before.On(name) == on })
	return out
}
