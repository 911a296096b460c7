package rollup_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// short is what is told, in short: the conditions that are True, the reason of Propagation if it is not, Ready's fraction, whether it is
// settled, and a line for each cluster.
func short(t rollup.Told) []string {
	var holds []string
	reason := ""
	for _, c := range t.Status.Conditions {
		if c.Status == "True" {
			holds = append(holds, c.Type)
		} else if c.Type == rollup.Propagation {
			reason = c.Reason
		}
	}
	out := []string{strings.TrimSpace(strings.Join(holds, ",") + " " + reason), t.Status.Ready}
	if t.Settled {
		out = append(out, "settled")
	}
	for _, c := range t.Status.Clusters {
		out = append(out, strings.TrimRight(c.Name+" "+c.Status+" "+string(c.UID)+" "+c.Message, " "))
	}
	return out
}

var (
	record = &plan.Record{UID: "c1", Version: "v.f"}
	object = &intent.Intent{Namespace: "shop", Name: "web", UID: "u1", Generation: 2}
)

func planOf(steps ...plan.Step) plan.Plan {
	for n := range steps {
		if steps[n].Member == "" {
			steps[n].Member = string(rune('a' + n))
		}
	}
	return plan.Plan{Key: intent.Key{Type: "configmaps", Namespace: "shop", Name: "web"}, Kind: "ConfigMap", Steps: steps}
}

func hold(r plan.Reason) plan.Step {
	return plan.Step{Verdict: plan.Hold, Reason: r, Message: "why", Selected: true, Record: record}
}

// TestStatuses: every cluster status of KubeFed (9.10) and of ours, and what the conditions make of it.
func TestStatuses(t *testing.T) {
	create := plan.Step{Verdict: plan.Place, Reason: plan.Creating, Needed: true, Selected: true}
	update := plan.Step{Verdict: plan.Place, Reason: plan.Updating, Needed: true, Selected: true, UID: "c1", Record: record}
	withdraw := plan.Step{Verdict: plan.Withdraw, Reason: plan.Deselected, Needed: true, UID: "c1", Record: record}
	release := plan.Step{Verdict: plan.Release, Reason: plan.Orphaned, Needed: true, UID: "c1", Record: record}
	fails := func(reason plan.Reason) plan.Outcome {
		return plan.Outcome{State: plan.Failed, Reason: reason, Message: "why"}
	}
	pending := plan.Outcome{State: plan.Pending}
	const (
		well        = "Propagation,Ready"
		reconciling = "Reconciling CheckClusters"
		stalled     = "Stalled CheckClusters"
	)
	for name, tc := range map[string]struct {
		step plan.Step
		got  plan.Outcome
		late bool
		want []string
	}{
		"in sync":                     {step: plan.Step{Verdict: plan.Place, Reason: plan.InSync, Selected: true, Record: record}, want: []string{well, "1/1", "settled", "a  c1"}},
		"created":                     {create, plan.Outcome{State: plan.Done, Record: record}, false, []string{well, "1/1", "settled", "a  c1"}},
		"being created":               {create, pending, false, []string{reconciling, "0/1", "a CreationTimedOut  the cluster has not answered yet"}},
		"being created for long":      {create, pending, true, []string{reconciling, "0/1", "settled", "a CreationTimedOut  the cluster has not answered yet"}},
		"no outcome is pending":       {create, plan.Outcome{}, true, []string{reconciling, "0/1", "settled", "a CreationTimedOut  the cluster has not answered yet"}},
		"being updated for long":      {update, pending, true, []string{reconciling, "0/1", "settled", "a UpdateTimedOut c1 the cluster has not answered yet"}},
		"being withdrawn for long":    {withdraw, pending, true, []string{reconciling, "0/0", "settled", "a DeletionTimedOut c1 the cluster has not answered yet"}},
		"being released for long":     {release, pending, true, []string{reconciling, "0/0", "settled", "a LabelRemovalTimedOut c1 the cluster has not answered yet"}},
		"withdrawn, not yet gone":     {withdraw, plan.Outcome{State: plan.Done}, false, []string{reconciling, "0/0", "a WaitingForRemoval c1"}},
		"withdrawn, long not gone":    {withdraw, plan.Outcome{State: plan.Done}, true, []string{reconciling, "0/0", "settled", "a WaitingForRemoval c1"}},
		"released":                    {release, plan.Outcome{State: plan.Done}, false, []string{well, "0/0", "settled"}},
		"gone":                        {step: plan.Step{Verdict: plan.Withdraw, Reason: plan.Gone}, want: []string{well, "0/0", "settled"}},
		"CreationFailed":              {create, fails("CreationFailed"), false, []string{reconciling, "0/1", "settled", "a CreationFailed  why"}},
		"UpdateFailed":                {update, fails("UpdateFailed"), false, []string{reconciling, "0/1", "settled", "a UpdateFailed c1 why"}},
		"DeletionFailed":              {withdraw, fails("DeletionFailed"), false, []string{reconciling, "0/0", "settled", "a DeletionFailed c1 why"}},
		"LabelRemovalFailed":          {release, fails("LabelRemovalFailed"), false, []string{reconciling, "0/0", "settled", "a LabelRemovalFailed c1 why"}},
		"RetrievalFailed":             {create, fails("RetrievalFailed"), false, []string{reconciling, "0/1", "settled", "a RetrievalFailed  why"}},
		"ClientRetrievalFailed":       {create, fails("ClientRetrievalFailed"), false, []string{reconciling, "0/1", "settled", "a ClientRetrievalFailed  why"}},
		"FieldRetentionFailed":        {update, fails("FieldRetentionFailed"), false, []string{reconciling, "0/1", "settled", "a FieldRetentionFailed c1 why"}},
		"Fighting":                    {update, fails("Fighting"), false, []string{reconciling, "0/1", "settled", "a Fighting c1 why"}},
		"failed without a word":       {update, fails(""), false, []string{reconciling, "0/1", "settled", "a UpdateFailed c1 why"}},
		"not created without a word":  {create, fails(""), false, []string{reconciling, "0/1", "settled", "a CreationFailed  why"}},
		"AlreadyExists":               {create, plan.Outcome{State: plan.Refused, Reason: plan.AlreadyExists, Message: "why"}, false, []string{stalled, "0/1", "settled", "a AlreadyExists  why"}},
		"ManagedLabelFalse":           {create, plan.Outcome{State: plan.Refused, Reason: plan.ManagedLabelFalse, Message: "why"}, false, []string{stalled, "0/1", "settled", "a ManagedLabelFalse  why"}},
		"OwnedByOther":                {step: hold(plan.OwnedByOther), want: []string{stalled, "0/1", "settled", "a OwnedByOther c1 why"}},
		"ClusterNotReady":             {step: hold(plan.ClusterNotReady), want: []string{reconciling, "0/1", "settled", "a ClusterNotReady c1 why"}},
		"CachedRetrievalFailed":       {step: hold("CachedRetrievalFailed"), want: []string{reconciling, "0/1", "a CachedRetrievalFailed c1 why"}},
		"CachedRetrievalFailed, long": {step: hold("CachedRetrievalFailed"), late: true, want: []string{reconciling, "0/1", "settled", "a CachedRetrievalFailed c1 why"}},
		"TypeMissing":                 {step: hold("TypeMissing"), want: []string{reconciling, "0/1", "settled", "a TypeMissing c1 why"}},
		"Forbidden":                   {step: hold("Forbidden"), want: []string{reconciling, "0/1", "settled", "a Forbidden c1 why"}},
		"ComputeResourceFailed":       {step: hold(plan.ComputeResourceFailed), want: []string{stalled, "0/1", "settled", "a ComputeResourceFailed c1 why"}},
		"ApplyOverridesFailed":        {step: hold(plan.ApplyOverridesFailed), want: []string{stalled, "0/1", "settled", "a ApplyOverridesFailed c1 why"}},
		"Paused":                      {step: hold(plan.Paused), want: []string{stalled, "0/1", "settled", "a Paused c1 why"}},
		"DeletionPaused":              {step: hold(plan.DeletionPaused), want: []string{stalled, "0/1", "settled", "a DeletionPaused c1 why"}},
		"WaitingForRemoval":           {step: hold(plan.WaitingForRemoval), want: []string{reconciling, "0/1", "a WaitingForRemoval c1 why"}},
		"WaitingForNamespace":         {step: hold(plan.WaitingForNamespace), want: []string{reconciling, "0/1", "a WaitingForNamespace c1 why"}},
		"WaitingForNamespace, long":   {step: hold(plan.WaitingForNamespace), late: true, want: []string{reconciling, "0/1", "settled", "a WaitingForNamespace c1 why"}},
		"Observing":                   {step: hold(plan.Observing), want: []string{reconciling, "0/1", "a Observing c1 why"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(tc.step)
			tc.got.Member = "a"
			told := rollup.Of(p, []plan.Outcome{tc.got}, object, tc.late, now)
			if diff := cmp.Diff(tc.want, short(told)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReasons: the reasons of KubeFed's condition (9.10), which win over what is said of the clusters, and our own.
func TestReasons(t *testing.T) {
	for reason, want := range map[plan.Reason]string{
		"":                          "Propagation,Ready",
		plan.NamespaceNotFederated:  "Stalled NamespaceNotFederated",
		plan.ComputePlacementFailed: "Stalled ComputePlacementFailed",
		plan.ComputeResourceFailed:  "Stalled ComputeResourceFailed",
		plan.PlacementUnknown:       "Reconciling PlacementUnknown",
	} {
		p := planOf()
		if reason != "" {
			p = planOf(hold(reason), hold(plan.OwnedByOther))
			p.Reason, p.Message = reason, "why"
		}
		told := rollup.Of(p, nil, object, false, now)
		if got := short(told)[0]; got != want {
			t.Errorf("%q: %s, want %s", reason, got, want)
		}
		for _, c := range told.Status.Conditions {
			if c.ObservedGeneration != 2 || (c.Reason == "") != (c.Type == rollup.Propagation && c.Status == "True") {
				t.Errorf("%q: %+v", reason, c) // KubeFed's True has no reason, every other condition must have one
			}
		}
	}
}

// TestKstatus: of Ready, Reconciling and Stalled at most one is True, as kstatus expects. Once nothing is under way, Ready says the same as
// Propagation, and where status is collected, also that all runs.
func TestKstatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, got, i := drawFold(t)
		told := rollup.Of(p, got, i, rapid.Bool().Draw(t, "late"), now)
		is := map[string]bool{}
		for _, c := range told.Status.Conditions {
			is[c.Type] = c.Status == "True"
		}
		trues := 0
		for _, kind := range []string{rollup.Ready, rollup.Reconciling, rollup.Stalled} {
			if is[kind] {
				trues++
			}
		}
		runs := !slices.ContainsFunc(told.Status.Clusters, func(c intent.ClusterStatus) bool {
			return c.Health != "" && c.Health != "Current"
		})
		if trues != 1 || told.Settled && is[rollup.Ready] != (is[rollup.Propagation] && runs) || is[rollup.Ready] && !told.Settled {
			t.Fatalf("%v settled %t", is, told.Settled)
		}
	})
}

// TestMessage: the message names the clusters in trouble, at most five; the reason of Ready is that which a user can change, if any.
func TestMessage(t *testing.T) {
	var steps []plan.Step
	for range 7 {
		steps = append(steps, hold(plan.ClusterNotReady))
	}
	steps[3].Reason, steps[3].Message = plan.OwnedByOther, ""
	told := rollup.Of(planOf(steps...), nil, object, false, now)
	c, _ := told.Status.Condition(rollup.Ready)
	want := "a: ClusterNotReady: why; b: ClusterNotReady: why; c: ClusterNotReady: why; d: OwnedByOther; e: ClusterNotReady: why; and 2 more"
	if c.Message != want || c.Reason != "OwnedByOther" {
		t.Errorf("%s: %s", c.Reason, c.Message)
	}
}

// TestStrangersWords: what a member says is data: it cannot break lines, hide text, grow without bound, or be stored as something else
// than what was told, which would make every look at it a new one (A9, B50).
func TestStrangersWords(t *testing.T) {
	for name, words := range map[string]string{
		"lines":         "one\ntwo\r\nthree\tfour",
		"escapes":       "\x1b[31mred\x1b[0m \x00 \u202edesrever",
		"invalid UTF-8": "a\xff\xfeb",
		"long":          strings.Repeat("é", 100_000),
		"percent":       "100%s %n",
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(plan.Step{Verdict: plan.Place, Reason: plan.Creating, Needed: true, Selected: true})
			told := rollup.Of(p, []plan.Outcome{{Member: "a", State: plan.Failed, Reason: "CreationFailed", Message: words}}, object, false, now)
			message := told.Status.Clusters[0].Message
			if strings.ContainsAny(message, "\n\r\t\x00\x1b\u202e") || len(message) > 4096 || message == "" {
				t.Errorf("%q", message[:min(len(message), 200)])
			}
			if stored := store(t, told.Status); !rollup.Same(stored, told.Status) {
				t.Error("stored as something else:", cmp.Diff(told.Status, stored))
			}
			if name == "percent" && message != words {
				t.Errorf("%q", message)
			}
		})
	}
}

// store is what a reader finds of a status that was written.
func store(t interface{ Fatal(...any) }, s intent.Status) intent.Status {
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out intent.Status
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSilent: what is no federated object has no status, and at most one event.
func TestSilent(t *testing.T) {
	told := rollup.Of(plan.Plan{Silent: true}, nil, nil, false, now)
	if !told.Settled || len(told.Events) != 0 || !rollup.Same(told.Status, intent.Status{}) {
		t.Errorf("%+v", told)
	}
	told = rollup.Of(plan.Plan{Silent: true, Reason: plan.InvalidName, Message: "why"}, nil, object, false, now)
	want := []rollup.Event{{Warning: true, Reason: "InvalidName", Message: "why"}}
	if diff := cmp.Diff(want, told.Events); diff != "" {
		t.Error(diff)
	}
}

// TestOtherShards: what others have told of their members stands as it is, and counts; a shard writes when its own members have changed, or
// when it is the first to tell of a generation, but not while it could only repeat itself.
func TestOtherShards(t *testing.T) {
	away := intent.ClusterStatus{Name: "b", Status: "ClusterNotReady", Message: "their words", UID: "c2", Version: "v.e", Health: "Current", ReplicasReady: "1/2"}
	in := plan.Step{Verdict: plan.Place, Reason: plan.InSync, Selected: true, Record: record}
	elsewhere, awaited := hold(plan.Elsewhere), hold(plan.Awaited)
	elsewhere.Message, awaited.Message = "", "not yet"
	a := intent.ClusterStatus{Name: "a", UID: record.UID, Version: record.Version}
	told := func(generation int64, clusters ...intent.ClusterStatus) intent.Status {
		return intent.Status{ObservedGeneration: generation, Clusters: clusters}
	}
	for name, tc := range map[string]struct {
		steps  []plan.Step
		before intent.Status
		want   []string
		mute   bool
	}{
		"their word stands":               {[]plan.Step{in, elsewhere}, told(2, away), []string{"Reconciling CheckClusters", "1/2", "settled", "a  c1", "b ClusterNotReady c2 their words"}, false},
		"first of a generation":           {[]plan.Step{in, awaited}, told(1, a, away), []string{"Reconciling CheckClusters", "1/2", "settled", "a  c1", "b Awaited c1 not yet"}, false},
		"first of all":                    {[]plan.Step{in, awaited}, intent.Status{}, []string{"Reconciling CheckClusters", "1/2", "settled", "a  c1", "b Awaited c1 not yet"}, false},
		"told already, others have not":   {[]plan.Step{in, awaited}, told(2, a), []string{"Reconciling CheckClusters", "1/2", "settled", "a  c1", "b Awaited c1 not yet"}, true},
		"something new, others have not":  {[]plan.Step{in, awaited}, told(2, intent.ClusterStatus{Name: "a", Status: "UpdateFailed"}), []string{"Reconciling CheckClusters", "1/2", "settled", "a  c1", "b Awaited c1 not yet"}, false},
		"all have told, folded once more": {[]plan.Step{in, elsewhere}, told(2, a, intent.ClusterStatus{Name: "b", UID: "c2", Version: "v.e"}), []string{"Propagation,Ready", "2/2", "settled", "a  c1", "b  c2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			i, p := *object, planOf(tc.steps...)
			i.Status, p.Shared = tc.before, true
			got := rollup.Of(p, nil, &i, true, now)
			if diff := cmp.Diff(tc.want, short(got)); diff != "" {
				t.Error(diff)
			}
			if got.Mute != tc.mute {
				t.Errorf("mute is %t", got.Mute)
			}
			for _, e := range got.Events {
				if e.Cluster == "b" {
					t.Errorf("an event about another's member: %+v", e)
				}
			}
			if c, ok := got.Status.Cluster("b"); tc.steps[1].Reason == plan.Elsewhere {
				if was, _ := tc.before.Cluster("b"); !ok || !cmp.Equal(c, was) {
					t.Error(cmp.Diff(was, c))
				}
			}
		})
	}
}

// TestTimesMoveOnlyWithMeaning: a condition's transition time moves with its status, its update time with anything it says.
func TestTimesMoveOnlyWithMeaning(t *testing.T) {
	i := *object
	times := func(at time.Time, p plan.Plan) [2]string {
		told := rollup.Of(p, nil, &i, false, at)
		i.Status = store(t, told.Status)
		c, _ := i.Status.Condition(rollup.Ready)
		return [2]string{c.LastTransitionTime[11:16], c.LastUpdateTime[11:16]}
	}
	in := planOf(plan.Step{Verdict: plan.Place, Reason: plan.InSync, Selected: true, Record: record})
	other := hold(plan.ClusterNotReady)
	other.Message = "another why"
	for n, tc := range []struct {
		p    plan.Plan
		want [2]string
	}{
		{in, [2]string{"12:00", "12:00"}},
		{in, [2]string{"12:00", "12:00"}},
		{planOf(hold(plan.ClusterNotReady)), [2]string{"12:02", "12:02"}},
		{planOf(hold(plan.ClusterNotReady)), [2]string{"12:02", "12:02"}},
		{planOf(other), [2]string{"12:02", "12:04"}},
		{in, [2]string{"12:05", "12:05"}},
	} {
		if got := times(now.Add(time.Duration(n)*time.Minute), tc.p); got != tc.want {
			t.Errorf("fold %d: transition and update at %v, want %v", n, got, tc.want)
		}
	}
	i.Generation++
	if got := times(now.Add(time.Hour), in); got != [2]string{"12:05", "13:00"} {
		t.Errorf("another generation: %v", got)
	}
}

// drawHealth is what a copy says of itself.
func drawHealth(t *rapid.T) *plan.Health {
	n := func(what string) int64 { return rapid.Int64Range(0, 9).Draw(t, what) }
	h := &plan.Health{
		State:  rapid.SampledFrom([]plan.HealthState{plan.HealthCurrent, plan.HealthCurrent, plan.HealthInProgress, plan.HealthFailed, plan.HealthUnknown}).Draw(t, "health"),
		Status: rapid.SampledFrom([][]byte{nil, []byte(`{"a":[1,"é"]}`)}).Draw(t, "remote status"), Large: rapid.Bool().Draw(t, "large"),
	}
	if h.State != plan.HealthCurrent {
		h.Message = "why\xff"
	}
	if rapid.Bool().Draw(t, "replicas") {
		h.Replicas = &plan.Replicas{Meant: n("meant"), Total: n("total"), Updated: n("updated"), Ready: n("ready"), Available: n("available")}
	}
	return h
}

// drawFold draws a plan, what came of it, and an object that was told of before.
func drawFold(t *rapid.T) (plan.Plan, []plan.Outcome, *intent.Intent) {
	var steps []plan.Step
	var got []plan.Outcome
	i := *object
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		if rapid.Bool().Draw(t, "listed "+name) {
			i.Status.Clusters = append(i.Status.Clusters, intent.ClusterStatus{Name: name, UID: "c0", Version: "v.e"})
		}
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		s := plan.Step{
			Member:  name,
			Verdict: rapid.SampledFrom([]plan.Verdict{plan.Place, plan.Withdraw, plan.Release, plan.Hold}).Draw(t, "verdict"),
			Reason:  rapid.SampledFrom([]plan.Reason{plan.ClusterNotReady, plan.OwnedByOther, plan.Observing, plan.InSync, plan.WaitingForRemoval, plan.Gone}).Draw(t, "reason"),
			Message: rapid.SampledFrom([]string{"", "why", "a\xff\n"}).Draw(t, "message"), Selected: rapid.Bool().Draw(t, "selected"),
			Adopted: rapid.Bool().Draw(t, "adopted"),
		}
		s.Needed = s.Verdict != plan.Hold && rapid.Bool().Draw(t, "needed")
		if rapid.Bool().Draw(t, "recorded") {
			s.Record = record
		}
		if rapid.Bool().Draw(t, "seen") {
			s.Health = drawHealth(t)
		}
		steps = append(steps, s)
		if s.Needed && rapid.Bool().Draw(t, "answered") {
			o := plan.Outcome{
				Member: name, State: rapid.SampledFrom([]plan.State{plan.Pending, plan.Done, plan.Failed, plan.Refused}).Draw(t, "state"),
				Reason: rapid.SampledFrom([]plan.Reason{"", "UpdateFailed", plan.AlreadyExists}).Draw(t, "failure"),
			}
			if o.State == plan.Done && s.Verdict == plan.Place {
				o.Record = record
			}
			got = append(got, o)
		}
	}
	p := planOf(steps...)
	p.Collects.Health = rapid.Bool().Draw(t, "collects")
	p.Collects.Raw = p.Collects.Health && rapid.Bool().Draw(t, "raw")
	if rapid.IntRange(0, 3).Draw(t, "undecided") == 0 {
		p.Reason, p.Message = rapid.SampledFrom([]plan.Reason{plan.PlacementUnknown, plan.NamespaceNotFederated}).Draw(t, "why"), "why\n"
	}
	return p, got, &i
}

// TestFold: folding what was told, stored and read back, is the same again, at any later time; nothing more happened; the clusters are
// sorted; no message holds a time; Ready counts.
func TestFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, got, i := drawFold(t)
		late := rapid.Bool().Draw(t, "late")
		told := rollup.Of(p, got, i, late, now)
		again := *i
		again.Status = store(t, told.Status)
		told2 := rollup.Of(p, got, &again, late, now.Add(time.Hour))
		if !rollup.Same(again.Status, told2.Status) {
			t.Fatal(cmp.Diff(again.Status, told2.Status))
		}
		if len(told2.Events) > 0 {
			t.Fatalf("told twice: %v", told2.Events)
		}
		byName := func(a, b intent.ClusterStatus) int { return strings.Compare(a.Name, b.Name) }
		if !slices.IsSortedFunc(told.Status.Clusters, byName) {
			t.Fatalf("%v", told.Status.Clusters)
		}
		placed, meant := 0, 0
		for _, s := range p.Steps {
			c, listed := told.Status.Cluster(s.Member)
			if s.Selected {
				meant++
				if listed && c.Status == "" && (!p.Collects.Health || c.Health == "Current") {
					placed++
				}
			} else if c.Health != "" {
				t.Fatalf("%s is not meant, and its health is told", s.Member)
			}
			if listed && c.Status == "" && s.Verdict != plan.Place {
				t.Fatalf("%s is told to be well, but it is %s %s", s.Member, s.Verdict, s.Reason)
			}
		}
		if want := fmt.Sprintf("%d/%d", placed, meant); told.Status.Ready != want {
			t.Fatalf("ready %s, want %s", told.Status.Ready, want)
		}
		for _, c := range told.Status.Conditions {
			if strings.Contains(c.Message, "2026") || strings.Contains(c.Message, "12:00") {
				t.Fatal(c.Message)
			}
		}
	})
}

// TestAddressIsCarriedAlong: what discovery has written into a status stays when the rest is written.
func TestAddressIsCarriedAlong(t *testing.T) {
	i := *object
	i.Status.LoadBalancer = []byte(`{"reason":"Balanced"}`)
	written, err := json.Marshal(rollup.Of(planOf(inSync(nil)), nil, &i, false, now).Status)
	if err != nil || !strings.Contains(string(written), `"loadBalancer":{"reason":"Balanced"}`) {
		t.Errorf("%s, %v", written, err)
	}
}
