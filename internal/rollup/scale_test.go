package rollup_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// BenchmarkPass decides about and folds an object that is in all members. What it takes for a member should not grow with their number.
func BenchmarkPass(b *testing.B) {
	for _, members := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%d members", members), func(b *testing.B) {
			w := everywhere(members)
			for b.Loop() {
				p := plan.Make(w)
				outcomes := make([]plan.Outcome, len(p.Steps))
				for n, s := range p.Steps {
					outcomes[n] = plan.Outcome{Member: s.Member, State: plan.Unchanged, Record: s.Record}
				}
				if t := rollup.Of(p, outcomes, w.Intent, false, now); len(t.Status.Clusters) != members {
					b.Fatal(t.Status.Ready)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*members), "ns/member")
		})
	}
}

// everywhere is the world of a ConfigMap that has just arrived in all members, and has not been told of yet.
func everywhere(members int) plan.World {
	i := *object
	i.Held, i.Template, i.Placement = true, []byte(`{"data":{"text":"x"}}`), intent.Placement{Selector: labels.Everything()}
	w := plan.World{
		Key:    intent.Key{Type: "configmaps", Namespace: i.Namespace, Name: i.Name},
		Type:   intent.Type{Name: "configmaps", Target: intent.Resource{Kind: "ConfigMap", Namespaced: true}},
		Intent: &i, MembersKnown: true, Settings: plan.Settings{ControlPlane: "cp"}, Now: now,
	}
	probe := w
	probe.Members = []plan.Member{{Name: "m", Ready: true, View: plan.ViewSynced}}
	version := plan.Make(probe).Steps[0].Version
	for n := range members {
		uid := types.UID(fmt.Sprint("c", n))
		w.Members = append(w.Members, plan.Member{
			Name: fmt.Sprintf("m%04d", n), Ready: true, View: plan.ViewSynced, NamespaceHere: plan.Yes,
			Copy:   &plan.Copy{UID: uid, ResourceVersion: "1", Managed: "true", ControlPlane: "cp", Owner: i.UID, Applied: version, Fields: "f"},
			Record: &plan.Record{UID: uid, Version: version + ".f"},
		})
		i.Status.Clusters = append(i.Status.Clusters, intent.ClusterStatus{Name: w.Members[n].Name, UID: uid, Version: version + ".f"})
	}
	return w
}

// TestEventOfManyMembers: what has happened in a thousand members is one event that the host takes.
func TestEventOfManyMembers(t *testing.T) {
	const members, limit = 1000, 1024
	w := everywhere(members)
	w.Intent.Status = intent.Status{}
	p := plan.Make(w)
	told := rollup.Of(p, nil, w.Intent, false, now)
	if len(told.Events) != 1 || len(told.Events[0].Message) > limit || !strings.HasSuffix(told.Events[0].Message, " more") {
		t.Errorf("%d events: %+v", len(told.Events), told.Events)
	}
}
