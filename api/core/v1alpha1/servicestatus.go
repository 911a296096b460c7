package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterServiceStatus is the status of a Service in one member.
type ClusterServiceStatus struct {
	// ClusterName is the name of the member.
	ClusterName string `json:"clusterName"`
	// Status of the Service there; empty if it has none, or is not there.
	Status corev1.ServiceStatus `json:"status"`
}

// FederatedServiceStatus is what the Services of one FederatedService say of themselves, beside the FederatedService and of its name.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=federatedservicestatuses
type FederatedServiceStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// ClusterStatus has an entry for each member that is ready, sorted by name.
	// +optional
	ClusterStatus []ClusterServiceStatus `json:"clusterStatus,omitempty"`
}

// FederatedServiceStatusList is a list of statuses.
// +kubebuilder:object:root=true
type FederatedServiceStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FederatedServiceStatus `json:"items"`
}
