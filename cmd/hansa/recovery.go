package main

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/federate"
)

// newRecovery returns what restrains removals. Shards tell each other what they find, and the leader tells the user.
func (p *plane) newRecovery() *federate.Recovery {
	if p.shards != nil {
		return federate.NewRecovery("", p.shards.rolledBack)
	}
	return federate.NewRecovery(p.settings.rollback, p.rolledBack)
}

// newestRollback tells of what the shards have found, if it is another than was told last.
func (p *plane) newestRollback() func(revision string) {
	told := p.settings.rollback
	return func(revision string) {
		if revision != told {
			told = revision
			p.rolledBack(revision)
		}
	}
}

// rolledBack tells on the KubeFedConfig, in the log and by an event, that the host is behind its members, or that it is so no more.
func (p *plane) rolledBack(revision string) {
	log := p.mgr.GetLogger().WithName("recovery")
	config := &fedv1.KubeFedConfig{ObjectMeta: metav1.ObjectMeta{Namespace: p.settings.namespace, Name: fedv1.ConfigName}}
	var value any
	if revision != "" {
		value = revision
		log.Info("the host knows less than its members have seen, as after a restore: nothing is removed anywhere", "revision", revision)
	} else {
		log.Info("the host is not behind its members any more: removals go on")
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{fedv1.HostRollbackAnnotation: value}}})
	if err != nil {
		log.Error(err, "tell of the rollback of the host")
		return
	}
	go func() { // who found out must not wait for the host
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.mgr.GetClient().Patch(ctx, config, client.RawPatch(types.MergePatchType, body), client.FieldOwner(fedv1.FieldManager)); err != nil {
			log.Error(err, "tell of the rollback of the host")
			return
		}
		if revision != "" {
			p.configEvents.Eventf(config, nil, corev1.EventTypeWarning, "HostRolledBack", "Recover",
				"members have seen revision %s of the host, which the host has not: nothing is removed until kubefedctl resume --accept-host-rollback", revision)
		}
	}()
}
