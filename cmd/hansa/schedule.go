package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/schedule"
)

// scheduleWorkers is how many preferences are decided on at the same time. Deciding never waits for a member.
const scheduleWorkers = 4

// newScheduler makes what divides replicas, with its queue.
func (p *plane) newScheduler(ctx context.Context, host dynamic.Interface) {
	p.preferences = workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](time.Second, time.Minute),
		workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: "preferences"})
	recorder := p.mgr.GetEventRecorder("hansa-scheduler")
	p.schedule = schedule.New(ctx, schedule.Options{
		Host: host, Cache: p.mgr.GetCache(), Namespace: p.settings.namespace, NamespacedScope: p.settings.namespaced(),
		Fleet: p.fleet, Queue: p.preferences, Settings: p.settings.schedule, Metrics: p.metrics,
		Tell: func(about runtime.Object, kind, reason, message string) {
			recorder.Eventf(about, nil, kind, reason, "Schedule", "%s", message)
		},
	})
}

// addScheduler adds the controller of ReplicaSchedulingPreferences. Federated objects and members wake it as they wake the conductor.
func (p *plane) addScheduler(context.Context, flags) error {
	c, err := controller.NewTypedUnmanaged("replicaschedulingpreference", controller.TypedOptions[types.NamespacedName]{
		Reconciler:              p.schedule,
		MaxConcurrentReconciles: scheduleWorkers,
		NewQueue: func(string, workqueue.TypedRateLimiter[types.NamespacedName]) workqueue.TypedRateLimitingInterface[types.NamespacedName] {
			return p.preferences
		},
	})
	if err != nil {
		return fmt.Errorf("make the controller of preferences: %w", err)
	}
	err = errors.Join(
		c.Watch(source.TypedKind(p.mgr.GetCache(), &fedv1.KubeFedCluster{}, wakes[*fedv1.KubeFedCluster](p.schedule.WakeAll))),
		c.Watch(source.TypedKind(p.mgr.GetCache(), &fedv1.FederatedTypeConfig{}, wakes[*fedv1.FederatedTypeConfig](p.schedule.WakeAll))),
		p.mgr.Add(manager.RunnableFunc(p.schedule.Run)), p.mgr.Add(c))
	if err != nil {
		return fmt.Errorf("add the controller of preferences: %w", err)
	}
	return nil
}

// wakes calls f for every event.
func wakes[T client.Object](f func()) handler.TypedEventHandler[T, types.NamespacedName] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(context.Context, T) []types.NamespacedName {
		f()
		return nil
	})
}
