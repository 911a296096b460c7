package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery"
	"github.com/hansa-io/hansa/internal/discovery/members"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// staleness are the flags about endpoints of clusters that are away.
type staleness struct{ grace, expiry time.Duration }

func (s *staleness) flags(fs *pflag.FlagSet) {
	fs.DurationVar(&s.grace, "discovery-grace", time.Minute, "how long a member may be away before its endpoints, in other members, are used only where there are no others")
	fs.DurationVar(&s.expiry, "discovery-expiry", 10*time.Minute, "how long a member may be away before its endpoints are removed from other members that have others")
}

// addServices adds multi-cluster services. While their gate is off, nothing is watched.
func (p *plane) addServices(ctx context.Context, f flags) error {
	p.members = members.New(ctx, members.Options{
		Record: p.cluster, Prepare: discovery.Define, Through: p.through, Namespace: p.settings.watched(),
		Log: p.mgr.GetLogger().WithName("discovery"), Tell: p.tellMember(p.mgr.GetEventRecorder("hansa-discovery")),
	})
	services := discovery.New(discovery.Options{
		Members: p.members, Workers: f.memberWorkers, Metrics: p.metrics, Log: p.mgr.GetLogger().WithName("discovery"),
		Settings: func() (plan.Settings, bool) {
			return plan.Settings{ControlPlane: string(p.settings.controlPlane), Grace: f.staleness.grace, Expiry: f.staleness.expiry},
				p.settings.in.Load().Gates.On(fedv1.GateCrossClusterServiceDiscovery)
		},
	})
	p.turned = append(p.turned, services.Turned)
	p.switchDiscovery()
	err := ctrl.NewControllerManagedBy(p.mgr).Named("members").For(&fedv1.KubeFedCluster{}).
		Complete(reconcile.Func(func(_ context.Context, r reconcile.Request) (reconcile.Result, error) {
			p.members.Reread(r.Name)
			return reconcile.Result{}, nil
		}))
	if err != nil {
		return fmt.Errorf("make the controller of what members say of themselves: %w", err)
	}
	return p.mgr.Add(manager.RunnableFunc(services.Run))
}

// tellMember writes events about KubeFedClusters, while this process leads.
func (p *plane) tellMember(to events.EventRecorder) func(member, reason, message string) {
	return func(member, reason, message string) {
		if c := p.cluster(member); c != nil && p.term.Leads() {
			to.Eventf(c, nil, corev1.EventTypeWarning, reason, "Discover", "%s", message)
		}
	}
}

// switchDiscovery begins or ends the watches of what spans clusters. Of several shards only the one that leads has them.
func (p *plane) switchDiscovery() {
	gates, serves := p.settings.in.Load().Gates, p.shards == nil || p.shards.Leads()
	p.members.Switch(members.Gates{
		Services:  serves && gates.On(fedv1.GateCrossClusterServiceDiscovery),
		Ingresses: serves && gates.On(fedv1.GateFederatedIngress),
	})
}

// through measures what discovery asks of a member. Where the member is a shard's, it is guarded besides: discovery is the leader's.
func (p *plane) through(ctx context.Context, member string, config *rest.Config) *rest.Config {
	config = p.fleet.Through(ctx, member, config)
	if p.shards != nil {
		config = rest.CopyConfig(config)
		config.Wrap(p.term.Requests)
	}
	return config
}

// cluster is a KubeFedCluster as last seen; nil if there is none.
func (p *plane) cluster(name string) *fedv1.KubeFedCluster {
	var c fedv1.KubeFedCluster
	if p.mgr.GetCache().Get(context.Background(), types.NamespacedName{Namespace: p.settings.namespace, Name: name}, &c) != nil {
		return nil
	}
	return &c
}

// watchers are told one after the other. The last one's knowing all members says that the others do, too.
type watchers []cluster.Watcher

// ClusterChanged implements cluster.Watcher.
func (w watchers) ClusterChanged(m cluster.Member) {
	for _, one := range w {
		one.ClusterChanged(m)
	}
}

// ClusterGone implements cluster.Watcher.
func (w watchers) ClusterGone(name string) {
	for _, one := range w {
		one.ClusterGone(name)
	}
}
