package feed

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Certificates are the paths of PEM files.
type Certificates struct {
	// CA has signed the control plane's certificate; Certificate and Key are this client's own.
	CA, Certificate, Key string
	// ServerName is the name in the control plane's certificate; empty means that of its address.
	ServerName string
}

// Credentials reads the files.
func (c Certificates) Credentials() (credentials.TransportCredentials, error) {
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("read the CA of the control plane: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the CA of the control plane: %s holds no certificate in PEM format", c.CA)
	}
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate that the control plane asks for: %w", err)
	}
	return credentials.NewTLS(&tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{own}, ServerName: c.ServerName, MinVersion: tls.VersionTLS13,
	}), nil
}

// Plain has no TLS. It is only for a control plane on this machine.
func Plain(addresses []string) (func() (credentials.TransportCredentials, error), error) {
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(a)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", a, err)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, errors.New("address " + a + " is not on this machine: without TLS, everybody on the way decides where requests go")
		}
	}
	return func() (credentials.TransportCredentials, error) { return insecure.NewCredentials(), nil }, nil
}
