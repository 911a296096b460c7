package survey

import (
	"context"
	"errors"
	"fmt"
	"sync"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
	mcsclient "sigs.k8s.io/mcs-api/pkg/client/clientset/versioned"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
)

// What is looked at: all services, those of a namespace, or one.
type What struct{ Namespace, Name string }

// selector of objects by the name.
func (w What) selector() fields.Selector {
	if w.Name == "" {
		return fields.Everything()
	}
	return fields.OneTermEqualSelector("metadata.name", w.Name)
}

// LookAtHost reads what the host has. What cannot be read is told in its problems, but for the KubeFedConfig, without which there is no
// federation.
func LookAtHost(ctx context.Context, c client.Client, namespace string, w What) (Host, error) {
	var h Host
	var config fedv1.KubeFedConfig
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: fedv1.ConfigName}, &config); err != nil {
		return h, fmt.Errorf("read KubeFedConfig %s/%s: %w", namespace, fedv1.ConfigName, err)
	}
	for _, g := range config.Spec.FeatureGates {
		if g.Name == fedv1.GateCrossClusterServiceDiscovery {
			h.Enabled = g.Configuration == fedv1.Enabled
		}
	}
	only := &client.ListOptions{Namespace: w.Namespace, FieldSelector: w.selector()}
	read := func(what string, err error) {
		if err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
			h.Problems = append(h.Problems, fmt.Sprintf("list %s in the host: %v", what, err))
		}
	}
	var err error
	_, h.Services, err = federated(ctx, c, namespace, fedv1.ServicesTypeName, only)
	read("FederatedServices", err)
	h.Exportable, h.Exports, err = federated(ctx, c, namespace, fedv1.ServiceExportsTypeName, only)
	read("FederatedServiceExports", err)
	var records dnsv1.ServiceDNSRecordList
	read("ServiceDNSRecords", c.List(ctx, &records, only))
	h.Records = records.Items
	var endpoints dnsv1.DNSEndpointList
	published := &client.ListOptions{Namespace: w.Namespace}
	if w.Name != "" {
		published.FieldSelector = fields.OneTermEqualSelector("metadata.name", "service-"+w.Name)
	}
	read("DNSEndpoints", c.List(ctx, &endpoints, published))
	h.Endpoints = endpoints.Items
	var domains dnsv1.DomainList
	read("Domains", c.List(ctx, &domains, client.InNamespace(namespace)))
	for _, d := range domains.Items {
		h.Domains = append(h.Domains, d.Name)
	}
	return h, nil
}

// federated lists the federated objects of a type; false if it is not federated.
func federated(ctx context.Context, c client.Client, namespace, name string, only *client.ListOptions) (bool, []unstructured.Unstructured, error) {
	var t fedv1.FederatedTypeConfig
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &t); err != nil {
		return false, nil, err
	}
	of := t.Spec.FederatedType
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: of.Group, Version: of.Version, Kind: of.Kind + "List"})
	err := c.List(ctx, list, only)
	return true, list.Items, err
}

// Connect reaches a member.
type Connect func(context.Context, fedv1.KubeFedCluster) (*rest.Config, error)

// LookAtMembers reads what members have, at the same time. A member that cannot be read says why.
func LookAtMembers(ctx context.Context, members []fedv1.KubeFedCluster, connect Connect, w What) []Member {
	out := make([]Member, len(members))
	var all sync.WaitGroup
	for i, c := range members {
		all.Go(func() {
			m := Member{Name: c.Name, Reachability: c.Annotations[fedv1.ReachabilityAnnotation]}
			config, err := connect(ctx, c)
			if err == nil {
				err = m.look(ctx, config, w)
			}
			if err != nil {
				m.Problem = err.Error()
			}
			out[i] = m
		})
	}
	all.Wait()
	return out
}

// look reads a member. One without the kinds of the Multi-Cluster Services API exports and imports nothing.
func (m *Member) look(ctx context.Context, config *rest.Config, w What) error {
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	mcs, err := mcsclient.NewForConfig(config)
	if err != nil {
		return err
	}
	only := metav1.ListOptions{FieldSelector: w.selector().String()}
	exports, err := mcs.MulticlusterV1beta1().ServiceExports(w.Namespace).List(ctx, only)
	if err = ignoreMissing(err); err != nil {
		return err
	}
	imports, err := mcs.MulticlusterV1beta1().ServiceImports(w.Namespace).List(ctx, only)
	if err = ignoreMissing(err); err != nil {
		return err
	}
	if exports != nil {
		m.Exports = exports.Items
	}
	if imports != nil {
		m.Imports = imports.Items
	}
	m.Slices, err = lookAtSlices(ctx, core, w)
	return err
}

func ignoreMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// lookAtSlices reads those of the service itself and those that were imported.
func lookAtSlices(ctx context.Context, core kubernetes.Interface, w What) ([]discoveryv1.EndpointSlice, error) {
	selectors := []string{""}
	if w.Name != "" {
		selectors = []string{discoveryv1.LabelServiceName + "=" + w.Name, mcsv1.LabelServiceName + "=" + w.Name}
	}
	var out []discoveryv1.EndpointSlice
	var failed error
	for _, s := range selectors {
		list, err := core.DiscoveryV1().EndpointSlices(w.Namespace).List(ctx, metav1.ListOptions{LabelSelector: s})
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		out = append(out, list.Items...)
	}
	return out, failed
}
