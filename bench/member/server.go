package member

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// Server holds many members behind one address on loopback: the n-th is at URL(n).
type Server struct {
	// Writes and Reads count requests, watches left out, and Probes those of health; Connections are those that are open.
	Writes, Reads, Probes, Connections atomic.Int64

	address  string
	ca       []byte
	clusters []*cluster
	http     http.Server
}

// Start serves so many members until Close.
func Start(members int) (*Server, error) {
	certificate, ca, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{address: listener.Addr().String(), ca: ca}
	for n := range members {
		s.clusters = append(s.clusters, newCluster(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))))
	}
	s.http = http.Server{
		Handler: s, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), // clients that give up are counted by them
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	s.http.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.Connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.Connections.Add(-1)
		default:
		}
	}
	go func() { _ = s.http.ServeTLS(listener, "", "") }() // it ends with Close
	return s, nil
}

// Close ends all members.
func (s *Server) Close() error { return s.http.Close() }

// URL of a member.
func (s *Server) URL(n int) string { return fmt.Sprintf("https://%s/%d", s.address, n) }

// CA that the members are verified by, in PEM.
func (s *Server) CA() []byte { return s.ca }

// Away makes a member answer 503 to everything, watches included, or answer again.
func (s *Server) Away(n int, away bool) {
	c := s.clusters[n]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
	for _, of := range c.types {
		close(of.news)
		of.news = make(chan struct{})
	}
}

// Count is the number of objects of a type in a member.
func (s *Server) Count(n int, gvr schema.GroupVersionResource) int {
	c := s.clusters[n]
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.types[gvr].items)
}

// All says whether a condition holds for all objects of a type in all members.
func (s *Server) All(gvr schema.GroupVersionResource, holds func(*unstructured.Unstructured) bool) bool {
	for _, c := range s.clusters {
		if !c.all(gvr, holds) {
			return false
		}
	}
	return true
}

func (c *cluster) all(gvr schema.GroupVersionResource, holds func(*unstructured.Unstructured) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.types[gvr].items {
		if !holds(o) {
			return false
		}
	}
	return true
}

// Written is what clients have wanted to change.
type Written struct {
	// Copies that were written, Twice those among them that were written more than once, Several those by more than one client.
	Copies, Twice, Several int
	// Writes of all copies, and Most of one.
	Writes, Most int
}

// Written counts the writes of a type since it was last asked.
func (s *Server) Written(gvr schema.GroupVersionResource) (sum Written) {
	for _, c := range s.clusters {
		c.mu.Lock()
		for _, w := range c.written[gvr] {
			sum.Copies++
			sum.Writes += w.count
			sum.Most = max(sum.Most, w.count)
			if w.count > 1 {
				sum.Twice++
			}
			if w.several {
				sum.Several++
			}
		}
		clear(c.written[gvr])
		c.mu.Unlock()
	}
	return sum
}

func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// request is one, taken apart.
type request struct {
	*http.Request
	cluster *cluster
	write
	// metadata says that only metadata is asked for.
	metadata bool
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 || n >= len(s.clusters) {
		http.NotFound(w, r)
		return
	}
	c := s.clusters[n]
	if c.isAway() {
		fail(w, apierrors.NewServiceUnavailable("the member is away"))
		return
	}
	switch rest {
	case "healthz", "readyz", "livez":
		s.Probes.Add(1)
		_, _ = io.WriteString(w, "ok")
		return
	case "version":
		answer(w, http.StatusOK, map[string]any{"major": "1", "minor": "37", "gitVersion": "v1.37.2"})
		return
	}
	q, ok := parse(r, c, rest)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodGet && q.Name == "" && r.URL.Query().Get("watch") != "" {
		q.watch(w)
		return
	}
	if r.Method == http.MethodGet {
		s.Reads.Add(1)
	} else {
		s.Writes.Add(1)
	}
	q.serve(w)
}

func (c *cluster) isAway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away
}

// parse reads the path below a member: api/VERSION/… or apis/GROUP/VERSION/…
func parse(r *http.Request, c *cluster, path string) (request, bool) {
	q := request{Request: r, cluster: c, metadata: strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata")}
	parts := strings.Split(path, "/")
	var gvr schema.GroupVersionResource
	switch {
	case len(parts) > 2 && parts[0] == "api":
		gvr.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		gvr.Group, gvr.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return q, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		q.Namespace, parts = parts[1], parts[2:]
	}
	gvr.Resource = parts[0]
	if len(parts) == 2 {
		q.Name = parts[1]
	}
	var ok bool
	q.resource, ok = served[gvr]
	q.manager, q.force = r.URL.Query().Get("fieldManager"), r.URL.Query().Get("force") == "true"
	if q.manager == "" {
		q.manager, _, _ = strings.Cut(r.UserAgent(), "/")
	}
	return q, ok && len(parts) <= 2
}

func (q request) serve(w http.ResponseWriter) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		fail(w, err)
		return
	}
	q.cluster.mu.Lock()
	defer q.cluster.mu.Unlock()
	if q.Method != http.MethodGet {
		q.cluster.note(q.GroupVersionResource, q.NamespacedName, q.UserAgent())
	}
	switch {
	case q.Method == http.MethodGet && q.Name == "":
		q.list(w)
	case q.Method == http.MethodGet:
		o := q.cluster.get(q.resource, q.NamespacedName)
		if o == nil {
			fail(w, apierrors.NewNotFound(q.GroupResource(), q.Name))
			return
		}
		answer(w, http.StatusOK, q.shown(o))
	case q.Method == http.MethodDelete:
		o, err := q.cluster.remove(q.write, body)
		switch {
		case err != nil:
			fail(w, err)
		case o != nil:
			answer(w, http.StatusOK, q.shown(o))
		default:
			answer(w, http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess})
		}
	default:
		existed := q.cluster.get(q.resource, q.NamespacedName) != nil
		o, err := q.change(body)
		if err != nil {
			fail(w, err)
			return
		}
		code := http.StatusOK
		if !existed {
			code = http.StatusCreated
		}
		answer(w, code, q.shown(o))
	}
}

func (q request) change(body []byte) (*unstructured.Unstructured, error) {
	kind := q.Header.Get("Content-Type")
	switch {
	case q.Method == http.MethodPost:
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(body); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		o.SetNamespace(q.Namespace)
		if prefix := o.GetGenerateName(); o.GetName() == "" && prefix != "" {
			o.SetName(prefix + string(uuid.NewUUID())[:5])
		}
		q.Name = o.GetName()
		return q.cluster.create(q.write, o)
	case q.Method == http.MethodPut:
		old := q.cluster.get(q.resource, q.NamespacedName)
		if old == nil {
			return nil, apierrors.NewNotFound(q.GroupResource(), q.Name)
		}
		return q.cluster.replace(q.write, old, body)
	case q.Method == http.MethodPatch && strings.HasPrefix(kind, string(types.ApplyPatchType)):
		return q.cluster.apply(q.write, body)
	case q.Method == http.MethodPatch && kind == string(types.MergePatchType):
		return q.cluster.merge(q.write, body)
	default:
		return nil, apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, q.Method, q.GroupResource(), q.Name, kind, 0, false)
	}
}

// shown is what the client sees of an object.
func (q request) shown(o *unstructured.Unstructured) any {
	if !q.metadata {
		return o.Object
	}
	return map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": o.Object["metadata"]}
}

// selects is what the client wants to see.
func (q request) selects() (func(*unstructured.Unstructured) bool, error) {
	selector, err := labels.Parse(q.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return func(o *unstructured.Unstructured) bool {
		return o != nil && (q.Namespace == "" || o.GetNamespace() == q.Namespace) && selector.Matches(labels.Set(o.GetLabels()))
	}, nil
}

func (q request) list(w http.ResponseWriter) {
	wanted, err := q.selects()
	if err != nil {
		fail(w, err)
		return
	}
	all, version := q.cluster.list(q.resource, q.Namespace, wanted)
	items := make([]any, len(all))
	for n, o := range all {
		items[n] = q.shown(o)
	}
	kind, apiVersion := q.kind+"List", q.GroupVersion().String()
	if q.metadata {
		kind, apiVersion = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": apiVersion, "kind": kind, "items": items, "metadata": map[string]any{"resourceVersion": strconv.FormatInt(version, 10)},
	})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has left
}

func fail(w http.ResponseWriter, err error) {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.APIVersion, status.Kind = "v1", "Status"
	answer(w, int(status.Code), status)
}
