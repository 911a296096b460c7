package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/xds"
	"github.com/hansa-io/hansa/internal/discovery/xds/certs"
)

// xdsFlags are those of the xDS server.
type xdsFlags struct {
	address  string
	files    certs.Files
	names    []string
	insecure bool
}

func (x *xdsFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&x.address, "xds-addr", "", `address of the xDS server for Envoy, gRPC clients and hansa haproxy, such as ":18000"; empty is off`)
	fs.StringVar(&x.files.Cert, "xds-cert", "", "file of the xDS server's certificate; with --xds-key and --xds-client-ca instead of the Secrets "+certs.ServerSecret+" and "+certs.ClientSecret)
	fs.StringVar(&x.files.Key, "xds-key", "", "file of its key")
	fs.StringVar(&x.files.ClientCA, "xds-client-ca", "", "file of the certificate authority that clients' certificates must be of")
	fs.StringSliceVar(&x.names, "xds-server-names", nil, "names and addresses by which clients reach the xDS server, beside those of the Service hansa-xds; they are in the certificate of the Secret "+certs.ServerSecret)
	fs.BoolVar(&x.insecure, "xds-insecure", false, "serve xDS without TLS; only on an address of loopback")
}

var errXDSFlags = errors.New("the flags of the xDS server do not go together")

func (x xdsFlags) validate() error {
	files := 0
	for _, f := range []string{x.files.Cert, x.files.Key, x.files.ClientCA} {
		if f != "" {
			files++
		}
	}
	switch {
	case files != 0 && files != 3:
		return fmt.Errorf("%w: --xds-cert, --xds-key and --xds-client-ca are needed together", errXDSFlags)
	case files != 0 && (x.insecure || len(x.names) > 0):
		return fmt.Errorf("%w: with --xds-cert there is no use for --xds-insecure or --xds-server-names", errXDSFlags)
	case x.insecure:
		if err := xds.Loopback(x.address); err != nil {
			return fmt.Errorf("--xds-addr with --xds-insecure: %w", err)
		}
	}
	return nil
}

// nobody takes models where no load balancer is served.
type nobody struct{}

func (nobody) Set(balance.Model) {}

// addXDS adds the xDS server, which load balancers are fed by. It serves while this process leads and the gate of discovery is on.
func (p *plane) addXDS(_ context.Context, f flags) error {
	p.balancers = nobody{}
	if f.xds.address == "" {
		return nil
	}
	x := &xdsPart{on: p.settings.discovery, turned: make(chan struct{}, 1)}
	config, err := p.certificates(f.xds, x)
	if err != nil {
		return err
	}
	x.server = xds.New(xds.Options{
		Address: f.xds.address, TLS: config, Tell: p.tellXDS, Log: p.mgr.GetLogger().WithName("xds"), Metrics: p.metrics,
	})
	p.balancers = x.server
	p.turned = append(p.turned, x.turn)
	return p.mgr.Add(manager.RunnableFunc(x.run))
}

// certificates are those of files or of Secrets; nil is none.
func (p *plane) certificates(f xdsFlags, x *xdsPart) (func() (*tls.Config, error), error) {
	switch {
	case f.insecure:
		return nil, nil
	case f.files.Cert != "":
		if _, err := f.files.Config(); err != nil {
			return nil, err // what is wrong from the start is told at the start
		}
		return f.files.Config, nil
	}
	core, err := corev1client.NewForConfigAndClient(p.mgr.GetConfig(), p.mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("connect to the host: %w", err)
	}
	at := "hansa-xds." + p.settings.namespace
	s := &certs.Secrets{
		In: core.Secrets(p.settings.namespace), Now: time.Now,
		Names: append([]string{"hansa-xds", at, at + ".svc", at + ".svc.cluster.local", "localhost", "127.0.0.1"}, f.names...),
	}
	log := p.mgr.GetLogger().WithName("xds")
	x.keep = func(ctx context.Context) bool {
		err := s.Keep(ctx)
		if err != nil && ctx.Err() == nil {
			log.Error(err, "cannot keep the certificates of the xDS server")
		}
		return err == nil
	}
	return s.Config, nil
}

// tellXDS tells of what load balancers refuse or cannot get, on the KubeFedConfig.
func (p *plane) tellXDS(reason, text string) {
	config := newConfig()
	config.SetNamespace(p.settings.namespace)
	config.SetName(fedv1.ConfigName)
	if err := p.mgr.GetCache().Get(context.Background(), client.ObjectKeyFromObject(config), config); err != nil {
		return // the log has it
	}
	p.configEvents.Eventf(config, nil, corev1.EventTypeWarning, reason, "Balance", "%s", text)
}

// xdsPart runs the xDS server while the gate of discovery is on.
type xdsPart struct {
	server *xds.Server
	on     func() bool
	turned chan struct{}
	// keep keeps the certificates and says whether they are there; nil if that is not this process's to do.
	keep func(context.Context) bool
}

// turn looks at the gate again.
func (x *xdsPart) turn() {
	select {
	case x.turned <- struct{}{}:
	default:
	}
}

func (x *xdsPart) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if x.on() {
			x.serve(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-x.turned:
		}
	}
	return nil
}

// How often certificates are looked at, when they are there and when they are not.
const (
	keepPeriod = time.Hour
	keepRetry  = 5 * time.Second
)

// serve serves until the gate is off. Nothing is served before there is a certificate.
func (x *xdsPart) serve(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served, serving := make(chan struct{}), false
	for {
		period := keepPeriod
		if x.keep != nil && !x.keep(ctx) {
			period = keepRetry
		} else if !serving {
			serving = true
			go func() { defer close(served); x.server.Run(ctx) }()
		}
		look := time.NewTimer(period)
		select {
		case <-ctx.Done():
		case <-x.turned:
		case <-look.C:
		}
		look.Stop()
		if ctx.Err() == nil && x.on() {
			continue
		}
		stop()
		if serving {
			<-served
		}
		return
	}
}
