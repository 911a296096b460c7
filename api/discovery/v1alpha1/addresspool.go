package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AddressPoolAnnotation on a FederatedService names the AddressPool that it gets its address of; absent means the first by name.
const AddressPoolAnnotation = "discovery.kubefed.io/address-pool"

// AddressPools is the resource of AddressPools.
var AddressPools = GroupVersion.WithResource("addresspools")

// PoolAddress is where clients reach the load balancers.
// +kubebuilder:validation:XValidation:rule="has(self.ip) != has(self.hostname)",message="an address has either ip or hostname"
type PoolAddress struct {
	// IP address.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="ip must be an IP address, such as 203.0.113.10 or 2001:db8::10"
	IP string `json:"ip,omitempty"`
	// Hostname in DNS.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="hostname must be a DNS name in lower case, such as lb.example.com"
	Hostname string `json:"hostname,omitempty"`
}

// PortRange is a range of ports, both ends included.
// +kubebuilder:validation:XValidation:rule="self.first <= self.last",message="first must not be above last"
type PortRange struct {
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	First int32 `json:"first"`
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Last int32 `json:"last"`
}

// AddressPoolSpec says where the load balancers answer, and which ports may be given there.
type AddressPoolSpec struct {
	// Addresses at which all load balancers of the pool answer alike. The first is the one that kubectl shows.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	Addresses []PoolAddress `json:"addresses"`
	// Bind is the IP address that the load balancers listen at; absent means all that they have. Pools with different ones may give the
	// same port twice.
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="bind must be an IP address, such as 10.0.0.5 or ::"
	Bind string `json:"bind,omitempty"`
	// PortRange has the ports for services that cannot have their own; absent means that such a service gets none.
	// +optional
	PortRange *PortRange `json:"portRange,omitempty"`
	// ReservedPorts are never given.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	ReservedPorts []int32 `json:"reservedPorts,omitempty"`
}

// PoolPort is a port that is given.
type PoolPort struct {
	// Port that the load balancers listen at.
	Port int32 `json:"port"`
	// UsedBy is a FederatedService or a listener of a Gateway.
	UsedBy string `json:"usedBy"`
}

// AddressPoolStatus is what is given of a pool.
type AddressPoolStatus struct {
	// InUse is the number of ports that are given.
	// +optional
	InUse int32 `json:"inUse,omitempty"`
	// Ports that are given, by number, 4000 at most. This is the record by which who has a port keeps it.
	// +optional
	// +listType=atomic
	Ports []PoolPort `json:"ports,omitempty"`
}

// AddressPool says where load balancers answer that Hansa configures. FederatedServices and Gateways get their addresses of it. It counts in the
// KubeFed namespace only.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=addresspools
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="IP",type=string,JSONPath=`.spec.addresses[0].ip`
// +kubebuilder:printcolumn:name="Hostname",type=string,JSONPath=`.spec.addresses[0].hostname`
// +kubebuilder:printcolumn:name="In Use",type=integer,JSONPath=`.status.inUse`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AddressPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec AddressPoolSpec `json:"spec"`
	// +optional
	Status AddressPoolStatus `json:"status,omitzero"`
}

// AddressPoolList is a list of pools.
// +kubebuilder:object:root=true
type AddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AddressPool `json:"items"`
}
