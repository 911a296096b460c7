package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/records"
	"github.com/hansa-io/hansa/internal/discovery/rfc2136"
)

// resolvConf names the DNS servers that host names of load balancers are looked up at.
const resolvConf = "/etc/resolv.conf"

// addPublicDNS adds what makes names in public DNS: the records' controllers, and the publisher. While their gates are off, nothing is watched.
func (p *plane) addPublicDNS(context.Context, flags) error {
	host, err := dynamic.NewForConfigAndClient(p.mgr.GetConfig(), p.mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the host: %w", err)
	}
	log := p.mgr.GetLogger().WithName("dns")
	recorder := p.mgr.GetEventRecorder("hansa-dns")
	tell := func(about runtime.Object, kind, reason, message string) {
		recorder.Eventf(about, nil, kind, reason, "Publish", "%s", message)
	}
	endpoints := records.NewEndpoints(host, p.settings.watched())
	publisher := rfc2136.NewPublisher(rfc2136.Options{
		Host: host, Namespace: p.settings.namespace, Owner: string(p.settings.controlPlane),
		Sources: endpoints.Sources, Secret: p.secret, Tell: tell, Log: log, Metrics: p.metrics,
	})
	endpoints.Watch(func(types.NamespacedName) { publisher.Wake() })
	o := records.Options{
		Host: host, Namespace: p.settings.namespace, Watched: p.settings.watched(), Members: p.members, Endpoints: endpoints,
		Zones: publisher.Zones, Lookup: records.Resolver(resolvConf), Tell: tell, Log: log, Metrics: p.metrics,
	}
	services, ingresses := p.gate(fedv1.GateCrossClusterServiceDiscovery), p.gate(fedv1.GateFederatedIngress)
	either := func() bool { return services() || ingresses() }
	for _, g := range []*gated{
		newGated(log, either, endpoints.Run), newGated(log, either, publisher.Run),
		newGated(log, services, records.NewServices(o).Run), newGated(log, ingresses, records.NewIngresses(o).Run),
	} {
		p.turned = append(p.turned, g.turned)
		if err := p.mgr.Add(g); err != nil {
			return fmt.Errorf("add public DNS: %w", err)
		}
	}
	return nil
}

// gate says whether a feature is on.
func (p *plane) gate(name string) func() bool {
	return func() bool { return p.settings.in.Load().Gates.On(name) }
}

// secret reads a Secret of the KubeFed namespace.
func (p *plane) secret(ctx context.Context, name string) (map[string][]byte, error) {
	var s corev1.Secret
	err := p.mgr.GetClient().Get(ctx, types.NamespacedName{Namespace: p.settings.namespace, Name: name}, &s)
	return s.Data, err
}
