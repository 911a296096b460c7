// Package v1alpha1 holds the types of multiclusterdns.kubefed.io/v1alpha1: the names that services and ingresses of all members have in
// public DNS. Field names, JSON keys and meanings are KubeFed's, so that its objects load unchanged; what Hansa adds is marked.
//
// +kubebuilder:object:generate=true
// +groupName=multiclusterdns.kubefed.io
package v1alpha1
