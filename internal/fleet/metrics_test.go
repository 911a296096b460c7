package fleet

import (
	"net/http"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

func TestVerbsAreThoseOfAnAPIServer(t *testing.T) {
	for _, c := range []struct{ method, path, content, want string }{
		{"GET", "/api/v1/configmaps", "", "list"},
		{"GET", "/api/v1/namespaces", "", "list"},
		{"GET", "/api/v1/namespaces/shop", "", "get"},
		{"GET", "/api/v1/namespaces/shop/configmaps", "", "list"},
		{"GET", "/api/v1/namespaces/shop/configmaps/settings", "", "get"},
		{"GET", "/apis/apps/v1/deployments?watch=true", "", "watch"},
		{"GET", "/apis/apps/v1/namespaces/shop/deployments?labelSelector=a", "", "list"},
		{"GET", "/apis/apps/v1/namespaces/shop/deployments/web/scale", "", "get"},
		{"GET", "/proxy/prefix/apis/apps/v1/deployments", "", "list"},
		{"GET", "/apis/apps/v1", "", "get"},
		{"GET", "/version", "", "get"},
		{"PATCH", "/api/v1/namespaces/shop", "application/apply-patch+yaml", "apply"},
		{"PATCH", "/api/v1/namespaces/shop", "application/merge-patch+json", "patch"},
		{"POST", "/api/v1/namespaces", "", "create"},
		{"PUT", "/api/v1/namespaces/shop", "", "update"},
		{"DELETE", "/api/v1/namespaces/shop", "", "delete"},
	} {
		req, err := http.NewRequest(c.method, "https://member"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.content)
		if got := verbOf(req); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

func TestALaneTellsOfItsBacklog(t *testing.T) {
	old := plan.Record{UID: "u", Version: "inputs.fields"}
	repair := plan.Step{Verdict: plan.Place, Needed: true, Record: &old, Version: "inputs", Since: time.Now().Add(-time.Hour)}
	change := plan.Step{Verdict: plan.Place, Needed: true, Record: &old, Version: "others", Since: time.Now().Add(-time.Minute)}
	key := func(name string) intent.Key { return intent.Key{Type: "configmaps", Namespace: "shop", Name: name} }
	l := newLane(1, nil, nil)
	l.tasks = map[intent.Key]*task{
		key("a"): {step: repair, outcome: plan.Outcome{State: plan.Failed}},
		key("b"): {step: repair, outcome: plan.Outcome{State: plan.Done}},
		key("c"): {step: change, running: true},
		key("d"): {step: change, queued: true},
		key("e"): {lesson: lesson{record: &old}},
	}
	b := l.look()
	if b.steps[laneFailed] != 1 || b.steps[laneRunning] != 1 || b.steps[laneQueued] != 1 {
		t.Errorf("steps %v", b.steps)
	}
	if b.drifted["configmaps"] != 1 {
		t.Errorf("drifted %v", b.drifted)
	}
	if b.age < time.Minute || b.age > 30*time.Minute {
		t.Errorf("the oldest that is not failing is %s old", b.age)
	}
}

func TestWhatIsOnRecord(t *testing.T) {
	done := func(did plan.Did) apply.Result {
		return apply.Result{Outcome: plan.Outcome{State: plan.Done, Did: did}}
	}
	failed := func(err error) apply.Result {
		return apply.Result{Err: err, Outcome: plan.Outcome{State: plan.Failed}}
	}
	withdraw, place := plan.Step{Verdict: plan.Withdraw}, plan.Step{Verdict: plan.Place}
	for name, c := range map[string]struct {
		step   plan.Step
		result apply.Result
		want   string
	}{
		"deleted":              {withdraw, done(plan.DidDelete), "delete"},
		"there was none":       {withdraw, done(plan.DidNothing), ""},
		"released instead":     {withdraw, done(plan.DidRelease), "release"},
		"adopted":              {place, done(plan.DidAdopt), "adopt"},
		"created":              {place, done(plan.DidCreate), ""},
		"no answer":            {withdraw, failed(http.ErrHandlerTimeout), "delete"},
		"not wanted any more":  {withdraw, failed(apply.ErrChanged), ""},
		"could not even look":  {plan.Step{Verdict: plan.Withdraw, Confirm: true}, failed(http.ErrHandlerTimeout), ""},
		"could not be applied": {place, failed(http.ErrHandlerTimeout), ""},
	} {
		got, ok := account(intent.Key{}, intent.Type{}, "id", c.step, c.result)
		if got.Act != c.want || ok != (c.want != "") {
			t.Errorf("%s: on record is %q, want %q", name, got.Act, c.want)
		}
	}
}
