package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/mcs-api/config/crd"
	"sigs.k8s.io/yaml"
)

// established bounds the wait until a member serves a type that was defined a moment ago.
const established = 30 * time.Second

var definitionsOf = apiextv1.SchemeGroupVersion.WithResource("customresourcedefinitions")

// Define sees to it that a member has the types of multi-cluster services: those of the release of mcs-api that this program is built
// with are installed where there are none or older ones. Newer ones are left alone.
func Define(ctx context.Context, member string, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", member, err)
	}
	var errs []error
	for _, text := range [][]byte{crd.ServiceExportCRD, crd.ServiceImportCRD} {
		wanted := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &wanted.Object); err != nil {
			return fmt.Errorf("read a definition of mcs-api: %w", err)
		}
		errs = append(errs, retry.RetryOnConflict(retry.DefaultBackoff, func() error { return define(ctx, client, wanted) }))
	}
	return errors.Join(errs...)
}

func define(ctx context.Context, of dynamic.Interface, wanted *unstructured.Unstructured) error {
	name, client := wanted.GetName(), of.Resource(definitionsOf)
	there, err := client.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		there, err = client.Create(ctx, wanted, metav1.CreateOptions{FieldManager: FieldManager})
	case err == nil && older(there.GetLabels(), wanted.GetLabels()):
		next := there.DeepCopy()
		next.SetLabels(merged(there.GetLabels(), wanted.GetLabels()))
		next.SetAnnotations(merged(there.GetAnnotations(), wanted.GetAnnotations()))
		next.Object["spec"] = wanted.DeepCopy().Object["spec"]
		there, err = client.Update(ctx, next, metav1.UpdateOptions{FieldManager: FieldManager})
	}
	if apierrors.IsForbidden(err) && served(ctx, of, wanted) {
		return nil
	}
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("the CustomResourceDefinition %s is missing or old, and may not be installed: join the cluster again with kubefedctl join --error-on-existing=false, or install it there yourself from sigs.k8s.io/mcs-api: %w", name, err)
	}
	if err != nil {
		return fmt.Errorf("install the CustomResourceDefinition %s: %w", name, err)
	}
	return serve(ctx, client, there)
}

// served says that the member has the type, whoever has defined it.
func served(ctx context.Context, of dynamic.Interface, definition *unstructured.Unstructured) bool {
	plural, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	_, err := of.Resource(mcsVersion.WithResource(plural)).List(ctx, metav1.ListOptions{Limit: 1})
	return err == nil
}

// serve waits until the member serves the type.
func serve(ctx context.Context, client dynamic.ResourceInterface, there *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, established)
	defer cancel()
	for {
		var d apiextv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(there.Object, &d); err != nil {
			return fmt.Errorf("read the CustomResourceDefinition %s: %w", there.GetName(), err)
		}
		if slices.ContainsFunc(d.Status.Conditions, func(c apiextv1.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextv1.Established && c.Status == apiextv1.ConditionTrue
		}) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the CustomResourceDefinition %s is established: %w", there.GetName(), ctx.Err())
		case <-time.After(glance):
		}
		next, err := client.Get(ctx, there.GetName(), metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read the CustomResourceDefinition %s: %w", there.GetName(), err)
		}
		there = next
	}
}

// older says whether a definition is of an older release than another, by the labels that mcs-api puts on them. One without is older.
func older(there, wanted map[string]string) bool {
	is, err := utilversion.ParseGeneric(strings.TrimPrefix(there[crd.ReleaseVersionLabel], "v"))
	if err != nil {
		return true
	}
	want, err := utilversion.ParseGeneric(strings.TrimPrefix(wanted[crd.ReleaseVersionLabel], "v"))
	if err != nil {
		return false
	}
	if !is.EqualTo(want) {
		return is.LessThan(want)
	}
	return revision(there) < revision(wanted)
}

func revision(labels map[string]string) int {
	n, err := strconv.Atoi(labels[crd.CustomResourceDefinitionSchemaRevisionLabel])
	if err != nil {
		return 0
	}
	return n
}

func merged(old, over map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{old, over} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}
