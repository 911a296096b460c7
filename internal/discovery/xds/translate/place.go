package translate

import (
	"cmp"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// Place is where a client is, and of which kind it is. Clients of the same place get the same resources.
type Place struct {
	// Region, Zone and Cluster are empty where the client does not say.
	Region, Zone, Cluster string
	// GRPC asks for services by their names; others want the listeners of the model.
	GRPC bool
}

// Ranks of endpoints, from first to last. What is a rank further is used when those before are not healthy.
const (
	sameZone = iota
	sameRegion
	elsewhere
	// standby is added for a weight of 0.
	standby
	// draining keeps the connections that it has. It has a rank of its own so that it does not count as sick among those that are not.
	draining = 2 * standby
)

// distance of a locality. A client that does not say its zone is near to all of its own cluster.
func (p Place) distance(l balance.Locality) int {
	inCluster := p.Cluster != "" && p.Cluster == l.Cluster
	inRegion := p.Region != "" && p.Region == l.Region
	switch {
	case p.Zone != "" && p.Zone == l.Zone && (inRegion || inCluster || p.Region == "" || l.Region == ""):
		return sameZone
	case inCluster && (p.Zone == "" || l.Zone == ""):
		return sameZone
	case inCluster, inRegion:
		return sameRegion
	}
	return elsewhere
}

// ranked is a locality, or those of its endpoints that are of one rank.
type ranked struct {
	balance.Locality
	rank int
}

// rank divides the localities of a service, nearest first. A locality is drained only as long as another one has what is ready.
func (p Place) rank(all []balance.Locality) []ranked {
	others := slices.ContainsFunc(all, func(l balance.Locality) bool { return !l.Drain && slices.ContainsFunc(l.Endpoints, isReady) })
	var out []ranked
	for _, l := range all {
		var open, closing []balance.Endpoint
		for _, e := range l.Endpoints {
			switch {
			case e.Ready && (!l.Drain || !others):
				open = append(open, e)
			case e.Ready || e.Serving:
				closing = append(closing, e)
			}
		}
		rank := p.distance(l)
		if l.Weight == 0 {
			rank += standby
		}
		out = append(out, part(l, open, rank)...)
		out = append(out, part(l, closing, draining)...)
	}
	slices.SortStableFunc(out, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.Cluster, b.Cluster))
	})
	return out
}

func isReady(e balance.Endpoint) bool { return e.Ready }

func part(l balance.Locality, of []balance.Endpoint, rank int) []ranked {
	if len(of) == 0 {
		return nil
	}
	l.Endpoints = of
	return []ranked{{l, rank}}
}

// assign makes the endpoints of a service as a client at this place sees them. The same address twice would be refused by clients: the
// nearest stays, and the others are returned. Clusters whose Pods have the same addresses are a fault of the network between them.
func (p Place) assign(name string, all []balance.Locality) (*endpointv3.ClusterLoadAssignment, []string) {
	out := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	seen, twice := map[balance.Endpoint]bool{}, []string(nil)
	priority, last := uint32(0), -1
	for _, r := range p.rank(all) {
		l := &endpointv3.LocalityLbEndpoints{Locality: &corev3.Locality{Region: r.Region, Zone: r.Zone, SubZone: r.Cluster}}
		for _, e := range r.Endpoints {
			at := balance.Endpoint{Address: e.Address, Port: e.Port}
			if seen[at] {
				twice = append(twice, e.Address+" of "+r.Cluster)
				continue
			}
			seen[at] = true
			l.LbEndpoints = append(l.LbEndpoints, endpoint(e, r.rank))
		}
		if len(l.LbEndpoints) == 0 {
			continue
		}
		if last >= 0 && last != r.rank {
			priority++
		}
		last = r.rank
		l.Priority = priority
		l.LoadBalancingWeight = wrapperspb.UInt32(uint32(max(r.Weight, 1) * len(l.LbEndpoints)))
		out.Endpoints = append(out.Endpoints, l)
	}
	slices.Sort(twice)
	return out, twice
}

func endpoint(e balance.Endpoint, rank int) *endpointv3.LbEndpoint {
	health := corev3.HealthStatus_HEALTHY
	if rank == draining {
		health = corev3.HealthStatus_DRAINING
	}
	return &endpointv3.LbEndpoint{
		HealthStatus:   health,
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(e.Address, e.Port)}},
	}
}

func socket(address string, port int32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}
