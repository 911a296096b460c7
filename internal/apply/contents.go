package apply

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/hansa-io/hansa/internal/plan"
)

// contents looks into namespaces.
type contents struct {
	discovery discovery.DiscoveryInterface
	metadata  metadata.Interface
}

func newContents(config *rest.Config, hc *http.Client, m metadata.Interface) (contents, error) {
	d, err := discovery.NewDiscoveryClientForConfigAndClient(config, hc)
	return contents{discovery: d, metadata: m}, err
}

// derived kinds are made by the cluster of what is in the namespace, or come and go by themselves.
var derived = map[schema.GroupResource]bool{
	{Resource: "events"}: true, {Group: "events.k8s.io", Resource: "events"}: true,
	{Resource: "endpoints"}: true, {Group: "discovery.k8s.io", Resource: "endpointslices"}: true,
	{Group: "coordination.k8s.io", Resource: "leases"}: true, {Group: "metrics.k8s.io", Resource: "pods"}: true,
}

// everywhere are the objects that every namespace has.
var everywhere = map[schema.GroupResource]string{
	{Resource: "configmaps"}: "kube-root-ca.crt", {Resource: "serviceaccounts"}: "default",
}

// foreign names the first object in a namespace that is not the federation's, not made by the cluster of one that is, and not in
// every namespace. A type that cannot be listed is an error: what was not seen is not absent.
func (c contents) foreign(ctx context.Context, namespace, controlPlane string) (string, error) {
	lists, err := c.discovery.ServerPreferredNamespacedResources()
	if err != nil {
		return "", fmt.Errorf("discover what namespace %s may hold: %w", namespace, err)
	}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return "", fmt.Errorf("discover what namespace %s may hold: %w", namespace, err)
		}
		for _, r := range l.APIResources {
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || derived[schema.GroupResource{Group: gv.Group, Resource: r.Name}] {
				continue
			}
			found, err := c.foreignOf(ctx, gv.WithResource(r.Name), namespace, controlPlane)
			if found != "" || err != nil {
				return found, err
			}
		}
	}
	return "", nil
}

func (c contents) foreignOf(ctx context.Context, r schema.GroupVersionResource, namespace, controlPlane string) (string, error) {
	list, err := c.metadata.Resource(r).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("list %s in namespace %s: %w", r.GroupResource(), namespace, err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		switch {
		case everywhere[r.GroupResource()] == o.Name, metav1.GetControllerOf(o) != nil, plan.CopyOf(o).ControlPlane == controlPlane:
		default:
			return r.GroupResource().String() + " " + o.Name, nil
		}
	}
	return "", nil
}
