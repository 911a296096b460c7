package main

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/settings"
)

// addConfig follows the KubeFedConfig at run time. A standby follows it, too: it must not begin to lead by settings of long ago. Only the
// leader tells of it.
func (p *plane) addConfig(_ context.Context, f flags) error {
	if p.settings.file {
		return nil
	}
	elected := make(chan event.TypedGenericEvent[client.Object], 1)
	err := ctrl.NewControllerManagedBy(p.mgr).Named("kubefedconfig").For(newConfig()).
		WatchesRawSource(source.Channel(elected, &handler.TypedEnqueueRequestForObject[client.Object]{})).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)}).
		Complete(reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
			if r.Name != fedv1.ConfigName {
				return reconcile.Result{}, nil
			}
			return reconcile.Result{}, p.followConfig(ctx, r.NamespacedName, f)
		}))
	if err != nil {
		return fmt.Errorf("make the controller of the KubeFedConfig: %w", err)
	}
	return p.mgr.Add(manager.RunnableFunc(func(context.Context) error {
		p.mgr.GetLogger().Info("promoted as leader")
		which := newConfig()
		which.SetNamespace(p.settings.namespace)
		which.SetName(fedv1.ConfigName)
		elected <- event.TypedGenericEvent[client.Object]{Object: which}
		return nil
	}))
}

func (p *plane) followConfig(ctx context.Context, key types.NamespacedName, f flags) error {
	config := newConfig()
	err := p.mgr.GetCache().Get(ctx, key, config)
	if apierrors.IsNotFound(err) {
		p.mgr.GetLogger().Info("the KubeFedConfig is gone: its settings stay in force until the manager starts anew")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read KubeFedConfig %s: %w", key, err)
	}
	now, before := p.settings.follow(config, f)
	p.wakeFor(ctx, before, now.Settings)
	accepted := config.GetAnnotations()[fedv1.AcceptHostRollbackAnnotation]
	if was := p.settings.accepted.Swap(&accepted); *was != accepted {
		p.wakeAll()
	}
	if !p.term.Leads() {
		return nil // the leader tells
	}
	return p.tellConfig(ctx, config, now)
}

// wakeFor looks again at what other settings may change.
func (p *plane) wakeFor(ctx context.Context, before, now settings.Settings) {
	gates := switched(before.Gates, now.Gates)
	if len(gates) > 0 {
		p.mgr.GetLogger().Info("feature gates were switched", "now", gates)
	}
	_, push := gates[fedv1.GatePushReconciler]
	if _, raw := gates[fedv1.GateRawResourceStatusCollection]; push || raw {
		p.wakeTypes(ctx)
	}
	p.versions.Turned()
	p.switchDiscovery()
	for _, turned := range p.turned {
		turned()
	}
	if push || before.Adopt != now.Adopt {
		p.wakeAll()
	}
	if _, scheduling := gates[fedv1.GateSchedulerPreferences]; scheduling || before.UnavailableDelay != now.UnavailableDelay {
		p.schedule.WakeAll()
	}
}

// tellConfig says in the status, and once in events, what became of the settings.
func (p *plane) tellConfig(ctx context.Context, config *unstructured.Unstructured, r settings.Reading) error {
	var old fedv1.KubeFedConfigStatus
	if raw, ok, _ := unstructured.NestedMap(config.Object, "status"); ok {
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &old) // one that cannot be read was never told
	}
	status := settings.Status(r, config.GetGeneration(), old, metav1.Now())
	if settings.Same(old, status) {
		return nil
	}
	for _, bad := range r.Bad {
		p.mgr.GetLogger().Info("a setting cannot be used: what was in force before still is", "setting", bad.Field, "because", bad.Message)
	}
	body, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": config.GetUID()},
		{"op": "add", "path": "/status", "value": status},
	})
	if err != nil {
		return err
	}
	err = p.mgr.GetClient().Status().Patch(ctx, config.DeepCopy(), client.RawPatch(types.JSONPatchType, body), client.FieldOwner(fedv1.FieldManager))
	if client.IgnoreNotFound(err) != nil { // not found: it is gone, or KubeFed's definition is still there, which has no status
		return fmt.Errorf("write the status of KubeFedConfig %s: %w", config.GetName(), err)
	}
	for _, c := range settings.News(old, status) {
		p.configEvents.Eventf(config, nil, corev1.EventTypeWarning, c.Reason, "Configure", "%s", c.Message)
	}
	return nil
}
