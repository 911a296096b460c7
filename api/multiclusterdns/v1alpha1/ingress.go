package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IngressDNSRecordSpec says which names an ingress has.
type IngressDNSRecordSpec struct {
	// Hosts are the names; each has the addresses of all clusters.
	// +optional
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([*][.])?([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])*[a-z0-9]([-a-z0-9]*[a-z0-9])?[.]?$')",message="a host must be a DNS name in lower case, such as shop.example.com or *.example.com"
	Hosts []string `json:"hosts,omitempty"`
	// RecordTTL is the time to live of the records in seconds; 0 means 180.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 2147483647",message="recordTTL must be 0 to 2147483647 seconds"
	RecordTTL int64 `json:"recordTTL,omitempty"`
}

// IngressDNSRecordStatus is what is published for an ingress.
type IngressDNSRecordStatus struct {
	// DNS has an entry for each cluster, sorted by name.
	// +optional
	DNS []ClusterIngressDNS `json:"dns,omitempty"`
	// ObservedGeneration (Hansa) of the record that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions (Hansa): Ready says that the names are as the clusters say, Stalled that a user must change something.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClusterIngressDNS is what one cluster gives to the names.
type ClusterIngressDNS struct {
	// Cluster is the name of the KubeFedCluster.
	// +optional
	Cluster string `json:"cluster,omitempty"`
	// LoadBalancer has the addresses that are published.
	// +optional
	LoadBalancer corev1.LoadBalancerStatus `json:"loadBalancer,omitzero"`
	// Reason (Hansa) is a word for programs: why these addresses.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message (Hansa) is a text for people.
	// +optional
	Message string `json:"message,omitempty"`
}

// IngressDNSRecord gives the Ingresses of its own name and namespace in all clusters names in public DNS.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=ingressdnsrecords,shortName=idr
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Hosts",type=string,JSONPath=`.spec.hosts`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=='Ready')].message`
type IngressDNSRecord struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec IngressDNSRecordSpec `json:"spec,omitzero"`
	// +optional
	Status IngressDNSRecordStatus `json:"status,omitzero"`
}

// IngressDNSRecordList is a list of records.
// +kubebuilder:object:root=true
type IngressDNSRecordList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IngressDNSRecord `json:"items"`
}
