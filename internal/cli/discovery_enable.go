package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/coredns"
	"github.com/hansa-io/hansa/internal/discovery/corefile"
	"github.com/hansa-io/hansa/internal/discovery/definitions"
	"github.com/hansa-io/hansa/internal/discovery/hansadns"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/install"
	"github.com/hansa-io/hansa/internal/join"
	"github.com/hansa-io/hansa/internal/version"
)

// What answers for clusterset.local in the members.
const (
	dnsNone    = "none"
	dnsCoreDNS = "coredns"
	dnsOwn     = hansadns.Name
)

type discoveryFlags struct {
	hostFlags
	clusters []string
	// coredns is "<namespace>/<name>" of the Deployment.
	coredns string
	// Of enable only.
	dns, image, corednsVersion string
}

func (f *discoveryFlags) addDNS(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.clusters, "clusters", nil, "members whose DNS is meant, separated by commas; else all")
	c.Flags().StringVar(&f.coredns, "coredns", "kube-system/coredns", "NAMESPACE/NAME of the members' Deployment of CoreDNS")
	complete(c, "clusters", f.members)
}

func discoveryEnable(s Streams) *cobra.Command {
	var f discoveryFlags
	c := &cobra.Command{
		Use:   "enable",
		Short: "Let services span clusters",
		Long: "Let services span clusters: installs the kinds of the Multi-Cluster Services API, federates ServiceExports and switches the feature\n" +
			"gates on. Running it again does what is missing.\n\n" +
			"The names under clusterset.local are answered for by each member's own DNS server. With --dns=coredns its configuration is changed:\n" +
			"the change is printed, and kubefedctl discovery disable takes back exactly that. With --dns=hansa-dns a DNS server of its own is\n" +
			"installed in each member, and what its DNS server must be told to ask it is printed. Without --dns no DNS server is touched.",
		Example: "  # Services span clusters, and CoreDNS answers for them in all members\n  kubefedctl discovery enable --dns coredns --host-cluster-context global\n\n" +
			"  # See first what would change in one of them\n  kubefedctl discovery enable --dns coredns --clusters business --dry-run",
		Args: needs(),
		RunE: func(c *cobra.Command, _ []string) error { return f.enable(c.Context(), s) },
	}
	f.add(c)
	f.addDNS(c)
	c.Flags().StringVar(&f.dns, "dns", dnsNone, `what answers for clusterset.local in the members: "coredns", their own; "hansa-dns", a server that is installed beside it; "none", nothing new`)
	c.Flags().StringVar(&f.corednsVersion, "coredns-version", "", "version of CoreDNS in the members, where the tag of its image does not tell")
	c.Flags().StringVar(&f.image, "dns-image", "ghcr.io/hansa-io/hansa-dns:VERSION", "image of hansa-dns; VERSION is that of this command")
	complete(c, "dns", words(dnsNone, dnsCoreDNS, dnsOwn))
	return c
}

// place is where a command works: the host, the members that are meant, and the name of their CoreDNS.
type place struct {
	host    join.Cluster
	members []fedv1.KubeFedCluster
	coredns types.NamespacedName
}

func (f *discoveryFlags) find(ctx context.Context, s Streams) (in place, err error) {
	if in.coredns, err = f.check(); err != nil {
		return in, err
	}
	if in.host, err = f.connect(ctx, s); err != nil {
		return in, err
	}
	if _, err = join.ReadConfig(ctx, in.host, f.namespace); err != nil {
		return in, err
	}
	in.members, err = membersNamed(ctx, in.host, f.namespace, f.clusters)
	return in, err
}

func (f *discoveryFlags) enable(ctx context.Context, s Streams) error {
	in, err := f.find(ctx, s)
	if err != nil {
		return err
	}
	if err := f.define(ctx, in.host, s); err != nil {
		return err
	}
	if err := f.switchGates(ctx, in.host, fedv1.Enabled, s); err != nil {
		return err
	}
	switch f.dns {
	case dnsCoreDNS:
		return inMembers(ctx, in.host, in.members, f.dryRun, func(ctx context.Context, m join.Cluster) ([]string, error) { return f.configure(ctx, m, in.coredns) }, s)
	case dnsOwn:
		return inMembers(ctx, in.host, in.members, f.dryRun, f.install, s)
	}
	return nil
}

// check parses what the flags say, CoreDNS's name first.
func (f *discoveryFlags) check() (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(f.coredns, "/")
	switch {
	case !ok || namespace == "" || name == "" || strings.Contains(name, "/"):
		return types.NamespacedName{}, fail.BadUsage.New("Invalid value for --coredns: %s", f.coredns).Try("give it as NAMESPACE/NAME, as in kube-system/coredns")
	case f.dns != "" && f.dns != dnsNone && f.dns != dnsCoreDNS && f.dns != dnsOwn:
		return types.NamespacedName{}, fail.BadUsage.New("Invalid value for --dns: %s", f.dns).Try("use coredns, hansa-dns or none")
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// define makes the host know the kinds, and the federated one.
func (f *discoveryFlags) define(ctx context.Context, host join.Cluster, s Streams) error {
	if err := ensureKinds(ctx, host, f.dryRun, func(line string) { fmt.Fprintln(s.Out, line+f.dryRun.Suffix()) }); err != nil {
		return err
	}
	t := exportType()
	p := enable.Pair{CRD: enable.CRD(t, enable.Group, enable.Version), Config: enable.TypeConfig(t, enable.Group, enable.Version, f.namespace)}
	return apply(ctx, host, p, f.dryRun, s)
}

// ensureKinds installs the kinds of the Multi-Cluster Services API in a cluster, and waits until they are served.
func ensureKinds(ctx context.Context, in join.Cluster, mode dryrun.Mode, said func(string)) error {
	err := definitions.Ensure(ctx, mode.Writer(in.Client), func(name string, r definitions.Result) {
		if r != definitions.Kept {
			said(fmt.Sprintf("customresourcedefinition.apiextensions.k8s.io/%s %s", name, r))
		}
	})
	if err == nil && mode == dryrun.None {
		err = definitions.Served(ctx, in.Client)
	}
	return fail.API(in.At(), "install the Multi-Cluster Services API", err)
}

// configure makes a member's CoreDNS answer for clusterset.local. The kinds come first: CoreDNS waits for what it is told to read.
func (f *discoveryFlags) configure(ctx context.Context, m join.Cluster, name types.NamespacedName) ([]string, error) {
	found, err := coredns.Find(ctx, m.Client, name)
	if err != nil {
		return nil, fail.API(m.At(), "look for CoreDNS", err)
	}
	change, err := found.Add(f.corednsVersion)
	if err != nil {
		return nil, err
	}
	var lines []string
	if err := ensureKinds(ctx, m, f.dryRun, func(line string) { lines = append(lines, line) }); err != nil {
		return lines, err
	}
	if err := change.Write(ctx, f.dryRun.Writer(m.Client)); err != nil {
		return lines, fail.API(m.At(), "configure CoreDNS", err)
	}
	return append(append(lines, f.told(change, "answers for "+coredns.Zone)...), f.besides(ctx, m)...), nil
}

// told are the lines about a change of a Corefile.
func (f *discoveryFlags) told(change coredns.Change, already string) []string {
	if change.Before == change.After {
		return []string{fmt.Sprintf("CoreDNS %s already", already)}
	}
	lines := []string{"ConfigMap " + change.Server.ConfigName() + " configured"}
	for line := range strings.Lines(corefile.Diff(change.Before, change.After)) {
		lines = append(lines, "  "+strings.TrimSuffix(line, "\n"))
	}
	switch {
	case f.dryRun != dryrun.None:
		return lines
	case corefile.Reloads(change.After):
		return append(lines, "CoreDNS reads it within about two minutes")
	}
	return append(lines, fmt.Sprintf("CoreDNS does not read it by itself: kubectl -n %s rollout restart deployment %s", change.Server.Name.Namespace, change.Server.Name.Name))
}

// besides tells of a cache between the Pods and CoreDNS: it has a configuration of its own, and sends other names elsewhere.
func (f *discoveryFlags) besides(ctx context.Context, m join.Cluster) []string {
	var cache corev1.ConfigMap
	key := client.ObjectKey{Namespace: "kube-system", Name: "node-local-dns"}
	if err := m.Client.Get(ctx, key, &cache); err != nil {
		return nil
	}
	return []string{"NodeLocal DNSCache stands before CoreDNS: send " + coredns.Zone + " on to CoreDNS in ConfigMap " + key.String() + " as well"}
}

// install makes a DNS server of the federation's own in a member, and says what the member's has to be told.
func (f *discoveryFlags) install(ctx context.Context, m join.Cluster) ([]string, error) {
	objects, err := hansadns.Objects(f.namespace, strings.ReplaceAll(f.image, "VERSION", version.Current().Version))
	if err != nil {
		return nil, err
	}
	var lines []string
	if err := ensureKinds(ctx, m, f.dryRun, func(line string) { lines = append(lines, line) }); err != nil {
		return lines, err
	}
	i := install.Installer{Client: m.Client, At: m.At(), DryRun: f.dryRun, Told: func(o *unstructured.Unstructured, r install.Result) {
		if r != install.Unchanged {
			lines = append(lines, fmt.Sprintf("%s %s", install.Name(o), r))
		}
	}}
	if err := i.Install(ctx, objects); err != nil {
		return lines, err
	}
	address := "ADDRESS"
	var service corev1.Service
	switch err := m.Client.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: hansadns.Name}, &service); {
	case err == nil:
		address = service.Spec.ClusterIP
	case !apierrors.IsNotFound(err) || f.dryRun == dryrun.None:
		return lines, fail.API(m.At(), "read Service "+f.namespace+"/"+hansadns.Name, err)
	}
	lines = append(lines, "tell the cluster's DNS server to ask it, in a Corefile:")
	for line := range strings.Lines(hansadns.Stub(coredns.Zone, address)) {
		lines = append(lines, "  "+strings.TrimSuffix(line, "\n"))
	}
	return lines, nil
}
