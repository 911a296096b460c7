package settings

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// spec reads YAML as the API server gives it: whole numbers are int64.
func spec(t *testing.T, text string) map[string]any {
	t.Helper()
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

func words(list []Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.String())
	}
	return out
}

func inCluster() Settings {
	s := Default()
	s.Scope = fedv1.ScopeCluster
	return s
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		spec    string
		want    func(*Settings)
		bad     []string
		ignored []string
	}{
		"nothing but the scope": {spec: "scope: Cluster"},
		"what KubeFed's chart writes": {
			spec: `
scope: Cluster
controllerDuration: {availableDelay: 20s, unavailableDelay: 60s, cacheSyncTimeout: 5m}
leaderElect: {leaseDuration: 15s, renewDeadline: 10s, retryPeriod: 5s, resourceLock: configmaps}
clusterHealthCheck: {period: 10s, timeout: 3s, failureThreshold: 3, successThreshold: 1}
syncController: {maxConcurrentReconciles: 1, adoptResources: Enabled}
statusController: {maxConcurrentReconciles: 1}
featureGates:
- {name: PushReconciler, configuration: Enabled}
- {name: RawResourceStatusCollection, configuration: Disabled}
- {name: SchedulerPreferences, configuration: Enabled}
`,
			want:    func(s *Settings) { s.ResourceLock = "configmaps" },
			ignored: []string{"spec.leaderElect.resourceLock does nothing: a Lease is used, not configmaps"},
		},
		"what the first releases wrote": {
			spec: `
scope: Namespaced
controllerDuration: {availableDelay: 20s, unavailableDelay: 1m0s}
featureGates:
- {name: CrossClusterServiceDiscovery, configuration: Enabled}
- {name: FederatedIngress, configuration: Disabled}
- {name: OfTomorrow, configuration: Disabled}
`,
			want: func(s *Settings) {
				s.Scope = fedv1.ScopeNamespaced
				s.Gates[fedv1.GateCrossClusterServiceDiscovery] = true
			},
			ignored: []string{
				"spec.featureGates[OfTomorrow] is not a feature of this release",
			},
		},
		"everything else": {
			spec: `
scope: Cluster
controllerDuration: {availableDelay: 1s, unavailableDelay: 2s, cacheSyncTimeout: 3s}
leaderElect: {leaseDuration: 60s, renewDeadline: 40s, retryPeriod: 2s, resourceLock: leases}
clusterHealthCheck: {period: 4s, timeout: 5s, failureThreshold: 6, successThreshold: 7}
syncController: {maxConcurrentReconciles: 20, adoptResources: Disabled}
statusController: {maxConcurrentReconciles: 30}
featureGates:
- {name: PushReconciler, configuration: Disabled}
- {name: SchedulerPreferences, configuration: Disabled}
`,
			want: func(s *Settings) {
				s.AvailableDelay, s.UnavailableDelay, s.CacheSyncTimeout = time.Second, 2*time.Second, 3*time.Second
				s.Lease = Lease{Duration: time.Minute, Renew: 40 * time.Second, Retry: 2 * time.Second}
				s.Health = Health{Period: 4 * time.Second, Timeout: 5 * time.Second, FailureThreshold: 6, SuccessThreshold: 7}
				s.SyncWorkers, s.StatusWorkers, s.Adopt = 20, 30, false
				s.Gates[fedv1.GatePushReconciler], s.Gates[fedv1.GateSchedulerPreferences] = false, false
			},
		},
		"values that are none": {
			spec: `
scope: Everything
controllerDuration: {availableDelay: 0s, unavailableDelay: -1s, cacheSyncTimeout: "1"}
clusterHealthCheck: {period: 1y, timeout: 3, failureThreshold: 0, successThreshold: 1.5}
syncController: {maxConcurrentReconciles: -1, adoptResources: "yes"}
statusController: 5
featureGates:
- {name: PushReconciler, configuration: "off"}
- {configuration: Enabled}
`,
			bad: []string{
				`spec.scope must be Cluster or Namespaced, is "Everything"`,
				`spec.controllerDuration.availableDelay must be longer than 0s, is "0s"`,
				`spec.controllerDuration.unavailableDelay must be longer than 0s, is "-1s"`,
				`spec.controllerDuration.cacheSyncTimeout must be a duration such as 10s or 1m30s, is "1"`,
				`spec.clusterHealthCheck.period must be a duration such as 10s or 1m30s, is "1y"`,
				`spec.clusterHealthCheck.timeout must be a duration such as 10s or 1m30s, is 3`,
				`spec.clusterHealthCheck.failureThreshold must be a whole number of at least 1, is 0`,
				`spec.clusterHealthCheck.successThreshold must be a whole number of at least 1, is 1.5`,
				`spec.syncController.maxConcurrentReconciles must be a whole number of at least 1, is -1`,
				`spec.syncController.adoptResources must be Enabled or Disabled, is "yes"`,
				`spec.featureGates[PushReconciler].configuration must be Enabled or Disabled, is "off"`,
				`spec.featureGates[1].name must not be empty`,
				`spec.statusController must hold settings, is 5`,
			},
		},
		"no scope":                   {spec: "{}", bad: []string{"spec.scope must be Cluster or Namespaced, is absent"}},
		"a leader that outlives":     {spec: "{scope: Cluster, leaderElect: {leaseDuration: 10.9s}}", bad: []string{"spec.leaderElect.renewDeadline must be less than leaseDuration (10s), is 10s"}},
		"a lease below a second":     {spec: "{scope: Cluster, leaderElect: {leaseDuration: 900ms}}", bad: []string{"spec.leaderElect.leaseDuration must be at least 1s, is 900ms"}},
		"a retry that is too seldom": {spec: "{scope: Cluster, leaderElect: {retryPeriod: 9s}}", bad: []string{"spec.leaderElect.retryPeriod must be less than renewDeadline (10s) divided by 1.2, is 9s"}},
		"gates that are no list":     {spec: "{scope: Cluster, featureGates: all}", bad: []string{`spec.featureGates must be a list of names with configurations, is "all"`}},
		"a gate that is there twice": {
			spec: "{scope: Cluster, featureGates: [{name: PushReconciler, configuration: Enabled}, {name: PushReconciler, configuration: Disabled}]}",
			want: func(s *Settings) { s.Gates[fedv1.GatePushReconciler] = false }, ignored: []string{"spec.featureGates[PushReconciler] is there twice: the last one counts"},
		},
		"what is no setting": {
			spec:    "{scope: Cluster, colour: red, leaderElect: {leaseDurations: 5s}, clusterHealthCheck: null}",
			ignored: []string{"spec.colour is not a setting", "spec.leaderElect.leaseDurations is not a setting"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := inCluster()
			if c.want != nil {
				c.want(&want)
			}
			got := Read(spec(t, c.spec), inCluster())
			if d := cmp.Diff(want, got.Settings); d != "" {
				t.Errorf("settings differ:\n%s", d)
			}
			if d := cmp.Diff(c.bad, words(got.Bad)); d != "" {
				t.Errorf("what is bad differs:\n%s", d)
			}
			if d := cmp.Diff(c.ignored, words(got.Ignored)); d != "" {
				t.Errorf("what is ignored differs:\n%s", d)
			}
		})
	}
}

// What changes while the control plane runs is followed, what counts at its start is said to need one, and what is bad changes nothing.
func TestFollow(t *testing.T) {
	running := inCluster()
	running.Health.Period, running.Gates = time.Minute, Gates{fedv1.GateSchedulerPreferences: false, fedv1.GatePushReconciler: true}
	got := Follow(spec(t, `
scope: Namespaced
leaderElect: {leaseDuration: 30s}
clusterHealthCheck: {period: soon, timeout: 9s}
syncController: {maxConcurrentReconciles: 1}
featureGates: [{name: SchedulerPreferences, configuration: perhaps}]
`), running)
	want := inCluster()
	want.Health.Period, want.Health.Timeout = time.Minute, 9*time.Second
	want.Gates[fedv1.GateSchedulerPreferences] = false
	if d := cmp.Diff(want, got.Settings); d != "" {
		t.Errorf("settings differ:\n%s", d)
	}
	if d := cmp.Diff([]string{
		`spec.clusterHealthCheck.period must be a duration such as 10s or 1m30s, is "soon"`,
		`spec.featureGates[SchedulerPreferences].configuration must be Enabled or Disabled, is "perhaps"`,
	}, words(got.Bad)); d != "" {
		t.Errorf("what is bad differs:\n%s", d)
	}
	if d := cmp.Diff([]string{
		"spec.scope is Cluster until the manager starts anew",
		"spec.leaderElect.leaseDuration is 15s until the manager starts anew",
	}, words(got.Restart)); d != "" {
		t.Errorf("what needs a start differs:\n%s", d)
	}
}

// A status moves only with what it says.
func TestStatus(t *testing.T) {
	first, later := metav1.NewTime(time.Unix(1000, 0)), metav1.NewTime(time.Unix(2000, 0))
	good := Reading{}
	told := Status(good, 1, fedv1.KubeFedConfigStatus{}, first)
	if d := cmp.Diff(told, Status(good, 1, told, later)); d != "" {
		t.Errorf("the same reading gives another status:\n%s", d)
	}
	if news := News(fedv1.KubeFedConfigStatus{}, told); news != nil {
		t.Errorf("good settings are news: %v", news)
	}
	bad := Reading{Bad: []Finding{{"spec.scope", "must be round"}}, Ignored: []Finding{{"spec.colour", "is not a setting"}}, Restart: []Finding{{"spec.x", "y"}}}
	worse := Status(bad, 2, told, later)
	if c := condition(worse, fedv1.ConfigReady); c.Status != metav1.ConditionFalse || c.Reason != InvalidSetting || !strings.Contains(c.Message, "spec.scope must be round") || !c.LastTransitionTime.Equal(&later) {
		t.Errorf("Ready is %+v", c)
	}
	if c := condition(worse, fedv1.ConfigIgnored); c.Status != metav1.ConditionTrue || c.Message != "spec.colour is not a setting" {
		t.Errorf("Ignored is %+v", c)
	}
	if news := News(told, worse); len(news) != 2 {
		t.Errorf("news are %v, want both conditions", news)
	}
	if news := News(worse, Status(bad, 3, worse, later)); news != nil {
		t.Errorf("told again: %v", news)
	}
	if c := condition(Status(Reading{Restart: bad.Restart}, 4, worse, later), fedv1.ConfigReady); c.Reason != RestartNeeded {
		t.Errorf("Ready is %+v", c)
	}
}

// Every setting that the API knows is read, and is on the page of the KubeFedConfig, as is every gate.
func TestAllSettingsAreKnownAndTold(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/kubefedconfig.md")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]bool{}
	for _, f := range fields {
		read[f.path] = true
	}
	for _, path := range leaves(reflect.TypeFor[fedv1.KubeFedConfigSpec](), "") {
		if path != "featureGates" && !read[path] {
			t.Errorf("%s is not read", path)
		}
		if !strings.Contains(string(page), "`"+path+"`") {
			t.Errorf("%s is not on the page", path)
		}
	}
	for _, g := range gates {
		if !strings.Contains(string(page), fmt.Sprintf("| `%s` |", g.name)) {
			t.Errorf("the gate %s is not on the page", g.name)
		}
	}
}

func leaves(t reflect.Type, prefix string) []string {
	var out []string
	for n := range t.NumField() {
		f := t.Field(n)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if inner := f.Type; inner.Kind() == reflect.Pointer && inner.Elem().Kind() == reflect.Struct && inner.Elem() != reflect.TypeFor[metav1.Duration]() {
			out = append(out, leaves(inner.Elem(), prefix+name+".")...)
			continue
		}
		out = append(out, prefix+name)
	}
	return out
}
