package fail

// Code is a kind of failure: it stays the same over releases, so that scripts and pages can refer to it.
type Code struct {
	ID    string
	Exit  Exit
	Title string
}

// KF10xx: the command line and the kubeconfig.
var (
	BadUsage      = Code{"KF1001", Usage, "The command line is wrong"}
	BadKubeconfig = Code{"KF1002", Usage, "The kubeconfig cannot be used"}
	NoContext     = Code{"KF1003", Usage, "The kubeconfig has no such context"}
	BadFile       = Code{"KF1004", Usage, "A file given to the command cannot be used"}
)

// KF11xx: talking to an API server.
var (
	NotReachable       = Code{"KF1101", Unreachable, "An API server cannot be reached"}
	CredentialRefused  = Code{"KF1102", Unreachable, "An API server refuses the credential"}
	NotAllowed         = Code{"KF1103", Forbidden, "The user lacks a right"}
	RequestFailed      = Code{"KF1104", Refused, "An API server refused a request"}
	ConcurrentlyEdited = Code{"KF1105", Conflict, "Somebody else changed the object at the same time"}
	NotInstalled       = Code{"KF1106", Refused, "No control plane is installed there"}
	InstallStuck       = Code{"KF1107", Partial, "The API server does not serve what was installed"}
)

// KF12xx: members.
var (
	AlreadyJoined     = Code{"KF1201", Conflict, "The name is taken by a member"}
	SameCluster       = Code{"KF1202", Conflict, "The cluster has joined under another name"}
	OtherCluster      = Code{"KF1203", Conflict, "The context leads to another cluster than the one that joined"}
	OtherControlPlane = Code{"KF1204", Conflict, "The service account belongs to another control plane"}
	NoCredential      = Code{"KF1205", Refused, "The member gives no usable credential"}
	HalfJoined        = Code{"KF1206", Partial, "A join failed and left something behind"}
	HostBehind        = Code{"KF1209", Paused, "The host knows less than its members have seen of it"}
	StillTerminating  = Code{"KF1207", Conflict, "A namespace is still being deleted"}
	HalfLeft          = Code{"KF1208", Partial, "An unjoin removed only a part"}
)

// KF13xx: types.
var (
	NoSuchType     = Code{"KF1301", Refused, "No API type has that name"}
	AmbiguousType  = Code{"KF1302", Refused, "More than one API type has that name"}
	CannotFederate = Code{"KF1303", Refused, "The API type cannot be federated"}
	TypeConflict   = Code{"KF1304", Conflict, "The type is federated in another way already"}
	StillInstances = Code{"KF1305", Refused, "Objects of the federated type still exist"}
	NotStopped     = Code{"KF1306", Partial, "The manager has not stopped the type"}
)

// KF14xx: federating objects.
var (
	TypeNotEnabled   = Code{"KF1401", Refused, "The type is not enabled for federation"}
	AlreadyFederated = Code{"KF1402", Conflict, "The federated object exists already"}
	ObjectNotFound   = Code{"KF1403", Refused, "The object does not exist"}
	PartlyFederated  = Code{"KF1404", Partial, "Only some of the objects were federated"}
	NeverFederated   = Code{"KF1405", Refused, "The object must stay as each cluster has it"}
)

// KF150x: the names of services that span clusters.
var (
	NoCoreDNS      = Code{"KF1501", Refused, "The DNS server of a cluster is not found"}
	OldCoreDNS     = Code{"KF1502", Refused, "CoreDNS is too old, or does not tell its version"}
	BadCorefile    = Code{"KF1503", Refused, "The configuration of CoreDNS cannot be changed"}
	PartlyResolved = Code{"KF1504", Partial, "Only some of the members were configured"}
)

// KF152x: making services known beyond their clusters.
var (
	DiscoveryOff  = Code{"KF1520", Refused, "Services do not span clusters, as discovery is switched off"}
	CannotExpose  = Code{"KF1521", Refused, "The service cannot be exposed as asked"}
	NotExposedYet = Code{"KF1522", Partial, "The service is not known everywhere yet"}
)

// KF18xx: taking a federation of KubeFed over, and back.
var (
	TakeoverBlocked = Code{"KF1801", Refused, "Something stands in the way of the take-over"}
	TakeoverStuck   = Code{"KF1802", Partial, "What the take-over waits for does not come"}
	NotTheSame      = Code{"KF1803", Conflict, "Copies are not the ones that were taken over"}
	NoTakeover      = Code{"KF1804", Refused, "There is no take-over to undo"}
)
