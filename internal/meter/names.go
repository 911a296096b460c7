// Package meter answers: what can be counted and timed here, and under which names? It holds the name, labels and meaning of every
// metric of ours, from which docs/reference/metrics.md is generated, and registers what the other packages measure by.
package meter

// Kind of a metric.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric is one metric: what dashboards call it, and what it says.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	// Help is one line of text for the scrape and for the reference.
	Help string
	// Legacy says that the name is KubeFed's and fits no convention: --legacy-metrics=false leaves it out.
	Legacy bool
	// Flag without which the metric is not there; empty if it always is.
	Flag string
	// Buckets of a histogram, in seconds.
	Buckets []float64
}

// Buckets of the histograms. Those of what has labels are few: each costs a series for each combination.
var (
	// kubefedBuckets are KubeFed's, so that its dashboards go on.
	kubefedBuckets     = []float64{0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20, 22.5, 25, 27.5, 30, 50, 75, 100, 1000}
	requestBuckets     = []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 20}
	propagationBuckets = []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
	decisionBuckets    = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}
)

// KubeFed's metrics.
var (
	ClusterState = Metric{
		Name: "kubefedcluster_total", Kind: Gauge, Labels: []string{"state", "cluster"}, Legacy: true,
		Help: "1 for the state a member is in: ready, notready or offline.",
	}
	Joined = Metric{
		Name: "joined_cluster_total", Kind: Gauge, Legacy: true,
		Help: "Members that have joined. (In KubeFed always 0.)",
	}
	JoinTime = Metric{
		Name: "join_cluster_duration_seconds", Kind: Histogram, Legacy: true, Buckets: kubefedBuckets,
		Help: "Time from the creation of a KubeFedCluster until it is Ready for the first time. (In KubeFed always empty.)",
	}
	UnjoinTime = Metric{
		Name: "unjoin_cluster_duration_seconds", Kind: Histogram, Legacy: true, Buckets: kubefedBuckets,
		Help: "Time from the end of a KubeFedCluster until all that served it has ended. (In KubeFed always empty.)",
	}
	HealthTime = Metric{
		Name: "cluster_health_status_duration_seconds", Kind: Histogram, Legacy: true, Buckets: kubefedBuckets,
		Help: "Time of one probe of one member.",
	}
	ConnectTime = Metric{
		Name: "cluster_client_connection_duration_seconds", Kind: Histogram, Legacy: true, Buckets: kubefedBuckets,
		Help: "Time until a connection to a member, or to its proxy, is open. (In KubeFed: until a client is made.)",
	}
	ReconcileTime = Metric{
		Name: "reconcile_federated_resources_duration_seconds", Kind: Histogram, Legacy: true, Buckets: kubefedBuckets,
		Help: "Time of one look at one federated object, without the writes to members, which happen beside it.",
	}
	DispatchTime = Metric{
		Name: "dispatch_operation_duration_seconds", Kind: Histogram, Labels: []string{"action"}, Legacy: true, Buckets: kubefedBuckets,
		Help: "Time of one write to a member: create, update or delete. An adoption is an update.",
	}
)

// Metrics of members.
var (
	ClusterCondition = Metric{
		Name: "kubefed_cluster_status_condition", Kind: Gauge, Labels: []string{"cluster", "condition", "status"},
		Help: "1 for the status that a condition of a member has: true, false or unknown.",
	}
	ClusterInfo = Metric{
		Name: "kubefed_cluster_info", Kind: Gauge, Labels: []string{"cluster", "version", "region", "zone"},
		Help: "1, with what is known of a member; several zones are joined by commas.",
	}
	ClusterCredentialEnd = Metric{
		Name: "kubefed_cluster_credential_expiry_timestamp_seconds", Kind: Gauge, Labels: []string{"cluster"},
		Help: "When the credential of a member ends; absent where it never does.",
	}
	ClusterProbeTime = Metric{
		Name: "kubefed_cluster_probe_duration_seconds", Kind: Histogram, Labels: []string{"cluster"}, Buckets: requestBuckets,
		Help: "Time of one probe of a member.",
	}
	RequestTime = Metric{
		Name: "kubefed_member_request_duration_seconds", Kind: Histogram, Labels: []string{"cluster", "verb", "code"}, Buckets: requestBuckets,
		Help: "Time until a member answers a request; probes are not among them. The verb is get, list, watch, create, apply, patch, update or delete; " +
			"the code is that of HTTP, or error if there was no answer.",
	}
)

// Metrics of propagation.
var (
	Objects = Metric{
		Name: "kubefed_federated_resources", Kind: Gauge, Labels: []string{"type", "ready"},
		Help: "Federated objects by their condition Ready: true, false, or unknown if none was told yet.",
	}
	Statuses = Metric{
		Name: "kubefed_propagation_status", Kind: Gauge, Labels: []string{"type", "cluster", "status"},
		Help: "Federated objects by the status of a member in status.clusters; InSync if it has none, for it is as desired.",
	}
	PropagationTime = Metric{
		Name: "kubefed_propagation_duration_seconds", Kind: Histogram, Labels: []string{"type", "cluster", "operation"}, Buckets: propagationBuckets,
		Help: "Time from a change until a member holds what follows from it: from when the change of a federated object was seen, or, if something else " +
			"has changed, from the decision. The operation is create, adopt, update, delete or release.",
	}
	Repairs = Metric{
		Name: "kubefed_drift_total", Kind: Counter, Labels: []string{"type", "cluster"},
		Help: "Copies put back because somebody else had changed or removed them in the member.",
	}
	Drifted = Metric{
		Name: "kubefed_drift_current", Kind: Gauge, Labels: []string{"type", "cluster"},
		Help: "Copies that somebody else has changed or removed and that are not put back yet.",
	}
	LaneSteps = Metric{
		Name: "kubefed_lane_steps", Kind: Gauge, Labels: []string{"cluster", "state"},
		Help: "Steps in the lane of a member: queued, running, or failed, which waits to be tried again.",
	}
	LaneAge = Metric{
		Name: "kubefed_lane_oldest_step_age_seconds", Kind: Gauge, Labels: []string{"cluster"},
		Help: "For how long the oldest step that is queued or running in the lane of a member has been wanted; 0 if there is none.",
	}
	Paused = Metric{
		Name: "kubefed_deletions_paused", Kind: Gauge, Labels: []string{"type", "cluster"},
		Help: "Removals that the deletion budget holds back.",
	}
	Owed = Metric{
		Name: "kubefed_debts", Kind: Gauge, Labels: []string{"cluster"},
		Help: "Removals that deleted federated objects still owe in a member that was away.",
	}
	Panics = Metric{
		Name: "kubefed_panics_total", Kind: Counter, Labels: []string{"where"},
		Help: "Panics caught, each delaying one object only: in objects (deciding), lanes (writing), preferences (scheduling), services (that span clusters), dnsrecords or dnsproviders.",
	}
	ObjectCondition = Metric{
		Name: "kubefed_federated_resource_status_condition", Kind: Gauge, Labels: []string{"namespace", "name", "type", "condition", "status"}, Flag: "--object-metrics",
		Help: "1 for the status that a condition of a federated object has. Only that status is exported.",
	}
)

// Metrics of scheduling.
var (
	ScheduleTime = Metric{
		Name: "kubefed_scheduling_duration_seconds", Kind: Histogram, Buckets: decisionBuckets,
		Help: "Time of one look at one ReplicaSchedulingPreference.",
	}
	Moved = Metric{
		Name: "kubefed_replicas_moved_total", Kind: Counter, Labels: []string{"reason"},
		Help: "Replicas that were moved from one member to others, by why the one they left has what it has now, as in status.clusters of the preference.",
	}
)

// Metrics of the xDS server. Only the process that leads has it.
var (
	XDSStreams = Metric{
		Name: "kubefed_xds_streams", Kind: Gauge, Labels: []string{"kind"},
		Help: "Connected clients of the xDS server: grpc (gRPC clients) or proxy (all others).",
	}
	XDSResources = Metric{
		Name: "kubefed_xds_resources", Kind: Gauge, Labels: []string{"type"},
		Help: "Resources that the xDS server holds, over all places that have clients.",
	}
	XDSRefusals = Metric{
		Name: "kubefed_xds_refusals_total", Kind: Counter, Labels: []string{"type"},
		Help: "Resources that clients have refused (NACK). They go on with what they had.",
	}
	XDSPushTime = Metric{
		Name: "kubefed_xds_push_duration_seconds", Kind: Histogram, Buckets: decisionBuckets,
		Help: "Time from a new model of what is balanced until it is handed out to all streams.",
	}
)

// Metrics of services that span clusters.
var (
	ServiceDecisionTime = Metric{
		Name: "kubefed_service_decision_duration_seconds", Kind: Histogram, Buckets: decisionBuckets,
		Help: "Time of one look at one service that spans clusters.",
	}
	ServiceWriteTime = Metric{
		Name: "kubefed_service_write_duration_seconds", Kind: Histogram, Labels: []string{"cluster", "kind", "act", "result"}, Buckets: requestBuckets,
		Help: "Time of one write for services that span clusters into a member. The kind is ServiceImport, ServiceExport, Service or EndpointSlice; the act is " +
			"Apply, Tell (a status), Remove or Demote (endpoints of a cluster that is away); the result is done or failed.",
	}
)

// Of public DNS.
var (
	DNSPublishTime = Metric{
		Name: "kubefed_dns_publish_duration_seconds", Kind: Histogram, Labels: []string{"provider", "result"}, Buckets: requestBuckets,
		Help: "Time to read a zone, compare it and write what differs, by the name of the DNSProvider; result is ok or failed.",
	}
	DNSRecords = Metric{
		Name: "kubefed_dns_records", Kind: Gauge, Labels: []string{"provider"},
		Help: "Record sets in the zone of a DNSProvider that are ours, when it was last read.",
	}
	DNSRefused = Metric{
		Name: "kubefed_dns_refused_names", Kind: Gauge, Labels: []string{"provider"},
		Help: "Names that are not published in the zone of a DNSProvider: see its status.refused.",
	}
)

// All are the metrics, as the reference lists them.
func All() []Metric {
	return []Metric{
		ClusterState, Joined, JoinTime, UnjoinTime, HealthTime, ConnectTime, ReconcileTime, DispatchTime,
		ClusterCondition, ClusterInfo, ClusterCredentialEnd, ClusterProbeTime, RequestTime,
		Objects, Statuses, PropagationTime, Repairs, Drifted, LaneSteps, LaneAge, Paused, Owed, Panics, ObjectCondition,
		ScheduleTime, Moved, ServiceDecisionTime, ServiceWriteTime,
		XDSStreams, XDSResources, XDSRefusals, XDSPushTime,
		DNSPublishTime, DNSRecords, DNSRefused,
	}
}
