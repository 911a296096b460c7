package discovery

import (
	"context"
	"errors"
	"fmt"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/discovery/definitions"
)

// Define sees to it that a member has the types of multi-cluster services: those of the release of mcs-api that this program is built
// with are installed where there are none or older ones. Newer ones are left alone.
func Define(ctx context.Context, member string, config *rest.Config) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(apiextv1.AddToScheme(scheme), mcsv1.Install(scheme)); err != nil {
		return fmt.Errorf("know the types of multi-cluster services: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("connect to %s: %w", member, err)
	}
	c = client.WithFieldOwner(c, FieldManager)
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		return definitions.Ensure(ctx, c, func(string, definitions.Result) {})
	})
	switch {
	case apierrors.IsForbidden(err) && served(ctx, c):
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the CustomResourceDefinitions of mcs-api are missing or old, and may not be installed: join the cluster again with kubefedctl join --error-on-existing=false, or install them there yourself from sigs.k8s.io/mcs-api: %w", err)
	case err != nil:
		return err
	}
	return definitions.Served(ctx, c)
}

// served says that the member has the types, whoever has defined them.
func served(ctx context.Context, c client.Client) bool {
	one := client.Limit(1)
	return c.List(ctx, &mcsv1.ServiceExportList{}, one) == nil && c.List(ctx, &mcsv1.ServiceImportList{}, one) == nil
}
