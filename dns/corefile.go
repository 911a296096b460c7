package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// options are the flags.
type options struct {
	kubeconfig, context string
	listen, zone, file  string
	probes              bool
	print, version      bool
}

func (o *options) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("hansa-dns", pflag.ContinueOnError)
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig of the cluster; else the account of the Pod it runs in")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig; else the current one")
	f.StringVar(&o.listen, "listen", ":53", "address and port to answer at, by UDP and TCP")
	f.StringVar(&o.zone, "zone", "clusterset.local", "zone of the names")
	f.BoolVar(&o.probes, "probes", false, "answer to /health on port 8080 and /ready on port 8181, and serve /metrics on port 9153")
	f.StringVar(&o.file, "corefile", "", "path of a Corefile to use instead of the one that the other flags make")
	f.BoolVar(&o.print, "print-corefile", false, "print the Corefile and exit")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	return f
}

// schemaVersion is that of the specification of multicluster DNS. CoreDNS tells the version of the names within one cluster.
const schemaVersion = "1.0.0"

// corefile is the text of the configuration.
func (o options) corefile() (string, error) {
	if o.file != "" {
		text, err := os.ReadFile(o.file)
		if err != nil {
			return "", fmt.Errorf("--corefile: %w", err)
		}
		return string(text), nil
	}
	zone := strings.TrimSuffix(o.zone, ".")
	if why := validation.IsDNS1123Subdomain(zone); len(why) > 0 {
		return "", fmt.Errorf("--zone %q: %s", o.zone, strings.Join(why, ", "))
	}
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return "", fmt.Errorf("--listen %q: %w: give it as ADDRESS:PORT or :PORT", o.listen, err)
	}
	if strings.ContainsAny(o.kubeconfig+o.context, "\"\n") {
		return "", fmt.Errorf("--kubeconfig and --context must not hold quotes or line breaks")
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s:%s {", zone, port)
	line("    errors")
	if host != "" {
		line("    bind %s", host)
	}
	if o.probes {
		line("    health :8080 {\n        lameduck 5s\n    }\n    ready :8181\n    prometheus :9153")
	}
	line("    template IN TXT %s {", zone)
	line("        match \"^dns-version[.]%s[.]$\"", strings.ReplaceAll(zone, ".", "[.]"))
	line("        answer \"{{ .Name }} 28800 IN TXT %s\"", schemaVersion)
	line("        fallthrough\n    }")
	line("    kubernetes %s {", zone)
	if o.kubeconfig != "" {
		line("        kubeconfig \"%s\"%s", o.kubeconfig, quoted(o.context))
	}
	line("        multicluster %s\n    }", zone)
	line("    loadbalance\n}")
	return b.String(), nil
}

// quoted is one more argument in quotes, or nothing.
func quoted(s string) string {
	if s == "" {
		return ""
	}
	return " \"" + s + "\""
}
