package feed_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/go-logr/logr"
	"google.golang.org/grpc/credentials"

	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/feed"
	"github.com/hansa-io/hansa/internal/discovery/xds"
	"github.com/hansa-io/hansa/internal/discovery/xds/certs"
)

// A client with a certificate of somebody else learns nothing; as soon as its files are right, it does, without a restart.
func TestCertificates(t *testing.T) {
	now := time.Now()
	ours, theirs := authority(t, now), authority(t, now)
	pair, err := ours.Server([]string{"hansa-xds.test"}, now)
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan net.Addr, 1)
	s := xds.New(xds.Options{
		Address: "127.0.0.1:0", Listening: func(a net.Addr) { listening <- a }, Log: logr.Discard(), Tell: func(string, string) {},
		TLS: func() (*tls.Config, error) { return certs.Config(pair, ours.Cert) },
	})
	go s.Run(t.Context())
	s.Set(balance.Model{Listeners: []balance.Listener{{Name: "a/b/c", Port: 80, Protocol: balance.HTTP}}})
	address := (<-listening).String()

	dir := t.TempDir()
	files := feed.Certificates{CA: filepath.Join(dir, "ca.crt"), Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), ServerName: "hansa-xds.test"}
	write := func(a certs.Authority) {
		client, err := a.Client(now)
		if err != nil {
			t.Fatal(err)
		}
		for path, data := range map[string][]byte{files.CA: ours.Cert, files.Certificate: client.Cert, files.Key: client.Key} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(theirs)
	n, asked := &newest{t: t}, make(chan struct{}, 100)
	c := feed.New(feed.Options{
		Addresses: []string{address}, Node: &corev3.Node{Id: "test"}, Set: n.set, Log: logr.Discard(),
		Credentials: func() (credentials.TransportCredentials, error) {
			asked <- struct{}{}
			return files.Credentials()
		},
	})
	go c.Run(t.Context())
	<-asked
	<-asked // the first connection has failed
	if _, count := n.get(); count > 0 || c.Stats().Received > 0 {
		t.Error("a client with a certificate of somebody else was answered")
	}
	write(ours)
	n.becomes("frontend a_b_c", true)
}

func authority(t *testing.T, now time.Time) certs.Authority {
	t.Helper()
	a, err := certs.NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Without TLS only this machine is trusted.
func TestPlain(t *testing.T) {
	for address, ok := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "192.0.2.1:1": false, "hansa-xds.example.com:1": false, "127.0.0.1": false} {
		if _, err := feed.Plain([]string{address}); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}
