package rollup_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// TestEvents follows one object through its life in some clusters: what happened is told once, each kind of change for all its clusters
// together, each failure with the cluster's words (KubeFed's chapter 14).
func TestEvents(t *testing.T) {
	is := func(uid, version string) *plan.Record {
		return &plan.Record{UID: types.UID("c" + uid), Version: version}
	}
	placed := func(r *plan.Record) plan.Step {
		return plan.Step{Verdict: plan.Place, Reason: plan.InSync, Selected: true, Record: r}
	}
	adopted := placed(is("3", "v1"))
	adopted.Adopted = true
	leaving := func(v plan.Verdict) plan.Step {
		return plan.Step{Verdict: v, Reason: plan.Deselected, Needed: true, UID: "c", Record: is("1", "v2")}
	}
	gone := plan.Step{Verdict: plan.Withdraw, Reason: plan.Gone}
	fails := func(member, words string) plan.Outcome {
		return plan.Outcome{Member: member, State: plan.Failed, Reason: "UpdateFailed", Message: words}
	}
	updating := plan.Step{Verdict: plan.Place, Reason: plan.Updating, Needed: true, Selected: true, UID: "c", Record: is("2", "v2")}
	away := hold(plan.ClusterNotReady)
	away.Record = is("2", "v2")
	unknown := planOf()
	unknown.Reason, unknown.Message = plan.NamespaceNotFederated, "why"
	i := *object
	for n, tc := range []struct {
		what string
		p    plan.Plan
		got  []plan.Outcome
		want []string
	}{
		{"created in two, adopted in one", planOf(placed(is("1", "v1")), placed(is("2", "v1")), adopted), nil, []string{
			`AdoptInCluster Adopting ConfigMap "shop/web" in cluster "c"`,
			`CreateInCluster Creating ConfigMap "shop/web" in clusters "a", "b"`,
		}},
		{"nothing happened", planOf(placed(is("1", "v1")), placed(is("2", "v1")), adopted), nil, nil},
		{"updated", planOf(placed(is("1", "v2")), placed(is("2", "v2")), adopted), nil, []string{
			`UpdateInCluster Updating ConfigMap "shop/web" in clusters "a", "b"`,
		}},
		{"re-created", planOf(placed(is("9", "v2")), placed(is("2", "v2")), adopted), nil, []string{
			`CreateInCluster Creating ConfigMap "shop/web" in cluster "a"`,
		}},
		{"an update fails", planOf(placed(is("9", "v2")), updating, adopted), []plan.Outcome{fails("b", "no")}, []string{
			`!UpdateInClusterFailed ConfigMap "shop/web" in cluster "b": no`,
		}},
		{"it still fails", planOf(placed(is("9", "v2")), updating, adopted), []plan.Outcome{fails("b", "no")}, nil},
		{"it fails for another reason", planOf(placed(is("9", "v2")), updating, adopted), []plan.Outcome{fails("b", "never")}, []string{
			`!UpdateInClusterFailed ConfigMap "shop/web" in cluster "b": never`,
		}},
		{"it heals", planOf(placed(is("9", "v2")), placed(is("2", "v2")), adopted), nil, nil},
		{"a cluster goes away", planOf(placed(is("9", "v2")), away, adopted), nil, []string{
			`!ClusterNotReady ConfigMap "shop/web" in cluster "b": why`,
		}},
		{"withdrawn here, released there", planOf(gone, gone, leaving(plan.Release)), []plan.Outcome{{Member: "c", State: plan.Done}}, []string{
			`DeleteInCluster Deleting ConfigMap "shop/web" in clusters "a", "b"`,
			`RemoveManagedLabelFromInCluster Removing managed label from ConfigMap "shop/web" in cluster "c"`,
		}},
		{"the placement cannot be told", unknown, nil, []string{`!NamespaceNotFederated why`}},
		{"it still cannot", unknown, nil, nil},
		{"it can", planOf(), nil, nil},
	} {
		told := rollup.Of(tc.p, tc.got, &i, true, now.Add(time.Duration(n)*time.Minute))
		if diff := cmp.Diff(tc.want, texts(told.Events)); diff != "" {
			t.Errorf("%s: %s", tc.what, diff)
		}
		i.Status = store(t, told.Status)
	}
}

func texts(events []rollup.Event) []string {
	var out []string
	for _, e := range events {
		text := e.Reason + " " + e.Message
		if e.Warning {
			text = "!" + text
		}
		out = append(out, text)
	}
	return out
}

// TestFailuresHaveKubeFedsNames (chapter 14).
func TestFailuresHaveKubeFedsNames(t *testing.T) {
	for status, want := range map[plan.Reason]string{
		"CreationFailed":     "CreateInClusterFailed",
		"UpdateFailed":       "UpdateInClusterFailed",
		"DeletionFailed":     "DeleteInClusterFailed",
		"LabelRemovalFailed": "RemoveManagedLabelFromInClusterFailed",
		"RetrievalFailed":    "RetrievalFailed",
		plan.AlreadyExists:   "AlreadyExists",
	} {
		p := planOf(plan.Step{Verdict: plan.Place, Needed: true, Selected: true})
		told := rollup.Of(p, []plan.Outcome{{Member: "a", State: plan.Failed, Reason: status}}, object, false, now)
		if len(told.Events) != 1 || told.Events[0].Reason != want || !told.Events[0].Warning {
			t.Errorf("%s: %v", status, told.Events)
		}
	}
}

// TestTakeOver: a copy that KubeFed's status lists already is not told to be created.
func TestTakeOver(t *testing.T) {
	i := *object
	i.Status.Clusters = []intent.ClusterStatus{{Name: "a"}}
	p := planOf(plan.Step{Verdict: plan.Place, Reason: plan.InSync, Selected: true, Record: record})
	want := []string{`UpdateInCluster Updating ConfigMap "shop/web" in cluster "a"`}
	if diff := cmp.Diff(want, texts(rollup.Of(p, nil, &i, false, now).Events)); diff != "" {
		t.Error(diff)
	}
}

// TestDroppedIsToldOncePerGeneration: what the template holds in vain (9.5).
func TestDroppedIsToldOncePerGeneration(t *testing.T) {
	i := *object
	i.Dropped = []string{"annotations", "finalizers", "name", "namespace"}
	var reasons []string
	told := rollup.Of(planOf(), nil, &i, false, now)
	for _, e := range told.Events {
		reasons = append(reasons, e.Reason)
	}
	if diff := cmp.Diff([]string{"AnnotationsNotSupported", "FinalizersNotSupported", "NameNotSupported", "NamespaceNotSupported"}, reasons); diff != "" {
		t.Error(diff)
	}
	i.Status = told.Status
	if told := rollup.Of(planOf(), nil, &i, false, now); len(told.Events) > 0 {
		t.Error(told.Events)
	}
}

// TestClusterScopedNames stand alone.
func TestClusterScopedNames(t *testing.T) {
	p := planOf(plan.Step{Verdict: plan.Place, Reason: plan.InSync, Selected: true, Record: record})
	p.Key.Namespace, p.Kind = "", "ClusterRole"
	want := []string{`CreateInCluster Creating ClusterRole "web" in cluster "a"`}
	if diff := cmp.Diff(want, texts(rollup.Of(p, nil, object, false, now).Events)); diff != "" {
		t.Error(diff)
	}
}
