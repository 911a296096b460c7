// Package naming answers: which names in public DNS does a service, or an ingress, of all clusters have, what do they point to, and why? The
// names, levels and rules of falling back are those of KubeFed's ServiceDNSRecord and IngressDNSRecord. It is pure. Whoever is not looked
// into, or was lost with many others, keeps the addresses it had: not knowing empties no name.
package naming

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// DefaultTTL of records in seconds, where a record asks for none; it is KubeFed's.
const DefaultTTL = 180

// World is all that a decision about one record may look at.
type World struct {
	plan.World
	// Service or Ingress is the record; the other one is nil.
	Service *dnsv1.ServiceDNSRecord
	Ingress *dnsv1.IngressDNSRecord
	// Domain is the one that a ServiceDNSRecord names; nil if there is none.
	Domain *dnsv1.Domain
	// Apexes are the names of zones, at which no CNAME may be.
	Apexes []string
	// Published is what the record's DNSEndpoint holds.
	Published []dnsv1.Endpoint
	// Resolved are the addresses of host names of load balancers.
	Resolved map[string]Answer
}

// Answer is what DNS says of a host name.
type Answer struct {
	// Known says that DNS has answered, even if with nothing.
	Known bool
	// Addresses, sorted.
	Addresses []string
}

// Plan is what follows from a world.
type Plan struct {
	// Hold leaves the DNSEndpoint as it is.
	Hold bool
	// Endpoints are what it is to hold, sorted by name and type.
	Endpoints []dnsv1.Endpoint
	// Domain is the zone of a service's names.
	Domain string
	// Clusters are what each gives, sorted by name.
	Clusters []Shard
	// Hosts are the host names whose addresses are needed, sorted.
	Hosts []string
	// Findings are what is the matter, the most important first; none is a good day.
	Findings []Finding
	// Again is when to look anew although nothing has happened; zero is never.
	Again time.Time
}

// Finding is something to tell. The user must change something where it stalls.
type Finding struct {
	Reason, Message string
	Stalls          bool
}

// Shard is what one cluster gives to the names.
type Shard struct {
	Cluster, Region string
	Zones           []string
	// Points are the addresses and host names of its load balancer that are published, sorted.
	Points []corev1.LoadBalancerIngress
	// Reason and Message say why these.
	Reason, Message string
}

// Reasons of shards.
const (
	Serving          = "Serving"
	ServiceMissing   = "ServiceMissing"
	IngressMissing   = "IngressMissing"
	NoAddress        = "NoAddress"
	NoReadyEndpoints = "NoReadyEndpoints"
	Draining         = "Draining"
	ClusterNotReady  = "ClusterNotReady"
	LastKnown        = "LastKnown"
	Observing        = "Observing"
)

// Reasons of findings, and EndpointsWritten for none.
const (
	EndpointsWritten = "EndpointsWritten"
	DomainNotFound   = "DomainNotFound"
	InvalidName      = "InvalidName"
	HostNotResolved  = "HostNotResolved"
	NothingToPublish = "NothingToPublish"
)

// Make is total: whatever the world looks like, the plan says what to publish, or why nothing changes.
func Make(w World) Plan {
	p := Plan{}
	p.Clusters, p.Again = shards(w)
	var names []name
	if w.Service != nil {
		names = p.service(w)
	} else {
		names = p.ingress(w)
	}
	if !p.Hold {
		p.publish(w, names)
	}
	p.Hold = p.Hold || len(w.Published) > 0 && unknown(p.Clusters)
	return p
}

// unknown says that nobody gives an address, and that there are clusters of which nothing is known.
func unknown(all []Shard) bool {
	return !slices.ContainsFunc(all, func(s Shard) bool { return len(s.Points) > 0 }) &&
		slices.ContainsFunc(all, func(s Shard) bool { return s.Reason == Observing })
}

func (p *Plan) found(reason, message string, stalls bool) {
	p.Findings = append(p.Findings, Finding{reason, message, stalls})
	slices.SortStableFunc(p.Findings, func(a, b Finding) int {
		switch {
		case a.Stalls == b.Stalls:
			return 0
		case a.Stalls:
			return -1
		default:
			return 1
		}
	})
}

// name is a name with what it stands for.
type name struct {
	dns string
	// points are what it has addresses from; without any it is a CNAME to parent, and left out without a parent.
	points []corev1.LoadBalancerIngress
	parent string
	labels map[string]string
}

// add puts points under a name; what several clusters give is merged.
func add(to []name, n name) []name {
	if i := slices.IndexFunc(to, func(o name) bool { return o.dns == n.dns }); i >= 0 {
		to[i].points = append(slices.Clone(to[i].points), n.points...)
		return to
	}
	return append(to, n)
}

// canonical is a DNS name as it is compared and written: in lower case, without the dot at the end.
func canonical(dns string) string { return strings.ToLower(strings.TrimSuffix(dns, ".")) }
