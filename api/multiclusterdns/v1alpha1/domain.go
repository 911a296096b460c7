package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Domain is a DNS zone that names of services are made in. It lives in the KubeFed namespace. The name of the object is a part of the
// names: <service>.<namespace>.<name of the Domain>.svc.<domain>.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=domains
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.domain`
// +kubebuilder:printcolumn:name="Nameserver",type=string,priority=1,JSONPath=`.nameServer`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Domain struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Domain is the DNS zone, such as example.com.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?[.])*[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?[.]?$')",message="domain must be a DNS name, such as example.com"
	Domain string `json:"domain"`
	// NameServer is the authoritative name server of the zone. It is for people only.
	// +optional
	NameServer string `json:"nameServer,omitempty"`
}

// DomainList is a list of domains.
// +kubebuilder:object:root=true
type DomainList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Domain `json:"items"`
}
