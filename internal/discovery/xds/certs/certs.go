// Package certs answers: by which certificates do the xDS server and its clients know each other? They are those of an authority of the
// federation's own, which is made and renewed here, or files that somebody else renews. Clients without one learn nothing.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

// How long certificates live. They are renewed when a third of their time is left.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// backdate allows for clocks that are behind.
	backdate = 5 * time.Minute
)

// Pair is a certificate, with those that it hangs on, and its key; both PEM.
type Pair struct{ Cert, Key []byte }

// Authority signs certificates.
type Authority struct {
	Pair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that lives for ten years.
func NewAuthority(name string, now time.Time) (Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, fmt.Errorf("make a key: %w", err)
	}
	t := template(name, now, authorityLife)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign
	p, err := sign(t, t, key, key)
	if err != nil {
		return Authority{}, err
	}
	return ParseAuthority(p)
}

// ParseAuthority reads an authority.
func ParseAuthority(p Pair) (Authority, error) {
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return Authority{}, fmt.Errorf("read the authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return Authority{}, errNoAuthority
	}
	return Authority{Pair: p, cert: pair.Leaf, key: key}, nil
}

var errNoAuthority = errors.New("read the authority: it is not one, or its key is not of the kind ECDSA")

// Server makes a certificate for the names and addresses by which clients reach the server.
func (a Authority) Server(names []string, now time.Time) (Pair, error) {
	return a.leaf("hansa-xds", x509.ExtKeyUsageServerAuth, names, now)
}

// Client makes a certificate that a client shows.
func (a Authority) Client(now time.Time) (Pair, error) {
	return a.leaf("hansa-xds-client", x509.ExtKeyUsageClientAuth, nil, now)
}

func (a Authority) leaf(name string, use x509.ExtKeyUsage, names []string, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	t := template(name, now, leafLife)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{use}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	return sign(t, a.cert, key, a.key)
}

func template(name string, now time.Time, life time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	serial[0] &= 0x7f
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
	}
}

func sign(t, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, by)
	if err != nil {
		return Pair{}, fmt.Errorf("sign the certificate of %s: %w", t.Subject.CommonName, err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("write the key of %s: %w", t.Subject.CommonName, err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}, nil
}

// due says that a certificate must be made anew: it ends soon, hangs on another authority, or lacks a name.
func (a Authority) due(p Pair, names []string, now time.Time) bool {
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil || endsSoon(pair.Leaf, now) || pair.Leaf.CheckSignatureFrom(a.cert) != nil {
		return true
	}
	return slices.ContainsFunc(names, func(n string) bool { return pair.Leaf.VerifyHostname(n) != nil })
}

func endsSoon(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3))
}

// Config is that of a server which shows a certificate and asks for one that hangs on an authority.
func Config(p Pair, authority []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errNoCertificate
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{pair},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

var errNoCertificate = errors.New("read the authority of the clients: it has no certificate")

// Files are certificates that somebody else renews. They are read for each connection.
type Files struct{ Cert, Key, ClientCA string }

// Config reads the files.
func (f Files) Config() (*tls.Config, error) {
	read := map[string][]byte{}
	for _, name := range []string{f.Cert, f.Key, f.ClientCA} {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		read[name] = data
	}
	return Config(Pair{Cert: read[f.Cert], Key: read[f.Key]}, read[f.ClientCA])
}
