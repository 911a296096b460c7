// Package v1alpha1 holds what is left of core.kubefed.io/v1alpha1: the status of services, as KubeFed's older collection tells it, and
// KubeFed's record of what it wrote where.
//
// +kubebuilder:object:generate=true
// +groupName=core.kubefed.io
package v1alpha1
