package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// keyPair is a certificate with its private key, both in PEM.
type keyPair struct{ cert, key []byte }

// makePKI writes the cluster's own CA, the API server's certificate and the key that signs service account tokens to
// dir, all or nothing, and leaves them alone when they are there.
func makePKI(dir string, serviceIP net.IP) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	files, err := pkiFiles(serviceIP)
	if err != nil {
		return fmt.Errorf("make certificates for %s: %w", dir, err)
	}
	draft := dir + ".new"
	for name, data := range files {
		if err := writeFile(draft+"/"+name, data); err != nil {
			return err
		}
	}
	return os.Rename(draft, dir)
}

func pkiFiles(serviceIP net.IP) (map[string][]byte, error) {
	ca, err := newCA("hansa-lab")
	if err != nil {
		return nil, err
	}
	server, err := ca.sign("kube-apiserver",
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		[]net.IP{net.IPv4(127, 0, 0, 1), serviceIP, net.ParseIP(gateIP)})
	if err != nil {
		return nil, err
	}
	accounts, err := newKey()
	if err != nil {
		return nil, err
	}
	private, public, err := encodeKey(accounts)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"ca.crt": ca.cert, "ca.key": ca.key,
		"apiserver.crt": server.cert, "apiserver.key": server.key,
		"sa.key": private, "sa.pub": public,
	}, nil
}

type authority struct {
	keyPair
	parsed *x509.Certificate
	signer *ecdsa.PrivateKey
}

// newCA makes a real authority, with the CA bit: a certificate that signs itself without it makes the controller
// manager's trust bundle publisher fail for ever.
func newCA(name string) (authority, error) {
	key, err := newKey()
	if err != nil {
		return authority{}, err
	}
	template := certificate(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	pair, err := issue(template, template, key, key)
	if err != nil {
		return authority{}, err
	}
	block, _ := pem.Decode(pair.cert)
	parsed, err := x509.ParseCertificate(block.Bytes)
	return authority{pair, parsed, key}, err
}

// sign makes a certificate for a server with the given names and addresses, which may also call others: the API server
// shows it to kubelets.
func (a authority) sign(name string, names []string, addresses []net.IP) (keyPair, error) {
	key, err := newKey()
	if err != nil {
		return keyPair{}, err
	}
	template := certificate(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames, template.IPAddresses = names, addresses
	return issue(template, a.parsed, key, a.signer)
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(randomBytes(16)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // a laptop's clock may be set back
		NotAfter:     now.AddDate(10, 0, 0),
	}
}

func issue(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (keyPair, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return keyPair{}, fmt.Errorf("sign certificate of %s: %w", template.Subject.CommonName, err)
	}
	private, _, err := encodeKey(key)
	return keyPair{cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key: private}, err
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key *ecdsa.PrivateKey) (private, public []byte, err error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), nil
}

func randomToken() string { return hex.EncodeToString(randomBytes(16)) }

// randomBytes cannot fail: crypto/rand ends the program rather than return weak bytes.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
