package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AnyCluster is the key in spec.clusters that stands for every member that is not named.
const AnyCluster = "*"

// ClusterPreferences says how many replicas a member should run.
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas must not be above maxReplicas"
type ClusterPreferences struct {
	// MinReplicas is what the member gets before any replica is divided by weight, as far as the total goes. Default 0.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="minReplicas must not be negative"
	MinReplicas int64 `json:"minReplicas,omitempty"`
	// MaxReplicas is the most that the member gets; absent means no limit.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="maxReplicas must not be negative"
	MaxReplicas *int64 `json:"maxReplicas,omitempty"`
	// Weight is the member's share of what the minimums leave; 0 means nothing beyond its minimum. Default 0.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="weight must not be negative"
	Weight int64 `json:"weight,omitempty"`
}

// ReplicaSchedulingPreferenceSpec says how replicas are divided.
type ReplicaSchedulingPreferenceSpec struct {
	// TargetKind is the kind of the federated object that has the name and namespace of this preference.
	// +kubebuilder:validation:XValidation:rule="self in ['FederatedDeployment', 'FederatedReplicaSet']",message="targetKind must be FederatedDeployment or FederatedReplicaSet"
	TargetKind string `json:"targetKind"`
	// TotalReplicas over all members.
	// +kubebuilder:validation:XValidation:rule="self >= 0",message="totalReplicas must not be negative"
	TotalReplicas int32 `json:"totalReplicas"`
	// Rebalance moves replicas that run already, so that every member comes to have its share. Default false.
	// +optional
	Rebalance bool `json:"rebalance,omitempty"`
	// IntersectWithClusterSelector considers only members that the federated object's clusterSelector selects. Default false.
	// +optional
	IntersectWithClusterSelector bool `json:"intersectWithClusterSelector,omitempty"`
	// Clusters are the preferences by name of a member; "*" stands for every member that is not named. Absent or empty means that all
	// members share alike.
	// +optional
	// +kubebuilder:validation:MaxProperties=10000
	Clusters map[string]ClusterPreferences `json:"clusters,omitempty"`
}

// ReplicaSchedulingPreferenceStatus (Hansa) is what became of the preference.
type ReplicaSchedulingPreferenceStatus struct {
	// ObservedGeneration of the preference that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready says that all replicas are placed as asked for, Stalled that a user must change something.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// DesiredReplicas is the total that was divided.
	// +optional
	DesiredReplicas *int64 `json:"desiredReplicas,omitempty"`
	// PlacedReplicas is the sum over the members.
	// +optional
	PlacedReplicas *int64 `json:"placedReplicas,omitempty"`
	// ScheduledClusters is "<members with replicas>/<members considered>".
	// +optional
	ScheduledClusters string `json:"scheduledClusters,omitempty"`
	// Clusters are the members, sorted by name, with what each gets and why.
	// +optional
	// +listType=map
	// +listMapKey=name
	Clusters []ClusterReplicas `json:"clusters,omitempty"`
}

// ClusterReplicas (Hansa) is what a member gets, and why.
type ClusterReplicas struct {
	// Name of the KubeFedCluster.
	Name string `json:"name"`
	// Replicas that the member is to run.
	Replicas int64 `json:"replicas"`
	// Reason is a word for programs.
	Reason string `json:"reason"`
	// Message is a text for people.
	// +optional
	Message string `json:"message,omitempty"`
	// Capacity is how many replicas the member could schedule when it could not schedule all; absent if it never failed to.
	// +optional
	Capacity *int64 `json:"capacity,omitempty"`
}

// ReplicaSchedulingPreference divides the replicas of the federated object of its own name and namespace over the members.
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=replicaschedulingpreferences,shortName=rsp
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredReplicas`
// +kubebuilder:printcolumn:name="Placed",type=integer,JSONPath=`.status.placedReplicas`
// +kubebuilder:printcolumn:name="Clusters",type=string,JSONPath=`.status.scheduledClusters`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=='Ready')].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=='Ready')].message`
type ReplicaSchedulingPreference struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ReplicaSchedulingPreferenceSpec `json:"spec"`
	// +optional
	Status ReplicaSchedulingPreferenceStatus `json:"status,omitzero"`
}

// ReplicaSchedulingPreferenceList is a list of preferences.
// +kubebuilder:object:root=true
type ReplicaSchedulingPreferenceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ReplicaSchedulingPreference `json:"items"`
}
