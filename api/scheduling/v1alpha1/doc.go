// Package v1alpha1 holds the types of scheduling.kubefed.io/v1alpha1: how many replicas each member runs. Field names, JSON keys and
// meanings are KubeFed's, so that its objects load unchanged; what Hansa adds is marked.
//
// +kubebuilder:object:generate=true
// +groupName=scheduling.kubefed.io
package v1alpha1
