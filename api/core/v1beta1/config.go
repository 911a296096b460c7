package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ResourceScope says how much of a cluster a control plane, or a type, spans.
// +kubebuilder:validation:Enum=Cluster;Namespaced
type ResourceScope string

// The scopes.
const (
	ScopeCluster    ResourceScope = "Cluster"
	ScopeNamespaced ResourceScope = "Namespaced"
)

// ConfigurationMode switches a feature.
// +kubebuilder:validation:Enum=Enabled;Disabled
type ConfigurationMode string

// The modes.
const (
	Enabled  ConfigurationMode = "Enabled"
	Disabled ConfigurationMode = "Disabled"
)

// Feature gates that KubeFed's releases knew. An unknown name is kept and told, never refused. What each does is a line of the table in
// internal/settings.
const (
	GatePushReconciler               = "PushReconciler"
	GateSchedulerPreferences         = "SchedulerPreferences"
	GateRawResourceStatusCollection  = "RawResourceStatusCollection"
	GateCrossClusterServiceDiscovery = "CrossClusterServiceDiscovery"
	GateFederatedIngress             = "FederatedIngress"
	// GatePropagatedVersions (Hansa) keeps KubeFed's PropagatedVersions. Off where it is not named: KubeFed refuses gates that it does not
	// know, so that the name must not be written unasked.
	GatePropagatedVersions = "PropagatedVersions"
)

// Conditions of a KubeFedConfig.
const (
	// ConfigReady says that the control plane acts by all of the settings.
	ConfigReady = "Ready"
	// ConfigIgnored says that some settings are accepted and do nothing.
	ConfigIgnored = "Ignored"
)

// KubeFedConfigSpec is the settings of a control plane. Every field but the scope may be absent: the manager then uses the default
// named here, without writing it back.
type KubeFedConfigSpec struct {
	// Scope of the control plane; it cannot change.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="field is immutable"
	Scope ResourceScope `json:"scope"`
	// +optional
	ControllerDuration *DurationConfig `json:"controllerDuration,omitempty"`
	// +optional
	LeaderElect *LeaderElectConfig `json:"leaderElect,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	FeatureGates []FeatureGatesConfig `json:"featureGates,omitempty"`
	// +optional
	ClusterHealthCheck *ClusterHealthCheckConfig `json:"clusterHealthCheck,omitempty"`
	// +optional
	SyncController *SyncControllerConfig `json:"syncController,omitempty"`
	// +optional
	StatusController *StatusControllerConfig `json:"statusController,omitempty"`
}

// DurationConfig holds KubeFed's waits.
type DurationConfig struct {
	// AvailableDelay was KubeFed's wait after a member came back (20s). Hansa acts at once; the value is accepted and unused.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	AvailableDelay *metav1.Duration `json:"availableDelay,omitempty"`
	// UnavailableDelay is how long the replicas of a ReplicaSchedulingPreference stay with a member that went away, default 1m. All else
	// acts at once.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	UnavailableDelay *metav1.Duration `json:"unavailableDelay,omitempty"`
	// CacheSyncTimeout was the time after which KubeFed died of a member that could not be listed (5m). Accepted and unused.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	CacheSyncTimeout *metav1.Duration `json:"cacheSyncTimeout,omitempty"`
}

// LeaderElectConfig holds the leader election's times.
// +kubebuilder:validation:XValidation:rule="(has(self.leaseDuration) ? duration(self.leaseDuration) : duration('15s')) > (has(self.renewDeadline) ? duration(self.renewDeadline) : duration('10s'))",message="leaseDuration must be greater than renewDeadline (defaults: 15s, 10s)"
// +kubebuilder:validation:XValidation:rule="(has(self.renewDeadline) ? duration(self.renewDeadline) : duration('10s')).getMilliseconds() * 10 > (has(self.retryPeriod) ? duration(self.retryPeriod) : duration('5s')).getMilliseconds() * 12",message="renewDeadline must be greater than retryPeriod*JitterFactor(1.2) (defaults: 10s, 5s)"
type LeaderElectConfig struct {
	// LeaseDuration, default 15s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	LeaseDuration *metav1.Duration `json:"leaseDuration,omitempty"`
	// RenewDeadline, default 10s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	RenewDeadline *metav1.Duration `json:"renewDeadline,omitempty"`
	// RetryPeriod, default 5s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	RetryPeriod *metav1.Duration `json:"retryPeriod,omitempty"`
	// ResourceLock: KubeFed's configmaps and endpoints are accepted; Hansa always uses Leases.
	// +optional
	// +kubebuilder:validation:Enum=configmaps;endpoints;leases
	ResourceLock *string `json:"resourceLock,omitempty"`
}

// FeatureGatesConfig switches one feature gate.
type FeatureGatesConfig struct {
	// Name of the gate, in its own spelling.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name          string            `json:"name"`
	Configuration ConfigurationMode `json:"configuration"`
}

// ClusterHealthCheckConfig says how members are probed.
type ClusterHealthCheckConfig struct {
	// Period between two probes, default 10s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	Period *metav1.Duration `json:"period,omitempty"`
	// FailureThreshold is the number of failures in a row after which a member is not ready, default 3.
	// +optional
	// +kubebuilder:validation:Minimum=1
	FailureThreshold *int64 `json:"failureThreshold,omitempty"`
	// SuccessThreshold is the number of successes in a row after which a member is ready again, default 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	SuccessThreshold *int64 `json:"successThreshold,omitempty"`
	// Timeout of a probe, default 3s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+$') && duration(self) > duration('0s')",message="should be greater than 0, as 30s or 1m30s is"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// SyncControllerConfig says how objects are propagated.
type SyncControllerConfig struct {
	// MaxConcurrentReconciles is the number of federated objects decided on at the same time. Default 8.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxConcurrentReconciles *int64 `json:"maxConcurrentReconciles,omitempty"`
	// AdoptResources says whether objects that exist in a member are taken over, default Enabled.
	// +optional
	AdoptResources *ConfigurationMode `json:"adoptResources,omitempty"`
}

// StatusControllerConfig says how status is collected.
type StatusControllerConfig struct {
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxConcurrentReconciles *int64 `json:"maxConcurrentReconciles,omitempty"`
}

// KubeFedConfigStatus says what the control plane makes of its settings. KubeFed has none.
type KubeFedConfigStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready says that the control plane acts by all of the settings, Ignored that some are accepted and do nothing.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// KubeFedConfig is the settings of a control plane; the one named kubefed counts.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=kubefedconfigs
// +kubebuilder:subresource:status
type KubeFedConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec KubeFedConfigSpec `json:"spec"`
	// +optional
	Status KubeFedConfigStatus `json:"status,omitempty,omitzero"`
}

// KubeFedConfigList is a list of settings.
// +kubebuilder:object:root=true
type KubeFedConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KubeFedConfig `json:"items"`
}
