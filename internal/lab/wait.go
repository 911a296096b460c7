package lab

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Eventually calls f until it returns nil. If that takes longer than within it fails the test with what it waited for
// and f's last error. f's context ends with the time.
func Eventually(t testing.TB, within time.Duration, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		if last == nil || ctx.Err() == nil { // that the time is up says nothing about why
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s: %v", within, what, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Namespace makes a namespace of the test's own, named prefix and something unique, and deletes it after the test
// without waiting for its end.
func Namespace(t testing.TB, config *rest.Config, prefix string) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatalf("namespace %s: %v", prefix, err)
	}
	wanted := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	made, err := client.CoreV1().Namespaces().Create(t.Context(), wanted, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create namespace %s-…: %v", prefix, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the test's own has ended
		defer cancel()
		err := client.CoreV1().Namespaces().Delete(ctx, made.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete namespace %s: %v", made.Name, err)
		}
	})
	return made.Name
}
