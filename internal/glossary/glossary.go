// Package glossary answers: what does each word mean that statuses, conditions and events use? Programs match on these words, so they
// stay; the tables are what docs/reference is generated from, and a test holds them against the code. It is pure.
package glossary

// Word is one word, and what a user makes of it.
type Word struct {
	Name string
	// Hansa says that KubeFed does not have it.
	Hansa bool
	// Warning says that an event with it is one.
	Warning bool
	Meaning string
	// Next is what to do; empty if nothing.
	Next string
}

// Table is the words of one use.
type Table struct {
	Title string
	Words []Word
}

// Statuses are those of a member in the status of a federated object. Each is also the reason of a Warning event when it is first told,
// unless Renamed says otherwise.
var Statuses = Table{"Statuses of members in `status.clusters`", []Word{
	{Name: "ClusterNotReady", Meaning: "the member is away", Next: "see the conditions of the KubeFedCluster"},
	{Name: "TypeMissing", Hansa: true, Meaning: "the member does not serve the target type", Next: "install its CRD there"},
	{Name: "Forbidden", Hansa: true, Meaning: "the federation may not list the type there", Next: "join again"},
	{Name: "CachedRetrievalFailed", Meaning: "listing the type there fails for another reason", Next: "see the message"},
	{Name: "Observing", Hansa: true, Meaning: "the member is being listed for more than 5 seconds", Next: "wait; if it stays, look at the member's API server"},
	{Name: "WaitingForNamespace", Hansa: true, Meaning: "the namespace is not in the member yet", Next: "see the FederatedNamespace"},
	{Name: "WaitingForRemoval", Meaning: "the copy is being deleted", Next: "if it stays, see its finalizers in the member"},
	{Name: "Awaited", Hansa: true, Meaning: "the manager that has the member has not told yet", Next: "wait; if it stays, look at the log of the managers"},
	{Name: "Removed", Hansa: true, Meaning: "nothing is left in the member; the managers of other members hold the object up", Next: "see the other members"},
	{Name: "CreationFailed", Meaning: "the member refused; the message is its own", Next: "often a quota or an admission rule; it is tried again"},
	{Name: "UpdateFailed", Meaning: "the member refused; the message is its own", Next: "often an immutable field or an admission rule; it is tried again"},
	{Name: "DeletionFailed", Meaning: "the member refused; the message is its own", Next: "see the message; it is tried again"},
	{Name: "LabelRemovalFailed", Meaning: "the marks could not be taken off the copy", Next: "see the message; it is tried again"},
	{Name: "RetrievalFailed", Meaning: "the object to adopt could not be read", Next: "see the message; it is tried again"},
	{Name: "FieldRetentionFailed", Meaning: "the replicas to keep could not be read", Next: "see the message; it is tried again"},
	{Name: "CreationTimedOut", Meaning: "the member has not answered for more than 5 seconds", Next: "look at the member's API server"},
	{Name: "UpdateTimedOut", Meaning: "the member has not answered for more than 5 seconds", Next: "look at the member's API server"},
	{Name: "DeletionTimedOut", Meaning: "the member has not answered for more than 5 seconds", Next: "look at the member's API server"},
	{Name: "LabelRemovalTimedOut", Meaning: "the member has not answered for more than 5 seconds", Next: "look at the member's API server"},
	{Name: "ClientRetrievalFailed", Meaning: "the member or the type left during the step"},
	{Name: "Fighting", Hansa: true, Meaning: "the copy had to be put back 6 times within a minute", Next: "another manager sets the same fields: see `metadata.managedFields` of the copy"},
	{Name: "Panic", Hansa: true, Meaning: "the control plane cannot handle this object", Next: "report it, with the manager's log"},
	{Name: "AlreadyExists", Meaning: "the object is there, and adoption is disabled", Next: "delete it there, or enable adoption"},
	{Name: "ManagedLabelFalse", Meaning: "the object is labelled `kubefed.io/managed: \"false\"`", Next: "remove the label"},
	{Name: "OwnedByOther", Hansa: true, Meaning: "the object belongs to another control plane", Next: "delete or release it there"},
	{Name: "ApplyOverridesFailed", Meaning: "an override cannot be applied; the message has the operation", Next: "correct it"},
	{Name: "ComputeResourceFailed", Meaning: "the template or the annotation `kubefed.io/deleteoption` cannot be used; the message has the path", Next: "correct it"},
	{Name: "NamespaceNotFederated", Meaning: "the member has a copy, and its namespace is not federated", Next: "`kubefedctl federate namespace NAME`"},
	{Name: "ComputePlacementFailed", Meaning: "the member has a copy, and the placement cannot be understood", Next: "correct it"},
	{Name: "PlacementUnknown", Hansa: true, Meaning: "the member has a copy, and it is not known whether it is meant", Next: "join the clusters again, or delete the federated object"},
	{Name: "Paused", Hansa: true, Meaning: "the type's propagation is disabled", Next: "see the FederatedTypeConfig"},
	{Name: "DeletionPaused", Hansa: true, Meaning: "the deletion budget is spent", Next: "restore the placement, or approve"},
	{Name: "RecoveryHold", Hansa: true, Meaning: "the host is behind what its members have seen, as after a restore from a backup: nothing is removed", Next: "see [recovery of the host](../guide/recovery.md)"},
}}

var known = func() map[string]bool {
	out := map[string]bool{}
	for _, w := range Statuses.Words {
		out[w.Name] = true
	}
	return out
}()

// IsStatus says whether a word is a status of a member.
func IsStatus(word string) bool { return known[word] }

// Conditions are the types and reasons of conditions, by kind.
var Conditions = []Table{
	{"Conditions of federated objects", []Word{
		{Name: "Propagation", Meaning: "every member is as the placement says"},
		{Name: "Ready", Hansa: true, Meaning: "the same, and nothing is under way"},
		{Name: "Reconciling", Hansa: true, Meaning: "something is under way, or will be tried again without anybody doing anything"},
		{Name: "Stalled", Hansa: true, Meaning: "somebody must change something"},
	}},
	{"Their reasons, beside the statuses of members", []Word{
		{Name: "CheckClusters", Meaning: "`Propagation`: a member is not as desired", Next: "see `status.clusters`"},
		{Name: "Propagated", Hansa: true, Meaning: "nothing is wrong"},
		{Name: "Progressing", Hansa: true, Meaning: "`Ready`: every member holds what it should, and one is still at work on its copy"},
		{Name: "Failed", Hansa: true, Meaning: "`Ready`: a member has given up on its copy", Next: "see `status.clusters`"},
		{Name: "HealthUnknown", Hansa: true, Meaning: "`Ready`: what a copy says of itself cannot be read, or has not been seen since the last change"},
	}},
	{"Health of copies in `status.clusters`", []Word{
		{Name: "Current", Hansa: true, Meaning: "it is as its spec says"},
		{Name: "InProgress", Hansa: true, Meaning: "the member is at work on it"},
		{Name: "Failed", Hansa: true, Meaning: "the member has given up on it", Next: "see the message"},
		{Name: "Terminating", Hansa: true, Meaning: "it is being deleted"},
		{Name: "Unknown", Hansa: true, Meaning: "what it says of itself cannot be read, or has not been seen yet"},
	}},
	{"Conditions of KubeFedClusters", []Word{
		{Name: "Ready", Meaning: "the member is written to; absent where it cannot be asked"},
		{Name: "Offline", Meaning: "it could not be asked"},
		{Name: "ConfigMalformed", Meaning: "the spec or the Secret cannot be used"},
		{Name: "IdentityVerified", Hansa: true, Meaning: "the endpoint is the cluster that joined"},
		{Name: "CredentialsValid", Hansa: true, Meaning: "the member accepts the token"},
		{Name: "InsecureTLS", Hansa: true, Meaning: "checks of the member's certificate are left out"},
	}},
	{"Their reasons", []Word{
		{Name: "ClusterReady", Meaning: "`/healthz` answers `ok`"},
		{Name: "ClusterNotReady", Meaning: "`/healthz` does not answer `ok`", Next: "look at the member's control plane"},
		{Name: "ClusterReachable", Meaning: "it answers, but is not ready"},
		{Name: "ClusterNotReachable", Meaning: "it could not be asked; the message says why"},
		{Name: "ClusterConfigMalformed", Meaning: "the message names the field", Next: "correct it"},
		{Name: "EndpointMismatch", Hansa: true, Meaning: "the token was made for another endpoint", Next: "put `apiEndpoint` back, or join again"},
		{Name: "Verified", Hansa: true, Meaning: "the endpoint is the cluster that joined"},
		{Name: "IdentityUnknown", Hansa: true, Meaning: "the UID of `kube-system` cannot be read", Next: "give the account of the join that right, or join again"},
		{Name: "IdentityMismatch", Hansa: true, Meaning: "the endpoint is another cluster than the one that joined", Next: "correct `apiEndpoint`, or `kubefedctl unjoin --force` and join again"},
		{Name: "DuplicateCluster", Hansa: true, Meaning: "an older KubeFedCluster is the same cluster", Next: "unjoin one of the two"},
		{Name: "TokenAccepted", Hansa: true, Meaning: "the member accepts the token"},
		{Name: "LongLivedCredential", Hansa: true, Meaning: "it accepts the token, which never ends", Next: "join again for one that does"},
		{Name: "RotationFailed", Hansa: true, Meaning: "the token ends soon and could not be renewed", Next: "the message says why; joining again gives a new token"},
		{Name: "ValidationDisabled", Hansa: true, Meaning: "`spec.disabledTLSValidations` is set", Next: "give the context a certificate authority and join again"},
		{Name: "EndpointInvalid", Hansa: true, Meaning: "`spec.apiEndpoint` is no address", Next: "correct it"},
		{Name: "CABundleInvalid", Hansa: true, Meaning: "`spec.caBundle` holds no certificate", Next: "correct it"},
		{Name: "ProxyInvalid", Hansa: true, Meaning: "`spec.proxyURL` is no proxy", Next: "correct it"},
		{Name: "TLSValidationsInvalid", Hansa: true, Meaning: "`spec.disabledTLSValidations` has an unknown word", Next: "correct it"},
		{Name: "ConfigInvalid", Hansa: true, Meaning: "no connection can be made of the spec; the message says why", Next: "correct it"},
		{Name: "SecretNotFound", Hansa: true, Meaning: "the Secret is not there", Next: "join again"},
		{Name: "TokenMissing", Hansa: true, Meaning: "the Secret holds no token", Next: "join again"},
		{Name: "TokenInvalid", Hansa: true, Meaning: "the Secret's token holds characters that no token has", Next: "join again"},
		{Name: "Unauthorized", Hansa: true, Meaning: "the member refuses the token", Next: "join again"},
		{Name: "Forbidden", Hansa: true, Meaning: "its account lacks rights", Next: "join again"},
		{Name: "ConnectionRefused", Hansa: true, Meaning: "nobody listens at the endpoint"},
		{Name: "ConnectionClosed", Hansa: true, Meaning: "the connection was cut off"},
		{Name: "NoRoute", Hansa: true, Meaning: "the network knows no way there"},
		{Name: "NotReachable", Hansa: true, Meaning: "another failure of the network; the message says which"},
		{Name: "Timeout", Hansa: true, Meaning: "no answer within `clusterHealthCheck.timeout`"},
		{Name: "NameNotResolved", Hansa: true, Meaning: "DNS does not know the endpoint"},
		{Name: "TLSVerificationFailed", Hansa: true, Meaning: "authority, host name or dates of the certificate are wrong"},
		{Name: "TooManyRequests", Hansa: true, Meaning: "it answers 429"},
		{Name: "ServerError", Hansa: true, Meaning: "it answers 5xx"},
		{Name: "Redirected", Hansa: true, Meaning: "it answers with a redirect, which is not followed"},
		{Name: "AddressRefused", Hansa: true, Meaning: "the endpoint is a link-local address, which is not dialled"},
		{Name: "UnexpectedAnswer", Hansa: true, Meaning: "the answer is none of a Kubernetes API server"},
	}},
	{"Conditions and reasons of KubeFedConfigs; the reasons are those of events, too", []Word{
		{Name: "Ready", Hansa: true, Meaning: "what the object says is in force"},
		{Name: "Ignored", Hansa: true, Meaning: "something that it says has no effect"},
		{Name: "InForce", Hansa: true, Meaning: "all is in force, and has an effect"},
		{Name: "InvalidSetting", Hansa: true, Meaning: "a setting cannot be used; the message names it", Next: "correct it"},
		{Name: "RestartNeeded", Hansa: true, Meaning: "a setting counts after a restart of the manager", Next: "restart it"},
		{Name: "WithoutEffect", Hansa: true, Meaning: "a setting has no effect here; the message says why"},
	}},
	{"Conditions of ReplicaSchedulingPreferences", []Word{
		{Name: "Ready", Hansa: true, Meaning: "all replicas are placed as asked for"},
		{Name: "Stalled", Hansa: true, Meaning: "somebody must change something"},
	}},
	{"Their reasons, and those of `status.clusters`", []Word{
		{Name: "Scheduled", Hansa: true, Meaning: "all replicas are placed"},
		{Name: "SchedulerDisabled", Hansa: true, Meaning: "the feature gate `SchedulerPreferences` is off", Next: "see the KubeFedConfig"},
		{Name: "InvalidPreference", Hansa: true, Meaning: "the spec cannot be read", Next: "correct it"},
		{Name: "InvalidTargetKind", Hansa: true, Meaning: "`spec.targetKind` is none that has replicas", Next: "correct it"},
		{Name: "NegativeNumber", Hansa: true, Meaning: "a number is negative", Next: "correct it"},
		{Name: "TypeNotEnabled", Hansa: true, Meaning: "the target type is not federated", Next: "`kubefedctl enable`"},
		{Name: "TypeDisabled", Hansa: true, Meaning: "its propagation is disabled", Next: "see the FederatedTypeConfig"},
		{Name: "TargetMissing", Hansa: true, Meaning: "there is no federated object of this name", Next: "create it"},
		{Name: "TargetDeleting", Hansa: true, Meaning: "the federated object is being deleted"},
		{Name: "InvalidTarget", Hansa: true, Meaning: "the federated object cannot be understood", Next: "correct it"},
		{Name: "NamespaceNotFederated", Hansa: true, Meaning: "the FederatedNamespace is being deleted"},
		{Name: "NoClusterReady", Hansa: true, Meaning: "no member is ready; what was placed stays"},
		{Name: "NothingSelected", Hansa: true, Meaning: "no member that is ready is selected; what was placed stays", Next: "see the selectors"},
		{Name: "Fighting", Hansa: true, Meaning: "another manager undoes what the scheduler writes", Next: "see `metadata.managedFields` of the federated object"},
		{Name: "WriteFailed", Hansa: true, Meaning: "the host refused the division", Next: "see the message"},
		{Name: "Unplaced", Hansa: true, Meaning: "the preferences leave no room for all replicas", Next: "raise `maxReplicas`, or give clusters a weight"},
		{Name: "BeyondCapacity", Hansa: true, Meaning: "more than can be scheduled there, because it fits nowhere else"},
		{Name: "BelowMinimum", Hansa: true, Meaning: "the total was spent before the minimum was reached"},
		{Name: "MinAboveMax", Hansa: true, Meaning: "`minReplicas` is above `maxReplicas`, which counts", Next: "correct it"},
		{Name: "UnknownCluster", Hansa: true, Meaning: "`spec.clusters` names a cluster that has not joined", Next: "correct it, or join it"},
		{Name: "ClusterNotReady", Hansa: true, Meaning: "the member is away, so that it gets nothing"},
		{Name: "ClusterLeaving", Hansa: true, Meaning: "the KubeFedCluster is being deleted"},
		{Name: "NotSelected", Hansa: true, Meaning: "the clusterSelector does not select it"},
		{Name: "NotInNamespace", Hansa: true, Meaning: "the FederatedNamespace does not select it"},
		{Name: "NotPreferred", Hansa: true, Meaning: "`spec.clusters` names neither it nor `*`"},
		{Name: "AtMaximum", Hansa: true, Meaning: "its `maxReplicas`"},
		{Name: "AtCapacity", Hansa: true, Meaning: "as much as can be scheduled there"},
		{Name: "NothingLeft", Hansa: true, Meaning: "the total was spent before it was its turn"},
		{Name: "NoWeight", Hansa: true, Meaning: "its weight is 0: it gets its minimum and no more"},
		{Name: "Kept", Hansa: true, Meaning: "more than its share, because it runs there and is not moved"},
		{Name: "KeptByOthers", Hansa: true, Meaning: "less than its share, because others keep theirs"},
		{Name: "AtMinimum", Hansa: true, Meaning: "its `minReplicas`, as the total leaves no more"},
		{Name: "ByWeight", Hansa: true, Meaning: "its share by weight"},
	}},
	{"Conditions of ServiceDNSRecords and IngressDNSRecords", []Word{
		{Name: "Ready", Hansa: true, Meaning: "the DNSEndpoint holds what the clusters say"},
		{Name: "Stalled", Hansa: true, Meaning: "somebody must change something"},
	}},
	{"Their reasons", []Word{
		{Name: "EndpointsWritten", Hansa: true, Meaning: "the names are as the clusters say"},
		{Name: "DomainNotFound", Hansa: true, Meaning: "there is no such Domain; what was published stays", Next: "create it in the KubeFed namespace, or correct `spec.domainRef`"},
		{Name: "InvalidName", Hansa: true, Meaning: "a name would be none that DNS takes; the message says which and why", Next: "correct it"},
		{Name: "HostNotResolved", Hansa: true, Meaning: "DNS does not tell the addresses of a load balancer's host name; names that need them keep what they have", Next: "look it up where the manager runs"},
		{Name: "NothingToPublish", Hansa: true, Meaning: "no cluster has an address", Next: "see `status.dns`"},
		{Name: "WriteFailed", Hansa: true, Meaning: "the host refused the DNSEndpoint", Next: "see the message"},
	}},
	{"Reasons in `status.dns` of these records", []Word{
		{Name: "Serving", Hansa: true, Meaning: "the cluster's addresses are published"},
		{Name: "ServiceMissing", Hansa: true, Meaning: "the cluster has no such Service"},
		{Name: "IngressMissing", Hansa: true, Meaning: "the cluster has no such Ingress"},
		{Name: "NoAddress", Hansa: true, Meaning: "no load balancer has given it an address", Next: "look at the Service or Ingress there"},
		{Name: "NoReadyEndpoints", Hansa: true, Meaning: "no endpoint of the Service is ready there"},
		{Name: "Draining", Hansa: true, Meaning: "the cluster is drained, or has weight 0, and another one serves"},
		{Name: "ClusterNotReady", Meaning: "the member is away, and others serve", Next: "see the conditions of the KubeFedCluster"},
		{Name: "LastKnown", Hansa: true, Meaning: "the member is away, and its last addresses stay; the message says why"},
		{Name: "Observing", Hansa: true, Meaning: "the member has not been looked into yet"},
	}},
	{"Conditions of Gateways, their listeners and routes, as the Gateway API has them", []Word{
		{Name: "Accepted", Hansa: true, Meaning: "it can be served as it is written"},
		{Name: "Programmed", Hansa: true, Meaning: "the load balancers are told of it"},
		{Name: "ResolvedRefs", Hansa: true, Meaning: "what it refers to is there, and may be referred to"},
		{Name: "Conflicted", Hansa: true, Meaning: "of a listener: another one of the Gateway has the same port and cannot share it; as a reason of a TCPRoute: an older one has the listener", Next: "give one of them another port"},
	}},
	{"Their reasons", []Word{
		{Name: "InvalidParameters", Hansa: true, Meaning: "the message names a field with parameters, which are not supported", Next: "remove it"},
		{Name: "UnsupportedAddress", Hansa: true, Meaning: "`spec.addresses` has a type that is not supported", Next: "ask for an IP address or a host name of an AddressPool, or for none"},
		{Name: "AddressNotUsable", Hansa: true, Meaning: "no AddressPool has all of `spec.addresses`", Next: "see [AddressPool](../spec/addresspool.md)"},
		{Name: "AddressNotAssigned", Hansa: true, Meaning: "there is no AddressPool", Next: "make one"},
		{Name: "ListenersNotValid", Hansa: true, Meaning: "some listeners, or all, cannot be used", Next: "see `status.listeners`"},
		{Name: "Invalid", Hansa: true, Meaning: "another condition says what is wrong"},
		{Name: "UnsupportedProtocol", Hansa: true, Meaning: "listeners are HTTP or TCP", Next: "pass TLS through a TCP listener"},
		{Name: "PortUnavailable", Hansa: true, Meaning: "the port is reserved or taken; the message says by whom", Next: "take another port, or an AddressPool with another `bind`"},
		{Name: "ProtocolConflict", Hansa: true, Meaning: "two listeners of the Gateway want the same port"},
		{Name: "HostnameConflict", Hansa: true, Meaning: "two listeners of the Gateway have the same port and host name"},
		{Name: "NoConflicts", Hansa: true, Meaning: "no other listener of the Gateway stands in its way"},
		{Name: "InvalidRouteKinds", Hansa: true, Meaning: "`allowedRoutes.kinds` has a kind that the listener's protocol does not take"},
		{Name: "NoMatchingParent", Hansa: true, Meaning: "the Gateway has no listener of the reference's `sectionName` and `port`"},
		{Name: "NotAllowedByListeners", Hansa: true, Meaning: "no listener takes routes of that kind from that namespace", Next: "see `allowedRoutes` of the Gateway"},
		{Name: "NoMatchingListenerHostname", Hansa: true, Meaning: "the route and the listeners have no host name in common"},
		{Name: "UnsupportedValue", Hansa: true, Meaning: "the message names a field that load balancers are not told of; the route is not served", Next: "see [what is supported](../guide/gateway-api.md#the-gateway-api)"},
		{Name: "InvalidKind", Hansa: true, Meaning: "a backend is not of kind ServiceImport"},
		{Name: "RefNotPermitted", Hansa: true, Meaning: "no ReferenceGrant lets the route refer to a backend in another namespace"},
		{Name: "BackendNotFound", Hansa: true, Meaning: "no cluster exports the service, or it has no such port"},
	}},
	{"Conditions of DNSProviders", []Word{
		{Name: "Ready", Hansa: true, Meaning: "the server holds what it should"},
		{Name: "Stalled", Hansa: true, Meaning: "somebody must change something"},
	}},
	{"Their reasons, and those of `status.refused`; those of `Ready` are those of events, too", []Word{
		{Name: "Published", Hansa: true, Meaning: "the server holds what it should"},
		{Name: "ServerUnreachable", Hansa: true, Meaning: "it does not answer; it is asked again", Next: "check `spec.server` and the network"},
		{Name: "ServerFailed", Hansa: true, Meaning: "it answers with a failure of its own; it is asked again", Next: "see its log"},
		{Name: "KeyRefused", Hansa: true, Meaning: "it does not take the key", Next: "compare name, algorithm and secret with its configuration"},
		{Name: "ClockSkew", Hansa: true, Meaning: "its clock differs by more than 5 minutes", Next: "set the clocks"},
		{Name: "NotTheZone", Hansa: true, Meaning: "it is not the primary of the zone", Next: "correct `spec.zone` or `spec.server`"},
		{Name: "QueryRefused", Hansa: true, Meaning: "it does not answer for the zone", Next: "correct `spec.zone`, or allow queries"},
		{Name: "TransferRefused", Hansa: true, Meaning: "it does not let the zone be read, so that nothing is written", Next: "allow AXFR for the key"},
		{Name: "UpdateRefused", Hansa: true, Meaning: "it does not take updates", Next: "allow them for the key"},
		{Name: "SecretMissing", Hansa: true, Meaning: "the Secret with the key cannot be used", Next: "see the message"},
		{Name: "InvalidProvider", Hansa: true, Meaning: "the spec cannot be read", Next: "correct it"},
		{Name: "NamesRefused", Hansa: true, Meaning: "some names are not published, all others are", Next: "see `status.refused`"},
		{Name: "DeletionPaused", Hansa: true, Meaning: "more than half of the names would be deleted at once", Next: "restore the DNSEndpoints, or approve"},
		{Name: "ZoneChanged", Hansa: true, Meaning: "somebody else writes the same name; it is tried again"},
		{Name: "OwnedByOther", Hansa: true, Meaning: "the zone has the name already, and it is not ours", Next: "delete it there, or use another name"},
		{Name: "TakenByOther", Hansa: true, Meaning: "an older DNSEndpoint has the name"},
		{Name: "NameTooLong", Hansa: true, Meaning: "the record that says whose it is would have too long a name", Next: "use a shorter one"},
		{Name: "Delegated", Hansa: true, Meaning: "the name is in a zone of its own", Next: "make a DNSProvider for that"},
		{Name: "UnsupportedType", Hansa: true, Meaning: "the record is none of A, AAAA and CNAME"},
		{Name: "InvalidTarget", Hansa: true, Meaning: "a target does not fit the type", Next: "correct the DNSEndpoint"},
		{Name: "CNAMEAtApex", Hansa: true, Meaning: "at the apex of a zone there can be no CNAME", Next: "use addresses, or another name"},
	}},
}

// Events are the reasons of events that are not a status of a member or a reason of a condition, by kind.
var Events = []Table{
	{"On federated objects", []Word{
		{Name: "CreateInCluster", Meaning: "the object was created in the members that the message names"},
		{Name: "UpdateInCluster", Meaning: "it was changed there"},
		{Name: "AdoptInCluster", Hansa: true, Meaning: "it was there before, and has been taken over"},
		{Name: "DeleteInCluster", Meaning: "it was removed there"},
		{Name: "RemoveManagedLabelFromInCluster", Meaning: "it stays there, without our marks"},
		{Name: "WaitForRemovalInCluster", Meaning: "it is being removed there for more than 5 seconds", Next: "see its finalizers in the member"},
		{Name: "CreateInClusterFailed", Warning: true, Meaning: "`CreationFailed` in the member that the message names"},
		{Name: "UpdateInClusterFailed", Warning: true, Meaning: "`UpdateFailed` there"},
		{Name: "DeleteInClusterFailed", Warning: true, Meaning: "`DeletionFailed` there"},
		{Name: "RemoveManagedLabelFromInClusterFailed", Warning: true, Meaning: "`LabelRemovalFailed` there"},
		{Name: "OperationTimeoutError", Warning: true, Meaning: "`CreationTimedOut`, `UpdateTimedOut`, `DeletionTimedOut` or `LabelRemovalTimedOut` there"},
		{Name: "EnsureFinalizerError", Warning: true, Meaning: "the host refuses our finalizer on the object, so that nothing is propagated", Next: "see the message"},
		{Name: "KeptInCluster", Hansa: true, Warning: true, Meaning: "a namespace was released instead of removed, and what it holds that is not the federation's"},
		{Name: "InvalidName", Warning: true, Meaning: "a FederatedNamespace has another name than its namespace, or is of a system namespace"},
		{Name: "AnnotationsNotSupported", Warning: true, Meaning: "annotations of the template are not propagated", Next: "use an override"},
		{Name: "FinalizersNotSupported", Warning: true, Meaning: "finalizers of the template are not propagated", Next: "use an override"},
		{Name: "NameNotSupported", Hansa: true, Warning: true, Meaning: "the name in the template is not used"},
		{Name: "NamespaceNotSupported", Hansa: true, Warning: true, Meaning: "the namespace in the template is not used"},
	}},
	{"On FederatedServices that are exposed", []Word{
		{Name: "Exposed", Hansa: true, Meaning: "the FederatedServiceExport or ServiceDNSRecord was made, or follows a change"},
		{Name: "NotExposed", Hansa: true, Meaning: "the FederatedServiceExport was removed, as the annotation is gone"},
		{Name: "NotPublic", Hansa: true, Meaning: "the ServiceDNSRecord was removed, as the annotation does not ask for public names any more"},
		{Name: "UnknownExposure", Hansa: true, Warning: true, Meaning: "the annotation `discovery.kubefed.io/expose` has a word that is not known; nothing is taken away", Next: "correct it"},
		{Name: "ExportsNotFederated", Hansa: true, Warning: true, Meaning: "FederatedServiceExports are not federated", Next: "`kubefedctl discovery enable`"},
		{Name: "ExternalName", Hansa: true, Warning: true, Meaning: "a service of this type has no endpoints", Next: "expose one of another type"},
		{Name: "NoDomain", Hansa: true, Warning: true, Meaning: "there is no Domain to make public names in", Next: "create one"},
		{Name: "SeveralDomains", Hansa: true, Warning: true, Meaning: "there are several Domains", Next: "name one in the annotation `discovery.kubefed.io/domain`"},
		{Name: "UnknownDomain", Hansa: true, Warning: true, Meaning: "there is no Domain of the name in the annotation `discovery.kubefed.io/domain`", Next: "correct it"},
		{Name: "Unread", Hansa: true, Warning: true, Meaning: "exports, records or Domains cannot be read in the host; nothing is made or removed", Next: "see the message"},
		{Name: "WriteFailed", Hansa: true, Warning: true, Meaning: "the host refused the export or the record", Next: "see the message"},
	}},
	{"On KubeFedConfigs", []Word{
		{Name: "WaitingForKubeFed", Hansa: true, Warning: true, Meaning: "a KubeFed manager holds its lock, so that this one does not lead", Next: "scale that manager to 0"},
		{Name: "WaitingForShards", Hansa: true, Warning: true, Meaning: "managers with `--shards` have the members, so that this one, which runs without, does not lead", Next: "end the one kind or the other; during a rollout, wait"},
		{Name: "HostRolledBack", Hansa: true, Warning: true, Meaning: "the host knows less than its members have seen of it: nothing is removed", Next: "see [recovery of the host](../guide/recovery.md)"},
		{Name: "ConfigurationRefused", Hansa: true, Warning: true, Meaning: "a load balancer cannot use what it was sent, and goes on with what it had", Next: "the message has its words; see [load balancing](../guide/load-balancing.md)"},
		{Name: "NotBalanced", Hansa: true, Warning: true, Meaning: "load balancers are not told of something, because they would refuse it or cannot use it", Next: "the message says what and why"},
	}},
	{"On KubeFedClusters", []Word{
		{Name: "MalformedClusterConfig", Warning: true, Meaning: "`ConfigMalformed` has become `True`, or for another reason"},
		{Name: "RetrievingClusterHealthFailed", Warning: true, Meaning: "`Offline` has become `True`, or for another reason"},
		{Name: "ClusterRecovered", Hansa: true, Meaning: "`Ready` has become `True` again"},
	}},
	{"On KubeFedClusters, about services that span clusters", []Word{
		{Name: "AnnotationIgnored", Hansa: true, Warning: true, Meaning: "an annotation of the group `discovery.kubefed.io` cannot be used, and counts as absent", Next: "see the message"},
		{Name: "ServicesNotImported", Hansa: true, Warning: true, Meaning: "the types of multi-cluster services cannot be installed in the member", Next: "see the message"},
	}},
	{"On ServiceDNSRecords and IngressDNSRecords", []Word{
		{Name: "NamesChanged", Hansa: true, Meaning: "other records are published than before; the message names them"},
	}},
	{"On FederatedServices, about their address", []Word{
		{Name: "Balanced", Hansa: true, Meaning: "the load balancers answer for the service; the message has the address"},
		{Name: "PortsTaken", Hansa: true, Warning: true, Meaning: "some of its ports have no address; the message says who has them", Next: "see [AddressPool](../spec/addresspool.md)"},
		{Name: "NoAddressPool", Hansa: true, Warning: true, Meaning: "there is no AddressPool, or not the one that is named", Next: "make one"},
		{Name: "NothingToBalance", Hansa: true, Warning: true, Meaning: "the service has no TCP port, or no endpoints by its type"},
	}},
	{"On ReplicaSchedulingPreferences", []Word{
		{Name: "ScheduleSucceeded", Hansa: true, Meaning: "the replicas were divided anew; the message says how"},
		{Name: "ScheduleFailed", Hansa: true, Warning: true, Meaning: "`Ready` has become `False`, or for another reason"},
	}},
}

// Renamed are the events of statuses that KubeFed's events call otherwise. It waits for a removal without a warning.
var Renamed = map[string]string{
	"CreationFailed":       "CreateInClusterFailed",
	"UpdateFailed":         "UpdateInClusterFailed",
	"DeletionFailed":       "DeleteInClusterFailed",
	"LabelRemovalFailed":   "RemoveManagedLabelFromInClusterFailed",
	"CreationTimedOut":     "OperationTimeoutError",
	"UpdateTimedOut":       "OperationTimeoutError",
	"DeletionTimedOut":     "OperationTimeoutError",
	"LabelRemovalTimedOut": "OperationTimeoutError",
	"WaitingForRemoval":    "WaitForRemovalInCluster",
}

// Never are the reasons of KubeFed's events that Hansa has no use for, and why.
var Never = Table{"Events of KubeFed that do not occur", []Word{
	{Name: "ClusterRetrievalFailed", Meaning: "while the list of clusters has not been read, nothing is decided and nothing told"},
	{Name: "LeaderElection", Meaning: "the lock is a Lease, which names the leader; see `leader_election_master_status`"},
}}
