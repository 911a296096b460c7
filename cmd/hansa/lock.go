package main

import (
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// newLock returns the Lease that the leader holds. It records no events: a restart with nothing changed writes nothing else.
func newLock(config *rest.Config, namespace string) (resourcelock.Interface, error) {
	c, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect for the leader's Lease: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name the leader: %w", err)
	}
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: fedv1.LockName},
		Client:     c,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}, nil
}
