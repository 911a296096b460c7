package join

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
)

// shown is how many names of a kind are told.
const shown = 10

// tellPropagated says which propagated objects stay in a member that leaves. Not to know them is no reason to stop.
func (l *leaving) tellPropagated(ctx context.Context, member Cluster) {
	var types fedv1.FederatedTypeConfigList
	if err := l.host.Client.List(ctx, &types, client.InNamespace(l.Namespace)); err != nil {
		l.say(0, "cannot tell which propagated objects stay in %s: %v", member.At(), err)
		return
	}
	for _, t := range types.Items {
		target := t.Spec.TargetType
		found, err := list(ctx, member, schema.GroupVersionKind{Group: target.Group, Version: target.Version, Kind: target.Kind}, client.HasLabels{fedv1.ManagedLabel})
		if err != nil {
			l.say(2, "cannot tell which %s stay in %s: %v", t.Name, member.At(), err)
			continue
		}
		if len(found) > 0 {
			l.say(0, "%d %s stay in %s: %s", len(found), t.Name, member.At(), someOf(found))
		}
	}
}

func someOf(all []metav1.PartialObjectMetadata) string {
	out := make([]string, min(len(all), shown))
	for i := range out {
		out[i] = strings.TrimPrefix(all[i].Namespace+"/"+all[i].Name, "/")
	}
	text := strings.Join(out, ", ")
	if more := len(all) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// list reads the metadata of all objects of a kind.
func list(ctx context.Context, in Cluster, gvk schema.GroupVersionKind, opts ...client.ListOption) ([]metav1.PartialObjectMetadata, error) {
	l := &metav1.PartialObjectMetadataList{}
	l.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	err := in.Client.List(ctx, l, opts...)
	return l.Items, err
}

// occupants names, sorted, what lives in the KubeFed namespace of a member beside what the join made and what Kubernetes puts
// into each namespace. It asks for every type that the member has.
func occupants(ctx context.Context, member Cluster, namespace, account string) ([]string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(member.Config)
	if err != nil {
		return nil, err
	}
	all, down, err := enable.Discover(d)
	if err != nil {
		return nil, err
	}
	if len(down) > 0 {
		return nil, fmt.Errorf("some API groups do not answer: %s", strings.Join(down, ", "))
	}
	var out []string
	for _, r := range all {
		if !r.Preferred || !r.Namespaced() || !r.Can("list") || r.PluralName == "events" {
			continue
		}
		found, err := list(ctx, member, r.GVK(), client.InNamespace(namespace))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", enable.NameOf(r.APIResource), err)
		}
		for _, o := range found {
			if !usual(r.PluralName, o, account) {
				out = append(out, r.Kind+" "+o.Name)
			}
		}
	}
	slices.Sort(out)
	return out[:min(len(out), shown)], nil
}

// usual says whether an object is one of the join's own, or one that Kubernetes puts into each namespace.
func usual(plural string, o metav1.PartialObjectMetadata, account string) bool {
	switch plural {
	case "serviceaccounts":
		return o.Name == account || o.Name == "default"
	case "secrets":
		of := o.Annotations[corev1.ServiceAccountNameKey]
		return o.Name == account || of == account || of == "default"
	case "configmaps":
		return o.Name == "kube-root-ca.crt"
	case "roles", "rolebindings":
		return strings.HasSuffix(o.Name, ":"+account)
	}
	return false
}
