package rollup_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	fedv1alpha1 "github.com/hansa-io/hansa/api/core/v1alpha1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// collected is a plan of a type whose status is collected.
func collected(steps ...plan.Step) plan.Plan {
	p := planOf(steps...)
	p.Collects.Health = true
	return p
}

func inSync(h *plan.Health) plan.Step {
	return plan.Step{Verdict: plan.Place, Reason: plan.InSync, Selected: true, Record: record, Health: h}
}

func fares(state plan.HealthState, ready, meant int64) *plan.Health {
	h := &plan.Health{State: state, Replicas: &plan.Replicas{Meant: meant, Total: ready, Updated: ready, Ready: ready, Available: ready}}
	if state != plan.HealthCurrent {
		h.Message = "why"
	}
	return h
}

// TestHealth: what the copies say of themselves makes Ready, and only Ready: Propagation stays what KubeFed means by it.
func TestHealth(t *testing.T) {
	current, failed := fares(plan.HealthCurrent, 2, 2), fares(plan.HealthFailed, 0, 3)
	progressing := fares(plan.HealthInProgress, 1, 3)
	done := plan.Outcome{Member: "b", State: plan.Done, Record: record}
	create := plan.Step{Verdict: plan.Place, Reason: plan.Creating, Needed: true, Selected: true}
	update := plan.Step{Verdict: plan.Place, Reason: plan.Updating, Needed: true, Selected: true, UID: "c1", Record: record, Health: current}
	for name, tc := range map[string]struct {
		steps []plan.Step
		got   []plan.Outcome
		late  bool
		// want: what is True, the reason and the message of Ready, the fractions of members and of replicas, settled or not, and the health of each.
		want string
	}{
		"all run":                        {[]plan.Step{inSync(current), inSync(current)}, nil, false, "Propagation,Ready Propagated  2/2 4/4 settled Current,Current"},
		"one is at work":                 {[]plan.Step{inSync(current), inSync(progressing)}, nil, false, "Propagation,Reconciling Progressing b: Progressing: why 1/2 3/5 settled Current,InProgress"},
		"one has failed":                 {[]plan.Step{inSync(failed), inSync(progressing)}, nil, false, "Propagation,Stalled Failed a: Failed: why; b: Progressing: why 0/2 1/6 settled Failed,InProgress"},
		"one cannot be read":             {[]plan.Step{inSync(&plan.Health{State: plan.HealthUnknown, Message: "why"}), inSync(current)}, nil, false, "Propagation,Reconciling HealthUnknown a: HealthUnknown: why 1/2 2/2+? settled Unknown,Current"},
		"one is away":                    {[]plan.Step{hold(plan.ClusterNotReady), inSync(current)}, nil, false, "Reconciling ClusterNotReady a: ClusterNotReady: why 1/2 2/2+? settled ,Current"},
		"one is away, one at work":       {[]plan.Step{inSync(progressing), hold(plan.ClusterNotReady)}, nil, false, "Reconciling ClusterNotReady a: Progressing: why; b: ClusterNotReady: why 0/2 1/3+? settled InProgress,"},
		"one is away, one has failed":    {[]plan.Step{hold(plan.ClusterNotReady), inSync(failed)}, nil, false, "Stalled Failed a: ClusterNotReady: why; b: Failed: why 0/2 0/3+? settled ,Failed"},
		"all are away":                   {[]plan.Step{hold(plan.ClusterNotReady)}, nil, false, "Reconciling ClusterNotReady a: ClusterNotReady: why 0/1  settled "},
		"no replicas in this kind":       {[]plan.Step{inSync(&plan.Health{State: plan.HealthCurrent})}, nil, false, "Propagation,Ready Propagated  1/1  settled Current"},
		"just created, not seen yet":     {[]plan.Step{inSync(current), create}, []plan.Outcome{done}, false, "Propagation,Reconciling HealthUnknown b: HealthUnknown: the object has not been seen since the last change 1/2 2/2+?  Current,Unknown"},
		"the same for long":              {[]plan.Step{inSync(current), create}, []plan.Outcome{done}, true, "Propagation,Reconciling HealthUnknown b: HealthUnknown: the object has not been seen since the last change 1/2 2/2+? settled Current,Unknown"},
		"what was seen is of before":     {[]plan.Step{inSync(current), update}, []plan.Outcome{done}, true, "Propagation,Reconciling HealthUnknown b: HealthUnknown: the object has not been seen since the last change 1/2 2/2+? settled Current,Unknown"},
		"an update fails, the old runs":  {[]plan.Step{inSync(current), update}, []plan.Outcome{{Member: "b", State: plan.Failed, Reason: "UpdateFailed", Message: "no"}}, false, "Reconciling UpdateFailed b: UpdateFailed: no 1/2 4/4 settled Current,Current"},
		"one that is not meant any more": {[]plan.Step{inSync(current), {Verdict: plan.Withdraw, Reason: plan.Deselected, Needed: true, UID: "c1", Record: record, Health: current}}, []plan.Outcome{{Member: "b", State: plan.Failed, Reason: "DeletionFailed", Message: "no"}}, false, "Reconciling DeletionFailed b: DeletionFailed: no 1/1 2/2 settled Current,"},
	} {
		t.Run(name, func(t *testing.T) {
			told := rollup.Of(collected(tc.steps...), tc.got, object, tc.late, now)
			var trues, health []string
			for _, c := range told.Status.Conditions {
				if c.Status == "True" {
					trues = append(trues, c.Type)
				}
			}
			for _, c := range told.Status.Clusters {
				health = append(health, c.Health)
			}
			ready, _ := told.Status.Condition(rollup.Ready)
			replicas, settled := "", ""
			if told.Status.Workload != nil {
				replicas = told.Status.ReplicasReady
			}
			if told.Settled {
				settled = "settled"
			}
			got := strings.Join([]string{strings.Join(trues, ","), ready.Reason, ready.Message, told.Status.Ready, replicas, settled, strings.Join(health, ",")}, " ")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			for _, c := range told.Status.Conditions {
				if c.Type == rollup.Propagation && strings.Contains(c.Message, "Progressing") {
					t.Error("Propagation speaks of health:", c.Message)
				}
			}
		})
	}
}

// TestHealthIsNotLookedAt where no status is collected.
func TestHealthIsNotLookedAt(t *testing.T) {
	told := rollup.Of(planOf(inSync(fares(plan.HealthFailed, 0, 3))), nil, object, false, now)
	if ready, _ := told.Status.Condition(rollup.Ready); ready.Status != "True" || told.Status.Workload != nil || told.Status.Clusters[0].Health != "" {
		t.Errorf("%+v", told.Status)
	}
}

// TestSums: the counts are the sum of what the members that are meant tell, whatever their order, and the fraction says whether all do.
func TestSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, got, i := drawFold(t)
		p.Collects.Health = true
		i.PodSelector = "app=web"
		told := rollup.Of(p, got, i, true, now)
		var sum plan.Replicas
		some, all := false, true
		for _, s := range p.Steps {
			c, listed := told.Status.Cluster(s.Member)
			switch {
			case !s.Selected || !listed:
			case c.ReplicasReady == "":
				all = false
			default:
				some = true
				sum.Total += s.Health.Replicas.Total
				sum.Updated += s.Health.Replicas.Updated
				sum.Ready += s.Health.Replicas.Ready
				sum.Available += s.Health.Replicas.Available
				sum.Meant += s.Health.Replicas.Meant
			}
		}
		if !some {
			if told.Status.Workload != nil {
				t.Fatalf("nobody tells, and yet: %+v", told.Status.Workload)
			}
			return
		}
		fraction := fmt.Sprintf("%d/%d", sum.Ready, sum.Meant)
		if !all {
			fraction += "+?"
		}
		want := intent.Workload{Replicas: sum.Total, UpdatedReplicas: sum.Updated, ReadyReplicas: sum.Ready, AvailableReplicas: sum.Available, ReplicasReady: fraction, Selector: "app=web"}
		if *told.Status.Workload != want {
			t.Fatal(cmp.Diff(want, *told.Status.Workload))
		}
	})
}

// TestMinor: what only counts may wait; what somebody waits for may not.
func TestMinor(t *testing.T) {
	i := *object
	tell := func(p plan.Plan) rollup.Told { return rollup.Of(p, nil, &i, false, now) }
	i.Status = tell(collected(inSync(fares(plan.HealthInProgress, 1, 3)), inSync(fares(plan.HealthInProgress, 1, 3)))).Status
	words := fares(plan.HealthInProgress, 1, 3)
	words.Message = "another why"
	raw := collected(inSync(fares(plan.HealthInProgress, 1, 3)), inSync(fares(plan.HealthInProgress, 1, 3)))
	raw.Collects.Raw, raw.Steps[0].Health.Status = true, []byte(`{"a":1}`)
	moved := inSync(fares(plan.HealthInProgress, 1, 3))
	moved.Record = &plan.Record{UID: "c2", Version: "v.f"}
	for name, tc := range map[string]struct {
		p     plan.Plan
		minor bool
	}{
		"one more replica":    {collected(inSync(fares(plan.HealthInProgress, 2, 3)), inSync(fares(plan.HealthInProgress, 1, 3))), true},
		"one member runs":     {collected(inSync(fares(plan.HealthCurrent, 3, 3)), inSync(fares(plan.HealthInProgress, 1, 3))), true},
		"other words":         {collected(inSync(words), inSync(fares(plan.HealthInProgress, 1, 3))), true},
		"a raw status":        {raw, true},
		"all run":             {collected(inSync(fares(plan.HealthCurrent, 3, 3)), inSync(fares(plan.HealthCurrent, 3, 3))), false},
		"one has failed":      {collected(inSync(fares(plan.HealthFailed, 1, 3)), inSync(fares(plan.HealthInProgress, 1, 3))), false},
		"one is away":         {collected(hold(plan.ClusterNotReady), inSync(fares(plan.HealthInProgress, 1, 3))), false},
		"another copy":        {collected(moved, inSync(fares(plan.HealthInProgress, 1, 3))), false},
		"a member is dropped": {collected(inSync(fares(plan.HealthInProgress, 1, 3))), false},
	} {
		told := tell(tc.p)
		if told.Minor != tc.minor || rollup.Same(i.Status, told.Status) {
			t.Errorf("%s: minor is %t, same is %t", name, told.Minor, rollup.Same(i.Status, told.Status))
		}
	}
	i.Generation++
	if tell(collected(inSync(fares(plan.HealthInProgress, 1, 3)), inSync(fares(plan.HealthInProgress, 1, 3)))).Minor {
		t.Error("another generation is waited for")
	}
}

// TestUpdateTime: that a copy has changed moves KubeFed's lastUpdateTime, though the condition says what it said.
func TestUpdateTime(t *testing.T) {
	i := *object
	i.Status = rollup.Of(planOf(inSync(nil)), nil, &i, false, now).Status
	changed := inSync(nil)
	changed.Record = &plan.Record{UID: "c1", Version: "w.f"}
	told := rollup.Of(planOf(changed), nil, &i, false, now.Add(time.Minute))
	propagation, _ := told.Status.Condition(rollup.Propagation)
	ready, _ := told.Status.Condition(rollup.Ready)
	if got := []string{propagation.LastUpdateTime[11:16], propagation.LastTransitionTime[11:16], ready.LastUpdateTime[11:16]}; !cmp.Equal(got, []string{"12:01", "12:00", "12:00"}) {
		t.Error(got)
	}
}

// TestRemoteStatus: a status is copied as it is, if it is small enough, by itself and together with the others.
func TestRemoteStatus(t *testing.T) {
	status := func(size int) *plan.Health {
		return &plan.Health{State: plan.HealthCurrent, Status: []byte(`{"x":"` + strings.Repeat("y", size) + `"}`)}
	}
	p := collected(inSync(status(3)), inSync(&plan.Health{State: plan.HealthCurrent}), inSync(&plan.Health{State: plan.HealthCurrent, Large: true}), inSync(status(400<<10)), inSync(status(200<<10)), inSync(status(3)))
	for _, raw := range []bool{true, false} {
		p.Collects.Raw = raw
		told := rollup.Of(p, nil, object, false, now)
		var got []string
		for _, c := range told.Status.Clusters {
			got = append(got, fmt.Sprintf("%s %d %t", c.Name, len(c.RemoteStatus)>>10, c.Message != ""))
		}
		want := []string{"a 0 false", "b 0 false", "c 0 true", "d 400 false", "e 0 true", "f 0 false"}
		if !raw {
			want = []string{"a 0 false", "b 0 false", "c 0 false", "d 0 false", "e 0 false", "f 0 false"}
		}
		if ready, _ := told.Status.Condition(rollup.Ready); !cmp.Equal(got, want) || ready.Status != "True" {
			t.Errorf("raw %t: %v, ready %s", raw, got, ready.Status)
		}
		if small := string(told.Status.Clusters[0].RemoteStatus); raw && small != `{"x":"yyy"}` {
			t.Error(small)
		}
	}
}

// TestFailedIsAnEvent, once.
func TestFailedIsAnEvent(t *testing.T) {
	i := *object
	for _, want := range [][]rollup.Event{{{Warning: true, Reason: "Failed", Message: `ConfigMap "shop/web" in cluster "a": why`, Cluster: "a"}}, nil} {
		told := rollup.Of(collected(inSync(fares(plan.HealthFailed, 0, 3))), nil, &i, false, now)
		var failed []rollup.Event
		for _, e := range told.Events {
			if e.Warning {
				failed = append(failed, e)
			}
		}
		if diff := cmp.Diff(want, failed); diff != "" {
			t.Error(diff)
		}
		i.Status = told.Status
	}
}

// TestServices: KubeFed's list has each cluster that is ready, and nothing is told of one that has not been seen in full (10.1).
func TestServices(t *testing.T) {
	status := func(owner string, raw string) *plan.Copy {
		return &plan.Copy{Owner: "u1", ControlPlane: owner, Health: &plan.Health{Status: []byte(raw)}}
	}
	w := plan.World{Intent: object, MembersKnown: true, Settings: plan.Settings{ControlPlane: "cp"}, Members: []plan.Member{
		{Name: "a", Ready: true, View: plan.ViewSynced, Copy: status("cp", `{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]},"later":true}`)},
		{Name: "away", View: plan.ViewWaiting},
		{Name: "b", Ready: true, View: plan.ViewSynced},
		{Name: "c", Ready: true, View: plan.ViewForbidden},
		{Name: "d", Ready: true, View: plan.ViewSynced, Copy: status("other", `{"loadBalancer":{"ingress":[{"ip":"192.0.2.9"}]}}`)},
		{Name: "e", Ready: true, View: plan.ViewSynced, Copy: status("cp", `{"loadBalancer":7}`)},
	}}
	list, known := rollup.Services(w)
	var got []string
	for _, c := range list {
		ip := ""
		for _, in := range c.Status.LoadBalancer.Ingress {
			ip = in.IP
		}
		got = append(got, c.ClusterName+ip)
	}
	if diff := cmp.Diff([]string{"a192.0.2.7", "b", "d", "e"}, got); diff != "" || !known {
		t.Error(known, diff)
	}
	live := []any{
		map[string]any{"clusterName": "a", "status": map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": "192.0.2.7"}}}}},
		map[string]any{"clusterName": "b", "status": map[string]any{}},
		map[string]any{"clusterName": "d", "status": map[string]any{}},
		map[string]any{"clusterName": "e", "status": map[string]any{"loadBalancer": map[string]any{}}},
	}
	if !rollup.SameServices(live, list) || rollup.SameServices(live[:3], list) || rollup.SameServices(nil, list) || !rollup.SameServices(nil, []fedv1alpha1.ClusterServiceStatus{}) {
		t.Error("what is the same is told from what is not")
	}
	w.Members[2].View = plan.ViewWaiting
	if _, known := rollup.Services(w); known {
		t.Error("a member that is being listed may have a Service")
	}
}

// TestHealthOfOtherShards: who sees the copies in all members tells the sum; the others, and who does not see all yet, leave it as it was
// told. What no shard sees is missing.
func TestHealthOfOtherShards(t *testing.T) {
	before := &intent.Workload{Replicas: 7, ReplicasReady: "7/9"}
	hidden := plan.Step{Verdict: plan.Hold, Reason: plan.Elsewhere, Selected: true, Record: record}
	seen := hidden
	seen.Health = fares(plan.HealthCurrent, 3, 3)
	for name, tc := range map[string]struct {
		b, c plan.Step
		away string // the word about c
		want string
	}{
		"not seen here":     {hidden, hidden, "", "7/9"},
		"not all seen yet":  {seen, hidden, "", "7/9"},
		"seen":              {seen, seen, "", "8/8"},
		"one is away":       {seen, hidden, "ClusterNotReady", "5/5+?"},
		"that one was seen": {seen, seen, "ClusterNotReady", "8/8"},
	} {
		t.Run(name, func(t *testing.T) {
			i := *object
			i.Status = intent.Status{Workload: before, Clusters: []intent.ClusterStatus{
				{Name: "b", UID: "c1", Version: "v.f"}, {Name: "c", UID: "c1", Version: "v.f", Status: tc.away},
			}}
			told := rollup.Of(collected(inSync(fares(plan.HealthCurrent, 2, 2)), tc.b, tc.c), nil, &i, false, now)
			if told.Status.Workload == nil || told.Status.ReplicasReady != tc.want {
				t.Errorf("%+v, want %s", told.Status.Workload, tc.want)
			}
		})
	}
}
