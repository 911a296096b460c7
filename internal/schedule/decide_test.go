package schedule

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
	"github.com/hansa-io/hansa/internal/intent"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// aWorld is a preference for 9 replicas, and a FederatedDeployment that is placed in both of two ready clusters.
func aWorld(t *testing.T, spec, object string) world {
	t.Helper()
	p := &schedv1.ReplicaSchedulingPreference{}
	p.Namespace, p.Name, p.Generation = "shop", "web", 1
	p.Spec = schedv1.ReplicaSchedulingPreferenceSpec{TargetKind: "FederatedDeployment", TotalReplicas: 9}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	w := world{
		pref: preference{ReplicaSchedulingPreference: p}, enabled: true, fedType: &intent.Type{Name: "deployments.apps"},
		clusters:         []cluster{{name: "a", ready: true, labels: map[string]string{"eu": ""}}, {name: "b", ready: true}},
		unavailableDelay: time.Minute, now: start,
	}
	w.target = targetOf(w.pref)
	return w.with(t, object)
}

// with is the world with another federated object.
func (w world) with(t *testing.T, object string) world {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if object == "" {
		object = "{placement: {clusterSelector: {}}}"
	}
	raw, err := yaml.YAMLToJSON([]byte("{apiVersion: v1, kind: FederatedDeployment, metadata: {name: web}, spec: " + object + "}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := obj.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	w.object, w.intent, w.selection = obj, intent.Parse(obj), intent.Parse(selectorOnly(obj))
	return w
}

// done is the world after a decision has been written.
func (w world) done(d decision) world {
	obj := w.object.DeepCopy()
	for field, value := range d.patch {
		if field == "placement" {
			clusters, _ := value.(map[string]any)["clusters"].([]any)
			_ = unstructured.SetNestedSlice(obj.Object, clusters, "spec", "placement", "clusters")
			continue
		}
		_ = unstructured.SetNestedField(obj.Object, value, "spec", field)
	}
	w.object, w.intent, w.selection = obj, intent.Parse(obj), intent.Parse(selectorOnly(obj))
	w.clusters = append([]cluster(nil), w.clusters...)
	for i := range w.clusters {
		w.clusters[i].limit = d.limits[w.clusters[i].name]
	}
	return w
}

func (d decision) words() string {
	if d.held != nil {
		return d.held.reason
	}
	var out []string
	for _, c := range d.clusters {
		out = append(out, fmt.Sprintf("%s %d %s", c.Name, c.Replicas, c.Reason))
	}
	for _, f := range d.findings {
		out = append(out, f.reason)
	}
	return strings.Join(out, ", ")
}

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		spec, object string
		change       func(*world)
		want         string
	}{
		"by weight":              {spec: "clusters: {a: {weight: 1}, b: {weight: 2}}", want: "a 3 ByWeight, b 6 ByWeight"},
		"nobody named":           {want: "a 5 ByWeight, b 4 ByWeight"},
		"a stranger":             {spec: "clusters: {a: {weight: 1}, mars: {weight: 2}}", want: "a 9 ByWeight, b 0 NotPreferred, mars 0 UnknownCluster, UnknownCluster"},
		"minimum above maximum":  {spec: `clusters: {"*": {minReplicas: 9, maxReplicas: 2}}`, want: "a 2 AtMaximum, b 2 AtMaximum, Unplaced, MinAboveMax"},
		"less than the minimums": {spec: `clusters: {"*": {minReplicas: 6}}`, want: "a 6 NoWeight, b 3 BelowMinimum, BelowMinimum"},
		"all weights zero":       {spec: `clusters: {"*": {}}`, want: "a 0 NoWeight, b 0 NoWeight, Unplaced"},
		"negative total":         {spec: "totalReplicas: -1", want: "NegativeNumber"},
		"negative weight":        {spec: "clusters: {a: {weight: -1}}", want: "NegativeNumber"},
		"another kind":           {spec: "targetKind: Deployment", want: "InvalidTargetKind"},
		"unreadable":             {change: func(w *world) { w.pref.err = errors.New("odd") }, want: "InvalidPreference"},
		"gate off":               {change: func(w *world) { w.enabled = false }, want: "SchedulerDisabled"},
		"type not enabled":       {change: func(w *world) { w.fedType = nil }, want: "TypeNotEnabled"},
		"type paused":            {change: func(w *world) { w.fedType = &intent.Type{Paused: true} }, want: "TypeDisabled"},
		"no target":              {change: func(w *world) { w.object = nil }, want: "TargetMissing"},
		"target deleting":        {change: func(w *world) { w.intent.Deleting = start }, want: "TargetDeleting"},
		"target unreadable":      {object: "{overrides: [{clusterName: a}, {clusterName: a}]}", want: "InvalidTarget"},
		"namespace deleting":     {change: func(w *world) { w.namespace = &intent.Intent{Deleting: start} }, want: "NamespaceNotFederated"},
		"nobody ready":           {change: func(w *world) { w.clusters[0].ready, w.clusters[1].ready = false, false }, want: "NoClusterReady"},
		"no clusters":            {change: func(w *world) { w.clusters = nil }, want: "NoClusterReady"},
		"never ready":            {change: func(w *world) { w.clusters[0].ready = false }, want: "a 0 ClusterNotReady, b 9 ByWeight"},
		"leaving":                {change: func(w *world) { w.clusters[0].leaving = true }, want: "a 0 ClusterLeaving, b 9 ByWeight"},
		"away for a moment": {change: func(w *world) {
			w.clusters[0].ready, w.clusters[0].since = false, start.Add(-59*time.Second)
		}, want: "a 5 ByWeight, b 4 ByWeight"},
		"away for long": {change: func(w *world) {
			w.clusters[0].ready, w.clusters[0].since = false, start.Add(-60*time.Second)
		}, want: "a 0 ClusterNotReady, b 9 ByWeight"},
		"away, and never placed there": {object: "{placement: {clusters: [{name: b}]}}", change: func(w *world) {
			w.clusters[0].ready, w.clusters[0].since = false, start
		}, want: "a 0 ClusterNotReady, b 9 ByWeight"},
		"selector": {
			spec: "intersectWithClusterSelector: true", object: "{placement: {clusters: [{name: b}], clusterSelector: {matchExpressions: [{key: eu, operator: Exists}]}}}",
			want: "a 9 ByWeight, b 0 NotSelected",
		},
		"no selector":         {spec: "intersectWithClusterSelector: true", object: "{placement: {clusters: [{name: b}]}}", want: "NothingSelected"},
		"unreadable selector": {spec: "intersectWithClusterSelector: true", object: "{placement: {clusters: [{name: b}], clusterSelector: {matchExpressions: [{key: eu, operator: Odd}]}}}", want: "InvalidTarget"},
		"selector unasked":    {object: "{placement: {clusters: [], clusterSelector: {matchLabels: {eu: no}}}}", want: "a 5 ByWeight, b 4 ByWeight"},
		"namespace elsewhere": {change: func(w *world) {
			w.namespace = &intent.Intent{Placement: intent.Placement{ByName: true, Clusters: []string{"b"}}}
		}, want: "a 0 NotInNamespace, b 9 ByWeight"},
		"kept": {object: "{placement: {clusters: [{name: a}]}, overrides: [{clusterName: a, clusterOverrides: [{path: /spec/replicas, value: 7}]}]}", want: "a 7 Kept, b 2 KeptByOthers"},
		"rebalanced": {
			spec: "rebalance: true", object: "{placement: {clusters: [{name: a}]}, overrides: [{clusterName: a, clusterOverrides: [{path: /spec/replicas, value: 7}]}]}",
			want: "a 5 ByWeight, b 4 ByWeight",
		},
		"declared where nothing is placed": {
			object: "{placement: {clusters: []}, overrides: [{clusterName: a, clusterOverrides: [{path: /spec/replicas, value: 7}]}]}",
			want:   "a 5 ByWeight, b 4 ByWeight",
		},
		"stuck": {
			object: "{placement: {clusters: [{name: a}]}, overrides: [{clusterName: a, clusterOverrides: [{path: /spec/replicas, value: 7}]}]}",
			change: func(w *world) { w.clusters[0].seen = &seen{desired: 7, ready: 6, stuck: 1} }, want: "a 6 Kept, b 3 KeptByOthers",
		},
		"on its way": {
			object: "{placement: {clusters: [{name: a}]}, overrides: [{clusterName: a, clusterOverrides: [{path: /spec/replicas, value: 7}]}]}",
			change: func(w *world) { w.clusters[0].seen = &seen{desired: 1, ready: 1} }, want: "a 7 Kept, b 2 KeptByOthers",
		},
		"no room": {change: func(w *world) {
			w.clusters[0].seen = &seen{at: start, desired: 5, ready: 2, stuck: 3, unschedulable: 3}
		}, want: "a 2 AtCapacity, b 7 ByWeight"},
		"no room, long ago": {change: func(w *world) {
			w.clusters[0].seen = &seen{at: start.Add(-belief), desired: 5, ready: 2, stuck: 3, unschedulable: 3}
		}, want: "a 3 AtCapacity, b 6 ByWeight"},
		"no room anywhere": {change: func(w *world) {
			w.clusters[0].seen = &seen{at: start, desired: 5, ready: 2, stuck: 3, unschedulable: 3}
			w.clusters[1].seen = &seen{at: start, desired: 4, ready: 3, stuck: 1, unschedulable: 1}
		}, want: "a 4 BeyondCapacity, b 5 BeyondCapacity, BeyondCapacity"},
		"no room, on record": {change: func(w *world) { w.clusters[0].limit = &limit{capacity: 2, since: start, step: 1} }, want: "a 2 AtCapacity, b 7 ByWeight"},
		"a surge without room": {change: func(w *world) {
			w.clusters[0].seen = &seen{at: start, desired: 5, ready: 4, stuck: 2, unschedulable: 2}
		}, want: "a 4 AtCapacity, b 5 ByWeight"},
	} {
		t.Run(name, func(t *testing.T) {
			w := aWorld(t, c.spec, c.object)
			if c.change != nil {
				c.change(&w)
			}
			before := fmt.Sprintf("%+v", w)
			d := decide(w)
			if got := d.words(); got != c.want {
				t.Errorf("decided %q, not %q", got, c.want)
			}
			if !reflect.DeepEqual(d, decide(w)) || fmt.Sprintf("%+v", w) != before {
				t.Error("the same world gives another decision, or was changed")
			}
			if d.held != nil {
				if d.patch != nil || d.held.message == "" {
					t.Errorf("held, but %+v", d)
				}
				return
			}
			if again := decide(w.done(d)); again.patch != nil {
				t.Errorf("what was written is written again: %v", again.patch)
			}
		})
	}
}

// A cluster that cannot take its share is tried again after a while, by little, and more as it takes it.
func TestCapacityIsTriedAgain(t *testing.T) {
	w := aWorld(t, "{totalReplicas: 40, rebalance: true}", "")
	look := func(s *seen) string {
		s.at = w.now
		w.clusters[0].seen = s
		d := decide(w)
		w = w.done(d)
		return fmt.Sprint(d.clusters[0].Replicas, d.clusters[1].Replicas)
	}
	steps := []struct {
		after time.Duration
		seen  *seen
		want  string
	}{
		{0, &seen{desired: 20, ready: 20}, "20 20"},
		{time.Second, &seen{desired: 20, ready: 10, stuck: 10, unschedulable: 10}, "10 30"},
		{time.Second, &seen{desired: 10, ready: 10}, "10 30"},
		{belief, &seen{desired: 10, ready: 10}, "11 29"},
		{time.Second, &seen{desired: 11, ready: 10}, "11 29"},
		{time.Second, &seen{desired: 11, ready: 11}, "13 27"},
		{time.Second, &seen{desired: 13, ready: 13}, "17 23"},
		{patience, &seen{desired: 17, ready: 13, stuck: 4, unschedulable: 4}, "13 27"},
		{time.Second, &seen{desired: 13, ready: 13}, "13 27"},
		{belief, &seen{desired: 13, ready: 13}, "14 26"},
		{time.Second, &seen{desired: 14, ready: 14}, "16 24"},
		{time.Second, &seen{desired: 16, ready: 16}, "20 20"},
		{time.Second, &seen{desired: 20, ready: 20}, "20 20"},
	}
	for i, s := range steps {
		w.now = w.now.Add(s.after)
		if got := look(s.seen); got != s.want {
			t.Fatalf("step %d: %s, not %s", i, got, s.want)
		}
	}
}

// The next look is when something is to be expected, and never if nothing is.
func TestRecheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		want   time.Duration
	}{
		"nothing":  {func(*world) {}, 0},
		"away":     {func(w *world) { w.clusters[0].ready, w.clusters[0].since = false, start.Add(-20*time.Second) }, 40 * time.Second},
		"gone":     {func(w *world) { w.clusters[0].ready, w.clusters[0].since = false, start.Add(-2*time.Minute) }, 0},
		"starting": {func(w *world) { w.clusters[0].seen = &seen{desired: 5, due: start.Add(7 * time.Second)} }, 7 * time.Second},
		"no room":  {func(w *world) { w.clusters[0].seen = &seen{at: start, desired: 5, unschedulable: 1, stuck: 1} }, glance},
		"a limit":  {func(w *world) { w.clusters[0].limit = &limit{capacity: 2, since: start.Add(-time.Minute), step: 1} }, belief - time.Minute},
		"in a fight": {func(w *world) {
			w.history.repairs = []time.Time{start, start, start, start, start.Add(-time.Second)}
		}, truce - time.Second},
	} {
		w := aWorld(t, "", "")
		c.change(&w)
		d := decide(w)
		if got := d.recheck.Sub(start); d.recheck.IsZero() && c.want != 0 || !d.recheck.IsZero() && got != c.want {
			t.Errorf("%s: look again in %s (%v), not %s", name, got, d.recheck, c.want)
		}
	}
}

// While another manager undoes each write, it is made once a minute, and both are named.
func TestFighting(t *testing.T) {
	w := aWorld(t, "", "{placement: {clusters: [{name: b}]}}")
	w.object.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: FieldManager, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:overrides":{}}}`)},
		{Manager: "argocd", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:placement":{"f:clusters":{}},"f:template":{}}}`)},
		{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:template":{}}}`)},
	})
	var h history
	for range fightLimit {
		if d := decide(w); d.patch == nil || len(d.findings) > 0 {
			t.Fatalf("gave up early: %+v", d)
		}
		h = h.wrote("x", w.now)
		w.history, w.now = h, w.now.Add(10*time.Second)
	}
	h = h.wrote("x", w.now)
	w.history = h
	d := decide(w)
	if d.patch != nil || len(d.findings) == 0 || d.findings[0].reason != Fighting || !strings.Contains(d.findings[0].message, "argocd and hansa-scheduler") {
		t.Fatalf("fights on, or does not say with whom: %+v", d)
	}
	w.now = w.now.Add(truce)
	if d = decide(w); d.patch == nil || d.findings[0].reason != Fighting {
		t.Fatalf("gave up, or forgot the fight: %+v", d)
	}
	w.now = w.now.Add(fightWindow)
	if d = decide(w); d.patch == nil || len(d.findings) > 0 {
		t.Fatalf("the fight is not over: %+v", d)
	}
	if h = h.wrote("y", w.now); h.fighting(w.now) {
		t.Fatal("another division is no fight")
	}
}

// Only who owns the clusters or some replicas can fight about them.
func TestWhoFights(t *testing.T) {
	for fields, want := range map[string]bool{
		`{"f:template":{}}`: false,
		`{"f:placement":{".":{},"f:clusterSelector":{}}}`: false,
		`{"f:placement":{"f:clusters":{}}}`:               true,
		`{"f:overrides":{}}`:                              true,
		`{"f:overrides":{"k:{\"clusterName\":\"a\"}":{".":{},"f:clusterName":{},"f:clusterOverrides":{}}}}`:                                         true,
		`{"f:overrides":{"k:{\"clusterName\":\"a\"}":{".":{},"f:clusterName":{},"f:clusterOverrides":{"k:{\"path\":\"/spec/x\"}":{}}}}}`:            false,
		`{"f:overrides":{"k:{\"clusterName\":\"a\"}":{"f:clusterOverrides":{"k:{\"path\":\"/spec/x\"}":{},"k:{\"path\":\"/spec/replicas\"}":{}}}}}`: true,
	} {
		if got := ownsDivision([]byte(`{"f:spec":` + fields + `}`)); got != want {
			t.Errorf("%s: %v", fields, got)
		}
	}
}

func TestPatchKeepsWhatIsNotOurs(t *testing.T) {
	w := aWorld(t, "", `{
		placement: {clusters: [{name: z}], clusterSelector: {}},
		overrides: [
			{clusterName: z, clusterOverrides: [{path: /spec/replicas, value: 3}]},
			{clusterName: b, clusterOverrides: [{path: /spec/paused, op: add, value: true}, {path: /spec/replicas, op: add, value: 1}]},
			{clusterName: v, clusterOverrides: [{path: /spec/replicas, value: 3}, {path: /spec/x, op: remove}]},
			{clusterName: x}]}`)
	got, err := yaml.Marshal(patchOf(w.object, map[string]int64{"b": 4, "a": 5}))
	if err != nil {
		t.Fatal(err)
	}
	want := `overrides:
- clusterName: b
  clusterOverrides:
  - op: add
    path: /spec/paused
    value: true
  - path: /spec/replicas
    value: 4
- clusterName: v
  clusterOverrides:
  - op: remove
    path: /spec/x
- clusterName: x
  clusterOverrides: []
- clusterName: a
  clusterOverrides:
  - path: /spec/replicas
    value: 5
placement:
  clusters:
  - name: a
  - name: b
`
	if diff := gocmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

// A status moves only with its meaning, and says what there is to say.
func TestStatus(t *testing.T) {
	w := aWorld(t, "clusters: {a: {weight: 1}, mars: {weight: 1}}", "")
	d := decide(w)
	first := statusOf(w, d, nil)
	if got := describe(first); got != "Ready=True Scheduled, Stalled=True UnknownCluster; 9/9 in 1/2" {
		t.Errorf("told %s", got)
	}
	if got := eventsOf(w.pref.Status, first, d); len(got) != 1 || got[0].reason != "ScheduleSucceeded" || got[0].message != "divided 9 replicas: a 9, b 0" {
		t.Errorf("events %v", got)
	}
	w.pref.Status, w.now = first, w.now.Add(time.Hour)
	second := statusOf(w, decide(w), nil)
	if !same(first, second) || len(eventsOf(first, second, d)) > 0 {
		t.Errorf("it moves by itself: %s", gocmp.Diff(first, second))
	}
	failed := statusOf(w, d, errors.New("no right"))
	if got := describe(failed); got != "Ready=False WriteFailed, Stalled=True UnknownCluster; 9/9 in 1/2" {
		t.Errorf("told %s", got)
	}
	if got := eventsOf(first, failed, d); len(got) != 1 || !got[0].warning || got[0].message != "WriteFailed: no right" {
		t.Errorf("events %v", got)
	}
	if got := failed.Conditions[0].LastTransitionTime; !got.Time.Equal(w.now) {
		t.Errorf("it ceased to be ready at %s", got)
	}
	w.enabled = false
	if got := describe(statusOf(w, decide(w), nil)); got != "Ready=False SchedulerDisabled, Stalled=True SchedulerDisabled; 9/9 in 1/2" {
		t.Errorf("told %s", got)
	}
	w.enabled, w.object = true, nil
	if got := describe(statusOf(w, decide(w), nil)); got != "Ready=False TargetMissing, Stalled=True TargetMissing; 9" {
		t.Errorf("told %s", got)
	}
}

func describe(s schedv1.ReplicaSchedulingPreferenceStatus) string {
	var out []string
	for _, c := range s.Conditions {
		out = append(out, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
	}
	end := fmt.Sprint(*s.DesiredReplicas)
	if s.PlacedReplicas != nil {
		end = fmt.Sprintf("%d/%d in %s", *s.PlacedReplicas, *s.DesiredReplicas, s.ScheduledClusters)
	}
	return strings.Join(out, ", ") + "; " + end
}

func TestPods(t *testing.T) {
	long, short := metav1.NewTime(start.Add(-time.Minute)), metav1.NewTime(start.Add(-59*time.Second))
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus, reason string, since metav1.Time) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status, Reason: reason, LastTransitionTime: since}
	}
	unready := func(since metav1.Time) corev1.PodCondition {
		return condition(corev1.PodReady, corev1.ConditionFalse, "", since)
	}
	homeless := func(since metav1.Time) corev1.PodCondition {
		return condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, since)
	}
	for name, c := range map[string]struct {
		phase      corev1.PodPhase
		created    metav1.Time
		conditions []corev1.PodCondition
		deleting   bool
		want       seen
	}{
		"ready":                {phase: corev1.PodRunning, conditions: []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionTrue, "", long)}},
		"running, not ready":   {phase: corev1.PodRunning, conditions: []corev1.PodCondition{unready(long)}, want: seen{stuck: 1}},
		"a moment ago":         {phase: corev1.PodRunning, conditions: []corev1.PodCondition{unready(short)}, want: seen{due: start.Add(time.Second)}},
		"no room":              {phase: corev1.PodPending, conditions: []corev1.PodCondition{homeless(long)}, want: seen{stuck: 1, unschedulable: 1}},
		"no room a moment ago": {phase: corev1.PodPending, created: long, conditions: []corev1.PodCondition{homeless(short)}, want: seen{due: start.Add(time.Second)}},
		"just created":         {phase: corev1.PodPending, created: short, want: seen{due: start.Add(time.Second)}},
		"gated":                {phase: corev1.PodPending, created: long, conditions: []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, "SchedulingGated", long)}, want: seen{stuck: 1}},
		"failed":               {phase: corev1.PodFailed, created: long},
		"deleting":             {phase: corev1.PodPending, deleting: true, conditions: []corev1.PodCondition{homeless(long)}},
	} {
		pod := &corev1.Pod{}
		pod.CreationTimestamp, pod.Status.Phase, pod.Status.Conditions = c.created, c.phase, c.conditions
		if c.deleting {
			pod.DeletionTimestamp = &long
		}
		obj, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
		if err != nil {
			t.Fatal(err)
		}
		var got seen
		got.count(&unstructured.Unstructured{Object: obj}, start)
		if got.due = got.due.UTC(); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}

func TestClusterOf(t *testing.T) {
	at := metav1.NewTime(start)
	condition := func(kind fedv1.ClusterConditionType, status metav1.ConditionStatus) fedv1.ClusterCondition {
		return fedv1.ClusterCondition{Type: kind, Status: status, LastTransitionTime: &at}
	}
	for name, c := range map[string]struct {
		conditions []fedv1.ClusterCondition
		ready      bool
		since      time.Time
	}{
		"new":       {},
		"ready":     {conditions: []fedv1.ClusterCondition{condition(fedv1.ClusterReady, metav1.ConditionTrue)}, ready: true},
		"not ready": {conditions: []fedv1.ClusterCondition{condition(fedv1.ClusterReady, metav1.ConditionFalse), condition(fedv1.ClusterOffline, metav1.ConditionFalse)}, since: start},
		"offline":   {conditions: []fedv1.ClusterCondition{condition(fedv1.ClusterOffline, metav1.ConditionTrue)}, since: start},
		"malformed": {conditions: []fedv1.ClusterCondition{condition(fedv1.ClusterConfigMalformed, metav1.ConditionTrue)}, since: start},
	} {
		got := clusterOf(&fedv1.KubeFedCluster{Status: fedv1.KubeFedClusterStatus{Conditions: c.conditions}})
		if got.ready != c.ready || !got.since.Equal(c.since) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// What cannot be read is told once: neither does a broken status stop anything, nor does a broken preference lose its status.
func TestParse(t *testing.T) {
	p := parse(&unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "u", "generation": int64(3)},
		"spec":     map[string]any{"totalReplicas": "nine", "targetKind": "FederatedDeployment"},
		"status":   map[string]any{"observedGeneration": int64(3), "placedReplicas": int64(2)},
	}})
	if p.err == nil || p.Name != "web" || p.UID != "u" || p.Generation != 3 || p.Status.ObservedGeneration != 3 || *p.Status.PlacedReplicas != 2 {
		t.Errorf("read %+v", p)
	}
	p = parse(&unstructured.Unstructured{Object: map[string]any{
		"spec":   map[string]any{"totalReplicas": int64(9), "targetKind": "FederatedDeployment"},
		"status": map[string]any{"observedGeneration": int64(3), "clusters": "odd"},
	}})
	if p.err != nil || p.Spec.TotalReplicas != 9 || p.Status.ObservedGeneration != 0 {
		t.Errorf("read %+v", p)
	}
}
