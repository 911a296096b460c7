package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// sight is what one look at a member showed.
type sight struct {
	fault    *fault // why the member could not be asked for its health
	healthy  bool   // it said ok
	version  string // "" if it was not told
	id       types.UID
	idPath   string    // where the id was read
	idFault  *fault    // why it could not be
	topology *topology // nil if it was not looked for, or not shown
}

// topology is where the nodes of a member are.
type topology struct {
	zones  []string
	region string
}

// question says what a look at a member is to find out.
type question struct {
	pinned    types.UID
	namespace string
	topology  bool
	timeout   time.Duration // of each request
}

const (
	systemNamespacePath = "/api/v1/namespaces/kube-system"
	acceptMetadata      = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	acceptMetadataList  = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	maxAnswer           = 8 << 20
	nodesPerPage        = "100"
	topologyTimeout     = 20 * time.Second
	maxZones            = 100
)

// look asks a member how it is and who it is. It makes no more than one request after the first that fails.
func look(ctx context.Context, l *link, q question) sight {
	body, err := l.get(ctx, q.timeout, "/healthz", "*/*")
	if err != nil {
		return sight{fault: faultOf(err)}
	}
	s := sight{healthy: strings.EqualFold(strings.TrimSpace(string(body)), "ok")}
	if !s.healthy {
		return s
	}
	s.version = l.version(ctx, q)
	if s.id, s.idPath, err = l.identify(ctx, q); err != nil {
		s.idFault = faultOf(err)
		return s
	}
	if q.topology {
		s.topology = l.topology(ctx, q)
	}
	return s
}

// version returns "" if the member does not tell.
func (l *link) version(ctx context.Context, q question) string {
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := l.decode(ctx, q.timeout, "/version", "application/json", &v); err != nil {
		return ""
	}
	return clean(v.GitVersion)
}

// identify reads the member's ID. A member that was never seen and does not show its kube-system namespace, as KubeFed's namespaced
// members do not, is known by its KubeFed namespace from then on.
func (l *link) identify(ctx context.Context, q question) (types.UID, string, error) {
	ours := "/api/v1/namespaces/" + url.PathEscape(q.namespace)
	if byNamespace(q.pinned) {
		id, err := l.uid(ctx, q, ours)
		return NamespaceID(id), ours, err
	}
	id, err := l.uid(ctx, q, systemNamespacePath)
	if f := (*answerError)(nil); q.pinned == "" && errors.As(err, &f) && f.code == http.StatusForbidden {
		if id, err := l.uid(ctx, q, ours); err == nil {
			return NamespaceID(id), ours, nil
		}
	}
	return id, systemNamespacePath, err
}

func byNamespace(id types.UID) bool { return strings.HasPrefix(string(id), string(NamespaceID(""))) }

func (l *link) uid(ctx context.Context, q question, path string) (types.UID, error) {
	var m metav1.PartialObjectMetadata
	if err := l.decode(ctx, q.timeout, path, acceptMetadata, &m); err != nil {
		return "", err
	}
	if m.UID == "" || clean(string(m.UID)) != string(m.UID) {
		return "", &answerError{code: http.StatusOK, message: "the namespace has no proper UID"}
	}
	return m.UID, nil
}

// topology reads the nodes' labels; nil if the member does not show all of its nodes.
func (l *link) topology(ctx context.Context, q question) *topology {
	ctx, cancel := context.WithTimeout(ctx, topologyTimeout)
	defer cancel()
	var nodes []metav1.PartialObjectMetadata
	for next := ""; ; {
		var page metav1.PartialObjectMetadataList
		path := "/api/v1/nodes?limit=" + nodesPerPage + "&continue=" + url.QueryEscape(next)
		if err := l.decode(ctx, q.timeout, path, acceptMetadataList, &page); err != nil {
			return nil
		}
		nodes = append(nodes, page.Items...)
		if next = page.Continue; next == "" {
			t := topologyOf(nodes)
			return &t
		}
	}
}

// topologyOf returns the sorted zones of all nodes and the region of the first node that has one.
func topologyOf(nodes []metav1.PartialObjectMetadata) topology {
	var t topology
	for _, n := range nodes {
		if z := label(n, "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"); z != "" {
			t.zones = append(t.zones, z)
		}
		if t.region == "" {
			t.region = label(n, "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
		}
	}
	slices.Sort(t.zones)
	t.zones = slices.Compact(t.zones)
	t.zones = t.zones[:min(len(t.zones), maxZones)]
	return t
}

// label returns the first of some labels that is set.
func label(n metav1.PartialObjectMetadata, names ...string) string {
	for _, name := range names {
		if v := n.Labels[name]; v != "" {
			return clean(v)
		}
	}
	return ""
}

func (l *link) decode(ctx context.Context, timeout time.Duration, path, accept string, into any) error {
	body, err := l.get(ctx, timeout, path, accept)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &answerError{code: http.StatusOK, message: "the answer is not what was asked for"}
	}
	return nil
}

// get returns the body of a successful answer.
func (l *link) get(ctx context.Context, timeout time.Duration, path, accept string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.address.endpoint+path, nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	req.Header.Set("Accept", accept)
	return answer(l.client.Do(req))
}

// answer reads an answer, which may be hostile.
func answer(resp *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, errTooLong
	case resp.StatusCode/100 != 2:
		return nil, &answerError{code: resp.StatusCode, message: statusMessage(body)}
	}
	return body, nil
}

// statusMessage returns the message of a Kubernetes Status, "" if the body is none.
func statusMessage(body []byte) string {
	var s metav1.Status
	if json.Unmarshal(body, &s) != nil || s.Kind != "Status" {
		return ""
	}
	return clean(s.Message)
}
