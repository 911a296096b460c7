package apply

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/plan"
)

// claim makes nobody's what KubeFed owns of an object, and touches nothing else. KubeFed wrote by PUT, so its field manager owns all
// that it ever set. If it stayed the owner beside us, a field that leaves the template would stay in the member, and a container that
// leaves would leave its defaults behind. Done before the apply, it can be done again if the apply does not come about.
func (w Writer) claim(ctx context.Context, s plan.Step) (*metav1.PartialObjectMetadata, error) {
	for race := 1; ; race++ {
		live, err := w.resource(s).Get(ctx, s.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		entries, changed := disowned(live.ManagedFields, w.Resource.GroupVersion().String())
		if !changed || s.UID != "" && s.UID != live.UID {
			return live, nil // the apply finds out that it is another object
		}
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": live.UID, "resourceVersion": live.ResourceVersion, "managedFields": entries,
		}})
		if err != nil {
			return nil, err
		}
		done, err := w.resource(s).Patch(ctx, s.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fedv1.FieldManager})
		if err == nil || !apierrors.IsConflict(err) || race == maxRaces {
			return done, err
		}
	}
}

// label is our label as a path of managed fields, and as a set that holds nothing else.
const (
	labelPath = `"f:` + fedv1.ManagedLabel + `"`
	labelOnly = `{"f:metadata":{"f:labels":{` + labelPath + `:{}}}}`
)

// disowned returns managed fields without KubeFed's entries, and whether that differs. Where we have not applied anything yet, KubeFed
// is also who set our label, under whatever name it ran; and an entry of ours, of the label alone, takes the place: if nobody had applied
// and nobody owned a field, the API server would put all of them down to a manager "before-first-apply", from whom none could be taken.
func disowned(entries []metav1.ManagedFieldsEntry, apiVersion string) ([]metav1.ManagedFieldsEntry, bool) {
	applied := slices.ContainsFunc(entries, plan.IsOurs)
	labelled := map[string]bool{}
	for _, e := range entries {
		if !applied && isUpdate(e) && e.FieldsV1 != nil && strings.Contains(e.FieldsV1.GetRawString(), labelPath) {
			labelled[e.Manager] = true
		}
	}
	kept := slices.DeleteFunc(slices.Clone(entries), func(e metav1.ManagedFieldsEntry) bool {
		return plan.IsKubeFeds(e) || isUpdate(e) && labelled[e.Manager]
	})
	if len(kept) == len(entries) && len(entries) > 0 {
		return entries, false
	}
	if !applied {
		kept = append(kept, metav1.ManagedFieldsEntry{
			Manager: fedv1.FieldManager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: apiVersion,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(labelOnly),
		})
	}
	return kept, true
}

func isUpdate(e metav1.ManagedFieldsEntry) bool {
	return e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == ""
}
