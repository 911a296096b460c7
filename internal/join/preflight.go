package join

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
)

// known is what a join found out before it writes.
type known struct {
	scope            fedv1.ResourceScope
	gates            []fedv1.FeatureGatesConfig
	types            []fedv1.FederatedTypeConfig
	hostID, memberID string
	// secretName that the credential gets, or has, in the host.
	secretName string
}

// on says whether a feature gate is on that is off by default.
func (k known) on(gate string) bool {
	return slices.ContainsFunc(k.gates, func(g fedv1.FeatureGatesConfig) bool { return g.Name == gate && g.Configuration == fedv1.Enabled })
}

// preflight reads what a join depends on, and refuses what must not be.
func preflight(ctx context.Context, host, member Cluster, o Options) (known, error) {
	var k known
	config, err := ReadConfig(ctx, host, o.Namespace)
	if err != nil {
		return k, err
	}
	k.scope, k.gates = config.Spec.Scope, config.Spec.FeatureGates
	if k.hostID, err = host.ID(ctx); err != nil {
		return k, err
	}
	if k.memberID, err = member.ID(ctx); err != nil {
		return k, err
	}
	clusters, err := readClusters(ctx, host, o.Namespace)
	if err != nil {
		return k, err
	}
	if err := distinct(clusters, o, k.memberID, o.endpoint(member)); err != nil {
		return k, err
	}
	if err := unused(ctx, host, member, clusters, o, k.hostID); err != nil {
		return k, err
	}
	if err := settled(ctx, member, o.Namespace); err != nil {
		return k, err
	}
	if k.scope != fedv1.ScopeNamespaced {
		if err := unshared(ctx, member, o); err != nil {
			return k, err
		}
	}
	if k.types, err = readTypes(ctx, host, o); err != nil {
		return k, err
	}
	k.secretName, err = secretName(ctx, host, clusters, o, k.memberID)
	return k, err
}

// ReadConfig reads the settings of the control plane; without them there is none.
// ReadConfig reads the settings of the control plane; that there are none means that there is no control plane.
func ReadConfig(ctx context.Context, host Cluster, namespace string) (*fedv1.KubeFedConfig, error) {
	config := &fedv1.KubeFedConfig{}
	err := host.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: fedv1.ConfigName}, config)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return nil, fail.NotInstalled.New("A KubeFedConfig named %q was not found in namespace %q. Is a KubeFed control plane running in this namespace?",
			fedv1.ConfigName, namespace).Because(fmt.Errorf("looked in %s", host.At())).
			Try("kubefedctl init --host-cluster-context %s --kubefed-namespace %s", host.Context, namespace)
	case err != nil:
		return nil, fail.API(host.At(), "read KubeFedConfig "+namespace+"/"+fedv1.ConfigName, err)
	}
	return config, nil
}

// idOf is the cluster id that the host has recorded for a member; empty if KubeFed joined it and no manager of ours has seen it.
func idOf(c fedv1.KubeFedCluster) string {
	return cmp.Or(c.Annotations[fedv1.CredentialClusterIDAnnotation], c.Status.ClusterID)
}

func sameEndpoint(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// distinct refuses a cluster that is a member under another name, and a name that belongs to another cluster.
func distinct(clusters []fedv1.KubeFedCluster, o Options, id, endpoint string) error {
	for _, c := range clusters {
		recorded := idOf(c)
		same := recorded == id || recorded == "" && sameEndpoint(c.Spec.APIEndpoint, endpoint)
		switch {
		case c.Name != o.Name && same:
			return fail.SameCluster.New("cluster %q is already joined as %q (cluster id %s)", o.Name, c.Name, id).
				Because(fmt.Errorf("its endpoint there is %s", c.Spec.APIEndpoint)).
				Try("use the name %q, or kubefedctl unjoin %s first", c.Name, c.Name)
		case c.Name == o.Name && recorded != "" && recorded != id:
			return fail.OtherCluster.New("the name %q belongs to another cluster", o.Name).
				Because(fmt.Errorf("cluster id %s has joined under it, but the context leads to %s", recorded, id)).
				Try("join under another name, or kubefedctl unjoin %s --force if the old cluster is gone", o.Name)
		}
	}
	return nil
}

// unused refuses a service account of another control plane, and, if asked to, a member that has joined already. The remains of
// a join that did not end are no reason to refuse: this one completes it.
func unused(ctx context.Context, host, member Cluster, clusters []fedv1.KubeFedCluster, o Options, hostID string) error {
	joined := slices.ContainsFunc(clusters, func(c fedv1.KubeFedCluster) bool { return c.Name == o.Name })
	account := namesOf(o.Name, o.HostName, o.Namespace).account
	var sa corev1.ServiceAccount
	err := member.Client.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: account}, &sa)
	exists := err == nil
	owner := sa.Annotations[fedv1.HostIDAnnotation]
	again := fmt.Sprintf("kubefedctl join %s --cluster-context %s --host-cluster-context %s --error-on-existing=false", o.Name, member.Context, host.Context)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return fail.API(member.At(), "read ServiceAccount "+o.Namespace+"/"+account, err)
	case exists && owner != "" && owner != hostID:
		return fail.OtherControlPlane.New("service account %s/%s in %s belongs to the control plane of another host", o.Namespace, account, member.At()).
			Because(fmt.Errorf("that host's cluster id is %s, this one's is %s", owner, hostID)).
			Try("call this host something else with --host-cluster-name")
	case joined && exists && o.RefuseExisting:
		return fail.AlreadyJoined.New("service account: %s already exists in joining cluster: %s", account, o.Name).Try("to join again: %s", again)
	case joined && o.RefuseExisting:
		return fail.AlreadyJoined.New("federated cluster: %s already exists in host cluster: %s", o.Name, o.HostName).Try("to join again: %s", again)
	}
	return nil
}

// settled waits until a namespace that is being deleted, as right after an unjoin, is gone.
func settled(ctx context.Context, member Cluster, namespace string) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		var ns corev1.Namespace
		last = member.Client.Get(ctx, client.ObjectKey{Name: namespace}, &ns)
		return apierrors.IsNotFound(last) || last == nil && ns.DeletionTimestamp == nil, client.IgnoreNotFound(last)
	})
	switch {
	case err == nil:
		return nil
	case last == nil && ctx.Err() == nil:
		return fail.StillTerminating.New("namespace %q in %s is still being deleted", namespace, member.At()).
			Try("see what holds it: kubectl --context %s get namespace %s -o yaml", member.Context, namespace)
	default:
		return fail.API(member.At(), "read Namespace "+namespace, err)
	}
}

func readTypes(ctx context.Context, host Cluster, o Options) ([]fedv1.FederatedTypeConfig, error) {
	if o.Access != AccessScoped {
		return nil, nil
	}
	var list fedv1.FederatedTypeConfigList
	if err := host.Client.List(ctx, &list, client.InNamespace(o.Namespace)); err != nil {
		return nil, fail.API(host.At(), "list FederatedTypeConfigs in "+o.Namespace, err)
	}
	return list.Items, nil
}

// secretName is the name of the host's secret: what the user says, else what the member uses already, else what an unfinished join
// of the same cluster left, else a new one.
func secretName(ctx context.Context, host Cluster, clusters []fedv1.KubeFedCluster, o Options, memberID string) (string, error) {
	for _, c := range clusters {
		used := c.Spec.SecretRef.Name
		switch {
		case c.Name != o.Name && o.SecretName != "" && used == o.SecretName:
			return "", fail.AlreadyJoined.New("secret %s/%s holds the credential of member %q", o.Namespace, used, c.Name).Try("choose another --secret-name")
		case c.Name == o.Name && o.SecretName == "" && used != "":
			return used, nil
		}
	}
	if o.SecretName != "" {
		return o.SecretName, nil
	}
	left, err := credentialsOf(ctx, host, o, memberID)
	if err != nil {
		return "", err
	}
	if len(left) > 0 {
		return left[0], nil
	}
	return o.Name + "-" + rand.String(5), nil
}

// credentialsOf names, sorted, the host's secrets that joins of this member under this name made.
func credentialsOf(ctx context.Context, host Cluster, o Options, memberID string) ([]string, error) {
	var list corev1.SecretList
	if err := host.Client.List(ctx, &list, client.InNamespace(o.Namespace)); err != nil {
		return nil, fail.API(host.At(), "list Secrets in "+o.Namespace, err)
	}
	account := o.Namespace + "/" + namesOf(o.Name, o.HostName, o.Namespace).account
	var out []string
	for _, s := range list.Items {
		a := s.Annotations
		if a[fedv1.CredentialServiceAccountAnnotation] == account && a[fedv1.CredentialClusterIDAnnotation] == memberID {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}
