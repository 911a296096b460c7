package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Endpoint is one set of DNS records.
type Endpoint struct {
	// DNSName of the records, without a dot at the end.
	// +optional
	DNSName string `json:"dnsName,omitempty"`
	// Targets are the addresses, or the one name that a CNAME points to, sorted.
	// +optional
	Targets []string `json:"targets,omitempty"`
	// RecordType is A, AAAA or CNAME.
	// +optional
	RecordType string `json:"recordType,omitempty"`
	// RecordTTL is the time to live in seconds.
	// +optional
	RecordTTL int64 `json:"recordTTL,omitempty"`
	// Labels of the records; serviceName is the name of the ServiceDNSRecord that has an externalName.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// DNSEndpointSpec is what is to be published.
type DNSEndpointSpec struct {
	// Endpoints are sorted by name.
	// +optional
	Endpoints []Endpoint `json:"endpoints,omitempty"`
}

// DNSEndpointStatus is written by who publishes.
type DNSEndpointStatus struct {
	// ObservedGeneration of the object that was published.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// DNSEndpoint is a list of DNS records to be published, by Hansa to the servers of DNSProviders, or by ExternalDNS.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=dnsendpoints
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Names",type=string,JSONPath=`.spec.endpoints[*].dnsName`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DNSEndpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec DNSEndpointSpec `json:"spec,omitzero"`
	// +optional
	Status DNSEndpointStatus `json:"status,omitzero"`
}

// DNSEndpointList is a list of DNSEndpoints.
// +kubebuilder:object:root=true
type DNSEndpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DNSEndpoint `json:"items"`
}
