package certs_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hansa-io/hansa/internal/discovery/xds/certs"
	"github.com/hansa-io/hansa/internal/lab"
)

var clusters = lab.Shared(lab.Options{}, "host")

// keeper keeps Secrets of a namespace of its own, at a time that the test sets.
type keeper struct {
	*certs.Secrets
	t   *testing.T
	now time.Time
}

func newKeeper(t *testing.T) *keeper {
	config := clusters(t).Config("host")
	host, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{t: t, now: time.Now()}
	k.Secrets = &certs.Secrets{In: host.CoreV1().Secrets(lab.Namespace(t, config, "certs")), Names: []string{"hansa-xds", "127.0.0.1"}, Now: func() time.Time { return k.now }}
	return k
}

// kept is what the Secrets hold after a look at them.
type kept struct{ server, client *corev1.Secret }

func (k *keeper) keep() kept {
	k.t.Helper()
	if err := k.Keep(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	return kept{k.get(certs.ServerSecret), k.get(certs.ClientSecret)}
}

func (k *keeper) get(name string) *corev1.Secret {
	s, err := k.In.Get(k.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

func leaf(t *testing.T, s *corev1.Secret, key string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(s.Data[key])
	if block == nil {
		t.Fatalf("%s of %s is no PEM", key, s.Name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify says that both certificates are of the authority in both Secrets, and what for.
func (k *keeper) verify(got kept) {
	k.t.Helper()
	for _, s := range []struct {
		secret *corev1.Secret
		use    x509.ExtKeyUsage
	}{{got.server, x509.ExtKeyUsageServerAuth}, {got.client, x509.ExtKeyUsageClientAuth}} {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(got.client.Data["ca.crt"])
		if _, err := leaf(k.t, s.secret, "tls.crt").Verify(x509.VerifyOptions{Roots: pool, CurrentTime: k.now, KeyUsages: []x509.ExtKeyUsage{s.use}}); err != nil {
			k.t.Errorf("%s: %v", s.secret.Name, err)
		}
	}
	if config, err := k.Config(); err != nil || !bytes.Equal(config.Certificates[0].Certificate[0], leaf(k.t, got.server, "tls.crt").Raw) {
		k.t.Errorf("the server does not show what the Secret has: %v", err)
	}
}

// TestSecrets: certificates are made once, stay as they are, and are renewed in time; the authority stays, so that clients need nothing new.
func TestSecrets(t *testing.T) {
	k := newKeeper(t)
	if _, err := k.Config(); err == nil {
		t.Error("there is a certificate before one was made")
	}
	first := k.keep()
	k.verify(first)
	if _, ok := first.client.Data["ca.key"]; ok {
		t.Error("clients get the key of the authority")
	}
	if again := k.keep(); again.server.ResourceVersion != first.server.ResourceVersion || again.client.ResourceVersion != first.client.ResourceVersion {
		t.Error("a second look has written")
	}

	k.now = leaf(t, first.server, "tls.crt").NotAfter.Add(-time.Hour)
	renewed := k.keep()
	k.verify(renewed)
	if bytes.Equal(renewed.server.Data["tls.crt"], first.server.Data["tls.crt"]) || bytes.Equal(renewed.client.Data["tls.crt"], first.client.Data["tls.crt"]) {
		t.Error("what ends within the hour was not renewed")
	}
	if !bytes.Equal(renewed.server.Data["ca.crt"], first.server.Data["ca.crt"]) {
		t.Error("there is another authority")
	}

	k.Names = append(k.Names, "xds.example.com")
	named := k.keep()
	k.verify(named)
	if !slices.Contains(leaf(t, named.server, "tls.crt").DNSNames, "xds.example.com") {
		t.Error("a new name is not in the certificate")
	}
	if named.client.ResourceVersion != renewed.client.ResourceVersion {
		t.Error("a new name of the server has changed the client's Secret")
	}

	k.now = leaf(t, first.server, "ca.crt").NotAfter.Add(-time.Hour)
	successor := k.keep()
	k.verify(successor)
	if bytes.Equal(successor.server.Data["ca.crt"], first.server.Data["ca.crt"]) {
		t.Error("an authority that ends within the hour was not renewed")
	}
}

// TestBrokenAuthority: an authority that cannot be read is not replaced, for clients may trust it.
func TestBrokenAuthority(t *testing.T) {
	k := newKeeper(t)
	first := k.keep()
	broken := first.server.DeepCopy()
	broken.Data["ca.key"] = []byte("nonsense")
	if _, err := k.In.Update(t.Context(), broken, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := k.Keep(t.Context()); err == nil || !strings.Contains(err.Error(), "delete it for a new one") {
		t.Errorf("no way out is told: %v", err)
	}
	if got := k.get(certs.ServerSecret); string(got.Data["ca.key"]) != "nonsense" {
		t.Error("the Secret was written over")
	}
	if err := k.In.Delete(t.Context(), certs.ServerSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	k.verify(k.keep())
}
