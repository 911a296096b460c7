// Package v1alpha1 holds the types of discovery.kubefed.io/v1alpha1: what Hansa adds so that services of all members are found. KubeFed has
// none of them.
//
// +kubebuilder:object:generate=true
// +groupName=discovery.kubefed.io
package v1alpha1
