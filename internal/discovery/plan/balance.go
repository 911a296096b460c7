package plan

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// BalanceGrace is how long the endpoints of a cluster that is away count as they were last seen. That a cluster's API server does not
// answer says little about its Pods, and load balancers look for themselves.
const BalanceGrace = time.Minute

// Balance is what load balancers are told of a service: one entry for each TCP port, sorted by number, with the endpoints of every cluster
// that exports it. A port that clusters disagree about has only the endpoints of those that agree with the oldest export. It is empty if
// no cluster exports the service.
func Balance(w World) []balance.Service {
	return balanceOf(w, func(s Source) bool { return s.Export != nil && s.Export.DeletionTimestamp == nil })
}

// BalanceCopies is the same of a service that is the federation's own: the copies of a federated Service are one, exported or not.
func BalanceCopies(w World) []balance.Service {
	return balanceOf(w, func(s Source) bool {
		return s.Service.Labels[fedv1.ManagedLabel] == "true"
	})
}

// BalanceDue says when the passing of time alone will change what load balancers are told; false if it does not.
func BalanceDue(w World) (time.Time, bool) {
	var due time.Time
	for i, c := range w.Clusters {
		at := c.Since.Add(BalanceGrace)
		if c.Presence == Away && w.Sources[i].Service != nil && at.After(w.Now) && (due.IsZero() || at.Before(due)) {
			due = at
		}
	}
	return due, !due.IsZero()
}

// part is what one cluster has of a service.
type part struct {
	Cluster
	Source
}

func balanceOf(w World, counts func(Source) bool) []balance.Service {
	var parts []part
	for i, s := range w.Sources {
		if reason, _ := invalid(s); reason == "" && counts(s) {
			parts = append(parts, part{w.Clusters[i], s})
		}
	}
	slices.SortStableFunc(parts, byAge)
	var out []balance.Service
	for _, p := range mergedPorts(parts) {
		s := balance.Service{
			NamespacedName: w.Service, Port: p.Port, PortName: p.Name,
			Affinity:   parts[0].Service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
			Localities: localities(p.parts, p.Name),
		}
		if p.AppProtocol != nil {
			s.AppProtocol = *p.AppProtocol
		}
		out = append(out, withoutLost(w, s))
	}
	return out
}

// byAge puts the oldest export first; equal ones, and those that are none, are in the order of their clusters.
func byAge(a, b part) int {
	if a.Export == nil || b.Export == nil {
		return 0
	}
	return a.Export.CreationTimestamp.Compare(b.Export.CreationTimestamp.Time)
}

// mergedPort is a port and the clusters that agree on it.
type mergedPort struct {
	corev1.ServicePort
	parts []part
}

// mergedPorts is the union of the TCP ports. Who came first says what a name and what a number mean; who says otherwise has no such port.
func mergedPorts(parts []part) []mergedPort {
	var out []mergedPort
	for _, p := range parts {
		for _, port := range p.Service.Spec.Ports {
			if port.Protocol != corev1.ProtocolTCP && port.Protocol != "" {
				continue
			}
			at := slices.IndexFunc(out, func(m mergedPort) bool { return m.Name == port.Name || m.Port == port.Port })
			switch {
			case at < 0:
				out = append(out, mergedPort{port, []part{p}})
			case out[at].Name == port.Name && out[at].Port == port.Port:
				out[at].parts = append(out[at].parts, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b mergedPort) int { return cmp.Compare(a.Port, b.Port) })
	return out
}

// localities of a port, sorted by cluster and zone.
func localities(parts []part, port string) []balance.Locality {
	var out []balance.Locality
	for _, p := range parts {
		zones := p.endpoints(port)
		for _, zone := range slices.Sorted(maps.Keys(zones)) {
			out = append(out, balance.Locality{
				Cluster: p.Name, Region: p.Region, Zone: zone, Weight: p.Weight, Drain: p.Drain, Endpoints: distinct(zones[zone]),
			})
		}
	}
	slices.SortFunc(out, func(a, b balance.Locality) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Zone, b.Zone))
	})
	return out
}

// endpoints of a port by zone, as they are reached from outside of the cluster.
func (p part) endpoints(port string) map[string][]balance.Endpoint {
	pods := p.pods(port)
	if p.Reach == Flat || p.Reach == "" {
		return pods
	}
	// Behind a node or a load balancer is some Pod: what is there is as ready as the readiest of them.
	ready, serving := false, false
	for _, list := range pods {
		for _, e := range list {
			ready, serving = ready || e.Ready, serving || e.Serving
		}
	}
	if !ready && !serving {
		return nil
	}
	zone := ""
	if len(p.Zones) == 1 {
		zone = p.Zones[0]
	}
	out := map[string][]balance.Endpoint{}
	for _, at := range p.doors(port) {
		out[zone] = append(out[zone], balance.Endpoint{Address: at.Address, Port: at.Port, Ready: ready, Serving: serving})
	}
	return out
}

// pods are the endpoints in the service's slices. Of a service with two address families those of its first count: a Pod is one endpoint.
func (p part) pods(port string) map[string][]balance.Endpoint {
	out, family := map[string][]balance.Endpoint{}, p.family()
	for _, slice := range p.Slices {
		number := portOf(slice, port)
		if slice.AddressType != family || number == 0 {
			continue
		}
		for _, e := range slice.Endpoints {
			zone, ready := "", e.Conditions.Ready == nil || *e.Conditions.Ready
			if e.Zone != nil {
				zone = *e.Zone
			}
			serving := ready
			if e.Conditions.Serving != nil {
				serving = *e.Conditions.Serving
			}
			if len(e.Addresses) > 0 && (ready || serving) {
				out[zone] = append(out[zone], balance.Endpoint{Address: e.Addresses[0], Port: number, Ready: ready, Serving: serving})
			}
		}
	}
	return out
}

// family is that of the service's first address that has endpoints.
func (p part) family() discoveryv1.AddressType {
	has := map[discoveryv1.AddressType]bool{}
	for _, s := range p.Slices {
		has[s.AddressType] = has[s.AddressType] || len(s.Endpoints) > 0
	}
	for _, f := range p.Service.Spec.IPFamilies {
		if has[discoveryv1.AddressType(f)] {
			return discoveryv1.AddressType(f)
		}
	}
	if has[discoveryv1.AddressTypeIPv6] && !has[discoveryv1.AddressTypeIPv4] {
		return discoveryv1.AddressTypeIPv6
	}
	return discoveryv1.AddressTypeIPv4
}

func portOf(s *discoveryv1.EndpointSlice, name string) int32 {
	for _, p := range s.Ports {
		if (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) && p.Port != nil {
			return *p.Port
		}
	}
	return 0
}

// doors lead into a cluster whose Pods cannot be reached: its nodes, or its load balancer.
func (p part) doors(name string) []balance.Endpoint {
	at := slices.IndexFunc(p.Service.Spec.Ports, func(s corev1.ServicePort) bool { return s.Name == name })
	port := p.Service.Spec.Ports[at]
	var out []balance.Endpoint
	switch {
	case p.Reach == LoadBalancer:
		for _, in := range p.Service.Status.LoadBalancer.Ingress {
			out = append(out, balance.Endpoint{Address: cmp.Or(in.IP, in.Hostname), Port: port.Port})
		}
	case port.NodePort != 0:
		for _, node := range p.Nodes {
			out = append(out, balance.Endpoint{Address: node, Port: port.NodePort})
		}
	}
	return out
}

// distinct sorts endpoints and has each address once, as ready as it is anywhere: a Pod may be in two slices while they change.
func distinct(in []balance.Endpoint) []balance.Endpoint {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b balance.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port), -cmpBool(a.Ready, b.Ready), -cmpBool(a.Serving, b.Serving))
	})
	return slices.CompactFunc(out, func(a, b balance.Endpoint) bool { return a.Address == b.Address && a.Port == b.Port })
}

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// withoutLost takes the endpoints of clusters that have been away for long out of a service. It leaves them where nothing else would be
// left, and all of them where most clusters are away: then it is more likely that this side is cut off.
func withoutLost(w World, s balance.Service) balance.Service {
	if mostAway(w) {
		return s
	}
	lost := map[string]bool{}
	for _, c := range w.Clusters {
		lost[c.Name] = c.Presence == Away && w.Now.Sub(c.Since) >= BalanceGrace
	}
	kept, usable := []balance.Locality{}, false
	for _, l := range s.Localities {
		if lost[l.Cluster] {
			continue
		}
		kept = append(kept, l)
		usable = usable || slices.ContainsFunc(l.Endpoints, func(e balance.Endpoint) bool { return e.Ready })
	}
	if !usable {
		return s
	}
	s.Localities = kept
	return s
}
