package enable

import (
	"context"
	"fmt"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/fail"
)

// stopTimeout is how long the manager gets to stop a type.
const stopTimeout = 10 * time.Second

// Instances counts the objects of a federated type in all namespaces; none if the type is not there.
func Instances(ctx context.Context, c client.Client, federated fedv1.APIResource) (int, error) {
	l := &metav1.PartialObjectMetadataList{}
	l.SetGroupVersionKind(schema.GroupVersionKind{Group: federated.Group, Version: federated.Version, Kind: federated.Kind + "List"})
	err := c.List(ctx, l)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return 0, nil
	}
	return len(l.Items), err
}

// Disable ends the propagation of a type and removes its FederatedTypeConfig, and its CustomResourceDefinition if asked to. It says
// each step as it is done. The client decides whether this is a dry run; then nobody waits for the manager.
func Disable(ctx context.Context, c client.Client, t *fedv1.FederatedTypeConfig, deleteCRD, dryRun bool, said func(string)) error {
	key := client.ObjectKeyFromObject(t).String()
	crd := NameOf(t.Spec.FederatedType)
	if deleteCRD {
		if err := Unused(ctx, c, t.Spec.FederatedType); err != nil {
			return err
		}
	}
	if t.Spec.Propagation != fedv1.Disabled {
		t.Spec.Propagation = fedv1.Disabled
		if err := c.Update(ctx, t); err != nil {
			return fmt.Errorf("write FederatedTypeConfig %s: %w", key, err)
		}
		said(fmt.Sprintf("Disabled propagation for FederatedTypeConfig %q", key))
	}
	if !dryRun {
		said(fmt.Sprintf("Verifying propagation controller is stopped for FederatedTypeConfig %q", key))
		if err := stopped(ctx, c, t); err != nil {
			return err
		}
		said(fmt.Sprintf("Propagation controller for FederatedTypeConfig %q is stopped", key))
	}
	if err := unlist(ctx, c, t.Spec.FederatedType); err != nil {
		return err
	}
	if deleteCRD {
		if err := DeleteCRD(ctx, c, crd, said); err != nil {
			return err
		}
	}
	if err := client.IgnoreNotFound(c.Delete(ctx, t)); err != nil {
		return fmt.Errorf("delete FederatedTypeConfig %s: %w", key, err)
	}
	said(fmt.Sprintf("federatedtypeconfig %q deleted", key))
	return nil
}

// Unused refuses to delete a definition of which there are instances: they would go with it, and their copies in the members too.
func Unused(ctx context.Context, c client.Client, federated fedv1.APIResource) error {
	crd := NameOf(federated)
	n, err := Instances(ctx, c, federated)
	switch {
	case err != nil:
		return fmt.Errorf("count the objects of %s: %w", crd, err)
	case n > 0:
		return fail.StillInstances.New("Cannot delete CRD %q while resource instances exist. Please try kubefedctl disable again after "+
			"removing the resource instances or without the '--delete-crd' option", crd).
			Because(fmt.Errorf("there are %d", n)).Try("kubectl get %s --all-namespaces", crd)
	}
	return nil
}

// stopped waits until the manager says that it no longer propagates the type. A type that no manager has ever taken up is stopped.
func stopped(ctx context.Context, c client.Client, t *fedv1.FederatedTypeConfig) error {
	key := client.ObjectKeyFromObject(t)
	live := &fedv1.FederatedTypeConfig{}
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, stopTimeout, true, func(ctx context.Context) (bool, error) {
		if err := c.Get(ctx, key, live); err != nil {
			return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
		}
		never := live.Status.PropagationController == "" && len(live.Finalizers) == 0
		return never || live.Status.PropagationController == fedv1.NotRunning && live.Status.ObservedGeneration >= live.Generation, nil
	})
	if err == nil {
		return nil
	}
	return fail.NotStopped.New("Unable to verify propagation controller for FederatedTypeConfig %q is stopped", key).Because(err).
		Try("is the manager running? Propagation is disabled already: run the same command again when it does")
}

// DeleteCRD removes a definition if it is there.
func DeleteCRD(ctx context.Context, c client.Client, name string, said func(string)) error {
	err := c.Delete(ctx, &apiextv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}})
	switch {
	case apierrors.IsNotFound(err):
		said(fmt.Sprintf("customresourcedefinition %q does not exist", name))
	case err != nil:
		return fmt.Errorf("delete CustomResourceDefinition %s: %w", name, err)
	default:
		said(fmt.Sprintf("customresourcedefinition %q deleted", name))
	}
	return nil
}
