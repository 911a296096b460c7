package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// newLock returns the Lease that the leader holds. It records no events: a restart with nothing changed writes nothing else.
func newLock(config *rest.Config, namespace string) (resourcelock.Interface, error) {
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect for the leader's Lease: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name the leader: %w", err)
	}
	return &successor{
		LeaseLock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: fedv1.LockName},
			Client:     c.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		client: c,
	}, nil
}

// successor is a Lease that is not taken while a KubeFed manager holds its own lock, which is an annotation on a ConfigMap. Where
// that ConfigMap exists, the leader holds it as well, so that no KubeFed manager comes back beside it.
type successor struct {
	*resourcelock.LeaseLock
	client kubernetes.Interface
}

// Create implements resourcelock.Interface.
func (s *successor) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	if err := s.succeed(ctx, r); err != nil {
		return err
	}
	return s.LeaseLock.Create(ctx, r)
}

// Update implements resourcelock.Interface. An update without a holder gives the lock back.
func (s *successor) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	if err := s.succeed(ctx, r); err != nil {
		return err
	}
	return s.LeaseLock.Update(ctx, r)
}

// succeed takes, keeps or gives back KubeFed's lock, if there is one.
func (s *successor) succeed(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	maps := s.client.CoreV1().ConfigMaps(s.LeaseMeta.Namespace)
	cm, err := maps.Get(ctx, fedv1.LockName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read KubeFed's lock: %w", err)
	}
	if err := held(cm, s.Identity(), time.Now()); err != nil {
		return err
	}
	record, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if cm.Annotations == nil {
		cm.Annotations = map[string]string{}
	}
	cm.Annotations[resourcelock.LeaderElectionRecordAnnotationKey] = string(record)
	if _, err := maps.Update(ctx, cm, metav1.UpdateOptions{FieldManager: fedv1.FieldManager}); err != nil {
		return fmt.Errorf("hold KubeFed's lock: %w", err)
	}
	return nil
}

// held fails while someone else holds KubeFed's lock. One that cannot be read is held by nobody: KubeFed would take it, too.
func held(cm *corev1.ConfigMap, identity string, now time.Time) error {
	var r resourcelock.LeaderElectionRecord
	if json.Unmarshal([]byte(cm.Annotations[resourcelock.LeaderElectionRecordAnnotationKey]), &r) != nil {
		return nil //nolint:nilerr // see above
	}
	until := r.RenewTime.Add(time.Duration(r.LeaseDurationSeconds) * time.Second)
	if r.HolderIdentity == "" || r.HolderIdentity == identity || now.After(until) {
		return nil
	}
	return fmt.Errorf("the manager %s still holds the lock ConfigMap %s/%s: scale its deployment to 0, or wait until its lock runs out",
		r.HolderIdentity, cm.Namespace, cm.Name)
}
