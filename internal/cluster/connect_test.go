package cluster

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

func aCluster(change ...func(*fedv1.KubeFedCluster)) *fedv1.KubeFedCluster {
	c := &fedv1.KubeFedCluster{
		ObjectMeta: metav1.ObjectMeta{Name: "m1", Namespace: "kube-federation-system", UID: "record-1", ResourceVersion: "1", Generation: 1},
		Spec: fedv1.KubeFedClusterSpec{
			APIEndpoint: "https://m1.example:6443",
			SecretRef:   fedv1.LocalSecretReference{Name: "m1-abcde"},
		},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func aSecret(token string, annotations ...string) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "m1-abcde", Annotations: map[string]string{}},
		Data:       map[string][]byte{"token": []byte(token)},
	}
	for i := 0; i < len(annotations); i += 2 {
		s.Annotations[annotations[i]] = annotations[i+1]
	}
	return s
}

func TestConnectEndpoints(t *testing.T) {
	for _, tc := range []struct{ endpoint, want, reason string }{
		{"https://h:6443", "https://h:6443", ""},
		{"h:6443", "https://h:6443", ""},
		{"H.Example", "https://h.example:443", ""},
		{" https://h ", "https://h:443", ""},
		{"10.0.0.1:6443", "https://10.0.0.1:6443", ""},
		{"[fd00::1]:6443", "https://[fd00::1]:6443", ""},
		{"fd00::1", "https://[fd00::1]:443", ""},
		{"https://rancher.example/k8s/clusters/c-1/", "https://rancher.example:443/k8s/clusters/c-1", ""},
		{"", "", ReasonEndpointInvalid},
		{"https://", "", ReasonEndpointInvalid},
		{"http://h:8080", "", ReasonEndpointInvalid},
		{"ftp://h", "", ReasonEndpointInvalid},
		{"https://user:pw@h", "", ReasonEndpointInvalid},
		{"https://h?x=1", "", ReasonEndpointInvalid},
		{"https://h:port", "", ReasonEndpointInvalid},
		{"a b", "", ReasonEndpointInvalid},
	} {
		t.Run(tc.endpoint, func(t *testing.T) {
			c := aCluster(func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint = tc.endpoint })
			got, err := Connect(c, aSecret("t"), ConnectOptions{})
			wantReason(t, err, tc.reason)
			if err == nil && got.Host != tc.want {
				t.Errorf("Host = %q, want %q", got.Host, tc.want)
			}
		})
	}
}

func wantReason(t *testing.T, err error, reason string) {
	t.Helper()
	var c *ConfigError
	switch {
	case reason == "" && err != nil:
		t.Fatalf("unexpected error: %v", err)
	case reason != "" && (!errors.As(err, &c) || c.Reason != reason):
		t.Fatalf("error = %v, want a ConfigError with reason %s", err, reason)
	}
}

func TestConnectRefusesWhatCannotWork(t *testing.T) {
	spec := func(f func(*fedv1.KubeFedClusterSpec)) *fedv1.KubeFedCluster {
		return aCluster(func(c *fedv1.KubeFedCluster) { f(&c.Spec) })
	}
	badCA := func(s *fedv1.KubeFedClusterSpec) { s.CABundle = []byte("garbage") }
	for name, tc := range map[string]struct {
		cluster *fedv1.KubeFedCluster
		secret  *corev1.Secret
		reason  string
	}{
		"fine":               {aCluster(), aSecret("t"), ""},
		"no secret":          {aCluster(), nil, ReasonSecretNotFound},
		"no key":             {aCluster(), &corev1.Secret{}, ReasonTokenMissing},
		"empty token":        {aCluster(), aSecret(" \n"), ReasonTokenMissing},
		"token with newline": {aCluster(), aSecret("a\nX: b"), ReasonTokenInvalid},
		"binary token":       {aCluster(), aSecret("\x00\x01"), ReasonTokenInvalid},
		"bad CA":             {spec(badCA), aSecret("t"), ReasonCAInvalid},
		"bad CA, unverified": {spec(func(s *fedv1.KubeFedClusterSpec) {
			badCA(s)
			s.DisabledTLSValidations = []fedv1.TLSValidation{"*"}
		}), aSecret("t"), ""},
		"proxy":            {spec(func(s *fedv1.KubeFedClusterSpec) { s.ProxyURL = "socks5://p:1080" }), aSecret("t"), ""},
		"proxy of no kind": {spec(func(s *fedv1.KubeFedClusterSpec) { s.ProxyURL = "ftp://p" }), aSecret("t"), ReasonProxyInvalid},
		"proxy garbage":    {spec(func(s *fedv1.KubeFedClusterSpec) { s.ProxyURL = "http://u:secret@%zz" }), aSecret("t"), ReasonProxyInvalid},
		"unknown check":    {spec(func(s *fedv1.KubeFedClusterSpec) { s.DisabledTLSValidations = []fedv1.TLSValidation{"all"} }), aSecret("t"), ReasonTLSInvalid},
		"star and another": {spec(func(s *fedv1.KubeFedClusterSpec) {
			s.DisabledTLSValidations = []fedv1.TLSValidation{"*", "SubjectName"}
		}), aSecret("t"), ReasonTLSInvalid},
		"made for here":    {aCluster(), aSecret("t", fedv1.CredentialEndpointAnnotation, "m1.example:6443"), ""},
		"made for another": {aCluster(), aSecret("t", fedv1.CredentialEndpointAnnotation, "https://m2.example:6443"), ReasonEndpointMismatch},
		"made for garbage": {aCluster(), aSecret("t", fedv1.CredentialEndpointAnnotation, ""), ReasonEndpointMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Connect(tc.cluster, tc.secret, ConnectOptions{})
			wantReason(t, err, tc.reason)
			if (got == nil) != (err != nil) {
				t.Errorf("config %v with error %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret@") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestConnectSettings(t *testing.T) {
	got, err := Connect(aCluster(), aSecret("tok"), ConnectOptions{UserAgent: "hansa/v1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.BearerToken != "tok" || got.UserAgent != "hansa/v1" || got.QPS != 20 || got.Burst != 30 || got.Timeout != 0 {
		t.Errorf("config = %+v", got)
	}
}

// The same settings are the same connection; a token alone changes the config but not the connections under it.
func TestLinkFollows(t *testing.T) {
	first, err := (*link)(nil).follow(aCluster(), aSecret("t"), ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change                    func(*fedv1.KubeFedCluster)
		token                     string
		sameConfig, sameTransport bool
	}{
		"nothing":            {nil, "t", true, true},
		"a label":            {func(c *fedv1.KubeFedCluster) { c.Labels = map[string]string{"a": "b"} }, "t", true, true},
		"another spelling":   {func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint = "M1.example:6443/" }, "t", true, true},
		"token":              {nil, "t2", false, true},
		"endpoint":           {func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint = "h2" }, "t", false, false},
		"proxy":              {func(c *fedv1.KubeFedCluster) { c.Spec.ProxyURL = "http://p" }, "t", false, false},
		"TLS":                {func(c *fedv1.KubeFedCluster) { c.Spec.DisabledTLSValidations = []fedv1.TLSValidation{"*"} }, "t", false, false},
		"endpoint and token": {func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint = "h2" }, "t2", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := aCluster()
			if tc.change != nil {
				tc.change(c)
			}
			next, err := first.follow(c, aSecret(tc.token), ConnectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if (next.config == first.config) != tc.sameConfig || (next.main == first.main) != tc.sameTransport {
				t.Errorf("same config: %v, same transport: %v", next.config == first.config, next.main == first.main)
			}
		})
	}
}

// quiet drops what a server says of clients that turn away.
var quiet = log.New(io.Discard, "", 0)

// server is an HTTPS server whose certificate is for example.com and 127.0.0.1.
func server(t *testing.T, h http.HandlerFunc) (*httptest.Server, []byte) {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func request(t *testing.T, c *rest.Config, method, path string) (string, error) {
	t.Helper()
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(method, c.Host+path, bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestConnectFollowsNoRedirect(t *testing.T) {
	var leaked []string
	other, _ := server(t, func(_ http.ResponseWriter, r *http.Request) { leaked = append(leaked, r.Header.Get("Authorization")) })
	s, ca := server(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	c, err := Connect(aCluster(func(c *fedv1.KubeFedCluster) {
		c.Spec.APIEndpoint, c.Spec.CABundle = s.URL, ca
	}), aSecret("tok"), ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := request(t, c, http.MethodGet, "/"); !errors.Is(err, errRedirect) {
		t.Errorf("error = %v, want the redirect refused", err)
	}
	away := rest.CopyConfig(c)
	away.Host = other.URL
	if _, err := request(t, away, http.MethodGet, "/"); err == nil {
		t.Error("the token was sent to another host")
	}
	if len(leaked) > 0 {
		t.Errorf("the other server saw %q", leaked)
	}
}

func TestConnectChecksCertificates(t *testing.T) {
	s, ca := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	elsewhere := "https://localhost:" + port // a name that the certificate does not have
	_, otherCA := newCertificate(t, time.Now())
	for name, tc := range map[string]struct {
		endpoint string
		ca       []byte
		off      []fedv1.TLSValidation
		fault    string
	}{
		"all is well":              {s.URL, ca, nil, ""},
		"other CA":                 {s.URL, otherCA, nil, ReasonTLSFailed},
		"other CA, all off":        {s.URL, otherCA, []fedv1.TLSValidation{"*"}, ""},
		"other CA, name off":       {s.URL, otherCA, []fedv1.TLSValidation{"SubjectName"}, ReasonTLSFailed},
		"wrong name":               {elsewhere, ca, nil, ReasonTLSFailed},
		"wrong name, name off":     {elsewhere, ca, []fedv1.TLSValidation{"SubjectName"}, ""},
		"wrong name, validity off": {elsewhere, ca, []fedv1.TLSValidation{"ValidityPeriod"}, ReasonTLSFailed},
		"wrong name, both off":     {elsewhere, ca, []fedv1.TLSValidation{"ValidityPeriod", "SubjectName"}, ""},
	} {
		t.Run(name, func(t *testing.T) { wantTLS(t, tc.endpoint, tc.ca, tc.off, tc.fault) })
	}
}

func TestConnectValidityPeriod(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	pair, ca := newCertificate(t, time.Now().Add(-48*time.Hour))
	s.TLS, s.Config.ErrorLog = pair, quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	wantTLS(t, s.URL, ca, nil, ReasonTLSFailed)
	wantTLS(t, s.URL, ca, []fedv1.TLSValidation{"SubjectName"}, ReasonTLSFailed)
	wantTLS(t, s.URL, ca, []fedv1.TLSValidation{"ValidityPeriod"}, "")
}

func wantTLS(t *testing.T, endpoint string, ca []byte, off []fedv1.TLSValidation, reason string) {
	t.Helper()
	c, err := Connect(aCluster(func(c *fedv1.KubeFedCluster) {
		c.Spec.APIEndpoint, c.Spec.CABundle, c.Spec.DisabledTLSValidations = endpoint, ca, off
	}), aSecret("t"), ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = request(t, c, http.MethodGet, "/")
	switch {
	case reason == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case reason != "" && (err == nil || faultOf(err).reason != reason):
		t.Errorf("error = %v, want %s", err, reason)
	}
}

// A proxy is used together with any setting of TLS.
func TestConnectProxy(t *testing.T) {
	s, ca := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	for _, off := range [][]fedv1.TLSValidation{nil, {"*"}, {"SubjectName"}, {"ValidityPeriod"}} {
		proxy := newProxy(t)
		c, err := Connect(aCluster(func(c *fedv1.KubeFedCluster) {
			c.Spec.APIEndpoint, c.Spec.CABundle, c.Spec.DisabledTLSValidations, c.Spec.ProxyURL = s.URL, ca, off, proxy.URL
		}), aSecret("t"), ConnectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		body, err := request(t, c, http.MethodGet, "/")
		if err != nil || body != "ok" || proxy.used.Load() != 1 {
			t.Errorf("TLS checks off: %v: answer %q, error %v, proxy used %d times", off, body, err, proxy.used.Load())
		}
	}
}

func TestLinkLocalIsRefused(t *testing.T) {
	c, err := Connect(aCluster(func(c *fedv1.KubeFedCluster) { c.Spec.APIEndpoint = "169.254.169.254" }), aSecret("t"), ConnectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := request(t, c, http.MethodGet, "/"); err == nil || faultOf(err).reason != ReasonAddressRefused {
		t.Errorf("error = %v", err)
	}
}
