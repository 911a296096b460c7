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
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logs == nil {
		l.logs = map[string]*requestLog{}
	}
	if l.logs[cluster] == nil {
		l.logs[cluster] = &requestLog{seen: map[string]bool{}}
	}
	if err := l.logs[cluster].follow(filepath.Join(l.dir, "clusters", cluster, "audit.log")); err != nil {
		t.Fatalf("requests of cluster %s: was it started with Options.Audit? %v", cluster, err)
	}
	return l.logs[cluster].that(match)
}

// requestLog is what has been read of an audit log: who polls it reads each line once.
type requestLog struct {
	offset int64
	seen   map[string]bool
	all    []Request
}

// follow reads what has been written since.
func (l *requestLog) follow(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(l.offset, io.SeekStart); err != nil {
		return err
	}
	return l.read(file)
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

func (l *requestLog) that(match func(Request) bool) []Request {
	var found []Request
	for _, r := range l.all {
		if match == nil || match(r) {
			found = append(found, r)
		}
	}
	return found
}

// read reads the lines of an audit log. A watch is in it twice, as it begins and as it ends, and counts once. A last line without its
// end is still being written.
func (l *requestLog) read(log io.Reader) error {
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l.offset += int64(len(line))
		var e auditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("audit log, line %q: %w", bytes.TrimSpace(line), err)
		}
		if !l.seen[e.AuditID] {
			l.all = append(l.all, e.request())
		}
		l.seen[e.AuditID] = true
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
