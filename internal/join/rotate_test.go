package join

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster/credential"
	"github.com/hansa-io/hansa/internal/lab"
)

var rotationLab = lab.Shared(lab.Options{}, "rotation")

// rotation is a member, and in the same cluster its host with the secret that holds its token. The token is that of an account
// which may do nothing but ask for the next one.
type rotation struct {
	client.Client
	t      *testing.T
	member *rest.Config
	secret *corev1.Secret
	clock  *testingclock.FakePassiveClock
}

func newRotation(t *testing.T) *rotation {
	t.Helper()
	config := rotationLab(t).Config("rotation")
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rotation{Client: c, t: t, clock: testingclock.NewFakePassiveClock(time.Now())}
	ns := lab.Namespace(t, config, "rotation")
	meta := metav1.ObjectMeta{Namespace: ns, Name: "m1"}
	account := &corev1.ServiceAccount{ObjectMeta: meta}
	r.create(account)
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "switch"}})
	r.create(&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{"m1"}, Verbs: []string{"create"},
	}}})
	r.create(&rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "m1"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "m1"}},
	})
	first := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](600)}}
	if err := c.SubResource("token").Create(t.Context(), account, first); err != nil {
		t.Fatal(err)
	}
	r.member = rest.AnonymousClientConfig(config)
	r.member.BearerToken = first.Status.Token
	r.secret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "m1-abcde", Annotations: map[string]string{
			fedv1.CredentialServiceAccountAnnotation: ns + "/m1",
			fedv1.CredentialBoundSecretAnnotation:    "switch",
			fedv1.CredentialIssuedAnnotation:         r.clock.Now().UTC().Format(time.RFC3339),
			fedv1.CredentialExpiresAnnotation:        r.clock.Now().Add(10 * time.Minute).UTC().Format(time.RFC3339),
		}},
		Data: map[string][]byte{"token": []byte(first.Status.Token), "other": []byte("stays")},
	}
	r.create(r.secret)
	return r
}

func (r *rotation) create(o client.Object) {
	r.t.Helper()
	if err := r.Create(r.t.Context(), o); err != nil {
		r.t.Fatal(err)
	}
}

// after rotates when some time has passed, and returns the secret as it is then.
func (r *rotation) after(d time.Duration) (*corev1.Secret, error) {
	r.t.Helper()
	r.clock.SetTime(r.clock.Now().Add(d))
	err := Rotator{Host: r, Clock: r.clock}.Rotate(r.t.Context(), r.member, r.secret.DeepCopy())
	now := &corev1.Secret{}
	if err := r.Get(r.t.Context(), client.ObjectKeyFromObject(r.secret), now); err != nil {
		r.t.Fatal(err)
	}
	return now, err
}

func (r *rotation) wantUntouched(now *corev1.Secret) {
	r.t.Helper()
	if now.ResourceVersion != r.secret.ResourceVersion {
		r.t.Errorf("the secret was written:\n%v", now.Annotations)
	}
}

func (r *rotation) accepts(token []byte) error {
	with := rest.CopyConfig(r.member)
	with.BearerToken = string(token)
	c, err := client.New(with, client.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Create(r.t.Context(), &authenticationv1.SelfSubjectReview{})
}

func TestRotateNotDue(t *testing.T) {
	r := newRotation(t)
	now, err := r.after(5*time.Minute - 2*time.Second)
	if err != nil {
		t.Error(err)
	}
	r.wantUntouched(now)
}

// A token that never ends is KubeFed's, and stays as it is.
func TestRotateEternal(t *testing.T) {
	r := newRotation(t)
	r.secret.Annotations = nil
	if err := r.Update(t.Context(), r.secret); err != nil {
		t.Fatal(err)
	}
	now, err := r.after(1000 * time.Hour)
	if err != nil {
		t.Error(err)
	}
	r.wantUntouched(now)
}

func TestRotateAtHalfLife(t *testing.T) {
	r := newRotation(t)
	now, err := r.after(5 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(now.Data["token"], r.secret.Data["token"]) || string(now.Data["other"]) != "stays" {
		t.Errorf("the secret has keys %d, the token is new: %v", len(now.Data), !bytes.Equal(now.Data["token"], r.secret.Data["token"]))
	}
	life, err := credential.LifeOf(now)
	if err != nil || life.Expires.Sub(life.Issued) != 10*time.Minute || !life.Issued.Equal(r.clock.Now().Truncate(time.Second)) {
		t.Errorf("life = %v, %v", life, err)
	}
	for what, token := range map[string][]byte{"new": now.Data["token"], "old": r.secret.Data["token"]} {
		if err := r.accepts(token); err != nil {
			t.Errorf("the %s token: %v", what, err)
		}
	}
	// Deleting the secret that the new token is bound to ends it.
	if err := r.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: now.Namespace, Name: "switch"}}); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, 20*time.Second, "the new token ends with its secret", func(context.Context) error {
		if err := r.accepts(now.Data["token"]); !apierrors.IsUnauthorized(err) {
			return errors.Join(errors.New("it is still good"), err)
		}
		return nil
	})
}

// Whatever fails, the present token stays.
func TestRotateFails(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(*rotation)
		want    string
	}{
		"no secret to bind to": {func(r *rotation) { r.secret.Annotations[fedv1.CredentialBoundSecretAnnotation] = "none" }, "request a token"},
		"no such account": {func(r *rotation) {
			r.secret.Annotations[fedv1.CredentialServiceAccountAnnotation] = r.secret.Namespace + "/none"
		}, "request a token"},
		"whose token is not told":    {func(r *rotation) { delete(r.secret.Annotations, fedv1.CredentialServiceAccountAnnotation) }, "whose it is"},
		"unreadable end":             {func(r *rotation) { r.secret.Annotations[fedv1.CredentialExpiresAnnotation] = "soon" }, "renew the token"},
		"the new token is refused":   {func(r *rotation) { r.answerReviews(http.StatusUnauthorized, "{}") }, "does not accept"},
		"the member does not tell":   {func(r *rotation) { r.answerReviews(http.StatusInternalServerError, "{}") }, "try the renewed token"},
		"the token is another's":     {func(r *rotation) { r.answerReviews(http.StatusCreated, review("admin")) }, `is of "admin"`},
		"the member does not answer": {func(r *rotation) { r.member.Host = "https://127.0.0.1:1" }, "request a token"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRotation(t)
			tc.prepare(r)
			now, err := r.after(9 * time.Minute)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
			r.wantUntouched(now)
		})
	}
}

// What somebody else has written meanwhile stays.
func TestRotateConflict(t *testing.T) {
	r := newRotation(t)
	other := r.secret.DeepCopy()
	other.Data["token"] = []byte("theirs")
	if err := r.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	now, err := r.after(9 * time.Minute)
	if !apierrors.IsConflict(err) || string(now.Data["token"]) != "theirs" {
		t.Errorf("error %v, token %.10q", err, now.Data["token"])
	}
}

func review(user string) string {
	return `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview","status":{"userInfo":{"username":"` + user + `"}}}`
}

// answerReviews answers the member's self subject reviews in its stead.
func (r *rotation) answerReviews(code int, body string) {
	r.member.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(req.URL.Path, "/selfsubjectreviews") {
				return next.RoundTrip(req)
			}
			return &http.Response{
				StatusCode: code, Request: req, Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
