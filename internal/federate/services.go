package federate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	fedv1alpha1 "github.com/hansa-io/hansa/api/core/v1alpha1"
	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/apply"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/rollup"
)

// services remembers what KubeFed's objects for the status of services were last told, so that the host is not asked each time.
type services struct {
	mu   sync.Mutex
	told map[intent.Key]string
}

func (s *services) knows(key intent.Key, body string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[key] == body
}

func (s *services) learn(key intent.Key, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told[key] = body; body == "" {
		delete(s.told, key)
	}
}

// tellServices writes the object of KubeFed's older collection beside a federated service, if it differs.
func (r *Reconciler) tellServices(ctx context.Context, p plan.Plan, w plan.World) error {
	if w.Intent == nil || w.Intent.IsDeleting() || w.Type.Collects.Services == (intent.Resource{}) {
		r.services.learn(p.Key, "") // it goes with the federated object, by its owner reference
		return nil
	}
	list, known := rollup.Services(w)
	body, err := json.Marshal(list)
	if err != nil || !known || r.services.knows(p.Key, string(body)) {
		return err
	}
	if err := r.host.serviceStatus(ctx, w, list); err != nil {
		return fmt.Errorf("write %s: %w", w.Type.Collects.Services.Kind, err)
	}
	r.services.learn(p.Key, string(body))
	return nil
}

// serviceStatus makes the object as it should be, and writes it unless it is so.
func (h host) serviceStatus(ctx context.Context, w plan.World, list []fedv1alpha1.ClusterServiceStatus) error {
	t, i := w.Type.Collects.Services, w.Intent
	objects := h.client.Resource(t.GroupVersionResource).Namespace(i.Namespace)
	live, err := objects.Get(ctx, i.Name, metav1.GetOptions{})
	if err != nil && !apply.Absent(err, i.Name) {
		return err
	}
	if err == nil && rollup.SameServices(live.Object["clusterStatus"], list) && ownedBy(live, i.UID) {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": t.GroupVersion().String(), "kind": t.Kind,
		"metadata": map[string]any{"name": i.Name, "namespace": i.Namespace, "ownerReferences": []metav1.OwnerReference{{
			APIVersion: w.Type.Federated.GroupVersion().String(), Kind: w.Type.Federated.Kind, Name: i.Name, UID: i.UID,
		}}},
		"clusterStatus": list,
	})
	if err != nil {
		return err
	}
	_, err = objects.Patch(ctx, i.Name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager, Force: ptr.To(true)})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the host does not serve %s, which spec.statusType of FederatedTypeConfig %s names: run kubefedctl init: %w", t.GroupVersionResource, w.Type.Name, err)
	}
	return err
}

func ownedBy(obj metav1.Object, uid types.UID) bool {
	return slices.ContainsFunc(obj.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == uid })
}
