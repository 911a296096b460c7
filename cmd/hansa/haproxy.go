package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/klog/v2"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/drive"
	"github.com/hansa-io/hansa/internal/discovery/haproxy/feed"
	"github.com/hansa-io/hansa/internal/version"
)

// balancer are the flags of `hansa haproxy`.
type balancer struct {
	xds                    []string
	certificates           feed.Certificates
	plain                  bool
	id                     string
	cluster, region, zone  string
	config, state          string
	include                []string
	socket, master, reload string
	run                    bool
	program                string
	grace                  time.Duration
	metrics                string
}

func haproxyCommand(b *balancer) *cobra.Command {
	c := &cobra.Command{
		Use:   "haproxy",
		Short: "Let an HAProxy balance what the control plane says",
		Long: "Let an HAProxy (2.6 or later) balance what the control plane says. This runs beside HAProxy and needs no access to Kubernetes: it follows\n" +
			"the xDS server of `hansa manager`. It writes HAProxy's file, reloads HAProxy for new listeners and routes, and adds and removes endpoints in the\n" +
			"running process. While the control plane is away, or this is, HAProxy goes on with what it has.",
		Example: "  hansa haproxy --run --config /var/lib/hansa/haproxy.cfg --xds hansa-xds.example.com:18000 --ca ca.crt --cert tls.crt --key tls.key --region eu --zone eu-1\n" +
			"  hansa haproxy --config /etc/haproxy/hansa.cfg --socket /run/haproxy/admin.sock --master /run/haproxy-master.sock --xds …",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := b.complete()
			if err != nil {
				return err
			}
			return b.start(c.Context())
		},
	}
	fs := c.Flags()
	fs.StringSliceVar(&b.xds, "xds", nil, "HOST:PORT of the control plane's xDS server; several are tried in turn")
	fs.StringVar(&b.certificates.CA, "ca", "", "file of the certificate authority that has signed the control plane's certificate")
	fs.StringVar(&b.certificates.Certificate, "cert", "", "file of the certificate that this process shows to the control plane")
	fs.StringVar(&b.certificates.Key, "key", "", "file of its key")
	fs.StringVar(&b.certificates.ServerName, "server-name", "", "name in the control plane's certificate; empty means the host of --xds")
	fs.BoolVar(&b.plain, "insecure", false, "no TLS; only for a control plane on this machine")
	fs.StringVar(&b.id, "id", "", "name of this load balancer in the control plane's log; empty means that of this machine")
	fs.StringVar(&b.cluster, "cluster", "", "the member in which HAProxy runs, if it runs in one")
	fs.StringVar(&b.region, "region", "", "where HAProxy runs: its own zone is served first, then its region, then all others")
	fs.StringVar(&b.zone, "zone", "", "see --region")
	fs.StringVar(&b.config, "config", "", "file of HAProxy's configuration that is written")
	fs.StringVar(&b.state, "state-file", "", "file that keeps which servers are down over a reload; empty means haproxy.state beside --config")
	fs.StringSliceVar(&b.include, "include", nil, "other files of HAProxy's configuration, which it is given before --config")
	fs.StringVar(&b.socket, "socket", "", "HAProxy's runtime socket, a path or HOST:PORT, of level admin")
	fs.StringVar(&b.master, "master", "", "socket of HAProxy's master process, by which it is reloaded (haproxy -W -S)")
	fs.StringVar(&b.reload, "reload", "", `command of the shell that reloads HAProxy, instead of --master, such as "systemctl reload haproxy"`)
	fs.BoolVar(&b.run, "run", false, "start HAProxy as a child of this process; --socket and --master are sockets beside --config then, unless given")
	fs.StringVar(&b.program, "haproxy", "haproxy", "HAProxy's program, which also checks each new configuration; empty where it is not on this machine")
	fs.DurationVar(&b.grace, "grace", 30*time.Second, "with --run: how long connections may take to end when this process is stopped")
	fs.StringVar(&b.metrics, "metrics-addr", "127.0.0.1:9095", `address of /metrics, /healthz and /readyz; "0" is off`)
	return c
}

var errBalancer = errors.New("cannot drive HAProxy")

// complete fills in what follows from other flags, and says what is missing.
func (b balancer) complete() (balancer, error) {
	if b.config == "" {
		return b, fmt.Errorf("%w: --config is needed, the file that HAProxy reads", errBalancer)
	}
	dir := filepath.Dir(b.config)
	if b.state == "" {
		b.state = filepath.Join(dir, "haproxy.state")
	}
	if b.run && b.socket == "" {
		b.socket = filepath.Join(dir, "admin.sock")
	}
	if b.run && b.master == "" {
		b.master = filepath.Join(dir, "master.sock")
	}
	if b.id == "" {
		b.id, _ = os.Hostname()
	}
	tls := b.certificates.CA != "" && b.certificates.Certificate != "" && b.certificates.Key != ""
	switch {
	case len(b.xds) == 0:
		return b, fmt.Errorf("%w: --xds is needed, the address of the control plane's xDS server", errBalancer)
	case b.socket == "":
		return b, fmt.Errorf("%w: --socket is needed, HAProxy's runtime socket; or --run, to start HAProxy", errBalancer)
	case b.run && b.reload != "":
		return b, fmt.Errorf("%w: --reload is for an HAProxy that somebody else starts, --run starts one", errBalancer)
	case (b.master == "") == (b.reload == ""):
		return b, fmt.Errorf("%w: either --master or --reload is needed, to reload HAProxy", errBalancer)
	case b.plain == tls:
		return b, fmt.Errorf("%w: --ca, --cert and --key are needed, or --insecure for a control plane on this machine", errBalancer)
	}
	for _, a := range b.xds {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return b, fmt.Errorf("%w: --xds %q is not HOST:PORT: %w", errBalancer, a, err)
		}
	}
	return b, nil
}

// node tells the control plane who asks and from where.
func (b balancer) node() *corev3.Node {
	n := &corev3.Node{
		Id: b.id, Cluster: b.cluster, Locality: &corev3.Locality{Region: b.region, Zone: b.zone},
		UserAgentName: "hansa-haproxy", UserAgentVersionType: &corev3.Node_UserAgentVersion{UserAgentVersion: version.Current().Version},
	}
	if b.cluster != "" {
		n.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{"cluster": structpb.NewStringValue(b.cluster)}}
	}
	return n
}

// start works until the context ends. HAProxy, if it is a child, ends with it.
func (b balancer) start(ctx context.Context) error {
	log := klog.Background().WithName("haproxy")
	creds := b.certificates.Credentials
	if b.plain {
		var err error
		if creds, err = feed.Plain(b.xds); err != nil {
			return fmt.Errorf("%w: --xds: %w", errBalancer, err)
		}
	}
	files := haproxy.Files{State: b.state}
	reload := drive.ReloadBy(b.reload)
	if b.master != "" {
		reload = drive.ReloadByMaster(drive.Socket(b.master))
	}
	if b.run {
		files.Socket = b.socket
	}
	driver := drive.New(drive.Options{
		Socket: drive.Socket(b.socket), File: b.config, Files: files,
		Check: drive.CheckBy(b.program, b.include...), Reload: reload, Log: log,
	})
	client := feed.New(feed.Options{Addresses: b.xds, Credentials: creds, Node: b.node(), Set: driver.Set, Log: log})
	tell, err := tellBalancer(b.metrics, driver, client)
	if err != nil {
		return err
	}
	parts := []func(context.Context){driver.Run, client.Run, tell}
	if b.run {
		parts = append(parts, drive.Child{
			Program: b.program, Files: append(b.include, b.config), Master: drive.Socket(b.master), Grace: b.grace, Log: log,
		}.Run)
	}
	klog.InfoS("starting", "version", version.Current().Version, "config", b.config, "xds", b.xds)
	var all sync.WaitGroup
	for _, run := range parts {
		all.Go(func() { run(ctx) })
	}
	all.Wait()
	return nil
}
