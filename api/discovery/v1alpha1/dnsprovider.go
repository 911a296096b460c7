package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DNSPolicy says what may be done to the records of a zone.
type DNSPolicy string

const (
	// DNSSync creates, changes and deletes.
	DNSSync DNSPolicy = "sync"
	// DNSUpsertOnly creates and changes.
	DNSUpsertOnly DNSPolicy = "upsert-only"
	// DNSWithdraw deletes all records of this owner.
	DNSWithdraw DNSPolicy = "withdraw"
)

// TSIG is the key that messages to the server are signed by (RFC 8945).
type TSIG struct {
	// KeyName is the key's name on the server.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self != ''",message="keyName must be the name that the server knows the key by"
	KeyName string `json:"keyName"`
	// Algorithm of the key. Default hmac-sha256.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self in ['hmac-sha1', 'hmac-sha224', 'hmac-sha256', 'hmac-sha384', 'hmac-sha512']",message="algorithm must be hmac-sha256, hmac-sha384, hmac-sha512, hmac-sha224 or hmac-sha1"
	Algorithm string `json:"algorithm,omitempty"`
	// SecretRef is where the key is.
	SecretRef SecretKeyReference `json:"secretRef"`
}

// SecretKeyReference names a key of a Secret in the KubeFed namespace.
type SecretKeyReference struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key of the Secret's data with the TSIG key in base64, as the server's configuration has it. Default "secret".
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// DNSProviderSpec says which zone of which server is written, and how.
type DNSProviderSpec struct {
	// Server is the primary of the zone: a host or host:port. Default port 53.
	// +kubebuilder:validation:MaxLength=259
	// +kubebuilder:validation:XValidation:rule="self.matches('^([-a-zA-Z0-9.]+|[[][0-9a-fA-F:.]+[]])(:[0-9]{1,5})?$') || self.matches('^[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$')",message="server must be a host or host:port, such as 10.0.0.53:53, ns1.example.com or [2001:db8::53]:53"
	Server string `json:"server"`
	// Zone of the server, such as fed.example.com. It must exist there.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9_]([-a-z0-9_]*[a-z0-9])?[.])*[a-z0-9]([-a-z0-9]*[a-z0-9])?[.]?$')",message="zone must be a DNS name in lower case, such as fed.example.com"
	Zone string `json:"zone"`
	// TSIG signs all messages; absent means that the server lets this address in without.
	// +optional
	TSIG *TSIG `json:"tsig,omitempty"`
	// Policy is sync (create, change and delete), upsert-only (never delete), or withdraw (delete all that this owner has there). Default sync.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self in ['', 'sync', 'upsert-only', 'withdraw']",message="policy must be sync, upsert-only or withdraw"
	Policy DNSPolicy `json:"policy,omitempty"`
	// OwnerID marks the records that are ours. Default: the UID of the KubeFed namespace, which no other control plane has.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-a-zA-Z0-9_.:/]*$')",message="ownerID must be letters, digits and '-_.:/'"
	OwnerID string `json:"ownerID,omitempty"`
	// TXTPrefix begins the names of the TXT records that say whose a record is; ExternalDNS has the same as --txt-prefix. Default none.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-a-z0-9_.]*$')",message="txtPrefix must be lower case letters, digits and '-_.'"
	TXTPrefix string `json:"txtPrefix,omitempty"`
	// TTL in seconds of records that ask for none. Default 180.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0 && self <= 2147483647",message="ttl must be 0 to 2147483647 seconds"
	TTL int64 `json:"ttl,omitempty"`
}

// DNSProviderStatus is what became of a zone.
type DNSProviderStatus struct {
	// ObservedGeneration of the provider that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready says that the server holds what it should, Stalled that a user must change something.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// OwnerID that is used.
	// +optional
	OwnerID string `json:"ownerID,omitempty"`
	// Records is the number of record sets in the zone that are ours.
	// +optional
	Records *int32 `json:"records,omitempty"`
	// Refused are names that are not published, sorted, 20 at most, and why.
	// +optional
	Refused []RefusedName `json:"refused,omitempty"`
}

// RefusedName is a name that is not published.
type RefusedName struct {
	// Name as the DNSEndpoint has it.
	Name string `json:"name"`
	// Reason is a word for programs.
	Reason string `json:"reason"`
	// Message is a text for people.
	Message string `json:"message"`
}

// DNSProvider is a zone of a DNS server that takes dynamic updates (RFC 2136). What DNSEndpoints have under it is published there.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=dnsproviders
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.zone`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.spec.server`
// +kubebuilder:printcolumn:name="Records",type=integer,JSONPath=`.status.records`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=='Ready')].message`
type DNSProvider struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec DNSProviderSpec `json:"spec"`
	// +optional
	Status DNSProviderStatus `json:"status,omitzero"`
}

// DNSProviderList is a list of providers.
// +kubebuilder:object:root=true
type DNSProviderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DNSProvider `json:"items"`
}
