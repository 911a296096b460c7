package fail

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// Place is the API server that was talked to.
type Place struct {
	// Context of the kubeconfig; empty if the place was not reached by one.
	Context  string
	Endpoint string
}

func (p Place) String() string {
	if p.Context == "" {
		return p.Endpoint
	}
	return fmt.Sprintf("context %q (%s)", p.Context, p.Endpoint)
}

// API turns the answer of an API server into a failure. The act is what was tried, as in "create ServiceAccount shop/web". An error
// that is a failure already is returned as it is.
func API(at Place, act string, err error) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return RequestFailed.New("interrupted, while trying to %s in %s", act, at)
	case apierrors.IsForbidden(err):
		return NotAllowed.New("cannot %s in %s", act, at).Because(err).Try("%s", canI(at, err))
	case apierrors.IsUnauthorized(err):
		return CredentialRefused.New("%s refuses the credential", at).Because(err).
			Try("log in again, or renew the token or client certificate of that user in the kubeconfig")
	case apierrors.IsConflict(err):
		return ConcurrentlyEdited.New("cannot %s in %s", act, at).Because(err).Try("run the command again")
	case meta.IsNoMatchError(err):
		return NotInstalled.New("cannot %s in %s", act, at).Because(err).Try("install the control plane there: kubefedctl init --host-cluster-context %s", at.Context)
	case unreachable(err):
		return NotReachable.New("%s cannot be reached", at).Because(cause(err)).
			Try("check the address, the network and the proxy: kubectl --context %s get --raw /version", at.Context)
	default:
		return RequestFailed.New("cannot %s in %s", act, at).Because(err)
	}
}

// unreachable says whether no API server answered, as far as the error tells.
func unreachable(err error) bool {
	var (
		netErr  net.Error
		urlErr  *url.Error
		certErr x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
	)
	return errors.As(err, &netErr) || errors.As(err, &urlErr) || errors.As(err, &certErr) || errors.As(err, &unknown) || errors.As(err, &host) ||
		errors.Is(err, context.DeadlineExceeded) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err)
}

// cause is the part of a network error that says why, without the request's own text around it.
func cause(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}

var denied = regexp.MustCompile(`cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?`)

// canI is the command that asks the API server for the right that was missing.
func canI(at Place, err error) string {
	m := denied.FindStringSubmatch(err.Error())
	if m == nil {
		return "ask the cluster's administrator for that right"
	}
	resource := strings.TrimSuffix(m[2]+"."+m[3], ".")
	cmd := fmt.Sprintf("kubectl auth can-i %s %s", m[1], resource)
	if m[4] != "" {
		cmd += " -n " + m[4]
	}
	if at.Context != "" {
		cmd += " --context " + at.Context
	}
	return cmd
}
