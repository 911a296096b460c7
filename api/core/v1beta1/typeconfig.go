package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// APIResource names a type of the Kubernetes API.
type APIResource struct {
	// Group; empty is the core group.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be a DNS-1123 subdomain, as in apps or types.kubefed.io"
	Group string `json:"group,omitempty"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be a DNS-1035 label, as in v1beta1"
	Version string `json:"version"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || self.lowerAscii().matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must, in lower case, be a DNS-1035 label, as Deployment is"
	Kind string `json:"kind"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="must be a DNS-1035 label, as in deployments"
	PluralName string        `json:"pluralName"`
	Scope      ResourceScope `json:"scope"`
}

// ControllerStatus says whether a type's propagation runs.
// +kubebuilder:validation:Enum=Running;NotRunning
type ControllerStatus string

// The states of a controller.
const (
	Running    ControllerStatus = "Running"
	NotRunning ControllerStatus = "NotRunning"
)

// FederatedTypeConfigSpec maps a federated type to its target.
type FederatedTypeConfigSpec struct {
	// TargetType is what is propagated.
	TargetType APIResource `json:"targetType"`
	// Propagation switches the type.
	Propagation ConfigurationMode `json:"propagation"`
	// FederatedType is what users write.
	// +kubebuilder:validation:XValidation:rule="has(self.group) && self.group.contains('.')",message="group should be a domain with at least one dot"
	FederatedType APIResource `json:"federatedType"`
	// StatusType is only for the older collection of a service's status.
	// +optional
	// +kubebuilder:validation:XValidation:rule="has(self.group) && self.group.contains('.')",message="group should be a domain with at least one dot"
	StatusType *APIResource `json:"statusType,omitempty"`
	// StatusCollection, if Enabled, has the federated objects tell how their copies fare. Absent is Disabled.
	// +optional
	StatusCollection *ConfigurationMode `json:"statusCollection,omitempty"`
}

// MemberAPI (Hansa) tells that a member does not serve the target type.
type MemberAPI struct {
	// Name of the member.
	Name string `json:"name"`
	// Reason in one word: TypeMissing, Forbidden, CachedRetrievalFailed.
	Reason string `json:"reason"`
	// Message for people.
	// +optional
	Message string `json:"message,omitempty"`
}

// FederatedTypeConfigStatus is what runs for a type.
type FederatedTypeConfigStatus struct {
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration    int64            `json:"observedGeneration"`
	PropagationController ControllerStatus `json:"propagationController"`
	// +optional
	StatusController *ControllerStatus `json:"statusController,omitempty"`
	// UnavailableIn (Hansa) lists the members in which the type cannot be propagated, sorted by name.
	// +optional
	// +listType=map
	// +listMapKey=name
	UnavailableIn []MemberAPI `json:"unavailableIn,omitempty"`
}

// FederatedTypeConfig enables a type for the federation.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=federatedtypeconfigs,shortName=ftc
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name == (has(self.spec.targetType.group) && self.spec.targetType.group.size() > 0 ? self.spec.targetType.pluralName + "." + self.spec.targetType.group : self.spec.targetType.pluralName)`,message="name must be 'TARGET_PLURAL_NAME(.TARGET_GROUP_NAME)'"
type FederatedTypeConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec FederatedTypeConfigSpec `json:"spec"`
	// +optional
	Status FederatedTypeConfigStatus `json:"status,omitzero"`
}

// FederatedTypeConfigList is a list of types.
// +kubebuilder:object:root=true
type FederatedTypeConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FederatedTypeConfig `json:"items"`
}
