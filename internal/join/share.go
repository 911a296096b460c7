package join

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/fail"
)

// own says whether a subject is the service account of this join.
func (n names) own(namespace string) func(rbacv1.Subject) bool {
	return func(s rbacv1.Subject) bool {
		return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == namespace && s.Name == n.account
	}
}

// sharers names, sorted, who else has rights by the member's cluster role of a join: it bears no namespace in its name, so that two
// control planes in one host, which call the member the same, come to the same one. Accounts that are gone do not count.
func sharers(ctx context.Context, member Cluster, n names, namespace string) ([]string, error) {
	var b rbacv1.ClusterRoleBinding
	err := member.Client.Get(ctx, client.ObjectKey{Name: n.role}, &b)
	if client.IgnoreNotFound(err) != nil {
		return nil, fail.API(member.At(), "read ClusterRoleBinding "+n.role, err)
	}
	var out []string
	for _, s := range b.Subjects {
		if n.own(namespace)(s) {
			continue
		}
		if s.Kind == rbacv1.ServiceAccountKind {
			err := member.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.Name}, &corev1.ServiceAccount{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, fail.API(member.At(), fmt.Sprintf("read ServiceAccount %s/%s", s.Namespace, s.Name), err)
			}
		}
		out = append(out, s.Kind+" "+strings.TrimPrefix(s.Namespace+"/"+s.Name, "/"))
	}
	slices.Sort(out)
	return out, nil
}

// unshared refuses a cluster role that another control plane uses: to join would be to take it over.
func unshared(ctx context.Context, member Cluster, o Options) error {
	n := namesOf(o.Name, o.HostName, o.Namespace)
	others, err := sharers(ctx, member, n, o.Namespace)
	if err != nil || len(others) == 0 {
		return err
	}
	return fail.OtherControlPlane.New("ClusterRole %s in %s belongs to another control plane", n.role, member.At()).
		Because(fmt.Errorf("it is used by %s", strings.Join(others, ", "))).
		Try("call this host something else with --host-cluster-name, or the member something else")
}
