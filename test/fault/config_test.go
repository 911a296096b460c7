package fault

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// TestTheConfigIsFollowed: while PushReconciler is off, nothing is written to members, also for what is deleted; when it is on again, all
// that is left is done. What is ignored, and what needs a restart, is told.
func TestTheConfigIsFollowed(t *testing.T) {
	f := federate(t)
	f.createsMap("web", "old", "m1")
	f.createsMap("gone", "old", "m1")
	made := f.holds(soon, f.m1, "web", "old")
	f.holds(soon, f.m1, "gone", "old")
	f.configured(fedv1.ConfigReady, metav1.ConditionTrue, "InForce", "")

	f.configures(func(s *fedv1.KubeFedConfigSpec) {
		s.FeatureGates = []fedv1.FeatureGatesConfig{
			{Name: fedv1.GatePushReconciler, Configuration: fedv1.Disabled}, {Name: "OfTomorrow", Configuration: fedv1.Enabled},
		}
		s.LeaderElect.RetryPeriod = &metav1.Duration{Duration: 2 * time.Second}
	})
	f.configured(fedv1.ConfigReady, metav1.ConditionFalse, "RestartNeeded", "spec.leaderElect.retryPeriod is 1s")
	f.configured(fedv1.ConfigIgnored, metav1.ConditionTrue, "WithoutEffect", "spec.featureGates[OfTomorrow]")
	f.says(soon, "ConfigMap", "web", "m1", "Paused")
	wrote := record(t, "m1", writes)
	f.setsValue("web", "new")
	f.removes("ConfigMap", "gone")
	f.createsMap("late", "new", "m1")
	f.says(soon, "ConfigMap", "late", "m1", "Paused")
	rests(f, 2*time.Second)
	wrote.none("while PushReconciler is off")
	gone := f.federated("ConfigMap", "gone")
	f.must(f.Get(t.Context(), client.ObjectKeyFromObject(gone), gone)) // it is held
	f.restart()
	rests(f, 3*time.Second)
	wrote.none("after a restart while PushReconciler is off")
	f.configured(fedv1.ConfigReady, metav1.ConditionTrue, "InForce", "")

	f.configures(func(s *fedv1.KubeFedConfigSpec) { s.FeatureGates = nil })
	f.holds(soon, f.m1, "web", "new")
	f.holds(soon, f.m1, "late", "new")
	f.keeps(f.m1, made)
	f.isGone(soon, "ConfigMap", "gone")
	f.lacks(soon, f.m1, "ConfigMap", "gone")
	f.configured(fedv1.ConfigIgnored, metav1.ConditionFalse, "InForce", "")
}

// configures changes the settings until the story ends.
func (f *federation) configures(change func(*fedv1.KubeFedConfigSpec)) {
	f.Helper()
	var before *fedv1.KubeFedConfigSpec
	f.must(f.reconfigures(f.Context(), func(s *fedv1.KubeFedConfigSpec) {
		before = s.DeepCopy()
		change(s)
	}))
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		if err := f.reconfigures(ctx, func(s *fedv1.KubeFedConfigSpec) { *s = *before }); err != nil {
			f.Errorf("put the settings back: %v", err)
		}
	})
}

// reconfigures changes the settings, again if the manager has told of them meanwhile.
func (f *federation) reconfigures(ctx context.Context, change func(*fedv1.KubeFedConfigSpec)) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var c fedv1.KubeFedConfig
		if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: fedv1.ConfigName}, &c); err != nil {
			return err
		}
		change(&c.Spec)
		return f.Update(ctx, &c)
	})
}

// configured waits for a condition of the KubeFedConfig.
func (f *federation) configured(kind string, status metav1.ConditionStatus, reason, words string) {
	f.Helper()
	f.eventually(soon, fmt.Sprintf("the KubeFedConfig to be %s=%s", kind, status), func(ctx context.Context) error {
		var c fedv1.KubeFedConfig
		if err := f.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: fedv1.ConfigName}, &c); err != nil {
			return err
		}
		got := apimeta.FindStatusCondition(c.Status.Conditions, kind)
		if got == nil || got.Status != status || got.Reason != reason || !strings.Contains(got.Message, words) || c.Status.ObservedGeneration != c.Generation {
			return fmt.Errorf("generation %d, status %+v", c.Generation, c.Status)
		}
		return nil
	})
}

// TestABadConfigIsNamed: a manager that is started with settings that cannot be used ends, and names each of them.
func TestABadConfigIsNamed(t *testing.T) {
	prepare(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	for name, c := range map[string]struct{ config, want string }{
		"a duration of nothing":  {"{scope: Cluster, clusterHealthCheck: {period: 0s}}", `spec.clusterHealthCheck.period must be longer than 0s, is "0s"`},
		"a lease that is short":  {"{scope: Cluster, leaderElect: {leaseDuration: 5s}}", "spec.leaderElect.renewDeadline must be less than leaseDuration (5s), is 10s"},
		"a number that is words": {"{scope: Cluster, syncController: {maxConcurrentReconciles: many}}", "spec.syncController.maxConcurrentReconciles must be a whole number"},
		"no scope":               {"{}", "spec.scope must be Cluster or Namespaced"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "apiVersion: core.kubefed.io/v1beta1\nkind: KubeFedConfig\nmetadata: {name: kubefed}\nspec: " + c.config + "\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			out, err := exec.CommandContext(ctx, hansa, "manager", "--kubeconfig", clusters.Kubeconfig(), "--context", "host",
				"--metrics-addr", "0", "--healthz-addr", "0", "--kubefed-config", file).CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("it ended with %v and said:\n%s", err, out)
			}
		})
	}
}
