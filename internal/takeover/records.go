package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1alpha1 "github.com/hansa-io/hansa/api/core/v1alpha1"
	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/plan"
	"github.com/hansa-io/hansa/internal/propagated"
)

// records are KubeFed's PropagatedVersions and ClusterPropagatedVersions of federated objects. One without such an owner is somebody
// else's, and left alone.
func (f *Federation) records(ctx context.Context, s *survey) ([]unstructured.Unstructured, error) {
	groups := map[string]bool{}
	for _, t := range s.types {
		groups[t.Spec.FederatedType.Group+"/"+t.Spec.FederatedType.Kind] = true
	}
	namespace := ""
	if s.config.Spec.Scope == fedv1.ScopeNamespaced {
		namespace = f.namespace
	}
	var out []unstructured.Unstructured
	for _, kind := range []string{"PropagatedVersion", "ClusterPropagatedVersion"} {
		if namespace != "" && kind == "ClusterPropagatedVersion" {
			continue
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(corev1alpha1.GroupVersion.WithKind(kind + "List"))
		if err := f.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			if isNoMatch(err) {
				continue
			}
			return nil, f.api("list "+kind+"s", err)
		}
		for _, o := range list.Items {
			owners := o.GetOwnerReferences()
			if len(owners) == 1 && groups[groupOf(owners[0].APIVersion)+"/"+owners[0].Kind] {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

func groupOf(apiVersion string) string {
	group, _, _ := strings.Cut(apiVersion, "/")
	return group
}

func (f *Federation) aboutRecords(ctx context.Context, s *survey) (Finding, error) {
	out := Finding{Area: "records", Level: Fine, Text: "no PropagatedVersions"}
	all, err := f.records(ctx, s)
	switch {
	case err != nil || len(all) == 0:
	case keepsRecords(s.config):
		out.Text = fmt.Sprintf("%d PropagatedVersions will be kept up to date", len(all))
	default:
		out.Level = Note
		out.Text = fmt.Sprintf("%d PropagatedVersions will be removed at the end; the feature gate %s keeps them", len(all), fedv1.GatePropagatedVersions)
	}
	return out, err
}

// removeRecords deletes what nobody keeps up to date any more.
func (f *Federation) removeRecords(ctx context.Context, s *survey) error {
	if keepsRecords(s.config) {
		f.tell("PropagatedVersions are kept: the feature gate %s is on", fedv1.GatePropagatedVersions)
		return nil
	}
	all, err := f.records(ctx, s)
	if err != nil || len(all) == 0 {
		return err
	}
	for i := range all {
		uid := all[i].GetUID()
		err := f.client.Delete(ctx, &all[i], client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			return f.api(fmt.Sprintf("delete %s %s/%s", all[i].GetKind(), all[i].GetNamespace(), all[i].GetName()), err)
		}
	}
	f.done("removed %d PropagatedVersions", len(all))
	return nil
}

// rewritten lists, sorted, the copies that KubeFed would write to if it started now, with why: going by its own rule and its records.
func (f *Federation) rewritten(ctx context.Context, s *survey) ([]string, error) {
	all, err := f.records(ctx, s)
	if err != nil {
		return nil, err
	}
	byName := map[types.NamespacedName]corev1alpha1.PropagatedVersionStatus{}
	for i := range all {
		var status corev1alpha1.PropagatedVersionStatus
		m, _, _ := unstructured.NestedMap(all[i].Object, "status")
		if runtime.DefaultUnstructuredConverter.FromUnstructured(m, &status) == nil {
			byName[types.NamespacedName{Namespace: all[i].GetNamespace(), Name: all[i].GetName()}] = status
		}
	}
	var out []string
	for _, o := range s.objects {
		record := byName[types.NamespacedName{Namespace: o.Namespace, Name: propagated.Name(o.typ.Target.Kind, o.Name)}]
		for _, step := range o.rendered().Steps {
			copied := s.member(step.Member).copy(o.typ, o.Key)
			if step.Verdict != plan.Place || copied == nil {
				continue
			}
			if why := propagated.Rewrites(record, o.world.Intent.Hashes, step.Member, copied, step.Object.GetLabels()); why != "" {
				out = append(out, fmt.Sprintf("%s in %s: %s", o.Key, step.Member, why))
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// rendered is the object's plan with each copy's object in it, whether it is needed or not.
func (o object) rendered() plan.Plan {
	w := o.world
	w.Members = slices.Clone(w.Members)
	for n := range w.Members {
		w.Members[n].Record = nil
	}
	return plan.Make(w)
}

// switchRecords turns the feature gate on, or takes it out of the list, where KubeFed would not know it.
func (f *Federation) switchRecords(ctx context.Context, on bool) error {
	c, err := f.settings(ctx)
	if err != nil || on == keepsRecords(c) && on {
		return err
	}
	gates := slices.DeleteFunc(slices.Clone(c.Spec.FeatureGates), func(g fedv1.FeatureGatesConfig) bool { return g.Name == fedv1.GatePropagatedVersions })
	if on {
		gates = append(gates, fedv1.FeatureGatesConfig{Name: fedv1.GatePropagatedVersions, Configuration: fedv1.Enabled})
	} else if len(gates) == len(c.Spec.FeatureGates) {
		return nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": c.ResourceVersion}, "spec": map[string]any{"featureGates": gates}})
	if err != nil {
		return err
	}
	if err := f.client.Patch(ctx, c, client.RawPatch(types.MergePatchType, body)); err != nil {
		return f.api("write the feature gates of KubeFedConfig "+fedv1.ConfigName, err)
	}
	if on {
		f.done("feature gate %s is on", fedv1.GatePropagatedVersions)
	} else {
		f.done("feature gate %s, which KubeFed refuses, is taken out", fedv1.GatePropagatedVersions)
	}
	return nil
}

func isNoMatch(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
