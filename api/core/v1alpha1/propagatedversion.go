package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PropagatedVersionStatus is KubeFed's record of one federated object: what it was made of, and which version each member then had.
type PropagatedVersionStatus struct {
	// TemplateVersion is a hash of spec.template; empty if there is none.
	TemplateVersion string `json:"templateVersion"`
	// OverridesVersion is a hash of spec.overrides.
	OverridesVersion string `json:"overridesVersion"`
	// ClusterVersions has an entry for each member that the placement selects, sorted by name.
	// +optional
	ClusterVersions []ClusterObjectVersion `json:"clusterVersions,omitempty"`
}

// ClusterObjectVersion is the version of the object in one member after the last write.
type ClusterObjectVersion struct {
	ClusterName string `json:"clusterName"`
	// Version is "gen:<metadata.generation>", or "rv:<metadata.resourceVersion>" for kinds without a generation.
	Version string `json:"version"`
}

// PropagatedVersion is the record of a federated object that lives in a namespace.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=propagatedversions
type PropagatedVersion struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status PropagatedVersionStatus `json:"status,omitempty"`
}

// PropagatedVersionList is a list of records.
// +kubebuilder:object:root=true
type PropagatedVersionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PropagatedVersion `json:"items"`
}

// ClusterPropagatedVersion is the record of a federated object without a namespace.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clusterpropagatedversions,scope=Cluster
type ClusterPropagatedVersion struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status PropagatedVersionStatus `json:"status,omitempty"`
}

// ClusterPropagatedVersionList is a list of records.
// +kubebuilder:object:root=true
type ClusterPropagatedVersionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterPropagatedVersion `json:"items"`
}
