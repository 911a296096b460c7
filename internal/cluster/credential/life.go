// Package credential answers: how long does a member's token live, and when is it time for the next one?
package credential

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Parts of a token's life: at Renew the next one is asked for, at Alarm somebody should know that this has not worked.
const (
	Renew = 0.5
	Alarm = 0.8
)

// Life is from when to when a token is good. The zero Life is that of a token that never ends.
type Life struct{ Issued, Expires time.Time }

// LifeOf reads the life of the token in the host's secret. A secret without an end is KubeFed's and lives for ever.
func LifeOf(secret *corev1.Secret) (Life, error) {
	end, ok := secret.Annotations[fedv1.CredentialExpiresAnnotation]
	if !ok {
		return Life{}, nil
	}
	expires, err := time.Parse(time.RFC3339, end)
	if err != nil {
		return Life{}, fmt.Errorf("annotation %s: %w", fedv1.CredentialExpiresAnnotation, err)
	}
	issued, err := time.Parse(time.RFC3339, secret.Annotations[fedv1.CredentialIssuedAnnotation])
	if err != nil {
		return Life{}, fmt.Errorf("annotation %s: %w", fedv1.CredentialIssuedAnnotation, err)
	}
	if !issued.Before(expires) {
		return Life{}, fmt.Errorf("token expires at %s, not after it was issued at %s", end, secret.Annotations[fedv1.CredentialIssuedAnnotation])
	}
	return Life{Issued: issued, Expires: expires}, nil
}

// Eternal tells whether the token never ends.
func (l Life) Eternal() bool { return l == Life{} }

// Spent is the part of the life that is over: 0 at its start, 1 at its end.
func (l Life) Spent(now time.Time) float64 {
	if l.Eternal() {
		return 0
	}
	return float64(now.Sub(l.Issued)) / float64(l.Expires.Sub(l.Issued))
}

// Due tells whether it is time for the next token.
func (l Life) Due(now time.Time) bool { return l.Spent(now) >= Renew }

// Alarming tells whether a token that could not be renewed should be known of.
func (l Life) Alarming(now time.Time) bool { return l.Spent(now) >= Alarm }
