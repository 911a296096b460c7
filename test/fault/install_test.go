package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/config"
)

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, fedv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// administrator is a client of a cluster that goes past the links.
func administrator(cluster string) (client.Client, error) {
	return client.New(clusters.Config(cluster), client.Options{Scheme: scheme()})
}

// install makes a cluster a host: definitions, rights, settings and the default types.
func install(cluster string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := administrator(cluster)
	if err != nil {
		return err
	}
	objects, err := config.Objects(fedv1.DefaultNamespace, fedv1.ScopeCluster)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := applied(ctx, c, impatient(o)); err != nil {
			return fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return served(ctx, cluster)
}

// served waits until everybody who comes anew finds the federated kinds.
func served(ctx context.Context, cluster string) error {
	for {
		err := findsKinds(ctx, cluster)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func findsKinds(ctx context.Context, cluster string) error {
	c, err := administrator(cluster)
	if err != nil {
		return err
	}
	for _, kind := range allKinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(typesVersion.WithKind("Federated" + kind + "List"))
		if err := c.List(ctx, list); err != nil {
			return err
		}
		// Admission finds them later than others do, and until then lets them pass without a finalizer.
		o := &unstructured.Unstructured{Object: fields{"spec": fields{}}}
		o.SetGroupVersionKind(typesVersion.WithKind("Federated" + kind))
		o.SetNamespace("default")
		o.SetName("default")
		if err := c.Create(ctx, o, client.DryRunAll); err != nil {
			return err
		}
		if len(o.GetFinalizers()) == 0 {
			return fmt.Errorf("%s: the policies do not count yet", o.GetKind())
		}
	}
	return nil
}

// impatient has the KubeFedConfig probe often and elect fast.
func impatient(o *unstructured.Unstructured) *unstructured.Unstructured {
	if o.GetKind() != "KubeFedConfig" {
		return o
	}
	for section, values := range map[string]map[string]any{
		"clusterHealthCheck": {"period": "1s", "timeout": "1s", "failureThreshold": int64(2), "successThreshold": int64(1)},
		"leaderElect":        {"leaseDuration": "6s", "renewDeadline": "4s", "retryPeriod": "1s", "resourceLock": "leases"},
	} {
		_ = unstructured.SetNestedMap(o.Object, values, "spec", section)
	}
	return o
}

// applied applies an object, again and again while the definition of its type is not served yet.
func applied(ctx context.Context, c client.Client, o *unstructured.Unstructured) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	for {
		err := c.Patch(ctx, o.DeepCopy(), client.RawPatch(types.ApplyPatchType, body), client.FieldOwner("test"), client.ForceOwnership)
		if err == nil || ctx.Err() != nil || !unserved(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func unserved(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err) || meta.IsNoMatchError(err) || errors.As(err, new(*discovery.ErrGroupDiscoveryFailed))
}

// joined makes a cluster a member: its credential and its KubeFedCluster.
func joined(ctx context.Context, host client.Client, m *member) error {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: fedv1.DefaultNamespace, Name: m.name},
		Data:       map[string][]byte{"token": []byte(m.token)},
	}
	k := &fedv1.KubeFedCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: fedv1.DefaultNamespace, Name: m.name, Labels: map[string]string{"name": m.name, "shop": "open"}},
		Spec:       fedv1.KubeFedClusterSpec{APIEndpoint: m.endpoint, CABundle: m.ca, SecretRef: fedv1.LocalSecretReference{Name: m.name}},
	}
	if err := host.Create(ctx, s); err != nil {
		return err
	}
	return host.Create(ctx, k)
}

// left undoes joined.
func left(ctx context.Context, host client.Client, m *member) error {
	meta := metav1.ObjectMeta{Namespace: fedv1.DefaultNamespace, Name: m.name}
	if err := host.Delete(ctx, &fedv1.KubeFedCluster{ObjectMeta: meta}); client.IgnoreNotFound(err) != nil {
		return err
	}
	return client.IgnoreNotFound(host.Delete(ctx, &corev1.Secret{ObjectMeta: meta}))
}

// leaseGone takes away the leader's Lease of a manager that was killed, so that the next need not wait until it has run out.
func leaseGone(ctx context.Context, host client.Client) error {
	lease := &unstructured.Unstructured{}
	lease.SetAPIVersion("coordination.k8s.io/v1")
	lease.SetKind("Lease")
	lease.SetNamespace(fedv1.DefaultNamespace)
	lease.SetName(fedv1.LockName)
	return client.IgnoreNotFound(host.Delete(ctx, lease, &client.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}))
}
