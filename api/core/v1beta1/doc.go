// Package v1beta1 holds the types of core.kubefed.io/v1beta1: the member clusters, the federated types and the settings of a
// control plane. Field names, JSON keys and meanings are KubeFed's, so that its objects load unchanged; what Hansa adds is marked.
//
// +kubebuilder:object:generate=true
// +groupName=core.kubefed.io
package v1beta1
