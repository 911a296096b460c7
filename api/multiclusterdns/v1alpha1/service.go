package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServiceDNSRecordSpec says which names a service has.
type ServiceDNSRecordSpec struct {
	// DomainRef is the name of a Domain in the KubeFed namespace.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self != ''",message="domainRef must be the name of a Domain in the KubeFed namespace"
	DomainRef string `json:"domainRef"`
	// RecordTTL is the time to live of the records in seconds; 0 means 180.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 2147483647",message="recordTTL must be 0 to 2147483647 seconds"
	RecordTTL int64 `json:"recordTTL,omitempty"`
	// DNSPrefix makes one more name, <dnsPrefix>.<domain>, which points to the global name of the service.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') || self == '*'",message="dnsPrefix must be one or more DNS labels: lower case letters, digits, '-' and '.'"
	DNSPrefix string `json:"dnsPrefix,omitempty"`
	// ExternalName stands instead of the service's name in all names.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="externalName must be one or more DNS labels: lower case letters, digits, '-' and '.'"
	ExternalName string `json:"externalName,omitempty"`
	// AllowServiceWithoutEndpoints publishes the addresses of a cluster whose service has no ready endpoint as well. Default false.
	// +optional
	AllowServiceWithoutEndpoints bool `json:"allowServiceWithoutEndpoints,omitempty"`
}

// ServiceDNSRecordStatus is what is published for a service.
type ServiceDNSRecordStatus struct {
	// Domain is the DNS zone of the Domain that spec.domainRef names.
	// +optional
	Domain string `json:"domain,omitempty"`
	// DNS has an entry for each cluster, sorted by name.
	// +optional
	DNS []ClusterDNS `json:"dns,omitempty"`
	// ObservedGeneration (Hansa) of the record that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions (Hansa): Ready says that the names are as the clusters say, Stalled that a user must change something.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClusterDNS is what one cluster gives to the names.
type ClusterDNS struct {
	// Cluster is the name of the KubeFedCluster.
	// +optional
	Cluster string `json:"cluster,omitempty"`
	// LoadBalancer has the addresses that are published; empty where the cluster's names point to the next level.
	// +optional
	LoadBalancer corev1.LoadBalancerStatus `json:"loadBalancer,omitzero"`
	// Zones of the cluster.
	// +optional
	Zones []string `json:"zones,omitempty"`
	// Region of the cluster.
	// +optional
	Region string `json:"region,omitempty"`
	// Reason (Hansa) is a word for programs: why these addresses.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message (Hansa) is a text for people.
	// +optional
	Message string `json:"message,omitempty"`
}

// ServiceDNSRecord gives the Services of its own name and namespace in all clusters names in public DNS.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=servicednsrecords,shortName=sdr
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.status.domain`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=='Ready')].message`
type ServiceDNSRecord struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec ServiceDNSRecordSpec `json:"spec,omitzero"`
	// +optional
	Status ServiceDNSRecordStatus `json:"status,omitzero"`
}

// ServiceDNSRecordList is a list of records.
// +kubebuilder:object:root=true
type ServiceDNSRecordList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServiceDNSRecord `json:"items"`
}
