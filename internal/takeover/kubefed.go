package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// What runs of KubeFed, and of Hansa.

// deployments are those in the namespace whose containers are of a kind.
func (f *Federation) deployments(ctx context.Context, is func(corev1.Container) bool) ([]appsv1.Deployment, error) {
	var list appsv1.DeploymentList
	if err := f.client.List(ctx, &list, client.InNamespace(f.namespace)); err != nil {
		return nil, f.api("list Deployments in "+f.namespace, err)
	}
	return slices.DeleteFunc(list.Items, func(d appsv1.Deployment) bool {
		return !slices.ContainsFunc(d.Spec.Template.Spec.Containers, is)
	}), nil
}

// isKubeFed says whether a container runs one of KubeFed's programs, whatever it and its image are called: they are one binary.
func isKubeFed(c corev1.Container) bool {
	return strings.Contains(strings.Join(append(c.Command, c.Args...), " "), "hyperfed") ||
		path.Base(strings.Split(c.Image, ":")[0]) == "kubefed"
}

func isHansa(c corev1.Container) bool {
	words := append(append([]string{}, c.Command...), c.Args...)
	return slices.ContainsFunc(words, func(w string) bool { return path.Base(w) == "hansa" }) ||
		strings.Contains(path.Base(strings.Split(c.Image, ":")[0]), "hansa")
}

func replicas(d appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// holder is who holds a leader lock, and until when.
type holder struct {
	what, who string
	until     time.Time
}

func (h holder) holds() bool { return h.who != "" && time.Now().Before(h.until) }

// legacyLock is KubeFed's: an annotation on a ConfigMap, or on Endpoints if the settings say so.
func (f *Federation) legacyLock(ctx context.Context) (holder, error) {
	var last holder
	config, err := f.settings(ctx)
	if err != nil {
		return last, err
	}
	kinds := []string{"ConfigMap"}
	if le := config.Spec.LeaderElect; le != nil && le.ResourceLock != nil && *le.ResourceLock == "endpoints" {
		kinds = append(kinds, "Endpoints")
	}
	for _, kind := range kinds {
		o := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}}
		err := f.client.Get(ctx, f.key(fedv1.LockName), o)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return last, f.api("read the lock "+kind+" "+fedv1.LockName, err)
		}
		var r resourcelock.LeaderElectionRecord
		if json.Unmarshal([]byte(o.Annotations[resourcelock.LeaderElectionRecordAnnotationKey]), &r) != nil {
			continue
		}
		h := holder{what: kind, who: r.HolderIdentity, until: r.RenewTime.Add(time.Duration(r.LeaseDurationSeconds) * time.Second)}
		if h.until.After(last.until) {
			last = h
		}
	}
	return last, nil
}

// lease is Hansa's lock.
func (f *Federation) lease(ctx context.Context) (holder, error) {
	var l coordinationv1.Lease
	err := f.client.Get(ctx, f.key(fedv1.LockName), &l)
	if apierrors.IsNotFound(err) {
		return holder{}, nil
	}
	if err != nil {
		return holder{}, f.api("read Lease "+fedv1.LockName, err)
	}
	if l.Spec.HolderIdentity == nil || l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
		return holder{}, nil
	}
	return holder{
		what: "Lease", who: *l.Spec.HolderIdentity,
		until: l.Spec.RenewTime.Add(time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second),
	}, nil
}

// kubeFedRuns says whether a manager of KubeFed's leads. One of ours holds KubeFed's lock as well, under the same name.
func (f *Federation) kubeFedRuns(ctx context.Context) (holder, error) {
	legacy, err := f.legacyLock(ctx)
	if err != nil || !legacy.holds() {
		return holder{}, err
	}
	ours, err := f.lease(ctx)
	if err != nil || ours.who == legacy.who {
		return holder{}, err
	}
	return legacy, nil
}

// webhooks are KubeFed's admission configurations; those of a namespaced control plane carry its namespace in the name.
func (f *Federation) webhooks(ctx context.Context) ([]*unstructured.Unstructured, error) {
	var found []*unstructured.Unstructured
	for kind, name := range map[string]string{
		"MutatingWebhookConfiguration": "mutation.core.kubefed.io", "ValidatingWebhookConfiguration": "validations.core.kubefed.io",
	} {
		for _, n := range []string{name, name + "-" + f.namespace} {
			o := &unstructured.Unstructured{}
			o.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind(kind))
			err := f.client.Get(ctx, client.ObjectKey{Name: n}, o)
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, f.api("read "+kind+" "+n, err)
			}
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(a.GetKind()+a.GetName(), b.GetKind()+b.GetName())
	})
	return found, nil
}

// settings reads the KubeFedConfig.
func (f *Federation) settings(ctx context.Context) (*fedv1.KubeFedConfig, error) {
	c := &fedv1.KubeFedConfig{}
	if err := f.client.Get(ctx, f.key(fedv1.ConfigName), c); err != nil {
		return nil, f.api(fmt.Sprintf("read KubeFedConfig %s/%s", f.namespace, fedv1.ConfigName), err)
	}
	return c, nil
}

// keepsRecords says whether the gate PropagatedVersions is on.
func keepsRecords(c *fedv1.KubeFedConfig) bool {
	return slices.ContainsFunc(c.Spec.FeatureGates, func(g fedv1.FeatureGatesConfig) bool {
		return g.Name == fedv1.GatePropagatedVersions && g.Configuration == fedv1.Enabled
	})
}
