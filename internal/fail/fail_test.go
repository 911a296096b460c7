package fail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestTextSaysWhatCauseHintAndPageInOrder(t *testing.T) {
	err := SameCluster.New("cluster %q is joined already", "b").Because(errors.New("x\x1b[31m\ny")).Try("first\nsecond")
	want := "error: cluster \"b\" is joined already\n  cause: x\\u001b[31m y\n  hint:  first\n         second\n  see:   docs/errors/KF1202\n"
	if got := Text(err); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTalkKeepsItsLinesOnly(t *testing.T) {
	if got, want := Clean("a\x1b[31m\n  b\u202e\tc %s 名"), "a\\u001b[31m\n  b\\u202e c %s 名"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSONHasTheSameFields(t *testing.T) {
	err := fmt.Errorf("join: %w", SameCluster.New("cluster %q is joined already", "b").Because(errors.New("x\x1b[31m\n<y>")).Try("first\nsecond"))
	want := `{"code":"KF1202","message":"cluster \"b\" is joined already","cause":"x\u001b[31m\n<y>","hint":"first\nsecond","see":"docs/errors/KF1202","exitCode":5}` + "\n"
	if got := JSON(err); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := JSON(errors.New("x")), `{"message":"x","exitCode":1}`+"\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAnAPIErrorGetsItsExitCode(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	at := Place{Context: "business", Endpoint: "https://10.0.0.1"}
	cases := []struct {
		name string
		err  error
		exit Exit
		hint string
	}{
		{"nothing", nil, 0, ""},
		{
			"forbidden", apierrors.NewForbidden(secrets, "s", errors.New(`User "u" cannot list resource "secrets" in API group "" in the namespace "ns"`)),
			Forbidden, "kubectl auth can-i list secrets -n ns --context business",
		},
		{"unauthorized", apierrors.NewUnauthorized("no"), Unreachable, ""},
		{"refused", &url.Error{Op: "Get", URL: "https://10.0.0.1", Err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}}, Unreachable, ""},
		{"late", context.DeadlineExceeded, Unreachable, ""},
		{"conflict", apierrors.NewConflict(secrets, "s", errors.New("edited")), Conflict, ""},
		{"known", SameCluster.New("x"), Conflict, ""},
		{"other", apierrors.NewBadRequest("bad"), Refused, ""},
	}
	for _, c := range cases {
		got := API(at, "read Secret ns/s", c.err)
		if ExitOf(got) != c.exit {
			t.Errorf("%s: exit %d, want %d", c.name, ExitOf(got), c.exit)
		}
		var e *Error
		if c.hint != "" && (!errors.As(got, &e) || e.Hint != c.hint) {
			t.Errorf("%s: got %#v, want hint %q", c.name, got, c.hint)
		}
	}
}
