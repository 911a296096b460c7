package join

import (
	"context"
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
func (c grant) annotate(s *corev1.Secret, account, boundSecret, clusterID, endpoint string) {
	all := map[string]string{
		fedv1.CredentialServiceAccountAnnotation: account,
		fedv1.CredentialClusterIDAnnotation:      clusterID,
		fedv1.CredentialEndpointAnnotation:       endpoint,
	}
	for _, key := range []string{fedv1.CredentialBoundSecretAnnotation, fedv1.CredentialIssuedAnnotation, fedv1.CredentialExpiresAnnotation} {
		delete(s.Annotations, key)
	}
	if !c.expires.IsZero() {
		all[fedv1.CredentialBoundSecretAnnotation] = boundSecret
		all[fedv1.CredentialIssuedAnnotation] = c.issued.UTC().Format(time.RFC3339)
		all[fedv1.CredentialExpiresAnnotation] = c.expires.UTC().Format(time.RFC3339)
	}
	for key, value := range all {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, value)
	}
}

// obtain gets a token of the service account, and the CA to trust, and tries both before anybody relies on them.
func obtain(ctx context.Context, member Cluster, o Options, secret *corev1.Secret, memberID string) (grant, error) {
	c := grant{ca: member.CA}
	needsSecret := o.Credential == CredentialEternal || len(member.CA) == 0 && !member.Insecure
	if needsSecret {
		if err := filled(ctx, member, secret); err != nil {
			return c, err
		}
	}
	if len(c.ca) == 0 {
		c.ca = secret.Data[corev1.ServiceAccountRootCAKey]
	}
	if o.Credential == CredentialEternal {
		c.token = string(secret.Data[corev1.ServiceAccountTokenKey])
		return c, try(ctx, member, &c, memberID)
	}
	review := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(o.TokenLifetime.Seconds())),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID},
	}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: secret.Namespace, Name: secret.Name}}
	c.issued = time.Now()
	if err := member.Client.SubResource("token").Create(ctx, account, review); err != nil {
		return c, fail.API(member.At(), "request a token for ServiceAccount "+account.Namespace+"/"+account.Name, err)
	}
	c.token = review.Status.Token
	c.expires = review.Status.ExpirationTimestamp.Time
	return c, try(ctx, member, &c, memberID)
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

// try reads the cluster's id with the new credential, as the manager will: the token, its rights and the CA must be good. A CA that
// came from the member's secret is dropped if the endpoint's certificate is one that the system trusts. The rights need a moment
// to be known to all of the member's API servers.
func try(ctx context.Context, member Cluster, c *grant, memberID string) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 250*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		var id string
		id, last = identify(ctx, member, *c)
		if last != nil && len(member.CA) == 0 && len(c.ca) > 0 && !member.Insecure {
			system := *c
			system.ca = nil
			if other, err := identify(ctx, member, system); err == nil {
				id, last, c.ca = other, nil, nil
			}
		}
		if last == nil && id != memberID {
			return false, fail.OtherCluster.New("%s answers as two clusters", member.At()).
				Because(fmt.Errorf("cluster id %s with the kubeconfig's credential, %s with the new one", memberID, id)).
				Try("check the load balancer in front of that endpoint")
		}
		passing := apierrors.IsForbidden(last) || apierrors.IsUnauthorized(last)
		return last == nil, unless(passing, last)
	})
	if err != nil && last != nil {
		err = last
	}
	if err == nil {
		return nil
	}
	var known *fail.Error
	if errors.As(err, &known) {
		return err
	}
	return fail.NoCredential.New("the new credential does not work in %s", member.At()).Because(err)
}

func unless(passing bool, err error) error {
	if passing {
		return nil
	}
	return err
}

// identify reads the id of the member's cluster with a credential.
func identify(ctx context.Context, member Cluster, c grant) (string, error) {
	config := &rest.Config{
		Host:        member.Endpoint,
		BearerToken: c.token,
		Timeout:     5 * time.Second,
		Proxy:       member.Config.Proxy,
	}
	if config.Insecure = member.Insecure; !member.Insecure {
		config.CAData = c.ca
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
