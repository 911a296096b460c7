package v1beta1

// Names that other programs match on. They are KubeFed's unless said otherwise.
const (
	// DefaultNamespace is where the control plane lives, in the host and in every member.
	DefaultNamespace = "kube-federation-system"
	// ConfigName is the name of the one KubeFedConfig that counts.
	ConfigName = "kubefed"
	// NamespacesTypeName is the FederatedTypeConfig without which no namespaced type is propagated.
	NamespacesTypeName = "namespaces"
	// ServicesTypeName is the name of the one FederatedTypeConfig whose spec.statusType counts.
	ServicesTypeName = "services"

	// ManagedLabel marks an object in a member as ours with "true"; "false" means: do not touch.
	ManagedLabel = "kubefed.io/managed"
	// SyncFinalizer keeps a federated object until its copies in the members are gone.
	SyncFinalizer = "kubefed.io/sync-controller"
	// TypeFinalizer keeps a FederatedTypeConfig until its watches have stopped.
	TypeFinalizer = "core.kubefed.io/federated-type-config"
	// OrphanAnnotation on a federated object with the value "true" leaves the copies in the members when it is deleted.
	// Hansa adds the value "adopted": copies that existed before stay, copies that the federation made go.
	OrphanAnnotation = "kubefed.io/orphan"
	// DeleteOptionAnnotation holds a metav1.DeleteOptions as JSON, used for deletes in members.
	DeleteOptionAnnotation = "kubefed.io/deleteoption"
	// DeletionPolicyAnnotation (Hansa) on a federated object is "Delete" or "Retain": what becomes of a copy that is not wanted any more,
	// because its federated object is deleted or its placement excludes the member. Absent means Retain for the kinds that hold
	// what cannot be made again (PersistentVolumeClaims, PersistentVolumes, CustomResourceDefinitions), and Delete for all others.
	DeletionPolicyAnnotation = "kubefed.io/deletion-policy"

	// OwnerAnnotation (Hansa) on a copy says whose it is: "<control plane>/<uid of the federated object>".
	OwnerAnnotation = "kubefed.io/owner"
	// AppliedAnnotation (Hansa) on a copy is the hash of what was last applied.
	AppliedAnnotation = "kubefed.io/applied"
	// AdoptedAnnotation (Hansa) on a copy is "true" if the object was there before the federation took it.
	AdoptedAnnotation = "kubefed.io/adopted"

	// RevisionAnnotation (Hansa) on a copy is the resource version, in the host, of the newest object that it was applied from: its federated
	// object, its FederatedNamespace or its KubeFedCluster. A host that knows only older ones has gone back in time.
	RevisionAnnotation = "kubefed.io/revision"

	// HostRollbackAnnotation (Hansa) on the KubeFedConfig is written by the manager: the newest revision that a member has seen and the
	// host has not, as after a restore of its etcd. AcceptHostRollbackAnnotation is the user's answer: the state of the host counts,
	// although members have seen up to this revision.
	HostRollbackAnnotation       = "kubefed.io/host-rollback"
	AcceptHostRollbackAnnotation = "kubefed.io/accept-host-rollback"

	// HostIDAnnotation (Hansa) on the service account that a join makes in a member is the UID of the host's kube-system namespace:
	// two control planes whose hosts have the same name must not share, or remove, each other's account.
	HostIDAnnotation = "kubefed.io/host-cluster-id"

	// ApproveDeletionsAnnotation (Hansa) on a KubeFedCluster lists the types, separated by commas, or "*" for all, of which any number of
	// copies may be removed there because of placements.
	ApproveDeletionsAnnotation = "kubefed.io/approve-deletions"

	// FinalizerPolicy (Hansa) is the name of the host's admission policy that sets the finalizer of federated objects as they are created.
	FinalizerPolicy = "kubefed-finalizer"

	// FieldManager is the owner of our fields in the members' objects.
	FieldManager = "hansa"
	// LockName is the name of the leader lock.
	LockName = "kubefed-controller-manager"
)

// Leases (Hansa) by which several managers share the members of one federation.
const (
	// ShardsLeaseName is the name of the Lease whose annotations say which shards there are.
	ShardsLeaseName = "hansa-shards"
	// ShardLeasePrefix, with a hash of a shard's identity, is the name of the Lease of one shard.
	ShardLeasePrefix = "hansa-shard-"
	// ShardLabel is "true" on the Lease of a shard.
	ShardLabel = "kubefed.io/shard"
	// ShardsAnnotation on ShardsLeaseName is the sorted identities of the shards, separated by commas.
	ShardsAnnotation = "kubefed.io/shards"
	// EpochAnnotation on ShardsLeaseName counts its changes; on the Lease of a shard it is the newest that this shard follows.
	EpochAnnotation = "kubefed.io/epoch"
	// RingAnnotation on the Lease of a shard is the UID of the ShardsLeaseName that its epoch is one of.
	RingAnnotation = "kubefed.io/ring"
	// ShardStatePrefix, with a word, is the name of an annotation by which a shard tells the others something.
	ShardStatePrefix = "kubefed.io/shard-"
)

// Annotations (Hansa) on the host's secret that holds a member's credential. A secret without them is KubeFed's: its token never
// ends and is used as it is.
const (
	// CredentialServiceAccountAnnotation is "<namespace>/<name>" of the member's service account that the token is of.
	CredentialServiceAccountAnnotation = "kubefed.io/service-account"
	// CredentialBoundSecretAnnotation is the name of the member's secret, in the same namespace, that the token is bound to:
	// deleting that secret ends all tokens at once.
	CredentialBoundSecretAnnotation = "kubefed.io/bound-secret"
	// CredentialIssuedAnnotation and CredentialExpiresAnnotation are RFC 3339 times of the token.
	CredentialIssuedAnnotation  = "kubefed.io/token-issued"
	CredentialExpiresAnnotation = "kubefed.io/token-expires"
	// CredentialClusterIDAnnotation is the UID of the member's kube-system namespace at join.
	CredentialClusterIDAnnotation = "kubefed.io/cluster-id"
	// CredentialEndpointAnnotation is the endpoint that the token was made for; it is sent nowhere else.
	CredentialEndpointAnnotation = "kubefed.io/api-endpoint"
)

// Annotations (Hansa) on a KubeFedCluster, for services that span clusters.
const (
	// ReachabilityAnnotation is how other clusters come to the cluster's Pods: "flat" (their own addresses; absent means this),
	// "nodePort" or "loadBalancer".
	ReachabilityAnnotation = "discovery.kubefed.io/reachability"
	// WeightAnnotation is the weight of each of the cluster's endpoints in what load balancers share out over clusters, 0 to 1000; absent means
	// 100.
	WeightAnnotation = "discovery.kubefed.io/weight"
	// DrainAnnotation with "true" asks that no new connections go to the cluster.
	DrainAnnotation = "discovery.kubefed.io/drain"
	// RegionAnnotation and ZonesAnnotation stand instead of status.region and status.zones; zones are separated by commas.
	RegionAnnotation = "discovery.kubefed.io/region"
	ZonesAnnotation  = "discovery.kubefed.io/zones"
)

// ControlPlaneLabel (Hansa) is on everything that discovery writes into a member; its value is the UID of the KubeFed namespace of the host.
// Nothing without it is changed or removed.
const ControlPlaneLabel = "discovery.kubefed.io/control-plane"

// PrecedenceAnnotation (Hansa) on a ServiceImport that discovery has written is the ID of the cluster whose export took precedence.
const PrecedenceAnnotation = "discovery.kubefed.io/precedence"

// SliceManager (Hansa) is the value of endpointslice.kubernetes.io/managed-by on the EndpointSlices that discovery writes into members.
const SliceManager = "discovery.kubefed.io"

// Annotations (Hansa) on a FederatedService.
const (
	// ExposeAnnotation says how it is made known beyond its clusters, words separated by commas: "clusterset" (under clusterset.local, in
	// every cluster), "public" (in public DNS as well), "balance" (at an address of a load balancer as well).
	ExposeAnnotation = "discovery.kubefed.io/expose"
	// DomainAnnotation is the name of the Domain that its public names are in; needed where there are several.
	DomainAnnotation = "discovery.kubefed.io/domain"
)

// ServiceExportsTypeName is the name of the FederatedTypeConfig by which services are exported.
const ServiceExportsTypeName = "serviceexports.multicluster.x-k8s.io"

// CorefileBeforeAnnotation (Hansa) on the ConfigMap of a member's CoreDNS is its Corefile as it was before kubefedctl discovery enable added
// clusterset.local to it.
const CorefileBeforeAnnotation = "discovery.kubefed.io/corefile-before"
