package join

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster/credential"
)

// Rotator renews the tokens that members are reached with.
type Rotator struct {
	// Host is where the secrets are.
	Host client.Writer
	// Clock tells when a token is due.
	Clock clock.PassiveClock
}

// shortestLife is the shortest that an API server gives a token.
const shortestLife = 10 * time.Minute

// Rotate renews the token in the host's secret if half of its life is over, and returns nil if it is not, or if the token never ends.
// The new token is tried out on the member before it is written. With any error the secret is as it was; a conflict means that somebody
// else has changed it meanwhile, and that what they wrote counts.
func (r Rotator) Rotate(ctx context.Context, member *rest.Config, secret *corev1.Secret) error {
	life, err := credential.LifeOf(secret)
	if err != nil {
		return fmt.Errorf("renew the token in secret %s: %w", secret.Name, err)
	}
	if !life.Due(r.Clock.Now()) {
		return nil
	}
	o, err := ownerOf(secret)
	if err != nil {
		return fmt.Errorf("renew the token in secret %s: %w", secret.Name, err)
	}
	token, lasts, err := o.request(ctx, member, life)
	if err != nil {
		return err
	}
	if err := o.try(ctx, member, token); err != nil {
		return err
	}
	next := renewed(secret, token, credential.Life{Issued: r.Clock.Now(), Expires: r.Clock.Now().Add(lasts)})
	if err := r.Host.Update(ctx, next); err != nil {
		return fmt.Errorf("write the renewed token to secret %s: %w", secret.Name, err)
	}
	return nil
}

// tokenOwner is whose token a secret holds, in the member.
type tokenOwner struct{ namespace, account, bound string }

var errNoOwner = errors.New("its token has an end, but annotations do not tell whose it is")

func ownerOf(secret *corev1.Secret) (tokenOwner, error) {
	namespace, account, ok := strings.Cut(secret.Annotations[fedv1.CredentialServiceAccountAnnotation], "/")
	bound := secret.Annotations[fedv1.CredentialBoundSecretAnnotation]
	if !ok || namespace == "" || account == "" || bound == "" {
		return tokenOwner{}, fmt.Errorf("%w: %s and %s are needed", errNoOwner,
			fedv1.CredentialServiceAccountAnnotation, fedv1.CredentialBoundSecretAnnotation)
	}
	return tokenOwner{namespace, account, bound}, nil
}

// request asks the member for a token that lasts as long as the present one was to, and returns how long it does last. That, not the
// time when it ends, is what counts here: the clocks may differ.
func (o tokenOwner) request(ctx context.Context, member *rest.Config, present credential.Life) (string, time.Duration, error) {
	clients, err := kubernetes.NewForConfig(member)
	if err != nil {
		return "", 0, fmt.Errorf("connect to renew the token of %s/%s: %w", o.namespace, o.account, err)
	}
	seconds := int64(max(present.Expires.Sub(present.Issued), shortestLife).Seconds())
	got, err := clients.CoreV1().ServiceAccounts(o.namespace).CreateToken(ctx, o.account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: &seconds,
			BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Secret", APIVersion: "v1", Name: o.bound},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", 0, fmt.Errorf("request a token of %s/%s bound to secret %s: %w", o.namespace, o.account, o.bound, err)
	}
	if got.Status.Token == "" {
		return "", 0, fmt.Errorf("request a token of %s/%s: the answer holds none", o.namespace, o.account)
	}
	if s := got.Spec.ExpirationSeconds; s != nil && *s > 0 {
		seconds = *s // the server may give less
	}
	return got.Status.Token, time.Duration(seconds) * time.Second, nil
}

// try lets the member say whose token it is.
func (o tokenOwner) try(ctx context.Context, member *rest.Config, token string) error {
	with := rest.CopyConfig(member)
	with.BearerToken = token
	clients, err := kubernetes.NewForConfig(with)
	if err != nil {
		return fmt.Errorf("connect to try the renewed token of %s/%s: %w", o.namespace, o.account, err)
	}
	got, err := clients.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if apierrors.IsUnauthorized(err) {
		return fmt.Errorf("the member does not accept the renewed token of %s/%s: %w", o.namespace, o.account, err)
	}
	if err != nil {
		return fmt.Errorf("try the renewed token of %s/%s: %w", o.namespace, o.account, err)
	}
	if want := "system:serviceaccount:" + o.namespace + ":" + o.account; got.Status.UserInfo.Username != want {
		return fmt.Errorf("the renewed token is of %q, not of %q", got.Status.UserInfo.Username, want)
	}
	return nil
}

// renewed returns a copy of a secret with another token. It keeps the resource version: a secret that changed since is not overwritten.
func renewed(secret *corev1.Secret, token string, life credential.Life) *corev1.Secret {
	next := secret.DeepCopy()
	next.Data["token"] = []byte(token)
	next.Annotations[fedv1.CredentialIssuedAnnotation] = life.Issued.UTC().Format(time.RFC3339)
	next.Annotations[fedv1.CredentialExpiresAnnotation] = life.Expires.UTC().Format(time.RFC3339)
	return next
}
