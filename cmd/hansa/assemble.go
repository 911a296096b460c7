package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery/balance"
	"github.com/hansa-io/hansa/internal/discovery/members"
	"github.com/hansa-io/hansa/internal/federate"
	"github.com/hansa-io/hansa/internal/fleet"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/join"
	"github.com/hansa-io/hansa/internal/lead"
	"github.com/hansa-io/hansa/internal/meter"
	"github.com/hansa-io/hansa/internal/observe"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/schedule"
)

// plane is the control plane as it is put together: who calls whom.
type plane struct {
	mgr      manager.Manager
	settings *current
	term     *lead.Term
	// shards that this process is one of; nil if it has all members.
	shards   *shards
	objects  federate.Queue
	types    atomic.Pointer[typeQueue]
	kinds    *federate.Kinds
	fleet    *fleet.Fleet
	members  *members.Members
	debts    *federate.Debts
	versions *federate.Versions
	conduct  *federate.Reconciler
	metrics  *meter.Set

	configEvents events.EventRecorder

	preferences schedule.Queue
	schedule    *schedule.Scheduler

	// turned are told that a feature gate was switched. They do not block.
	turned []func()
	// balancers are fed with what is balanced.
	balancers balance.Feed
}

type typeQueue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
}

func assemble(ctx context.Context, mgr manager.Manager, f flags, s *current, term *lead.Term, shards *shards) error {
	p := &plane{mgr: mgr, settings: s, term: term, shards: shards, configEvents: mgr.GetEventRecorder("hansa")}
	p.objects = workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[intent.Key](200*time.Millisecond, time.Minute),
		workqueue.TypedRateLimitingQueueConfig[intent.Key]{Name: "objects"})
	host, err := dynamic.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the host: %w", err)
	}
	core, err := corev1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("connect to the host: %w", err)
	}
	log := mgr.GetLogger().WithName("federate")
	p.metrics = meter.NewSet(ctrlmetrics.Registry, f.measure.legacy)
	audit, err := f.measure.audit(string(s.controlPlane), log)
	if err != nil {
		return err
	}
	p.fleet = fleet.New(ctx, fleet.Options{
		Wake: p.wake, WakeType: p.wakeType, WakeAll: p.wakeAll, WakeNamespace: p.wakeNamespace,
		Confirm: p.confirm, Note: p.note, Owns: shards.owner(), Workers: f.memberWorkers, Namespace: s.watched(), Log: log,
		Audit: audit, Metrics: p.metrics,
	})
	p.kinds = federate.NewKinds(host, s.watched(), p.wake, p.fleet.Held)
	p.debts = federate.NewDebts(core, s.namespace, p.wake, p.wakeAll)
	tell := newTeller(mgr.GetEventRecorder("hansa"), s.namespace)
	p.versions = federate.NewVersions(host, s.watched(), s.propagatedVersions, p.kinds, p.wakeAll, log)
	p.conduct = federate.New(federate.Options{
		Kinds: p.kinds, Members: p.fleet, Debts: p.debts,
		Ledger:   federate.NewLedger(f.budget, p.fleet.Count, p.approved),
		Shards:   shards.forConductor(),
		Recovery: p.newRecovery(),
		Versions: p.versions,
		Host:     host, Namespace: s.namespace, NamespacedScope: s.namespaced(),
		Settings: s.plan, Tell: tell.tell, Log: log,
		Measure: federate.Measure{Set: p.metrics, Clusters: p.fleet.Names, EachObject: f.measure.objects},
	})
	p.newScheduler(ctx, host)
	if err := mgr.Add(p.member(tell.run)); err != nil {
		return err
	}
	for _, add := range []func(context.Context, flags) error{p.addShards, p.addObjects, p.addTypes, p.addConfig, p.addServices, p.addClusters, p.addApprovals, p.addScheduler, p.addXDS, p.addGateway, p.addExposure, p.addPublicDNS, p.addStart} {
		if err := add(ctx, f); err != nil {
			return err
		}
	}
	return p.metrics.Err()
}

func (p *plane) wake(k intent.Key) {
	p.objects.Add(k)
	p.schedule.Wake(k)
}

func (p *plane) wakeType(name string) {
	p.kinds.WakeType(name)
	if q := p.types.Load(); q != nil {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: p.settings.namespace, Name: name}})
	}
}

func (p *plane) wakeAll() { p.kinds.WakeAll() }

func (p *plane) wakeNamespace(name string) { p.kinds.WakeNamespace(name) }

func (p *plane) confirm(ctx context.Context, k intent.Key, s plan.Step) error {
	return p.conduct.Confirm(ctx, k, s)
}

func (p *plane) note(k intent.Key, member, message string) { p.conduct.Note(k, member, message) }

// approved says whether someone has approved of removals: the annotation on the KubeFedCluster lists types, or is "*".
func (p *plane) approved(member, typeName string) bool {
	var c fedv1.KubeFedCluster
	if p.mgr.GetCache().Get(context.Background(), types.NamespacedName{Namespace: p.settings.namespace, Name: member}, &c) != nil {
		return false
	}
	list := strings.Split(c.Annotations[fedv1.ApproveDeletionsAnnotation], ",")
	return slices.Contains(list, typeName) || slices.Contains(list, "*")
}

// related is the KubeFedCluster of a member; nil for none.
func related(name, namespace string) runtime.Object {
	if name == "" {
		return nil
	}
	c := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	c.SetGroupVersionKind(fedv1.GroupVersion.WithKind("KubeFedCluster"))
	return c
}

// addObjects adds the conductor: one queue for the federated objects of all types.
func (p *plane) addObjects(context.Context, flags) error {
	c, err := controller.NewTypedUnmanaged("objects", controller.TypedOptions[intent.Key]{
		Reconciler:              p.conduct,
		MaxConcurrentReconciles: p.settings.in.Load().SyncWorkers,
		NeedLeaderElection:      p.alone(),
		NewQueue: func(string, workqueue.TypedRateLimiter[intent.Key]) workqueue.TypedRateLimitingInterface[intent.Key] {
			return p.objects
		},
	})
	if err != nil {
		return fmt.Errorf("make the controller of objects: %w", err)
	}
	return p.mgr.Add(c)
}

// addTypes adds the controller of FederatedTypeConfigs. All namespaced types depend on the one of namespaces.
func (p *plane) addTypes(ctx context.Context, _ flags) error {
	t := federate.NewTypes(ctx, p.mgr.GetClient(), p.kinds, p.fleet, p.conduct, p.settings.namespaced(), p.settings.rawStatus)
	return ctrl.NewControllerManagedBy(p.mgr).Named("federatedtypeconfig").
		For(&fedv1.FederatedTypeConfig{}).
		Watches(&fedv1.FederatedTypeConfig{}, handler.EnqueueRequestsFromMapFunc(p.dependents)).
		WithOptions(controller.Options{NeedLeaderElection: p.alone()}).
		WatchesRawSource(source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			p.types.Store(&typeQueue{q})
			return nil
		})).
		Complete(t)
}

func (p *plane) dependents(ctx context.Context, o client.Object) []reconcile.Request {
	if o.GetName() != fedv1.NamespacesTypeName {
		return nil
	}
	return p.allTypes(ctx)
}

// wakeTypes looks at all types again.
func (p *plane) wakeTypes(ctx context.Context) {
	if q := p.types.Load(); q != nil {
		for _, r := range p.allTypes(ctx) {
			q.Add(r)
		}
	}
}

func (p *plane) allTypes(ctx context.Context) []reconcile.Request {
	var list fedv1.FederatedTypeConfigList
	if err := p.mgr.GetClient().List(ctx, &list, client.InNamespace(p.settings.namespace)); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}

// addClusters adds the controller of KubeFedClusters.
func (p *plane) addClusters(_ context.Context, f flags) error {
	o := cluster.Options{
		Host: p.mgr, Namespace: p.settings.namespace, HostIDs: p.settings.hostIDs,
		Connect: cluster.ConnectOptions{UserAgent: p.mgr.GetConfig().UserAgent, QPS: f.memberQPS, Burst: f.memberBurst, Guard: p.term},
		Health:  p.settings.health, Watcher: watchers{p.members, p.fleet}, Rotate: join.Rotator{Host: p.mgr.GetClient(), Clock: clock.RealClock{}}.Rotate, Log: p.mgr.GetLogger().WithName("cluster"),
		Metrics: p.metrics,
	}
	if s := p.shards; s != nil {
		o.Owns, o.Observes, o.Connect.Guard, o.Observer = s.Owns, s.Leads, s.term, p.term
	}
	c, err := cluster.New(o)
	if err != nil {
		return fmt.Errorf("make the controller of clusters: %w", err)
	}
	if p.shards != nil {
		p.shards.clusters = c
	}
	return p.mgr.Add(c)
}

// addApprovals looks at everything again when the annotations of a member change: one of them approves of removals.
func (p *plane) addApprovals(context.Context, flags) error {
	return ctrl.NewControllerManagedBy(p.mgr).Named("approvals").
		For(&fedv1.KubeFedCluster{}, builder.WithPredicates(predicate.AnnotationChangedPredicate{})).
		WithOptions(controller.Options{NeedLeaderElection: p.alone()}).
		Complete(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			p.wakeAll()
			return reconcile.Result{}, nil
		}))
}

// addStart adds what happens once this process has members: the debts are read, and the fleet learns when it has met every member.
func (p *plane) addStart(context.Context, flags) error {
	return p.mgr.Add(p.member(func(ctx context.Context) error {
		go p.debts.Run(ctx)
		go p.versions.Run(ctx)
		if err := p.meet(ctx); err != nil {
			return err
		}
		if p.shards != nil {
			go p.shards.survey(ctx)
			p.shards.follow(ctx, p.newestRollback())
			return nil
		}
		p.conduct.Survey(ctx)
		return nil
	}))
}

// meet waits until every KubeFedCluster has been told to the fleet.
func (p *plane) meet(ctx context.Context) error {
	informer, err := p.mgr.GetCache().GetInformer(ctx, &fedv1.KubeFedCluster{})
	if err != nil {
		return fmt.Errorf("watch KubeFedClusters: %w", err)
	}
	var listed observe.Signal
	moved := func(any) { listed.Moved() }
	handler, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: moved, UpdateFunc: func(any, any) { listed.Moved() }, DeleteFunc: moved})
	if err != nil {
		return fmt.Errorf("watch KubeFedClusters: %w", err)
	}
	defer func() { _ = informer.RemoveEventHandler(handler) }() // it has ended already, or the process does
	for {
		clusters, met := listed.Next(), p.fleet.Moved()
		var list fedv1.KubeFedClusterList
		if err := p.mgr.GetCache().List(ctx, &list, client.InNamespace(p.settings.namespace)); err != nil && ctx.Err() == nil {
			return fmt.Errorf("list KubeFedClusters: %w", err)
		}
		if ctx.Err() == nil && p.fleet.Met(list.Items) {
			p.members.Known()
			p.fleet.Known()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-clusters:
		case <-met:
		}
	}
}
