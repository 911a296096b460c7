package join

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/dryrun"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/version"
)

// Leave ends a membership: it removes what a join made, in the member and then in the host. It may be run again at any time. A nil
// member is one that cannot be reached: then only the host's part is removed, and what stays is told.
func Leave(ctx context.Context, host Cluster, member *Cluster, o Options, say Say) error {
	clusters, err := readClusters(ctx, host, o.Namespace)
	if err != nil {
		return err
	}
	l := leaving{remover: remover{dry: o.DryRun, say: say}, host: host, Options: o, names: namesOf(o.Name, o.HostName, o.Namespace)}
	for i := range clusters {
		if clusters[i].Name == o.Name {
			l.record = &clusters[i]
			l.id = idOf(clusters[i])
		}
	}
	if err := l.mayLeave(ctx); err != nil {
		return err
	}
	if err := l.fromMember(ctx, member); err != nil {
		return err
	}
	return l.fromHost(ctx)
}

type leaving struct {
	remover
	Options
	names
	host   Cluster
	record *fedv1.KubeFedCluster
	// id of the member, as recorded or as seen.
	id string
}

// fromMember removes the member's part. With Force, whatever keeps it from doing so is only told.
func (l *leaving) fromMember(ctx context.Context, member *Cluster) error {
	if member == nil {
		l.say(0, "WARNING: the cluster is not reached: what the join made stays there, and its tokens with it: %s", l.artefacts())
		return nil
	}
	err := l.clean(ctx, *member)
	if err != nil && l.Force && ctx.Err() == nil {
		l.say(0, "WARNING: %v: what the join made may stay there: %s", err, l.artefacts())
		return nil
	}
	return err
}

// artefacts names what a join makes in a member.
func (l *leaving) artefacts() string {
	return fmt.Sprintf("Secret and ServiceAccount %s/%s, (Cluster)Role and binding %s, Namespace %s", l.Namespace, l.account, l.role, l.Namespace)
}

func (l *leaving) clean(ctx context.Context, member Cluster) error {
	hostID, memberID, err := l.identify(ctx, member)
	if err != nil {
		return err
	}
	others, err := sharers(ctx, member, l.names, l.Namespace)
	if err != nil {
		return err
	}
	l.tellPropagated(ctx, member)
	if len(others) > 0 {
		l.withdraw(ctx, member, others)
	}
	for _, o := range l.objects(len(others) > 0) {
		l.remove(ctx, member, o)
	}
	l.removeNamespace(ctx, member, hostID == memberID)
	what, way := "cannot remove all that the join made in", "run the same command again, or with --force to remove the host's part only"
	if ctx.Err() != nil {
		what, way = "interrupted before all was removed that the join made in", "run the same command again"
	}
	if len(l.failed) > 0 {
		return fail.HalfLeft.New("%s %s", what, member.At()).Because(fmt.Errorf("%s", strings.Join(l.failed, "; "))).Try("%s", way)
	}
	return nil
}

// withdraw takes the account out of a binding that others need as well, and leaves the role to them.
func (l *leaving) withdraw(ctx context.Context, member Cluster, others []string) {
	l.say(0, "ClusterRole %s and its binding stay in %s: they are used by %s", l.role, member.At(), strings.Join(others, ", "))
	b := &rbacv1.ClusterRoleBinding{}
	err := member.Client.Get(ctx, client.ObjectKey{Name: l.role}, b)
	if err == nil {
		b.Subjects = slices.DeleteFunc(b.Subjects, l.own(l.Namespace))
		err = l.dry.Writer(member.Client).Update(ctx, b)
	}
	if client.IgnoreNotFound(err) != nil {
		l.failed = append(l.failed, fmt.Sprintf("take the service account out of %s: %v", name(b), err))
	}
}

// identify makes sure that this is the cluster that joined, and that its account is this host's.
func (l *leaving) identify(ctx context.Context, member Cluster) (hostID, memberID string, err error) {
	if memberID, err = member.ID(ctx); err != nil {
		return "", "", err
	}
	if hostID, err = l.host.ID(ctx); err != nil {
		return "", "", err
	}
	if l.id == "" && l.record != nil {
		l.id = l.ask(ctx)
	}
	if l.id != "" && l.id != memberID {
		return "", "", fail.OtherCluster.New("%s is not the cluster that joined as %q", member.At(), l.Name).
			Because(fmt.Errorf("its cluster id is %s, that of the member is %s", memberID, l.id)).
			Try("name the member's context with --cluster-context, or use --force if that cluster is gone: nothing is removed from this one")
	}
	var sa corev1.ServiceAccount
	err = member.Client.Get(ctx, client.ObjectKey{Namespace: l.Namespace, Name: l.account}, &sa)
	if l.id == "" && l.record != nil && apierrors.IsNotFound(err) && !sameEndpoint(l.record.Spec.APIEndpoint, member.Endpoint) {
		return "", "", fail.OtherCluster.New("cannot tell whether %s is the cluster that joined as %q", member.At(), l.Name).
			Because(fmt.Errorf("that has the endpoint %s and no known id, and there is no service account %s/%s here", l.record.Spec.APIEndpoint, l.Namespace, l.account)).
			Try("name the member's context with --cluster-context, or use --force to remove the host's part only")
	}
	l.id = memberID
	if owner := sa.Annotations[fedv1.HostIDAnnotation]; err == nil && owner != "" && owner != hostID {
		return "", "", fail.OtherControlPlane.New("service account %s/%s in %s belongs to the control plane of another host", l.Namespace, l.account, member.At()).
			Because(fmt.Errorf("that host's cluster id is %s, this one's is %s", owner, hostID)).
			Try("name this host as it was named at the join, with --host-cluster-name")
	}
	return hostID, memberID, client.IgnoreNotFound(err)
}

// ask asks the cluster that the host's record leads to for its id, with the credential that is stored: what KubeFed joined has none
// recorded. It is empty if that cluster does not say.
func (l *leaving) ask(ctx context.Context) string {
	var secret corev1.Secret
	if err := l.host.Client.Get(ctx, client.ObjectKey{Namespace: l.Namespace, Name: l.record.Spec.SecretRef.Name}, &secret); err != nil {
		return ""
	}
	config, err := cluster.Connect(l.record, &secret, cluster.ConnectOptions{UserAgent: "hansa/" + version.Current().Version})
	if err != nil {
		return ""
	}
	config.Timeout = 5 * time.Second
	c, err := client.New(config, client.Options{Scheme: l.host.Client.Scheme(), Mapper: l.host.Client.RESTMapper()})
	if err != nil {
		return ""
	}
	id, err := Cluster{Endpoint: l.record.Spec.APIEndpoint, Client: c}.ID(ctx)
	if err != nil {
		return ""
	}
	return id
}

// mayLeave makes sure that the user may remove the host's part, before anything is removed in the member.
func (l *leaving) mayLeave(ctx context.Context) error {
	for _, r := range []authorizationv1.ResourceAttributes{
		{Resource: "secrets"},
		{Group: fedv1.GroupVersion.Group, Resource: "kubefedclusters"},
	} {
		r.Verb, r.Namespace = "delete", l.Namespace
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &r}}
		if err := l.host.Client.Create(ctx, review); err != nil {
			return fail.API(l.host.At(), "ask for the right to delete "+r.Resource, err)
		}
		if !review.Status.Allowed {
			resource := schema.GroupResource{Group: r.Group, Resource: r.Resource}
			return fail.NotAllowed.New("cannot delete %s in namespace %s in %s", resource, l.Namespace, l.host.At()).
				Because(errors.New("you lack that right; nothing was removed")).
				Try("kubectl auth can-i delete %s -n %s --context %s", resource, l.Namespace, l.host.Context)
		}
	}
	return nil
}

// objects are what a join of any scope makes in a member, in the order in which they go: the secret first, as that ends all tokens. A
// shared cluster role is not among them.
func (l *leaving) objects(shared bool) []client.Object {
	local := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: l.Namespace, Name: name} }
	global := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	out := []client.Object{&corev1.Secret{ObjectMeta: local(l.account)}}
	if !shared {
		out = append(out, &rbacv1.ClusterRoleBinding{ObjectMeta: global(l.role)}, &rbacv1.ClusterRole{ObjectMeta: global(l.role)})
	}
	return append(out,
		&rbacv1.ClusterRoleBinding{ObjectMeta: global(l.health)},
		&rbacv1.ClusterRole{ObjectMeta: global(l.health)},
		&rbacv1.RoleBinding{ObjectMeta: local(l.role)},
		&rbacv1.Role{ObjectMeta: local(l.role)},
		&corev1.ServiceAccount{ObjectMeta: local(l.account)},
	)
}

// removeNamespace removes the member's KubeFed namespace if nobody else lives there. The host's own never goes.
func (l *leaving) removeNamespace(ctx context.Context, member Cluster, isHost bool) {
	if isHost {
		l.say(2, "Namespace %s stays: it is the host's", l.Namespace)
		return
	}
	others, err := occupants(ctx, member, l.Namespace, l.account)
	switch {
	case err != nil:
		l.say(0, "Namespace %s stays in %s: cannot tell whether something else lives in it: %v", l.Namespace, member.At(), err)
	case len(others) > 0:
		l.say(0, "Namespace %s stays in %s: something else lives in it: %s", l.Namespace, member.At(), strings.Join(others, ", "))
	default:
		l.remove(ctx, member, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.Namespace}})
	}
}

// fromHost removes the host's secrets and its record of the member.
func (l *leaving) fromHost(ctx context.Context) error {
	secrets, err := credentialsOf(ctx, l.host, l.Options, l.id)
	if err != nil {
		return err
	}
	if l.record != nil && !slices.Contains(secrets, l.record.Spec.SecretRef.Name) {
		secrets = append(secrets, l.record.Spec.SecretRef.Name)
	}
	var gone []client.Object
	for _, s := range secrets {
		gone = append(gone, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: s}})
	}
	if l.record != nil {
		gone = append(gone, l.record)
	} else {
		l.say(0, "KubeFedCluster %s/%s does not exist in %s: the cluster has left already", l.Namespace, l.Name, l.host.At())
	}
	l.failed = nil
	for _, o := range gone {
		l.remove(ctx, l.host, o)
	}
	if len(l.failed) > 0 {
		return fail.HalfLeft.New("cannot remove all that the join made in %s", l.host.At()).Because(fmt.Errorf("%s", strings.Join(l.failed, "; "))).
			Try("run the same command again")
	}
	return nil
}

// remover removes objects, and remembers what it could not remove.
type remover struct {
	dry    dryrun.Mode
	say    Say
	failed []string
}

func (r *remover) remove(ctx context.Context, in Cluster, o client.Object) {
	err := r.dry.Writer(in.Client).Delete(ctx, o)
	switch {
	case apierrors.IsNotFound(err):
		r.say(2, "%s does not exist in %s", name(o), in.At())
	case err != nil:
		r.failed = append(r.failed, fmt.Sprintf("delete %s: %v", name(o), err))
	case r.dry != dryrun.None:
		r.say(0, "Deleted %s in %s%s", name(o), in.At(), r.dry.Suffix())
	default:
		r.say(2, "Deleted %s in %s", name(o), in.At())
	}
}
