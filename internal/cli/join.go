package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

// memberFlags lead to a member; join and unjoin have them.
type memberFlags struct {
	hostFlags
	clusterContext, hostName string
}

func (f *memberFlags) add(c *cobra.Command) {
	f.hostFlags.add(c)
	c.Flags().StringVar(&f.clusterContext, "cluster-context", "", "context of the cluster; else the context that is named as the cluster")
	c.Flags().StringVar(&f.hostName, "host-cluster-name", "", "what the host is called in the member's objects; else the name of its context")
	complete(c, "cluster-context", f.contexts)
}

// options checks the names and makes them part of a join or unjoin.
func (f *memberFlags) options(cluster string, host join.Cluster) (join.Options, error) {
	o := join.Options{Name: cluster, HostName: f.hostName, Namespace: f.namespace, DryRun: f.dryRun}
	if o.HostName == "" {
		o.HostName = host.Context
	}
	if wrong := validation.IsDNS1123Subdomain(cluster); len(wrong) > 0 || cluster == "all" {
		return o, fail.BadUsage.New("%q cannot be the name of a cluster", cluster).Because(rule(wrong)).
			Try("choose a name and name the context: kubefedctl join NAME --cluster-context %q", cluster)
	}
	if strings.ContainsAny(o.HostName, ":/") {
		return o, fail.BadUsage.New(`host-cluster-name must be set if the name of the host cluster context contains one of ":" or "/", and must not contain them: %q`, o.HostName).
			Try("--host-cluster-name NAME")
	}
	if wrong := validation.IsDNS1123Subdomain(cluster + "-" + o.HostName); len(wrong) > 0 {
		return o, fail.BadUsage.New("%q cannot be the name of the host in a member's objects", o.HostName).Because(rule(wrong)).Try("--host-cluster-name NAME")
	}
	return o, nil
}

func rule(wrong []string) error {
	if len(wrong) == 0 {
		return fmt.Errorf("it stands for every cluster")
	}
	return fmt.Errorf("%s", strings.Join(wrong, "; "))
}

type joinFlags struct {
	memberFlags
	secretName, access, credential, endpoint string
	output, role                             string
	refuseExisting                           bool
	lifetime                                 time.Duration
}

func joinVerb(s Streams) *cobra.Command {
	var f joinFlags
	c := &cobra.Command{
		Use:   "join CLUSTER_NAME",
		Short: "Make a cluster a member of the federation",
		Long: "Make a cluster a member of the federation: a service account with its rights in the cluster, a credential of that account and a\n" +
			"KubeFedCluster in the host. What the kubeconfig logs in with is used for this, and stored nowhere.",
		Example: "  # Join the cluster of the context business\n  kubefedctl join business --cluster-context business --host-cluster-context global --v=2\n\n" +
			"  # Print what is written on each side, for GitOps or for another administrator: first the member's, then, when it is applied, the host's\n" +
			"  kubefedctl join business --host-cluster-context global -o yaml --role=member\n" +
			"  kubefedctl join business --host-cluster-context global -o yaml --role=host",
		Args: needs("CLUSTER_NAME"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0], s) },
	}
	f.add(c)
	c.Flags().StringVar(&f.secretName, "secret-name", "", "name of the host's secret with the credential; else it is generated")
	c.Flags().BoolVar(&f.refuseExisting, "error-on-existing", true, "fail if the cluster is a member already; if false, join it again")
	c.Flags().StringVar(&f.access, "access", string(join.AccessFull), `rights in the member: "full", or "scoped" to the types enabled now`)
	c.Flags().StringVar(&f.credential, "credential", string(join.CredentialBound), `"bound": a token that ends and is renewed; "eternal": one that never ends`)
	c.Flags().DurationVar(&f.lifetime, "token-lifetime", 24*time.Hour, "lifetime of a bound token, at least 10m")
	c.Flags().StringVar(&f.endpoint, "server-override", "", "address of the member's API server for the control plane; else that of the kubeconfig")
	c.Flags().StringVarP(&f.output, "output", "o", "", `print the objects of --role as "yaml" or "json" and write nothing; without --role, "json" tells a failure as JSON`)
	c.Flags().StringVar(&f.role, "role", "", `with -o: the side whose objects are printed, "member" or "host"; the token that the host's side holds never ends unless you say --credential bound`)
	complete(c, "role", words(string(join.MemberPart), string(join.HostPart)))
	complete(c, "access", words(string(join.AccessFull), string(join.AccessScoped)))
	complete(c, "credential", words(string(join.CredentialBound), string(join.CredentialEternal)))
	completeArgs(c, f.contexts)
	return c
}

func (f *joinFlags) run(c *cobra.Command, name string, s Streams) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.role == string(join.HostPart) && !c.Flags().Changed("credential") {
		f.credential = string(join.CredentialEternal) // who applies a renewed token's secret again would bring the old one back
	}
	if f.clusterContext == "" {
		f.clusterContext = name
	}
	s.say(2, "Args and flags: name %s, host: %s, host-system-namespace: %s, kubeconfig: %s, cluster-context: %s, secret-name: %s, dry-run: %s",
		name, f.context, f.namespace, f.kubeconfig, f.clusterContext, f.secretName, f.dryRun.String())
	ctx := c.Context()
	host, err := f.connect(ctx, s)
	if err != nil {
		return err
	}
	o, err := f.options(name, host)
	if err != nil {
		return err
	}
	member, err := connect(ctx, f.kubeconfig, f.clusterContext, quiet)
	if err != nil {
		return err
	}
	o.SecretName, o.RefuseExisting, o.Endpoint = f.secretName, f.refuseExisting, f.endpoint
	o.Access, o.Credential, o.TokenLifetime = join.Access(f.access), join.Credential(f.credential), f.lifetime
	if f.role != "" {
		return f.print(ctx, host, member, o, s)
	}
	if err := join.Join(ctx, host, member, o, s.say); err != nil {
		return err
	}
	if f.dryRun == dryrun.None {
		s.say(0, "cluster %q has joined the federation of %q\nnext: kubectl --context %s -n %s get kubefedclusters", name, host.Context, host.Context, f.namespace)
	}
	return nil
}

// print prints one side of the join.
func (f *joinFlags) print(ctx context.Context, host, member join.Cluster, o join.Options, s Streams) error {
	objects, err := join.Objects(ctx, host, member, o, join.Part(f.role))
	if err != nil {
		return err
	}
	out := make([]*unstructured.Unstructured, len(objects))
	for i, object := range objects {
		if out[i], err = plain(object); err != nil {
			return err
		}
	}
	return print(s.Out, f.output, out)
}

// plain is an object as one would write it by hand.
func plain(o client.Object) (*unstructured.Unstructured, error) {
	gvk, err := apiutil.GVKForObject(o, scheme())
	if err != nil {
		return nil, fmt.Errorf("print %s: %w", o.GetName(), err)
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("print %s: %w", o.GetName(), err)
	}
	delete(m, "status")
	u := &unstructured.Unstructured{Object: m}
	u.SetGroupVersionKind(gvk)
	unstructured.RemoveNestedField(m, "metadata", "creationTimestamp")
	return u, nil
}

func (f *joinFlags) check() error {
	printed := f.role == string(join.MemberPart) || f.role == string(join.HostPart)
	switch {
	case f.role != "" && !printed:
		return fail.BadUsage.New("Invalid value for --role: %s", f.role).Try("use member or host")
	case printed && f.output != "yaml" && f.output != "json":
		return fail.BadUsage.New("--role needs an output").Try("-o yaml, or -o json")
	case !printed && f.output != "" && f.output != "json":
		return fail.BadUsage.New("Invalid value for --output: %s", f.output).Try("say which side is to be printed: --role=member or --role=host")
	case f.access != string(join.AccessFull) && f.access != string(join.AccessScoped):
		return fail.BadUsage.New("Invalid value for --access: %s", f.access).Try("use full or scoped")
	case f.credential != string(join.CredentialBound) && f.credential != string(join.CredentialEternal):
		return fail.BadUsage.New("Invalid value for --credential: %s", f.credential).Try("use bound or eternal")
	case f.lifetime < join.MinTokenLifetime:
		return fail.BadUsage.New("Invalid value for --token-lifetime: %s", f.lifetime).Try("Kubernetes grants at least %s", join.MinTokenLifetime)
	}
	return nil
}
