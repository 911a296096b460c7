package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// tlsChecks says which checks of the member's certificate are left out.
type tlsChecks struct{ skipAll, skipName, skipPeriod bool }

func checksOf(disabled []fedv1.TLSValidation) (tlsChecks, error) {
	var c tlsChecks
	for _, d := range disabled {
		switch d {
		case fedv1.TLSAll:
			c.skipAll = true
		case fedv1.TLSSubjectName:
			c.skipName = true
		case fedv1.TLSValidityPeriod:
			c.skipPeriod = true
		default:
			return c, malformed(ReasonTLSInvalid, "spec.disabledTLSValidations: unknown check %q", string(d))
		}
	}
	if c.skipAll && len(disabled) > 1 {
		return c, malformed(ReasonTLSInvalid, "spec.disabledTLSValidations: \"*\" must stand alone")
	}
	return c, nil
}

func (c tlsChecks) insecure() bool { return c != tlsChecks{} }

// String lists the checks that are left out, as in the spec.
func (c tlsChecks) String() string {
	var out []string
	if c.skipAll {
		out = append(out, string(fedv1.TLSAll))
	}
	if c.skipName {
		out = append(out, string(fedv1.TLSSubjectName))
	}
	if c.skipPeriod {
		out = append(out, string(fedv1.TLSValidityPeriod))
	}
	return strings.Join(out, ", ")
}

// Waits of a connection. A request's own deadline comes from its context; these bound what a context cannot, and free what hangs.
const (
	dialTimeout = 10 * time.Second
	keepAlive   = 15 * time.Second
	// handshakeTimeout covers the question who is there, too.
	handshakeTimeout = askTimeout + 10*time.Second
	// headerTimeout is just above the 60 s after which an API server gives up a request itself.
	headerTimeout = 65 * time.Second
	idleTimeout   = 90 * time.Second
)

// open makes a transport for an address. Nothing is dialled until it is used. If admit is there, it has the last word on each new
// connection.
func (a address) open(admit func() error) (*http.Transport, error) {
	proxy, err := parseProxy(a.proxy)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive, ControlContext: refuseLinkLocal}
	t := &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       a.tls(admit),
		TLSHandshakeTimeout:   handshakeTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       idleTimeout,
		MaxIdleConnsPerHost:   25,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy) // else the environment's, as every Kubernetes client does
	}
	return utilnet.SetTransportDefaults(t), nil
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

func timed(d dial, told func(time.Duration)) dial {
	if told == nil {
		return d
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		start := time.Now()
		c, err := d(ctx, network, address)
		if err == nil {
			told(time.Since(start))
		}
		return c, err
	}
}

// tls returns the settings for the member's certificate. Where a check is left out, Go's own verification is off and the rest of it is
// done here.
func (a address) tls(admit func() error) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.ca != "" {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM([]byte(a.ca))
	}
	c.InsecureSkipVerify = a.checks.insecure() //nolint:gosec // asked for in the spec, shown by the condition InsecureTLS
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if a.checks.insecure() && !a.checks.skipAll {
			if err := a.verify(s.PeerCertificates, c.RootCAs); err != nil {
				return err
			}
		}
		if admit != nil {
			return admit()
		}
		return nil
	}
	return c
}

var errNoCertificate = errors.New("the server showed no certificate")

// verify checks a certificate chain without the checks that are left out.
func (a address) verify(chain []*x509.Certificate, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return errNoCertificate
	}
	leaf := chain[0]
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if !a.checks.skipName {
		o.DNSName, _, _ = net.SplitHostPort(a.host) // not the state's ServerName, which is empty for an IP address
	}
	if a.checks.skipPeriod {
		o.CurrentTime = leaf.NotBefore.Add(time.Second)
	}
	if _, err := leaf.Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

var errLinkLocal = errors.New("address is link-local, where no cluster lives but metadata services do")

// refuseLinkLocal keeps an endpoint from being aimed at the metadata service of a cloud. It sees the address after name resolution.
func refuseLinkLocal(_ context.Context, _, addr string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("dial %s: %w", addr, err)
	}
	host, _, _ = strings.Cut(host, "%")
	if ip := net.ParseIP(host); ip != nil && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()) {
		return errLinkLocal
	}
	return nil
}
