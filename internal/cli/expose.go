package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/plan/exposure"
	"github.com/hansa-io/hansa/internal/discovery/survey"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

type exposeFlags struct {
	hostFlags
	inNamespace, domain, output   string
	public, balance, remove, wait bool
	timeout                       time.Duration
	// changed says whether the user gave a flag.
	changed func(string) bool
}

func exposeVerb(s Streams) *cobra.Command {
	var f exposeFlags
	c := &cobra.Command{
		Use:   "expose service NAME",
		Short: "Make a federated service known in all clusters, in public DNS, or at one address",
		Long: "Make a federated service known beyond its clusters: under NAME.NAMESPACE.svc.clusterset.local in every cluster that has the namespace,\n" +
			"with --public in public DNS as well, and with --balance at an address of the load balancers.\n\n" +
			"The command sets the annotation " + fedv1.ExposeAnnotation + " of the FederatedService, and no more: the control plane does the\n" +
			"rest, and takes it away when the annotation goes. What is not asked for again stays as it is; --public=false takes one thing back,\n" +
			"--remove all of it.",
		Example: "  # One name for the Pods of all clusters\n  kubefedctl expose service web -n shop\n\n" +
			"  # Public names and one address as well\n  kubefedctl expose service web -n shop --public --balance\n\n" +
			"  # Take it back\n  kubefedctl expose service web -n shop --remove",
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f.changed = c.Flags().Changed
			return f.run(c.Context(), args, s)
		},
	}
	f.add(c)
	c.Flags().StringVarP(&f.inNamespace, "namespace", "n", "", "namespace of the service; else that of the context")
	c.Flags().BoolVar(&f.public, "public", false, "give it names in public DNS as well")
	c.Flags().StringVar(&f.domain, "domain", "", "with --public: name of the Domain; needed where there are several")
	c.Flags().BoolVar(&f.balance, "balance", false, "give it an address at the load balancers as well")
	c.Flags().BoolVar(&f.remove, "remove", false, "take back all that was exposed")
	c.Flags().BoolVar(&f.wait, "wait", true, "wait until the service is known as asked")
	c.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait")
	c.Flags().StringVarP(&f.output, "output", "o", "", `print what is known then as "yaml" or "json"`)
	complete(c, "output", words("yaml", "json"))
	completeArgs(c, words("service"))
	return c
}

// serviceNamed is the name in "service NAME" or "service/NAME".
func serviceNamed(args []string) (string, error) {
	way := "kubefedctl expose service web -n shop"
	if len(args) == 1 {
		kind, name, ok := strings.Cut(args[0], "/")
		if !ok {
			return "", fail.BadUsage.New("the type and the name of a service are required").Try("%s", way)
		}
		args = []string{kind, name}
	}
	switch {
	case len(args) != 2 || args[1] == "":
		return "", fail.BadUsage.New("the type and the name of a service are required").Try("%s", way)
	case args[0] != "service" && args[0] != "services" && args[0] != "svc":
		return "", fail.BadUsage.New("only services can be exposed, not %s", args[0]).Try("%s", way)
	}
	return args[1], nil
}

func (f *exposeFlags) check() error {
	switch {
	case f.remove && (f.changed("public") || f.changed("balance") || f.domain != ""):
		return fail.BadUsage.New("--remove takes back all that was exposed").Try("--public=false or --balance=false takes back one thing")
	case f.domain != "" && f.changed("public") && !f.public:
		return fail.BadUsage.New("--domain is about public names, and --public=false takes them back")
	}
	return printable(f.output)
}

func (f *exposeFlags) run(ctx context.Context, args []string, s Streams) error {
	name, err := serviceNamed(args)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	host, err := f.connect(ctx, s)
	if err != nil {
		return err
	}
	w := survey.What{Namespace: cmp.Or(f.inNamespace, host.Namespace), Name: name}
	seen, err := survey.LookAtHost(ctx, host.Client, f.namespace, w)
	if err != nil {
		return fail.API(host.At(), "read what is exposed", err)
	}
	service, err := f.federated(seen, host, w)
	if err != nil {
		return err
	}
	changed, err := f.annotate(ctx, seen, host, service)
	if err != nil {
		return err
	}
	what := "FederatedService " + w.Namespace + "/" + w.Name
	switch {
	case f.remove && changed:
		s.say(0, "%s is not exposed any more%s", what, f.dryRun.Suffix())
		return nil
	case f.remove:
		s.say(0, "%s was not exposed", what)
		return nil
	case changed:
		s.say(0, "%s is exposed: %s%s", what, service.GetAnnotations()[fedv1.ExposeAnnotation], f.dryRun.Suffix())
	default:
		s.say(0, "%s is exposed already: %s", what, service.GetAnnotations()[fedv1.ExposeAnnotation])
	}
	if f.dryRun != dryrun.None && f.dryRun != "" {
		return nil
	}
	return f.known(ctx, host, w, s)
}

// federated is the FederatedService, if it is there and discovery is on. Taking back is possible without.
func (f *exposeFlags) federated(seen survey.Host, host join.Cluster, w survey.What) (*unstructured.Unstructured, error) {
	switch {
	case len(seen.Services) == 1 && seen.Services[0].GetDeletionTimestamp() == nil:
	case len(seen.Problems) > 0:
		return nil, fail.RequestFailed.New("cannot read FederatedService %s/%s in %s", w.Namespace, w.Name, host.At()).Because(errors.New(seen.Problems[0]))
	case len(seen.Services) == 1:
		return nil, fail.ObjectNotFound.New("FederatedService %s/%s is being deleted", w.Namespace, w.Name)
	default:
		return nil, fail.ObjectNotFound.New("there is no FederatedService %s/%s in %s", w.Namespace, w.Name, host.At()).
			Try("federate the service first: kubefedctl federate services %s -n %s", w.Name, w.Namespace)
	}
	if !seen.Enabled && !f.remove {
		return nil, fail.DiscoveryOff.New("the feature gate %s is off, so nothing would follow the annotation", fedv1.GateCrossClusterServiceDiscovery).
			Try("kubefedctl discovery enable --host-cluster-context %s", host.Context)
	}
	return &seen.Services[0], nil
}

// annotate writes what was asked for, unless it is so already, and refuses what cannot come about.
func (f *exposeFlags) annotate(ctx context.Context, seen survey.Host, host join.Cluster, service *unstructured.Unstructured) (bool, error) {
	before := exposure.Read(service.GetAnnotations()[fedv1.ExposeAnnotation])
	now := f.asked(before)
	annotations := map[string]any{fedv1.ExposeAnnotation: nil, fedv1.DomainAnnotation: nil}
	if text := now.String(); text != "" {
		annotations[fedv1.ExposeAnnotation] = text
		delete(annotations, fedv1.DomainAnnotation)
	}
	if f.domain != "" {
		annotations[fedv1.DomainAnnotation] = f.domain
	}
	asked := service.DeepCopy()
	if !give(asked, annotations) {
		return false, nil
	}
	if problems := exposure.Make(seen.World(asked)).Problems; len(problems) > 0 && !f.remove {
		return false, fail.CannotExpose.New("FederatedService %s/%s cannot be exposed as asked", service.GetNamespace(), service.GetName()).Because(errors.New(problems[0].Message)).
			Try("%s", wayOut(problems[0].Reason))
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": service.GetResourceVersion(), "annotations": annotations}})
	if err != nil {
		return false, err
	}
	what := fmt.Sprintf("annotate FederatedService %s/%s", service.GetNamespace(), service.GetName())
	if err := f.dryRun.Writer(host.Client).Patch(ctx, service, client.RawPatch(types.MergePatchType, body)); err != nil {
		return false, fail.API(host.At(), what, err)
	}
	give(service, annotations) // a dry run gives nothing back
	return true, nil
}

// asked are the words that the flags leave.
func (f *exposeFlags) asked(before exposure.Words) exposure.Words {
	if f.remove {
		return exposure.Words{}
	}
	now := exposure.Words{Clusterset: true, Public: before.Public || f.domain != "", Balance: before.Balance}
	if f.changed("public") {
		now.Public = f.public
	}
	if f.changed("balance") {
		now.Balance = f.balance
	}
	return now
}

// give sets annotations, or takes them away where they are nil, and says whether that changes anything.
func give(o *unstructured.Unstructured, annotations map[string]any) bool {
	all := o.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	changed := false
	for key, value := range annotations {
		old, there := all[key]
		text, set := value.(string)
		changed = changed || there != set || old != text
		if delete(all, key); set {
			all[key] = text
		}
	}
	o.SetAnnotations(all)
	return changed
}

// wayOut is what to do about a problem.
func wayOut(reason string) string {
	switch reason {
	case "NoDomain":
		return "create a Domain first: see docs/guide/public-dns.md"
	case "SeveralDomains", "UnknownDomain":
		return "name one with --domain"
	case "ExportsNotFederated":
		return "kubefedctl discovery enable"
	default:
		return "see docs/guide/discovery.md"
	}
}

// known waits until the service is known as asked, and prints what it is called.
func (f *exposeFlags) known(ctx context.Context, host join.Cluster, w survey.What, s Streams) error {
	var service survey.Service
	var report survey.Report
	look := func(ctx context.Context) (bool, error) {
		r, err := f.survey(ctx, host, w)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err() // what was seen when there was time counts
		case err != nil:
			return false, err
		}
		report, service = r, r.Items[0] // it was asked for by name
		return !f.wait || len(service.Missing()) == 0, nil
	}
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, f.timeout, true, look)
	if err != nil && !wait.Interrupted(err) {
		return err
	}
	if f.output != "" {
		if err := printReport(s.Out, f.output, report); err != nil {
			return err
		}
	} else {
		tellNames(service, s)
	}
	missing := service.Missing()
	switch {
	case len(missing) == 0:
		return nil
	case !f.wait:
		s.say(0, "Not everything is there yet: %s", strings.Join(missing, "; "))
		return nil
	}
	return fail.NotExposedYet.New("service %s/%s is not known everywhere after %s", w.Namespace, w.Name, f.timeout).Because(errors.New(strings.Join(missing, "; "))).
		Try("what is missing is still under way: kubefedctl discovery status %s -n %s", w.Name, w.Namespace)
}

// tellNames prints the names and addresses of a service.
func tellNames(service survey.Service, s Streams) {
	fmt.Fprintln(s.Out, service.DNSName)
	for _, c := range service.Clusters {
		switch {
		case c.Import == nil:
		case len(c.Import.IPs) == 0:
			fmt.Fprintf(s.Out, "  in %s: %s, %s endpoints ready\n", c.Name, strings.ToLower(c.Import.Type), counted(c.Import.Endpoints))
		default:
			fmt.Fprintf(s.Out, "  in %s: %s, %s endpoints ready\n", c.Name, strings.Join(c.Import.IPs, ", "), counted(c.Import.Endpoints))
		}
		if c.Export != nil && c.Export.Ready && c.Export.State != "Ready" {
			s.say(0, "WARNING: %s: %s", c.Name, fail.Clean(conflictOf(c.Export)))
		}
	}
	for _, n := range service.Public {
		fmt.Fprintf(s.Out, "%s  %s %s\n", fail.Clean(n.Name), n.Type, fail.Clean(strings.Join(n.Targets, ", ")))
	}
	for _, a := range service.Addresses {
		fmt.Fprintln(s.Out, fail.Clean(a))
	}
}

// conflictOf is what an export in conflict says.
func conflictOf(e *survey.Export) string {
	for _, c := range e.Conditions {
		if c.Reason == e.State {
			return c.Reason + ": " + c.Message
		}
	}
	return e.State
}
