package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Two errors of the same cause have the same text, whatever port our side had and whatever the time was.
func TestFaultOf(t *testing.T) {
	op := func(port int, err error) error {
		return &url.Error{Op: "Get", URL: "https://h/healthz", Err: &net.OpError{
			Op: "read", Net: "tcp", Err: err,
			Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: port}, Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 6443},
		}}
	}
	certificate := func(err error) error { return &url.Error{Err: &tls.CertificateVerificationError{Err: err}} }
	for name, tc := range map[string]struct {
		make   func(n int) error // n differs from try to try
		reason string
		text   string
	}{
		"401":       {func(int) error { return &answerError{401, "Unauthorized"} }, ReasonUnauthorized, "401 Unauthorized"},
		"403":       {func(int) error { return &answerError{403, "no"} }, ReasonForbidden, "403 Forbidden: no"},
		"429":       {func(int) error { return &answerError{429, ""} }, ReasonTooManyRequests, "429"},
		"500":       {func(int) error { return &answerError{500, ""} }, ReasonServerError, "500"},
		"404":       {func(int) error { return &answerError{404, ""} }, ReasonUnexpectedAnswer, "404"},
		"redirect":  {func(int) error { return &url.Error{Err: errRedirect} }, ReasonRedirected, "redirect"},
		"refused":   {func(n int) error { return op(n, os.NewSyscallError("connect", syscall.ECONNREFUSED)) }, ReasonConnectionRefused, "refused"},
		"reset":     {func(n int) error { return op(n, syscall.ECONNRESET) }, ReasonConnectionClosed, "closed"},
		"eof":       {func(int) error { return &url.Error{Err: io.EOF} }, ReasonConnectionClosed, "closed"},
		"goaway":    {func(n int) error { return fmt.Errorf("http2: server sent GOAWAY; LastStreamID=%d", n) }, ReasonConnectionClosed, "closed"},
		"deadline":  {func(int) error { return &url.Error{Err: context.DeadlineExceeded} }, ReasonTimeout, "no answer in time"},
		"timeout":   {func(n int) error { return op(n, os.ErrDeadlineExceeded) }, ReasonTimeout, "no answer in time"},
		"handshake": {func(int) error { return &url.Error{Err: handshakeTimeoutError{}} }, ReasonTimeout, "no answer in time"},
		"route":     {func(n int) error { return op(n, syscall.EHOSTUNREACH) }, ReasonNoRoute, "route"},
		"dns": {func(n int) error {
			return op(n, &net.DNSError{Name: "h", Server: fmt.Sprint("10.0.0.3:", n), Err: "no such host", IsNotFound: true})
		}, ReasonNameNotResolved, `"h" cannot be resolved`},
		"other CA": {func(int) error { return certificate(x509.UnknownAuthorityError{}) }, ReasonTLSFailed, "authority"},
		"expired": {func(n int) error {
			return certificate(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired, Detail: fmt.Sprint("now ", n)})
		}, ReasonTLSFailed, "expired"},
		"old protocol": {func(int) error { return errors.New("tls: server selected unsupported protocol version 302") }, ReasonTLSFailed, "302"},
		"alert":        {func(int) error { return tls.AlertError(70) }, ReasonTLSFailed, "protocol version"},
		"plain http":   {func(int) error { return errors.New("http: server gave HTTP response to HTTPS client") }, ReasonTLSFailed, "TLS"},
		"no TLS":       {func(int) error { return tls.RecordHeaderError{} }, ReasonTLSFailed, "TLS"},
		"else":         {func(n int) error { return op(n, errors.New("what?")) }, ReasonNotReachable, "what?"},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := faultOf(tc.make(41001)), faultOf(tc.make(41002))
			if *first != *second {
				t.Errorf("unstable: %q, then %q", first.text, second.text)
			}
			if first.reason != tc.reason || !strings.Contains(first.text, tc.text) {
				t.Errorf("fault = %+v, want %s with %q", *first, tc.reason, tc.text)
			}
		})
	}
}

type handshakeTimeoutError struct{}

func (handshakeTimeoutError) Error() string   { return "net/http: TLS handshake timeout" }
func (handshakeTimeoutError) Timeout() bool   { return true }
func (handshakeTimeoutError) Temporary() bool { return true }

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                     "plain",
		" two\nlines\tand\x00more ": "two lines and more",
		"read tcp 10.0.0.1:4->10.0.0.2:5: read: reset": "read tcp 10.0.0.2:5: read: reset",
		"bad \xff utf8":          "bad ? utf8",
		strings.Repeat("x", 999): strings.Repeat("x", maxText) + "...",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%.20q) = %.60q, want %.60q", in, got, want)
		}
	}
}

func TestFaultOfRealDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = net.DialTimeout("tcp", l.Addr().String(), time.Second)
	if f := faultOf(err); f.reason != ReasonConnectionRefused {
		t.Errorf("fault = %+v", f)
	}
}
