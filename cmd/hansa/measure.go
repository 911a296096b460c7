package main

import (
	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hansa-io/hansa/internal/audit"
)

// measure are the flags about what operators see from outside.
type measure struct {
	legacy, objects bool
	secure          bool
	certs           string
	auditLog        string
	pprof           string
	identity        string // of this process
}

func (m *measure) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&m.legacy, "legacy-metrics", true, "export the metrics of KubeFed that have names against the conventions")
	fs.BoolVar(&m.objects, "object-metrics", false, "export the conditions of every federated object: four series for each")
	fs.BoolVar(&m.secure, "metrics-secure", false, "serve /metrics by TLS, and only to whom the host's RBAC allows to get the URL /metrics")
	fs.StringVar(&m.certs, "metrics-cert-dir", "", "folder of tls.crt and tls.key for --metrics-secure; empty makes a certificate that nobody has signed")
	fs.StringVar(&m.pprof, "pprof-addr", "", `address of /debug/pprof, the profiles of this process, open to whoever reaches it; empty is off`)
	fs.StringVar(&m.auditLog, "audit-log", "-", `file to which each removal, release and adoption in a member is written as a line of JSON; "-" is the standard error, "" is off`)
}

// server are the settings of /metrics. It is open, as KubeFed's, unless --metrics-secure is given.
func (m *measure) server(address string) server.Options {
	o := server.Options{BindAddress: address}
	if m.secure {
		o.SecureServing, o.CertDir, o.FilterProvider = true, m.certs, guarded
	}
	return o
}

// audit returns what writes the audit log. That it cannot be written stops nothing.
func (m *measure) audit(controlPlane string, log logr.Logger) (func(audit.Record), error) {
	l, err := audit.Open(m.auditLog, controlPlane, m.identity)
	if err != nil {
		return nil, err
	}
	return func(r audit.Record) {
		if err := l.Write(r); err != nil {
			log.Error(err, "an act is not on record", "act", r.Act, "cluster", r.Cluster, "object", r.Federated)
		}
	}, nil
}
