package rollup_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

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

// TestEventsOfManyMembers: what has happened in a thousand members is one event that the host takes, be it good or bad.
func TestEventsOfManyMembers(t *testing.T) {
	const members, limit = 1000, 1024
	w := everywhere(members)
	w.Intent.Status = intent.Status{}
	told := rollup.Of(plan.Make(w), nil, w.Intent, false, now)
	if len(told.Events) != 1 || len(told.Events[0].Message) > limit || !strings.HasSuffix(told.Events[0].Message, "and 956 more") {
		t.Errorf("%d events: %+v", len(told.Events), told.Events)
	}
	w.Intent.Status = told.Status
	for n := range members {
		w.Members[n].Ready = n%10 > 0
	}
	told = rollup.Of(plan.Make(w), nil, w.Intent, false, now)
	want := regexp.MustCompile(`^ConfigMap "shop/web" in clusters "m0000", "m0010", .* and \d+ more: see the conditions of KubeFedCluster m0000$`)
	if len(told.Events) != 1 || !told.Events[0].Warning || told.Events[0].Cluster != "" || !want.MatchString(told.Events[0].Message) {
		t.Errorf("%d events: %+v", len(told.Events), told.Events)
	}
}

// TestFewMembersAreToldOfOneByOne: each with its own words.
func TestFewMembersAreToldOfOneByOne(t *testing.T) {
	w := everywhere(5)
	for n := range w.Members {
		w.Members[n].Ready = false
	}
	told := rollup.Of(plan.Make(w), nil, w.Intent, false, now)
	if len(told.Events) != 5 || told.Events[4].Cluster != "m0004" || !strings.HasSuffix(told.Events[4].Message, "KubeFedCluster m0004") {
		t.Errorf("%+v", told.Events)
	}
}

// TestLongEvent: a message is cut to what the host takes, between two characters.
func TestLongEvent(t *testing.T) {
	p := planOf()
	p.Reason, p.Message = plan.ComputePlacementFailed, strings.Repeat("ä", 2000)
	told := rollup.Of(p, nil, object, false, now)
	if len(told.Events) != 1 || len(told.Events[0].Message) > 1024 || !utf8.ValidString(told.Events[0].Message) {
		t.Errorf("%+v", told.Events)
	}
}

// TestAfoot: as long as a lane has a step, another status will follow.
func TestAfoot(t *testing.T) {
	p := planOf(plan.Step{Verdict: plan.Place, Needed: true, Selected: true}, plan.Step{Verdict: plan.Place, Selected: true, Record: record})
	for state, want := range map[plan.State]bool{plan.Pending: true, plan.Done: false, plan.Failed: false, plan.Refused: false} {
		outcomes := []plan.Outcome{{Member: "a", State: state}, {Member: "b", State: plan.Unchanged}}
		if told := rollup.Of(p, outcomes, object, true, now); told.Afoot != want {
			t.Errorf("%s: %t", state, told.Afoot)
		}
	}
}
