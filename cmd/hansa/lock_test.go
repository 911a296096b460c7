package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/hansa-io/hansa/internal/lab"
)

// While a KubeFed manager renews its lock, ours does not lead and says who does; when it is gone, ours holds that lock as well.
func TestLockSucceedsKubeFed(t *testing.T) {
	l := lab.Start(t, lab.Options{}, "host")
	config := l.Config("host")
	ns := lab.Namespace(t, config, "lock")
	maps := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps(ns)
	record := func(holder string, renewed time.Time) string {
		raw, err := json.Marshal(resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaseDurationSeconds: 15, RenewTime: metav1.NewTime(renewed)})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kubefed-controller-manager", Annotations: map[string]string{
		resourcelock.LeaderElectionRecordAnnotationKey: record("pod-1_abc", time.Now()),
	}}}
	cm, err := maps.Create(t.Context(), cm, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := newLock(config, ns)
	if err != nil {
		t.Fatal(err)
	}
	ours := resourcelock.LeaderElectionRecord{HolderIdentity: lock.Identity(), LeaseDurationSeconds: 15, RenewTime: metav1.Now(), AcquireTime: metav1.Now()}

	if err := lock.Create(t.Context(), ours); err == nil || !strings.Contains(err.Error(), "pod-1_abc") {
		t.Fatalf("took the Lease beside a living KubeFed manager: %v", err)
	}
	cm.Annotations[resourcelock.LeaderElectionRecordAnnotationKey] = record("pod-1_abc", time.Now().Add(-time.Minute))
	if _, err := maps.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := lock.Create(t.Context(), ours); err != nil {
		t.Fatalf("did not take over an old lock: %v", err)
	}
	if cm, err = maps.Get(t.Context(), cm.Name, metav1.GetOptions{}); err != nil || !strings.Contains(cm.Annotations[resourcelock.LeaderElectionRecordAnnotationKey], lock.Identity()) {
		t.Fatalf("KubeFed's lock is free for its manager: %v, %v", cm.Annotations, err)
	}
	if err := held(cm, "another", time.Now()); err == nil {
		t.Fatal("another manager may lead beside us")
	}
}
