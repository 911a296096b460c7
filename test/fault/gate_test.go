package fault

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// gate stands before a member's API server and sees every request: what a link, which passes bytes, cannot. It shows a certificate of
// its own, which the KubeFedCluster trusts.
type gate struct {
	server *httptest.Server

	mu    sync.Mutex
	to    http.Handler
	token string
	// watch is called for every write: before it is passed on, when the member has done it, and when the answer has been given.
	watch func(moment, *http.Request)
	// refuses says which requests are answered by an error; nil is none.
	refuses func(*http.Request) bool
}

// moment is a point on the way of a write.
type moment string

const (
	beforeWrite moment = "before the write"
	afterWrite  moment = "after the write, before its answer"
	afterAnswer moment = "after the answer"
)

// openGate makes a gate to a cluster, until the test ends.
func openGate(t testing.TB, cluster string) *gate {
	t.Helper()
	g := &gate{watch: func(moment, *http.Request) {}}
	g.leadTo(t, cluster)
	g.server = httptest.NewUnstartedServer(g)
	g.server.Config.ErrorLog = log.New(io.Discard, "", 0) // that clients refuse a connection is the point
	g.server.EnableHTTP2 = true
	g.server.StartTLS()
	t.Cleanup(func() {
		g.server.CloseClientConnections()
		g.server.Close()
	})
	return g
}

// ca is the certificate to trust.
func (g *gate) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.server.Certificate().Raw})
}

// leadTo points the gate to a cluster, as somebody who gives an address to another machine does. Connections that are open end.
func (g *gate) leadTo(t testing.TB, cluster string) {
	t.Helper()
	config := clusters.Config(cluster)
	token := config.BearerToken
	config.BearerToken = ""
	next, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport:     next,
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	g.mu.Lock()
	g.to, g.token = proxy, token
	g.mu.Unlock()
	if g.server != nil {
		g.server.CloseClientConnections()
	}
}

// onWrite has a function called at every moment of every write; nil for none.
func (g *gate) onWrite(f func(moment, *http.Request)) {
	if f == nil {
		f = func(moment, *http.Request) {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watch = f
}

// refuse has some requests answered by an error.
func (g *gate) refuse(which func(*http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuses = which
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	to, token, watch, refuses := g.to, g.token, g.watch, g.refuses
	g.mu.Unlock()
	if refuses != nil && refuses(r) {
		http.Error(w, "refused by the gate", http.StatusInternalServerError)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if r.Method == http.MethodGet {
		to.ServeHTTP(w, r)
		return
	}
	watch(beforeWrite, r)
	// Once it is on its way, a write does not end because its sender has.
	answer := httptest.NewRecorder()
	to.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
	watch(afterWrite, r)
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	watch(afterAnswer, r)
}
