package cli

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/fail"
	"github.com/hansa-io/hansa/internal/join"
)

// discover asks the host which API types it has. Those whose own server is down are told and left out.
func discover(host join.Cluster, s Streams) (enable.Catalogue, error) {
	d, err := discovery.NewDiscoveryClientForConfig(host.Config)
	if err != nil {
		return nil, fmt.Errorf("make a discovery client: %w", err)
	}
	all, down, err := enable.Discover(d)
	if err != nil {
		return nil, fail.API(host.At(), "ask for the API types", err)
	}
	for _, group := range down {
		s.say(0, "WARNING: an API group does not answer and is left out: %s", group)
	}
	return all, nil
}

// find looks a type up in the host.
func find(all enable.Catalogue, name string, s Streams) (enable.Resource, error) {
	r, err := all.Find(name, "")
	if err == nil {
		s.say(2, "Api resource found.")
	}
	return r, err
}

// typeConfigs reads all FederatedTypeConfigs; none if no control plane is installed.
func typeConfigs(ctx context.Context, host join.Cluster, namespace string) ([]fedv1.FederatedTypeConfig, error) {
	var all fedv1.FederatedTypeConfigList
	err := host.Client.List(ctx, &all, client.InNamespace(namespace))
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	return all.Items, fail.API(host.At(), "list FederatedTypeConfigs in "+namespace, err)
}

// typeConfig reads a FederatedTypeConfig; nil if there is none, be it that no control plane is installed.
func typeConfig(ctx context.Context, host join.Cluster, namespace, name string) (*fedv1.FederatedTypeConfig, error) {
	t := &fedv1.FederatedTypeConfig{}
	err := host.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, t)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil, nil
	}
	return t, fail.API(host.At(), "read FederatedTypeConfig "+namespace+"/"+name, err)
}

// list joins words for a sentence.
func list(words []string) string { return strings.Join(words, ", ") }
