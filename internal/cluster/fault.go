package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
)

// Reasons why a member could not be asked.
const (
	ReasonUnauthorized      = "Unauthorized"
	ReasonForbidden         = "Forbidden"
	ReasonTooManyRequests   = "TooManyRequests"
	ReasonServerError       = "ServerError"
	ReasonUnexpectedAnswer  = "UnexpectedAnswer"
	ReasonRedirected        = "Redirected"
	ReasonTLSFailed         = "TLSVerificationFailed"
	ReasonTimeout           = "Timeout"
	ReasonConnectionRefused = "ConnectionRefused"
	ReasonConnectionClosed  = "ConnectionClosed"
	ReasonNameNotResolved   = "NameNotResolved"
	ReasonNoRoute           = "NoRoute"
	ReasonAddressRefused    = "AddressRefused"
	ReasonNotReachable      = "NotReachable"
)

// fault is why a member could not be asked something: a word, and a text that is the same as long as the cause is.
type fault struct{ reason, text string }

// answerError is an answer that is not a success.
type answerError struct {
	code    int
	message string
}

func (e *answerError) Error() string {
	if e.message == "" {
		return fmt.Sprintf("%d %s", e.code, http.StatusText(e.code))
	}
	return fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.message)
}

var errTooLong = errors.New("the answer is too long")

// faultOf finds the cause in the error of a request. What differs from one try to the next (ports of our side, times, addresses of name
// servers) is left out of the text.
func faultOf(err error) *fault {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if f := answerFault(err); f != nil {
		return f
	}
	if text := tlsText(err); text != "" {
		return &fault{ReasonTLSFailed, text}
	}
	return networkFault(err)
}

func answerFault(err error) *fault {
	var a *answerError
	if !errors.As(err, &a) {
		return nil
	}
	switch {
	case a.code == http.StatusUnauthorized:
		return &fault{ReasonUnauthorized, "the member does not accept the credential: " + a.Error()}
	case a.code == http.StatusForbidden:
		return &fault{ReasonForbidden, a.Error()}
	case a.code == http.StatusTooManyRequests:
		return &fault{ReasonTooManyRequests, a.Error()}
	case a.code >= http.StatusInternalServerError:
		return &fault{ReasonServerError, a.Error()}
	}
	return &fault{ReasonUnexpectedAnswer, a.Error()}
}

// tlsText says what is wrong with the member's certificate or protocol, "" if nothing is.
func tlsText(err error) string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		alert     tls.AlertError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "x509: the certificate is not signed by an authority in spec.caBundle"
	case errors.As(err, &hostname):
		return "x509: the certificate is not for this host: " + clean(hostname.Error())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "x509: the certificate has expired or is not yet valid" // the error's own text holds the time
	case errors.As(err, &invalid):
		return clean(invalid.Error())
	case errors.As(err, &verify):
		return clean(verify.Error())
	case errors.As(err, &alert):
		return "tls: the server ended the handshake: " + clean(alert.Error())
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "tls: the endpoint does not speak TLS"
	case strings.Contains(err.Error(), "tls: ") && !isTimeout(err):
		return clean(err.Error())
	}
	return ""
}

func networkFault(err error) *fault {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errRedirect):
		return &fault{ReasonRedirected, errRedirect.Error()}
	case errors.Is(err, errLinkLocal):
		return &fault{ReasonAddressRefused, errLinkLocal.Error()}
	case errors.Is(err, errTooLong):
		return &fault{ReasonUnexpectedAnswer, errTooLong.Error()}
	case errors.As(err, &dns):
		return &fault{ReasonNameNotResolved, fmt.Sprintf("the name %q cannot be resolved", clean(dns.Name))}
	case isTimeout(err):
		return &fault{ReasonTimeout, "no answer in time"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &fault{ReasonConnectionRefused, "connection refused"}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &fault{ReasonNoRoute, "no route to the host"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, net.ErrClosed), strings.Contains(err.Error(), "http2: "):
		return &fault{ReasonConnectionClosed, "the other side closed the connection"}
	}
	return &fault{ReasonNotReachable, clean(err.Error())}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// maxText bounds what another program's text may take up in a status.
const maxText = 256

// ourPort is our side of a connection in Go's network errors: "read tcp 10.0.0.1:41234->10.0.0.2:6443".
var ourPort = regexp.MustCompile(`[^ ]+->`)

// clean makes text of another program fit to be shown: one line, not too long, without the ports of our side.
func clean(s string) string {
	s = ourPort.ReplaceAllString(s, "")
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return s
}
