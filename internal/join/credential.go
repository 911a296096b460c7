package join

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
)

// grant is what the host needs to act in a member. Times are zero for a token that never ends.
type grant struct {
	token           string
	ca              []byte
	issued, expires time.Time
}

// annotate writes on the host's secret what renewing the token needs. The secret of an eternal token stays without them, as
// KubeFed's are: only who it belongs to is said.
func (g grant) annotate(s *corev1.Secret, account, boundSecret, clusterID, endpoint string) {
	all := map[string]string{
		fedv1.CredentialServiceAccountAnnotation: account,
		fedv1.CredentialClusterIDAnnotation:      clusterID,
		fedv1.CredentialEndpointAnnotation:       endpoint,
	}
	for _, key := range []string{fedv1.CredentialBoundSecretAnnotation, fedv1.CredentialIssuedAnnotation, fedv1.CredentialExpiresAnnotation} {
		delete(s.Annotations, key)
	}
	if !g.expires.IsZero() {
		all[fedv1.CredentialBoundSecretAnnotation] = boundSecret
		all[fedv1.CredentialIssuedAnnotation] = g.issued.UTC().Format(time.RFC3339)
		all[fedv1.CredentialExpiresAnnotation] = g.expires.UTC().Format(time.RFC3339)
	}
	for key, value := range all {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, value)
	}
}

// obtain gets a token of the service account, and the CA to trust, and tries both before anybody relies on them.
func obtain(ctx context.Context, member Cluster, o Options, secret *corev1.Secret, memberID string) (grant, error) {
	var g grant
	if o.Credential == CredentialEternal || len(member.CA) == 0 && !member.Insecure {
		if err := filled(ctx, member, secret); err != nil {
			return g, err
		}
	}
	var err error
	if o.Credential == CredentialEternal {
		g.token = string(secret.Data[corev1.ServiceAccountTokenKey])
	} else if g, err = request(ctx, member, o, secret); err != nil {
		return g, err
	}
	for _, g.ca = range authorities(member, secret) {
		err = try(ctx, member, g, memberID)
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) {
			break
		}
	}
	return g, err
}

// authorities are the bundles that the endpoint's certificate may verify against, the likeliest first: the kubeconfig's; else the
// cluster's own; else, as nil, those that the system trusts.
func authorities(member Cluster, secret *corev1.Secret) [][]byte {
	own := secret.Data[corev1.ServiceAccountRootCAKey]
	switch {
	case len(member.CA) > 0:
		return [][]byte{member.CA}
	case member.Insecure:
		return [][]byte{own}
	default:
		return [][]byte{own, nil}
	}
}

// request asks the member for a token that is bound to the secret.
func request(ctx context.Context, member Cluster, o Options, secret *corev1.Secret) (grant, error) {
	review := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(o.TokenLifetime.Seconds())),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID},
	}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: secret.Name}}
	if err := member.Client.SubResource("token").Create(ctx, account, review); err != nil {
		return grant{}, fail.API(member.At(), "request a token for ServiceAccount "+account.Namespace+"/"+account.Name, err)
	}
	lasts := o.TokenLifetime
	if s := review.Spec.ExpirationSeconds; s != nil && *s > 0 {
		lasts = time.Duration(*s) * time.Second // the server may give less
	}
	issued := time.Now() // both times by one clock: the member's may differ
	return grant{token: review.Status.Token, issued: issued, expires: issued.Add(lasts)}, nil
}

// filled waits until the member's token controller has filled the service account's secret.
func filled(ctx context.Context, member Cluster, secret *corev1.Secret) error {
	key := client.ObjectKeyFromObject(secret)
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := member.Client.Get(ctx, key, secret)
		return len(secret.Data[corev1.ServiceAccountTokenKey]) > 0, err
	})
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fail.NoCredential.New("Secret %s in %s got no token within 30s", key, member.At()).
			Try("is the cluster's kube-controller-manager running? It fills secrets of type %s", corev1.SecretTypeServiceAccountToken)
	}
	return fail.API(member.At(), "read Secret "+key.String(), err)
}

// try reads the cluster's id with the new credential, as the manager will: the token, its rights and the CA must be good. The rights
// need a moment to be known to all of the member's API servers.
func try(ctx context.Context, member Cluster, g grant, memberID string) error {
	var id string
	var last error
	err := wait.PollUntilContextTimeout(ctx, 250*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		id, last = identify(ctx, member, g)
		if apierrors.IsForbidden(last) || apierrors.IsUnauthorized(last) {
			return false, nil
		}
		return true, last
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return fail.API(member.At(), "try the new credential", ctx.Err())
	case err != nil:
		return fail.NoCredential.New("the new credential does not work in %s", member.At()).Because(last)
	case id != memberID:
		return fail.OtherCluster.New("%s answers as two clusters", member.At()).
			Because(fmt.Errorf("cluster id %s with the kubeconfig's credential, %s with the new one", memberID, id)).
			Try("check the load balancer in front of that endpoint")
	}
	return nil
}

// identify reads the id of the member's cluster with a credential.
func identify(ctx context.Context, member Cluster, g grant) (string, error) {
	config := &rest.Config{
		Host:        member.Endpoint,
		BearerToken: g.token,
		Timeout:     5 * time.Second,
		Proxy:       member.Config.Proxy,
	}
	if config.Insecure = member.Insecure; !member.Insecure {
		config.CAData = g.ca
		config.ServerName = member.Config.ServerName
	}
	as, err := client.New(config, client.Options{Scheme: member.Client.Scheme(), Mapper: member.Client.RESTMapper()})
	if err != nil {
		return "", err
	}
	var ns corev1.Namespace
	err = as.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &ns)
	return string(ns.UID), err
}
