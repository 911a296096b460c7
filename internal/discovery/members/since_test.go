package members

import (
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// TestSinceWhenAClusterIsAway: from the moment on at which that is learnt, however long it was there before, and whether or not its record says
// so already; after a restart as its record says.
func TestSinceWhenAClusterIsAway(t *testing.T) {
	longAgo := metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second))
	justNow := metav1.NewTime(time.Now().Truncate(time.Second))
	record := func(status metav1.ConditionStatus, at metav1.Time) *fedv1.KubeFedCluster {
		c := &fedv1.KubeFedCluster{}
		c.Status.Conditions = []fedv1.ClusterCondition{{Type: fedv1.ClusterReady, Status: status, LastTransitionTime: &at}}
		return c
	}
	for name, c := range map[string]struct {
		record   *fedv1.KubeFedCluster
		before   cluster.Member
		earliest time.Time
	}{
		"its record lags behind": {record(metav1.ConditionTrue, longAgo), cluster.Member{Name: "a", Ready: true}, justNow.Time},
		"its record is ahead":    {record(metav1.ConditionFalse, justNow), cluster.Member{Name: "a", Ready: true}, justNow.Time},
		"after a restart":        {record(metav1.ConditionFalse, longAgo), cluster.Member{}, longAgo.Time},
	} {
		t.Run(name, func(t *testing.T) {
			m := &member{
				name: "a", info: c.before, learnt: longAgo.Time,
				of: &Members{opts: Options{Record: func(string) *fedv1.KubeFedCluster { return c.record }, Log: testr.New(t)}},
			}
			m.describe()
			m.update(t.Context(), cluster.Member{Name: "a", Reason: "Unreachable"}, Gates{})
			if p := presence(m.info); p != plan.Away {
				t.Fatalf("it is %s", p)
			}
			if got := m.said.Since; got.Before(c.earliest) || got.Sub(c.earliest) > time.Minute {
				t.Errorf("it is away since %v, want %v", got, c.earliest)
			}
		})
	}
}
