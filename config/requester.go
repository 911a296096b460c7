package config

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// RequesterPolicy is the name of the policy that asks whether who writes a federated object may write what it becomes; in a control plane of scope
// Namespaced, the namespace follows after a dash.
const RequesterPolicy = "kubefed-requester"

// RequesterCheck is what comes of a request whose user may not write the target.
type RequesterCheck string

// The modes of the requester check.
const (
	// RequesterDeny refuses.
	RequesterDeny RequesterCheck = "Deny"
	// RequesterWarn lets through, with a warning to the user and a note in the audit log.
	RequesterWarn RequesterCheck = "Warn"
	// RequesterOff does not ask.
	RequesterOff RequesterCheck = "Off"
)

// IsRequesterCheck says whether an object belongs to the requester check: a policy or its binding.
func IsRequesterCheck(o *unstructured.Unstructured) bool {
	return isPolicy(o) && strings.HasPrefix(o.GetName(), RequesterPolicy)
}

// IsRequesterBinding says whether an object switches the requester check on.
func IsRequesterBinding(o *unstructured.Unstructured) bool {
	return IsRequesterCheck(o) && o.GetKind() == "ValidatingAdmissionPolicyBinding"
}

// WithRequesterCheck are the objects of an installation with the requester check in a mode. Off leaves its bindings out.
func WithRequesterCheck(objects []*unstructured.Unstructured, mode RequesterCheck) []*unstructured.Unstructured {
	actions := map[RequesterCheck][]any{RequesterDeny: {"Deny"}, RequesterWarn: {"Audit", "Warn"}}[mode]
	out := slices.Clone(objects)
	if len(actions) == 0 {
		return slices.DeleteFunc(out, IsRequesterBinding)
	}
	for i, o := range out {
		if IsRequesterBinding(o) {
			out[i] = o.DeepCopy()
			_ = unstructured.SetNestedSlice(out[i].Object, actions, "spec", "validationActions")
		}
	}
	return out
}
