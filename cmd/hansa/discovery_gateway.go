package main

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hansa-io/hansa/internal/discovery/gateway"
)

// addGateway adds what makes the model of load balancers, of Gateways and FederatedServices of the host and of services of the members.
func (p *plane) addGateway(context.Context, flags) error {
	host, err := dynamic.NewForConfigAndClient(p.mgr.GetConfig(), p.mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the host: %w", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(p.mgr.GetConfig(), p.mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the host: %w", err)
	}
	recorder := p.mgr.GetEventRecorder("hansa-discovery")
	c := gateway.New(gateway.Options{
		Host: host, Cache: p.mgr.GetCache(), Namespace: p.settings.namespace, NamespacedScope: p.settings.namespaced(),
		Served: kinds.ServerResourcesForGroupVersion, Services: p.members, Feed: p.balancers, On: p.settings.discovery,
		Tell: func(about runtime.Object, kind, reason, message string) {
			recorder.Eventf(about, nil, kind, reason, "Balance", "%s", message)
		},
		Log: p.mgr.GetLogger().WithName("gateway"), Metrics: p.metrics,
	})
	p.turned = append(p.turned, c.Wake)
	return p.mgr.Add(manager.RunnableFunc(c.Run))
}
