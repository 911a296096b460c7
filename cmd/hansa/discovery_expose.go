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
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/expose"
)

// exposeWorkers is how many FederatedServices are looked at at the same time.
const exposeWorkers = 4

// addExposure adds what follows the annotations of FederatedServices. It rests while the gate is off, and on a standby.
func (p *plane) addExposure(context.Context, flags) error {
	host, err := dynamic.NewForConfigAndClient(p.mgr.GetConfig(), p.mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the host: %w", err)
	}
	queue := workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](time.Second, time.Minute),
		workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: "exposures"})
	recorder := p.mgr.GetEventRecorder("hansa-discovery")
	e := expose.New(expose.Options{
		Host: host, Cache: p.mgr.GetCache(), Namespace: p.settings.namespace, NamespacedScope: p.settings.namespaced(), Queue: queue,
		On: p.settings.discovery,
		Tell: func(about runtime.Object, kind, reason, message string) {
			recorder.Eventf(about, nil, kind, reason, "Expose", "%s", message)
		},
	})
	p.turned = append(p.turned, e.Turned)
	c, err := controller.NewTypedUnmanaged("expose", controller.TypedOptions[types.NamespacedName]{
		Reconciler:              e,
		MaxConcurrentReconciles: exposeWorkers,
		NewQueue: func(string, workqueue.TypedRateLimiter[types.NamespacedName]) workqueue.TypedRateLimitingInterface[types.NamespacedName] {
			return queue
		},
	})
	if err != nil {
		return fmt.Errorf("make the controller of exposed services: %w", err)
	}
	err = errors.Join(
		c.Watch(source.TypedKind(p.mgr.GetCache(), &fedv1.FederatedTypeConfig{}, wakes[*fedv1.FederatedTypeConfig](e.Turned))),
		p.mgr.Add(manager.RunnableFunc(e.Run)), p.mgr.Add(c))
	if err != nil {
		return fmt.Errorf("add the controller of exposed services: %w", err)
	}
	return nil
}
