// Package settings answers: what does a KubeFedConfig ask of the control plane? It reads the settings of any release, with KubeFed's
// defaults where there are none, and says of each that cannot be used why, with its path. It is pure, and the only place that knows
// which values are good. The object is read as it is stored, not by way of its Go type: one duration that is none must not hide all
// other settings.
package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Settings are what a control plane acts by.
type Settings struct {
	Scope fedv1.ResourceScope
	// UnavailableDelay is how long the replicas of a ReplicaSchedulingPreference stay with a member that went away.
	UnavailableDelay time.Duration
	// AvailableDelay and CacheSyncTimeout are KubeFed's. Nothing waits for them.
	AvailableDelay, CacheSyncTimeout time.Duration
	Lease                            Lease
	// ResourceLock is KubeFed's. A Lease is used, whatever it says.
	ResourceLock string
	Health       Health
	// SyncWorkers is how many federated objects are decided on at the same time, StatusWorkers how many statuses are collected.
	SyncWorkers, StatusWorkers int
	// Adopt says whether objects that exist in a member are taken over.
	Adopt bool
	Gates Gates
}

// Lease has the times of the leader election.
type Lease struct {
	// Duration is how long others wait for a leader that no longer renews its Lease. Its fractions of seconds do not count.
	Duration time.Duration
	// Renew is how long a leader that cannot renew its Lease goes on.
	Renew time.Duration
	// Retry is the time between two tries to take or to renew it.
	Retry time.Duration
}

// Health is how members are probed.
type Health struct {
	// Period between two probes of a member.
	Period time.Duration
	// Timeout of each request of a probe.
	Timeout time.Duration
	// FailureThreshold is the number of failures in a row after which a ready member is not ready.
	FailureThreshold int
	// SuccessThreshold is the number of successes in a row after which it is ready again.
	SuccessThreshold int
}

// Default are the settings where a KubeFedConfig has none. All but the workers are KubeFed's.
func Default() Settings {
	return Settings{
		UnavailableDelay: time.Minute, AvailableDelay: 20 * time.Second, CacheSyncTimeout: 5 * time.Minute,
		Lease:        Lease{Duration: 15 * time.Second, Renew: 10 * time.Second, Retry: 5 * time.Second},
		ResourceLock: "leases",
		Health:       Health{Period: 10 * time.Second, Timeout: 3 * time.Second, FailureThreshold: 3, SuccessThreshold: 1},
		SyncWorkers:  Workers, StatusWorkers: Workers, Adopt: true, Gates: defaultGates(),
	}
}

// Workers is the default of maxConcurrentReconciles, and the least that counts. KubeFed's chart writes its own default of 1 into every
// KubeFedConfig; to decide is fast here, and never waits for a member.
const Workers = 8

// Finding is something to tell of one setting.
type Finding struct {
	// Field is its path.
	Field string
	// Message says what is the matter with it.
	Message string
}

func (f Finding) String() string { return f.Field + " " + f.Message }

// Words joins findings to one text.
func Words(list []Finding) string {
	words := make([]string, len(list))
	for n, f := range list {
		words[n] = f.String()
	}
	return strings.Join(words, "; ")
}

// Reading is what came of reading a KubeFedConfig.
type Reading struct {
	// Settings to act by.
	Settings Settings
	// Bad settings cannot be used; what was in force before still is.
	Bad []Finding
	// Ignored ones are accepted and do nothing.
	Ignored []Finding
	// Restart are those that count once the manager starts anew.
	Restart []Finding
}

func (r *Reading) bad(path, message string) {
	r.Bad = append(r.Bad, Finding{Field: "spec." + path, Message: message})
}

func (r *Reading) ignored(path, message string) {
	r.Ignored = append(r.Ignored, Finding{Field: "spec." + path, Message: message})
}

// Read reads the spec of a KubeFedConfig. Where it is bad, before is in force.
func Read(spec map[string]any, before Settings) Reading {
	r := Reading{Settings: Default()}
	for _, f := range fields {
		raw, there := lookup(spec, f.path)
		if !there && !f.required {
			continue
		}
		if problem := f.read(&r.Settings, raw); problem != "" {
			f.copy(&r.Settings, before)
			r.bad(f.path, problem)
		}
	}
	if problem := r.Settings.Lease.check(); problem.Field != "" {
		r.Settings.Lease = before.Lease
		r.Bad = append(r.Bad, problem)
	}
	r.gates(spec["featureGates"], before.Gates)
	r.idle(spec)
	r.unknown(spec)
	return r
}

// Follow reads the spec of a KubeFedConfig that changes while the control plane runs by other settings.
func Follow(spec map[string]any, running Settings) Reading {
	r := Read(spec, running)
	for _, f := range fields {
		if !f.restart || f.same(r.Settings, running) {
			continue
		}
		r.Restart = append(r.Restart, Finding{
			Field:   "spec." + f.path,
			Message: fmt.Sprintf("is %s until the manager starts anew", f.show(running)),
		})
		f.copy(&r.Settings, running)
	}
	return r
}

// idle notes what is accepted for KubeFed's sake.
func (r *Reading) idle(spec map[string]any) {
	if raw, there := lookup(spec, "leaderElect.resourceLock"); there && r.Settings.ResourceLock != "leases" && raw == r.Settings.ResourceLock {
		r.ignored("leaderElect.resourceLock", fmt.Sprintf("does nothing: a Lease is used, not %s", r.Settings.ResourceLock))
	}
}

// unknown notes what is no setting. Such a thing comes from a file, or by way of a definition that is not ours.
func (r *Reading) unknown(spec map[string]any) {
	known, sections := map[string]bool{"featureGates": true}, map[string]bool{}
	for _, f := range fields {
		section, _, nested := strings.Cut(f.path, ".")
		known[f.path], sections[section] = true, nested
	}
	for _, name := range slices.Sorted(maps.Keys(spec)) {
		values, ok := spec[name].(map[string]any)
		switch {
		case sections[name] && !ok && spec[name] != nil:
			r.bad(name, "must hold settings, is "+quoted(spec[name]))
		case !sections[name] && !known[name]:
			r.ignored(name, "is not a setting")
		case sections[name]:
			for _, path := range slices.Sorted(maps.Keys(values)) {
				if path = name + "." + path; !known[path] {
					r.ignored(path, "is not a setting")
				}
			}
		}
	}
}

// lookup finds a value; null is as good as absent.
func lookup(spec map[string]any, path string) (any, bool) {
	section, name, nested := strings.Cut(path, ".")
	value := spec[section]
	if nested {
		values, _ := value.(map[string]any)
		value = values[name]
	}
	return value, value != nil
}

// Check says what is wrong with the times of a leader election, as flags have them; empty if nothing is.
func (l Lease) Check() string {
	if f := l.check(); f.Field != "" {
		return f.String()
	}
	return ""
}

// jitter is how much longer than asked for a retry may take.
const jitter = 1.2

// check says which time does not go with the others. The duration counts in whole seconds, as others see it.
func (l Lease) check() Finding {
	switch {
	case l.Duration < time.Second:
		return Finding{"spec.leaderElect.leaseDuration", fmt.Sprintf("must be at least 1s, is %v", l.Duration)}
	case l.Duration.Truncate(time.Second) <= l.Renew:
		return Finding{"spec.leaderElect.renewDeadline", fmt.Sprintf("must be less than leaseDuration (%v), is %v", l.Duration.Truncate(time.Second), l.Renew)}
	case float64(l.Renew) <= jitter*float64(l.Retry):
		return Finding{"spec.leaderElect.retryPeriod", fmt.Sprintf("must be less than renewDeadline (%v) divided by %v, is %v", l.Renew, jitter, l.Retry)}
	default:
		return Finding{}
	}
}
