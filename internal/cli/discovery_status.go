package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/survey"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type statusFlags struct {
	hostFlags
	inNamespace, output string
	all                 bool
	servers             []string
	publicServer        string
}

func discoveryStatus(s Streams) *cobra.Command {
	var f statusFlags
	c := &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "Tell how services that span clusters fare",
		Long: "Tell how services that span clusters fare: where each is exported and imported, how many endpoints are ready, what is in conflict, and\n" +
			"what a DNS server answers. The members are read by the credentials of the federation, all anew.\n\n" +
			"The DNS servers of the members are seldom reached from here, so none is asked unless it is named: --dns-server asks one for all\n" +
			"clusters, --dns-server CLUSTER=HOST:PORT one for each. Names in public DNS are asked of --public-dns-server.",
		Example: "  # The services of a namespace\n  kubefedctl discovery status -n shop\n\n" +
			"  # One of them, with the answer of a DNS server\n  kubefedctl discovery status web -n shop --dns-server business=10.0.0.53:53 -o yaml",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c.Context(), args, s) },
	}
	f.add(c)
	_ = c.Flags().MarkHidden("dry-run") // it only reads
	c.Flags().StringVarP(&f.inNamespace, "namespace", "n", "", "namespace of the services; else that of the context")
	c.Flags().BoolVarP(&f.all, "all-namespaces", "A", false, "the services of all namespaces")
	c.Flags().StringVarP(&f.output, "output", "o", "", `"wide" tells more, "json" and "yaml" all`)
	c.Flags().StringArrayVar(&f.servers, "dns-server", nil, "HOST:PORT to ask for the names in all clusters, or CLUSTER=HOST:PORT for those in one; may be repeated")
	c.Flags().StringVar(&f.publicServer, "public-dns-server", "", "HOST:PORT to ask for the names in public DNS")
	complete(c, "output", words("wide", "json", "yaml"))
	return c
}

func (f *statusFlags) run(ctx context.Context, args []string, s Streams) error {
	switch {
	case f.output != "" && f.output != "wide" && f.output != "json" && f.output != "yaml":
		return fail.BadUsage.New("Invalid value for --output: %s", f.output).Try("use wide, json or yaml")
	case f.all && (f.inNamespace != "" || len(args) > 0):
		return fail.BadUsage.New("--all-namespaces tells of all services: name neither a service nor a namespace with it")
	}
	servers, err := dnsServers(f.servers, f.publicServer)
	if err != nil {
		return err
	}
	host, err := f.connect(ctx, s)
	if err != nil {
		return err
	}
	var w survey.What
	if !f.all {
		w.Namespace = cmp.Or(f.inNamespace, host.Namespace)
	}
	if len(args) > 0 {
		w.Name = args[0]
	}
	r, err := f.survey(ctx, host, w)
	if err != nil {
		return err
	}
	survey.Ask(ctx, &r, servers)
	if f.output == "json" || f.output == "yaml" {
		return printReport(s.Out, f.output, r)
	}
	return f.table(s, r)
}

// dnsServers are the servers to ask.
func dnsServers(flags []string, public string) (survey.Servers, error) {
	out := survey.Servers{Clusterset: map[string]string{}, Public: public}
	for _, text := range flags {
		name, server, each := strings.Cut(text, "=")
		if !each {
			name, server = "", text
		}
		if server == "" || each && name == "" {
			return out, fail.BadUsage.New("Invalid value for --dns-server: %q", text).Try("name it as HOST:PORT or CLUSTER=HOST:PORT")
		}
		out.Clusterset[name] = server
	}
	return out, nil
}

// survey reads the host and all members. A service that is asked for by name is in the report even if nobody knows of it.
func (h *hostFlags) survey(ctx context.Context, host join.Cluster, w survey.What) (survey.Report, error) {
	seen, err := survey.LookAtHost(ctx, host.Client, h.namespace, w)
	if err != nil {
		return survey.Report{}, fail.API(host.At(), "read what is exposed", err)
	}
	var members fedv1.KubeFedClusterList
	if err := host.Client.List(ctx, &members, client.InNamespace(h.namespace)); err != nil {
		return survey.Report{}, fail.API(host.At(), "list KubeFedClusters in "+h.namespace, err)
	}
	connect := func(ctx context.Context, m fedv1.KubeFedCluster) (*rest.Config, error) {
		member, err := connectMember(ctx, host, m)
		return member.Config, err
	}
	var asked []types.NamespacedName
	if w.Name != "" {
		asked = append(asked, types.NamespacedName{Namespace: w.Namespace, Name: w.Name})
	}
	return survey.Of(seen, survey.LookAtMembers(ctx, members.Items, connect, w), asked...), nil
}

func printReport(out io.Writer, format string, r survey.Report) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err == nil && format == "yaml" {
		data, err = yaml.JSONToYAML(data)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	fmt.Fprintln(out, strings.TrimSpace(string(data)))
	return nil
}

// table prints a line for each service and cluster, and then what else there is to tell.
func (f *statusFlags) table(s Streams, r survey.Report) error {
	if !r.Enabled {
		s.say(0, "WARNING: discovery is switched off, so nothing here is kept up to date: kubefedctl discovery enable")
	}
	for _, p := range r.Problems {
		s.say(0, "WARNING: %s", p)
	}
	if len(r.Items) == 0 {
		s.say(0, "No service is exposed or exported here: kubefedctl expose service NAME")
		return nil
	}
	wide := f.output == "wide"
	t := tabwriter.NewWriter(s.Out, 0, 0, 3, ' ', 0)
	row := func(columns ...string) {
		for i := range columns {
			columns[i] = fail.Clean(columns[i])
		}
		fmt.Fprintln(t, strings.Join(columns, "\t"))
	}
	head := []string{"NAMESPACE", "SERVICE", "CLUSTER", "EXPORT", "ENDPOINTS", "IMPORT", "REACHABILITY", "DNS"}
	if wide {
		head = append(head, "SEEN", "FROM", "MESSAGE")
	}
	row(head...)
	for _, service := range r.Items {
		for _, c := range service.Clusters {
			columns := clusterRow(service, c)
			if wide {
				columns = append(columns, wideColumns(c)...)
			}
			row(columns...)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return names(s, r)
}

const none = "-"

// clusterRow is what a cluster says of a service, in words.
func clusterRow(s survey.Service, c survey.Cluster) []string {
	out := []string{s.Namespace, s.Name, c.Name}
	if c.Problem != "" {
		return append(out, "unknown", none, none, c.Reachability, answerWords(c.DNS))
	}
	export, imported := none, none
	switch {
	case c.Export != nil:
		export = c.Export.State
	case c.Placed:
		export = "Pending"
	}
	if i := c.Import; i != nil {
		if imported = strings.Join(i.IPs, ","); imported == "" {
			imported = i.Type
		}
	}
	return append(out, export, counted(c.Endpoints), imported, c.Reachability, answerWords(c.DNS))
}

func counted(e survey.Endpoints) string { return fmt.Sprintf("%d/%d", e.Ready, e.All) }

// wideColumns are the endpoints that clients in the cluster are sent to, the clusters that they are in, and what is not as it should be.
func wideColumns(c survey.Cluster) []string {
	seen, from, message := none, none, c.Problem
	if c.Import != nil {
		seen, from = counted(c.Import.Endpoints), cmp.Or(strings.Join(c.Import.From, ","), none)
	}
	if c.Export != nil {
		for _, condition := range c.Export.Conditions {
			if condition.Reason == c.Export.State && c.Export.State != "Ready" {
				message = condition.Message
			}
		}
	}
	return []string{seen, from, message}
}

// answerWords say what a DNS server answered, or that none was asked.
func answerWords(a *survey.Answer) string {
	switch {
	case a == nil:
		return "not asked"
	case a.Problem != "":
		return "no answer"
	case len(a.Addresses) == 0 && a.Code == "NOERROR":
		return "no addresses"
	case len(a.Addresses) == 0:
		return a.Code
	default:
		return strings.Join(a.Addresses, ",")
	}
}

// names prints what the services are called, and what keeps them from being known as asked.
func names(s Streams, r survey.Report) error {
	t := tabwriter.NewWriter(s.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "\nSERVICE\tKNOWN AS\tTYPE\tTARGETS\tDNS")
	for _, service := range r.Items {
		of := service.Namespace + "/" + service.Name
		fmt.Fprintf(t, "%s\t%s\tclusterset\t%s\t%s\n", of, service.DNSName, none, none)
		for _, n := range service.Public {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", of, fail.Clean(n.Name), n.Type, fail.Clean(strings.Join(n.Targets, ",")), fail.Clean(answerWords(n.DNS)))
		}
		for _, a := range service.Addresses {
			fmt.Fprintf(t, "%s\t%s\taddress\t%s\t%s\n", of, fail.Clean(a), none, none)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, text := range troubles(r) {
		s.say(0, "WARNING: %s", text)
	}
	return nil
}

// troubles are what keeps the services from being known as asked, and what could not be asked; each is said once.
func troubles(r survey.Report) []string {
	var out []string
	say := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, s := range r.Items {
		for _, p := range s.Problems {
			say("%s/%s: %s", s.Namespace, s.Name, p.Message)
		}
		if s.PublicState != "" {
			say("%s/%s: public names: %s", s.Namespace, s.Name, s.PublicState)
		}
		for _, n := range s.Public {
			if n.DNS != nil && n.DNS.Problem != "" {
				say("DNS server %s: %s", n.DNS.Server, n.DNS.Problem)
			}
		}
		for _, c := range s.Clusters {
			if c.Problem != "" {
				say("%s cannot be asked: %s", c.Name, c.Problem)
			}
			if c.DNS != nil && c.DNS.Problem != "" {
				say("DNS server %s: %s", c.DNS.Server, c.DNS.Problem)
			}
		}
	}
	return out
}
