package lab

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadRequests(t *testing.T) {
	log := strings.Join([]string{
		`{"auditID":"1","stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/shop/deployments/web/status","verb":"patch","user":{"username":"admin"},"userAgent":"hansa/1","objectRef":{"resource":"deployments","namespace":"shop","name":"web","apiGroup":"apps","subresource":"status"},"responseStatus":{"code":200}}`,
		`{"auditID":"2","stage":"ResponseStarted","requestURI":"/api/v1/pods?watch=1","verb":"watch","user":{"username":"admin"},"userAgent":"hansa/1","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`,
		`{"auditID":"2","stage":"ResponseComplete","requestURI":"/api/v1/pods?watch=1","verb":"watch","user":{"username":"admin"},"userAgent":"hansa/1","objectRef":{"resource":"pods"},"responseStatus":{"code":200}}`,
		`{"auditID":"3","stage":"Respon`,
	}, "\n")
	patch := Request{
		User: "admin", UserAgent: "hansa/1", Verb: "patch", Resource: "deployments.apps/status",
		Namespace: "shop", Name: "web", Path: "/apis/apps/v1/namespaces/shop/deployments/web/status", Code: 200,
	}
	watch := Request{User: "admin", UserAgent: "hansa/1", Verb: "watch", Resource: "pods", Path: "/api/v1/pods?watch=1", Code: 200}
	for name, c := range map[string]struct {
		match func(Request) bool
		want  []Request
	}{
		"a watch counts once, an unfinished line not": {nil, []Request{patch, watch}},
		"only what matches":                           {Request.Mutates, []Request{patch}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readRequests(strings.NewReader(log), c.match)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestReadRequestsRejectsOtherFiles(t *testing.T) {
	if _, err := readRequests(strings.NewReader("no JSON\n"), nil); err == nil {
		t.Error("no error for a file that is no audit log")
	}
}

// readRequests reads an audit log.
func readRequests(log io.Reader, match func(Request) bool) ([]Request, error) {
	l := &requestLog{seen: map[string]bool{}}
	if err := l.read(log); err != nil {
		return nil, err
	}
	return l.that(match), nil
}
