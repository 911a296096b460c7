package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Reasons of a ConfigError.
const (
	ReasonEndpointInvalid  = "EndpointInvalid"
	ReasonEndpointMismatch = "EndpointMismatch"
	ReasonCAInvalid        = "CABundleInvalid"
	ReasonProxyInvalid     = "ProxyInvalid"
	ReasonTLSInvalid       = "TLSValidationsInvalid"
	ReasonSecretNotFound   = "SecretNotFound"
	ReasonTokenMissing     = "TokenMissing"
	ReasonTokenInvalid     = "TokenInvalid"
)

// ConfigError says why no connection can be made of a KubeFedCluster and its secret: somebody must change one of them. Its text holds
// no credential.
type ConfigError struct {
	Reason  string
	Message string
}

func (e *ConfigError) Error() string { return e.Message }

func malformed(reason, format string, args ...any) *ConfigError {
	return &ConfigError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// configError makes sure that whatever keeps a connection from being made is a ConfigError.
func configError(err error) *ConfigError {
	var c *ConfigError
	if errors.As(err, &c) {
		return c
	}
	return malformed("ConfigInvalid", "%s", clean(err.Error()))
}

// aboutCredential tells whether the secret is at fault rather than the KubeFedCluster.
func (e *ConfigError) aboutCredential() bool {
	return slices.Contains([]string{ReasonSecretNotFound, ReasonTokenMissing, ReasonTokenInvalid}, e.Reason)
}

// ConnectOptions are the settings of all connections to members.
type ConnectOptions struct {
	// UserAgent of all requests.
	UserAgent string
	// QPS and Burst limit the requests to one member by one client; 0 means KubeFed's 20 and 30, a negative QPS means no limit.
	QPS   float32
	Burst int
	// Guard keeps a process that does not lead any more from members; nil lets everything pass.
	Guard Guard
	// dialled is told how long it took until a connection was open; nil is told nothing.
	dialled func(time.Duration)
}

// Guard has the last word on what goes to a member, probes aside: they only read.
type Guard interface {
	// Requests guards requests.
	Requests(http.RoundTripper) http.RoundTripper
	// Dial guards connections.
	Dial(func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error)
}

// Connect says how the member that a KubeFedCluster names is reached with the credential in its secret, which may be nil if there is
// none. An error is a *ConfigError. The token is sent by TLS 1.2 or later to spec.apiEndpoint only, and nowhere at all if the secret
// was made for another endpoint.
func Connect(cluster *fedv1.KubeFedCluster, secret *corev1.Secret, o ConnectOptions) (*rest.Config, error) {
	l, err := (*link)(nil).follow(cluster, secret, o)
	if err != nil {
		return nil, err
	}
	return l.by(l.scout, o), nil
}

// link is a connection to a member: what it was made of, and what was made.
type link struct {
	address  address
	token    string
	identity *identity
	main     *http.Transport // opens connections only to the cluster that identity expects
	scout    *http.Transport // finds out who is there
	config   *rest.Config    // by main, for all the work
	client   *http.Client    // by scout, for probes
}

// follow returns the link for a KubeFedCluster and its secret: the same one if nothing that matters has changed, one with the same
// transports (and so the same connections) if only the token has.
func (l *link) follow(cluster *fedv1.KubeFedCluster, secret *corev1.Secret, o ConnectOptions) (*link, error) {
	a, err := addressOf(cluster)
	if err != nil {
		return nil, err
	}
	token, err := tokenFor(a, secret, cluster.Spec.SecretRef.Name)
	if err != nil {
		return nil, err
	}
	if l != nil && l.address == a && l.token == token {
		return l, nil
	}
	next := &link{address: a, token: token}
	if l != nil && l.address == a {
		next.identity, next.main, next.scout = l.identity, l.main, l.scout
	} else if err := next.dig(o); err != nil {
		return nil, err
	}
	next.identity.use(token)
	return next, next.equip(o)
}

// dig makes new transports. Nothing is dialled until they are used.
func (l *link) dig(o ConnectOptions) (err error) {
	l.identity = &identity{ask: l.address.askAnew}
	if l.main, err = l.address.open(l.identity.admit); err != nil {
		return err
	}
	if o.Guard != nil {
		l.main.DialContext = o.Guard.Dial(l.main.DialContext)
	}
	if l.scout, err = l.address.open(nil); err != nil {
		return err
	}
	l.main.DialContext, l.scout.DialContext = timed(l.main.DialContext, o.dialled), timed(l.scout.DialContext, o.dialled)
	return nil
}

// equip makes the config and the client.
func (l *link) equip(o ConnectOptions) (err error) {
	l.config = l.by(l.main, o)
	l.config.Wrap(func(rt http.RoundTripper) http.RoundTripper { return gate{l.identity, rt} })
	if o.Guard != nil {
		l.config.Wrap(o.Guard.Requests)
	}
	l.client, err = rest.HTTPClientFor(l.by(l.scout, o))
	return err
}

// by returns the config for an address and a token by a transport.
func (l *link) by(t *http.Transport, o ConnectOptions) *rest.Config {
	if o.QPS == 0 {
		o.QPS, o.Burst = 20, 30
	}
	c := &rest.Config{
		Host:        l.address.endpoint,
		BearerToken: l.token,
		Transport:   t,
		UserAgent:   o.UserAgent,
		QPS:         o.QPS,
		Burst:       o.Burst,
	}
	c.Wrap(func(rt http.RoundTripper) http.RoundTripper { return onlyTo{host: l.address.host, next: rt} })
	return c
}

// close ends the connections that nobody uses.
func (l *link) close() {
	if l != nil {
		l.main.CloseIdleConnections()
		l.scout.CloseIdleConnections()
	}
}

// address is all that decides where a member's requests go and how the other side is verified. Equal addresses may share connections.
type address struct {
	endpoint string // https://host:port/path
	host     string // host:port
	ca       string // PEM
	proxy    string
	checks   tlsChecks
}

func addressOf(cluster *fedv1.KubeFedCluster) (address, error) {
	u, err := parseEndpoint(cluster.Spec.APIEndpoint)
	if err != nil {
		return address{}, err
	}
	checks, err := checksOf(cluster.Spec.DisabledTLSValidations)
	if err != nil {
		return address{}, err
	}
	if _, err := parseProxy(cluster.Spec.ProxyURL); err != nil {
		return address{}, err
	}
	a := address{endpoint: u.String(), host: u.Host, proxy: cluster.Spec.ProxyURL, checks: checks}
	if checks.skipAll {
		return a, nil // the bundle plays no part, not even a bad one
	}
	if ca := cluster.Spec.CABundle; len(ca) > 0 && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return address{}, malformed(ReasonCAInvalid, "spec.caBundle holds no certificate in PEM")
	}
	a.ca = string(cluster.Spec.CABundle)
	return a, nil
}

// parseEndpoint understands https://host:port/path, host:port and a bare host, and returns the first form with the port spelled out.
func parseEndpoint(s string) (*url.URL, error) {
	raw := strings.TrimSpace(s)
	if raw == "" {
		return nil, malformed(ReasonEndpointInvalid, "spec.apiEndpoint is empty")
	}
	if ip := net.ParseIP(raw); ip != nil && strings.Contains(raw, ":") {
		raw = "[" + raw + "]"
	}
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, malformed(ReasonEndpointInvalid, "spec.apiEndpoint is not https://host:port, host:port or a host")
	case u.Scheme != "https":
		return nil, malformed(ReasonEndpointInvalid, "spec.apiEndpoint must be https: the token would be sent in the clear by %q", u.Scheme)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, malformed(ReasonEndpointInvalid, "spec.apiEndpoint must not hold a user, a query or a fragment")
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(strings.ToLower(u.Hostname()), port), Path: strings.TrimRight(u.Path, "/")}, nil
}

// parseProxy returns nil for an empty proxy.
func parseProxy(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
		return nil, malformed(ReasonProxyInvalid, "spec.proxyURL is not a URL with one of the schemes http, https, socks5")
	}
	return u, nil
}

// tokenFor returns the token that may be sent to an address.
func tokenFor(a address, secret *corev1.Secret, name string) (string, error) {
	if secret == nil {
		return "", malformed(ReasonSecretNotFound, "secret %q does not exist", name)
	}
	token := strings.TrimSpace(string(secret.Data["token"]))
	switch {
	case token == "":
		return "", malformed(ReasonTokenMissing, "secret %q has no key \"token\", or it is empty", name)
	case strings.ContainsFunc(token, notPrintable):
		return "", malformed(ReasonTokenInvalid, "the token in secret %q holds characters that no token has", name)
	}
	made, ok := secret.Annotations[fedv1.CredentialEndpointAnnotation]
	if !ok {
		return token, nil
	}
	if u, err := parseEndpoint(made); err != nil || u.String() != a.endpoint {
		return "", malformed(ReasonEndpointMismatch,
			"the token in secret %q was made for %q and is not sent to %q: join the cluster again, or put spec.apiEndpoint back",
			name, clean(made), clean(a.endpoint))
	}
	return token, nil
}

func notPrintable(r rune) bool { return r <= ' ' || r > '~' }

var errRedirect = errors.New("the endpoint answers with a redirect, which is not followed")

// onlyTo sends requests, and with them the token, to one host only, and follows no redirect.
type onlyTo struct {
	host string
	next http.RoundTripper
}

func (o onlyTo) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" || req.URL.Host != o.host {
		return nil, fmt.Errorf("request to %s://%s with a credential for %s refused", req.URL.Scheme, req.URL.Host, o.host)
	}
	resp, err := o.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		_ = resp.Body.Close()
		return nil, errRedirect
	}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (o onlyTo) WrappedRoundTripper() http.RoundTripper { return o.next }
