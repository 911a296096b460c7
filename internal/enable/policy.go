package enable

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// unlist takes a type off the list of those whose new objects get the finalizer: nobody would take it away again. A host may have
// no such policy.
func unlist(ctx context.Context, c client.Client, federated fedv1.APIResource) error {
	policy := &admissionv1.MutatingAdmissionPolicy{}
	err := c.Get(ctx, client.ObjectKey{Name: fedv1.FinalizerPolicy}, policy)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read MutatingAdmissionPolicy %s: %w", fedv1.FinalizerPolicy, err)
	}
	if !dropResource(policy, federated) {
		return nil
	}
	if len(policy.Spec.MatchConstraints.ResourceRules) == 0 {
		err = c.Delete(ctx, policy)
	} else {
		err = c.Update(ctx, policy)
	}
	if err != nil {
		return fmt.Errorf("write MutatingAdmissionPolicy %s: %w", fedv1.FinalizerPolicy, err)
	}
	return nil
}

// dropResource removes a type from the rules of a policy, and rules that name no type any more, and says whether it was there.
func dropResource(policy *admissionv1.MutatingAdmissionPolicy, r fedv1.APIResource) bool {
	if policy.Spec.MatchConstraints == nil {
		return false
	}
	found := false
	rules := policy.Spec.MatchConstraints.ResourceRules
	for i := range rules {
		if slices.Contains(rules[i].APIGroups, r.Group) && slices.Contains(rules[i].Resources, r.PluralName) {
			found = true
			rules[i].Resources = slices.DeleteFunc(rules[i].Resources, func(name string) bool { return name == r.PluralName })
		}
	}
	policy.Spec.MatchConstraints.ResourceRules = slices.DeleteFunc(rules, func(rule admissionv1.NamedRuleWithOperations) bool { return len(rule.Resources) == 0 })
	return found
}
