package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Request is one that a cluster's API server has answered, or in the case of a watch begun to answer.
type Request struct {
	User      string // as the API server knows it: admin, system:serviceaccount:NAMESPACE:NAME, …
	UserAgent string
	Verb      string // get, list, watch, create, update, patch, delete, deletecollection
	Resource  string // plural and group, with the subresource after a slash: deployments.apps, pods/status; or empty
	Namespace string
	Name      string // empty if the server made it up
	Path      string
	Code      int // HTTP status
}

// Mutates tells whether the request is of a kind that writes.
func (r Request) Mutates() bool {
	switch r.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	default:
		return false
	}
}

// Requests are those of the cluster's audit log, in its order, that match; nil matches all. The lab must have been
// started with Options.Audit. The log may be a moment behind the answers: poll for what must come, and count what must
// not by the difference to an earlier call.
func (l *Lab) Requests(t testing.TB, cluster string, match func(Request) bool) []Request {
	t.Helper()
	file, err := os.Open(filepath.Join(l.dir, "clusters", cluster, "audit.log"))
	if err != nil {
		t.Fatalf("requests of cluster %s: was it started with Options.Audit? %v", cluster, err)
	}
	defer file.Close()
	all, err := readRequests(file, match)
	if err != nil {
		t.Fatalf("requests of cluster %s: %v", cluster, err)
	}
	return all
}

// auditEvent is the part of audit.k8s.io/v1 Event that is needed here.
type auditEvent struct {
	AuditID    string
	RequestURI string
	Verb       string
	User       struct{ Username string }
	UserAgent  string
	ObjectRef  struct{ Resource, APIGroup, Subresource, Namespace, Name string }

	ResponseStatus struct{ Code int }
}

// readRequests reads an audit log. A watch is in it twice, as it begins and as it ends, and counts once. A last line
// without its end is still being written.
func readRequests(log io.Reader, match func(Request) bool) ([]Request, error) {
	var all []Request
	seen := map[string]bool{}
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("audit log, line %q: %w", bytes.TrimSpace(line), err)
		}
		if r := e.request(); !seen[e.AuditID] && (match == nil || match(r)) {
			all = append(all, r)
		}
		seen[e.AuditID] = true
	}
}

func (e auditEvent) request() Request {
	return Request{
		User: e.User.Username, UserAgent: e.UserAgent, Verb: e.Verb, Resource: e.resource(),
		Namespace: e.ObjectRef.Namespace, Name: e.ObjectRef.Name, Path: e.RequestURI, Code: e.ResponseStatus.Code,
	}
}

func (e auditEvent) resource() string {
	name := e.ObjectRef.Resource
	if e.ObjectRef.APIGroup != "" {
		name += "." + e.ObjectRef.APIGroup
	}
	if e.ObjectRef.Subresource != "" {
		name += "/" + e.ObjectRef.Subresource
	}
	return name
}
