package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterConditionType names a condition of a KubeFedCluster.
type ClusterConditionType string

// Conditions of a KubeFedCluster. Ready, Offline and ConfigMalformed are KubeFed's; Hansa adds the others.
const (
	ClusterReady           ClusterConditionType = "Ready"
	ClusterOffline         ClusterConditionType = "Offline"
	ClusterConfigMalformed ClusterConditionType = "ConfigMalformed"
	// ClusterIdentityVerified is False where the endpoint answers as another cluster than the one that joined, or where the
	// same cluster has joined under another name before.
	ClusterIdentityVerified ClusterConditionType = "IdentityVerified"
	// ClusterCredentialsValid is False where the member refuses the credential; its reason LongLivedCredential marks a token that never ends.
	ClusterCredentialsValid ClusterConditionType = "CredentialsValid"
	// ClusterInsecureTLS is True where the member's certificate is not verified in full.
	ClusterInsecureTLS ClusterConditionType = "InsecureTLS"
)

// TLSValidation names a check of the member's certificate.
// +kubebuilder:validation:Enum="*";SubjectName;ValidityPeriod
type TLSValidation string

// The checks that can be switched off.
const (
	TLSAll            TLSValidation = "*"
	TLSSubjectName    TLSValidation = "SubjectName"
	TLSValidityPeriod TLSValidation = "ValidityPeriod"
)

// LocalSecretReference names a secret in the same namespace.
type LocalSecretReference struct {
	// Name of the secret; its key "token" holds a bearer token.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// KubeFedClusterSpec says how a member is reached.
type KubeFedClusterSpec struct {
	// APIEndpoint of the member: https://host:port, host:port or a bare host.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="!self.contains('://') || self.startsWith('https://') || self.startsWith('http://')",message="scheme must be http or https"
	// +kubebuilder:validation:XValidation:rule="isURL(self.contains('://') ? self : 'https://' + self) && url(self.contains('://') ? self : 'https://' + self).getHostname() != ''",message="must be https://host:port, host:port or a host"
	// +kubebuilder:validation:XValidation:rule="!isURL(self.contains('://') ? self : 'https://' + self) || url(self.contains('://') ? self : 'https://' + self).getPort() == '' || (url(self.contains('://') ? self : 'https://' + self).getPort().size() <= 5 && int(url(self.contains('://') ? self : 'https://' + self).getPort()) >= 1 && int(url(self.contains('://') ? self : 'https://' + self).getPort()) <= 65535)",message="port must be from 1 to 65535"
	APIEndpoint string `json:"apiEndpoint"`
	// CABundle is the PEM bundle that the member's certificate is verified against.
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
	// SecretRef names the secret with the member's credential.
	SecretRef LocalSecretReference `json:"secretRef"`
	// DisabledTLSValidations lists checks of the member's certificate to skip. "*" must stand alone.
	// +optional
	// +kubebuilder:validation:MaxItems=3
	// +kubebuilder:validation:XValidation:rule="!self.exists(v, v == '*') || self.size() == 1",message="when * is specified, it is expected to be the only option in list"
	DisabledTLSValidations []TLSValidation `json:"disabledTLSValidations,omitempty"`
	// ProxyURL is the proxy to reach the member by: http, https or socks5.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^(http|https|socks5)://')",message="proxy URL scheme must be one of: [http, https, socks5]"
	// +kubebuilder:validation:XValidation:rule="self == '' || (isURL(self) && url(self).getHostname() != '')",message="must be a URL with a host, as in http://proxy.example.com:3128"
	ProxyURL string `json:"proxyURL"`
}

// ClusterCondition is one aspect of a member's health.
type ClusterCondition struct {
	Type ClusterConditionType `json:"type"`
	// +kubebuilder:validation:Enum=True;False;Unknown
	Status metav1.ConditionStatus `json:"status"`
	// LastProbeTime is when the condition was last found by a probe that changed what is known.
	LastProbeTime metav1.Time `json:"lastProbeTime"`
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
	// +optional
	Reason *string `json:"reason,omitempty"`
	// +optional
	Message *string `json:"message,omitempty"`
}

// KubeFedClusterStatus is what is known of a member.
type KubeFedClusterStatus struct {
	Conditions []ClusterCondition `json:"conditions"`
	// Zones of the member's nodes, sorted.
	// +optional
	Zones []string `json:"zones,omitempty"`
	// Region of the member's nodes.
	// +optional
	Region *string `json:"region,omitempty"`
	// KubernetesVersion of the member, while it is healthy.
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// ClusterID (Hansa) is the UID of the member's kube-system namespace, pinned when it was first seen.
	// +optional
	ClusterID string `json:"clusterID,omitempty"`
}

// KubeFedCluster is a member of the federation.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=kubefedclusters,shortName=kfc
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="ready",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].status`
// +kubebuilder:printcolumn:name="kubernetes-version",type=string,JSONPath=`.status.kubernetesVersion`
type KubeFedCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec KubeFedClusterSpec `json:"spec"`
	// +optional
	Status KubeFedClusterStatus `json:"status,omitzero"`
}

// KubeFedClusterList is a list of members.
// +kubebuilder:object:root=true
type KubeFedClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KubeFedCluster `json:"items"`
}
