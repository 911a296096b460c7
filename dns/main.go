// Command hansa-dns answers for clusterset.local, the names of services that span clusters, out of the ServiceImports of its cluster. It is
// CoreDNS with the few plug-ins that this takes, for clusters whose own DNS server may not, or cannot, be told about them.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/coremain" // registers the server type
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/template"
	"github.com/spf13/pflag"

	"github.com/hansa-io/hansa/internal/version"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run serves until a signal ends the process: CoreDNS answers what it has begun, and exits itself.
func run(args []string) error {
	var o options
	flags := o.flags()
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: hansa-dns takes flags only", flags.Arg(0))
	case o.version:
		fmt.Println("hansa-dns", version.Current().Version, "with", caddy.AppName, caddy.AppVersion)
		return nil
	case o.print:
		text, err := o.corefile()
		fmt.Print(text)
		return err
	}
	// A loader, as the plug-in reload asks again for the text.
	caddy.RegisterCaddyfileLoader("hansa-dns", caddy.LoaderFunc(o.load))
	caddy.TrapSignals()
	input, err := caddy.LoadCaddyfile(serverType)
	if err != nil {
		return err
	}
	server, err := caddy.Start(input)
	if err != nil {
		return fmt.Errorf("start with this Corefile: %w\n%s", err, input.Body())
	}
	server.Wait()
	return nil
}

// serverType is what Caddy, which CoreDNS is built on, calls a server for DNS.
const serverType = "dns"

func (o options) load(string) (caddy.Input, error) {
	text, err := o.corefile()
	if err != nil {
		return nil, err
	}
	return caddy.CaddyfileInput{Contents: []byte(text), Filepath: "Corefile", ServerTypeName: serverType}, nil
}
