package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// The Secrets of the host that certificates are kept in, in the namespace of the control plane.
const (
	// ServerSecret has the authority with its key and the server's certificate. Only the control plane reads it.
	ServerSecret = "hansa-xds"
	// ClientSecret has what a client needs: ca.crt, tls.crt and tls.key.
	ClientSecret = "hansa-xds-client"

	authorityCert = "ca.crt"
	authorityKey  = "ca.key"
)

// Secrets keeps an authority and its certificates in Secrets, and renews them.
type Secrets struct {
	// In are the Secrets of the control plane's namespace.
	In corev1client.SecretInterface
	// Names and addresses by which clients reach the server.
	Names []string
	Now   func() time.Time

	mu     sync.Mutex
	config *tls.Config
}

// Config is that of the server, as of the last time that the Secrets were kept.
func (s *Secrets) Config() (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config == nil {
		return nil, errNotYet
	}
	return s.config, nil
}

var errNotYet = errors.New("there is no certificate yet")

// Keep makes the Secrets if they are absent, and renews what ends soon. The authority is made anew only if there is none or it has nearly
// ended: then clients need the new one too.
func (s *Secrets) Keep(ctx context.Context) error {
	server, err := s.read(ctx, ServerSecret)
	if err != nil {
		return err
	}
	client, err := s.read(ctx, ClientSecret)
	if err != nil {
		return err
	}
	a, err := s.authority(server)
	if err != nil {
		return err
	}
	serverPair, clientPair := pairOf(server), pairOf(client)
	if a.due(serverPair, s.Names, s.Now()) {
		if serverPair, err = a.Server(s.Names, s.Now()); err != nil {
			return err
		}
	}
	if a.due(clientPair, nil, s.Now()) || !bytes.Equal(client.Data[authorityCert], a.Cert) {
		if clientPair, err = a.Client(s.Now()); err != nil {
			return err
		}
	}
	if err := s.write(ctx, server, map[string][]byte{
		authorityCert: a.Cert, authorityKey: a.Key, corev1.TLSCertKey: serverPair.Cert, corev1.TLSPrivateKeyKey: serverPair.Key,
	}); err != nil {
		return err
	}
	if err := s.write(ctx, client, map[string][]byte{
		authorityCert: a.Cert, corev1.TLSCertKey: clientPair.Cert, corev1.TLSPrivateKeyKey: clientPair.Key,
	}); err != nil {
		return err
	}
	config, err := Config(serverPair, a.Cert)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = config
	return nil
}

// authority is that of a Secret, or a new one if it has none. One that cannot be read is an error: clients may trust it.
func (s *Secrets) authority(secret *corev1.Secret) (Authority, error) {
	p := Pair{Cert: secret.Data[authorityCert], Key: secret.Data[authorityKey]}
	if len(p.Cert)+len(p.Key) == 0 {
		return NewAuthority("hansa-xds-ca", s.Now())
	}
	a, err := ParseAuthority(p)
	if err != nil {
		return a, fmt.Errorf("the Secret %s: %w: delete it for a new one, and hand that out to all clients", ServerSecret, err)
	}
	if endsSoon(a.cert, s.Now()) {
		return NewAuthority("hansa-xds-ca", s.Now())
	}
	return a, nil
}

func pairOf(s *corev1.Secret) Pair {
	return Pair{Cert: s.Data[corev1.TLSCertKey], Key: s.Data[corev1.TLSPrivateKeyKey]}
}

// read returns a Secret, empty and without a UID if there is none.
func (s *Secrets) read(ctx context.Context, name string) (*corev1.Secret, error) {
	found, err := s.In.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeTLS}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	return found, nil
}

// write writes a Secret if it differs, and only over what was read.
func (s *Secrets) write(ctx context.Context, secret *corev1.Secret, data map[string][]byte) error {
	next := secret.DeepCopy()
	if next.Data == nil {
		next.Data = map[string][]byte{}
	}
	same := secret.UID != ""
	for key, value := range data {
		same = same && bytes.Equal(secret.Data[key], value)
		next.Data[key] = value
	}
	if same {
		return nil
	}
	var err error
	if secret.UID == "" {
		_, err = s.In.Create(ctx, next, metav1.CreateOptions{})
	} else {
		_, err = s.In.Update(ctx, next, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", secret.Name, err)
	}
	return nil
}
