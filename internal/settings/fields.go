package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// field is one setting below spec.
type field struct {
	path string
	// required says that it may not be absent; restart that it counts when the manager starts.
	required, restart bool
	// read takes a value and says what is wrong with it; empty if nothing is.
	read func(*Settings, any) string
	copy func(*Settings, Settings)
	same func(a, b Settings) bool
	show func(Settings) string
}

// fields are all settings but the feature gates.
var fields = []field{
	required(atStart(one("scope", func(s *Settings) *fedv1.ResourceScope { return &s.Scope }, oneOf(fedv1.ScopeCluster, fedv1.ScopeNamespaced)))),
	one("controllerDuration.availableDelay", func(s *Settings) *time.Duration { return &s.AvailableDelay }, readDuration),
	one("controllerDuration.unavailableDelay", func(s *Settings) *time.Duration { return &s.UnavailableDelay }, readDuration),
	one("controllerDuration.cacheSyncTimeout", func(s *Settings) *time.Duration { return &s.CacheSyncTimeout }, readDuration),
	atStart(one("leaderElect.leaseDuration", func(s *Settings) *time.Duration { return &s.Lease.Duration }, readDuration)),
	atStart(one("leaderElect.renewDeadline", func(s *Settings) *time.Duration { return &s.Lease.Renew }, readDuration)),
	atStart(one("leaderElect.retryPeriod", func(s *Settings) *time.Duration { return &s.Lease.Retry }, readDuration)),
	one("leaderElect.resourceLock", func(s *Settings) *string { return &s.ResourceLock }, oneOf("configmaps", "endpoints", "leases")),
	one("clusterHealthCheck.period", func(s *Settings) *time.Duration { return &s.Health.Period }, readDuration),
	one("clusterHealthCheck.timeout", func(s *Settings) *time.Duration { return &s.Health.Timeout }, readDuration),
	one("clusterHealthCheck.failureThreshold", func(s *Settings) *int { return &s.Health.FailureThreshold }, readCount),
	one("clusterHealthCheck.successThreshold", func(s *Settings) *int { return &s.Health.SuccessThreshold }, readCount),
	atStart(one("syncController.maxConcurrentReconciles", func(s *Settings) *int { return &s.SyncWorkers }, readWorkers)),
	one("syncController.adoptResources", func(s *Settings) *bool { return &s.Adopt }, readMode),
	one("statusController.maxConcurrentReconciles", func(s *Settings) *int { return &s.StatusWorkers }, readWorkers),
}

// one makes a field of a place in the settings and of a reader of its values.
func one[T comparable](path string, at func(*Settings) *T, read func(any) (T, string)) field {
	return field{
		path: path,
		read: func(s *Settings, raw any) string {
			value, problem := read(raw)
			if problem == "" {
				*at(s) = value
			}
			return problem
		},
		copy: func(to *Settings, from Settings) { *at(to) = *at(&from) },
		same: func(a, b Settings) bool { return *at(&a) == *at(&b) },
		show: func(s Settings) string { return fmt.Sprint(*at(&s)) },
	}
}

func required(f field) field { f.required = true; return f }

func atStart(f field) field { f.restart = true; return f }

func readDuration(raw any) (time.Duration, string) {
	text, ok := raw.(string)
	d, err := time.ParseDuration(text)
	switch {
	case !ok || err != nil:
		return 0, fmt.Sprintf("must be a duration such as 10s or 1m30s, is %s", quoted(raw))
	case d <= 0:
		return 0, fmt.Sprintf("must be longer than 0s, is %s", quoted(raw))
	default:
		return d, ""
	}
}

func readCount(raw any) (int, string) {
	n, ok := raw.(int64)
	if !ok || n < 1 {
		return 0, fmt.Sprintf("must be a whole number of at least 1, is %s", quoted(raw))
	}
	return int(n), ""
}

// readWorkers reads a number of workers; what is less than enough is raised.
func readWorkers(raw any) (int, string) {
	n, problem := readCount(raw)
	return max(n, Workers), problem
}

func readMode(raw any) (bool, string) {
	mode, problem := oneOf(fedv1.Enabled, fedv1.Disabled)(raw)
	return mode == fedv1.Enabled, problem
}

// oneOf reads one of some words.
func oneOf[T ~string](words ...T) func(any) (T, string) {
	return func(raw any) (T, string) {
		text, _ := raw.(string)
		if slices.Contains(words, T(text)) {
			return T(text), ""
		}
		list := make([]string, len(words))
		for n, w := range words {
			list[n] = string(w)
		}
		return "", fmt.Sprintf("must be %s, is %s", strings.Join(list, " or "), quoted(raw))
	}
}

func quoted(raw any) string {
	if text, ok := raw.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	if raw == nil {
		return "absent"
	}
	return fmt.Sprint(raw)
}
