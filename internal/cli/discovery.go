package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
	"github.com/hansa-io/hansa/internal/version"
)

func discoveryVerb(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "discovery",
		Short: "Let services span clusters, and see how they fare",
		Long:  "Let services span clusters: under one name and at one address, in every cluster of the federation.",
		Args:  subverb,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(discoveryEnable(s), discoveryDisable(s), discoveryStatus(s))
	return c
}

// discoveryGates are the feature gates of services that span clusters.
var discoveryGates = []string{fedv1.GateCrossClusterServiceDiscovery, fedv1.GateFederatedIngress}

// exportType is the type whose federated form exports services from several clusters at once.
func exportType() enable.Target {
	return enable.Target{
		APIResource: fedv1.APIResource{Group: "multicluster.x-k8s.io", Version: "v1beta1", Kind: "ServiceExport", PluralName: "serviceexports", Scope: fedv1.ScopeNamespaced},
		ShortNames:  []string{"svcex"},
	}
}

// switchGates sets the feature gates that are not so yet, and tells of each.
func (h *hostFlags) switchGates(ctx context.Context, host join.Cluster, mode fedv1.ConfigurationMode, s Streams) error {
	config, err := join.ReadConfig(ctx, host, h.namespace)
	if err != nil {
		return err
	}
	var lines []string
	for _, name := range discoveryGates {
		if setGate(config, name, mode) {
			lines = append(lines, fmt.Sprintf("feature gate %s %s", name, strings.ToLower(string(mode))))
		}
	}
	if len(lines) > 0 {
		if err := h.dryRun.Writer(host.Client).Update(ctx, config); err != nil {
			return fail.API(host.At(), "write KubeFedConfig "+h.namespace+"/"+fedv1.ConfigName, err)
		}
	}
	for _, line := range lines {
		fmt.Fprintln(s.Out, line+h.dryRun.Suffix())
	}
	if len(lines) > 0 && config.Labels["app.kubernetes.io/managed-by"] == "Helm" {
		s.say(0, "WARNING: the KubeFedConfig is Helm's: set controllermanager.featureGates in the values of the release too, or its next upgrade puts them back")
	}
	return nil
}

// setGate sets a feature gate and says whether that changes anything. One that is not named is off.
func setGate(config *fedv1.KubeFedConfig, name string, mode fedv1.ConfigurationMode) bool {
	gates := config.Spec.FeatureGates
	i := slices.IndexFunc(gates, func(g fedv1.FeatureGatesConfig) bool { return g.Name == name })
	switch {
	case i < 0 && mode == fedv1.Disabled, i >= 0 && gates[i].Configuration == mode:
		return false
	case i < 0:
		config.Spec.FeatureGates = append(gates, fedv1.FeatureGatesConfig{Name: name, Configuration: mode})
	default:
		gates[i].Configuration = mode
	}
	return true
}

// membersNamed are the members of these names, or all, sorted by name.
func membersNamed(ctx context.Context, host join.Cluster, namespace string, names []string) ([]fedv1.KubeFedCluster, error) {
	var all fedv1.KubeFedClusterList
	if err := host.Client.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return nil, fail.API(host.At(), "list KubeFedClusters in "+namespace, err)
	}
	var known []string
	var out []fedv1.KubeFedCluster
	for _, m := range all.Items {
		known = append(known, m.Name)
		if len(names) == 0 || slices.Contains(names, m.Name) {
			out = append(out, m)
		}
	}
	slices.Sort(known)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fail.BadUsage.New("there is no member %q", name).Try("these have joined: %s", list(known))
		}
	}
	slices.SortFunc(out, func(a, b fedv1.KubeFedCluster) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// connectMember reaches a member as the control plane does.
func connectMember(ctx context.Context, host join.Cluster, m fedv1.KubeFedCluster) (join.Cluster, error) {
	out := join.Cluster{Context: m.Name, Endpoint: m.Spec.APIEndpoint}
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: m.Namespace, Name: m.Spec.SecretRef.Name}
	if err := host.Client.Get(ctx, key, &secret); err != nil {
		return out, fail.API(host.At(), "read Secret "+key.String(), err)
	}
	config, err := cluster.Connect(&m, &secret, cluster.ConnectOptions{UserAgent: "kubefedctl/" + version.Current().Version, QPS: -1})
	if err != nil {
		return out, fmt.Errorf("connect to %s: %w", m.Name, err)
	}
	config.Timeout = requestTimeout
	out.Config = config
	out.Client, err = client.New(config, client.Options{Scheme: scheme()})
	return out, fail.API(out.At(), "ask for the API types", err)
}

// work does something in one member and returns what there is to say, in lines.
type work func(ctx context.Context, member join.Cluster) ([]string, error)

// atOnce is the number of members that are worked on at the same time.
const atOnce = 8

// inMembers works in members at the same time, and prints what each says in the order of their names. What fails in one does not keep the others from
// it.
func inMembers(ctx context.Context, host join.Cluster, members []fedv1.KubeFedCluster, mode dryrun.Mode, do work, s Streams) error {
	said, failed := make([][]string, len(members)), make([]error, len(members))
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i, m := range members {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			member, err := connectMember(ctx, host, m)
			if err == nil {
				said[i], err = do(ctx, member)
			}
			failed[i] = err
		})
	}
	all.Wait()
	var names []string
	for i, m := range members {
		for _, line := range said[i] {
			if !strings.HasPrefix(line, " ") { // what is shown of a file is no deed
				line += mode.Suffix()
			}
			fmt.Fprintln(s.Out, fail.Clean(m.Name+": "+line))
		}
		if failed[i] != nil {
			names = append(names, m.Name)
		}
	}
	switch {
	case len(names) == 0:
		return nil
	case len(members) == 1:
		return failed[0]
	}
	return notInAll(members, failed, names)
}

// notInAll is one failure for several; each is told with its own way out.
func notInAll(members []fedv1.KubeFedCluster, failed []error, names []string) error {
	var causes []error
	var hints []string
	for i, m := range members {
		if failed[i] == nil {
			continue
		}
		causes = append(causes, fmt.Errorf("%s: %w", m.Name, failed[i]))
		var known *fail.Error
		if errors.As(failed[i], &known) && known.Hint != "" {
			hints = append(hints, m.Name+": "+known.Hint)
		}
	}
	return fail.PartlyResolved.New("not done in %s", list(names)).Because(errors.Join(causes...)).Try("%s", strings.Join(hints, "\n"))
}
