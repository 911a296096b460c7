package plan

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// sliceActs keep the endpoints of all exporters in one cluster.
func sliceActs(w World, s Settings, m merged, n int) []Act {
	held := w.Held[n]
	var acts []Act
	wanted := map[string]bool{}
	for _, e := range m.exporters {
		if !current(w, e.n) {
			continue // what is not seen is neither written anew nor removed
		}
		for _, slice := range slicesFor(w, s, m, e, n) {
			wanted[slice.Name] = true
			at := slices.IndexFunc(held.Slices, func(h Written) bool { return h.Name == slice.Name })
			switch {
			case at < 0:
				acts = append(acts, Act{Verb: Apply, Reason: Exported, Slice: slice})
			case held.Slices[at].Digest != Digest(slice):
				acts = append(acts, Act{Verb: Apply, Reason: Changed, UID: held.Slices[at].UID, Slice: slice})
			}
		}
	}
	return append(acts, leftovers(w, s, m, n, wanted)...)
}

// leftovers decide on all endpoints that are not wanted, or not known.
func leftovers(w World, s Settings, m merged, n int, wanted map[string]bool) []Act {
	var acts []Act
	for _, h := range w.Held[n].Slices {
		if !wanted[h.Name] {
			acts = append(acts, leftover(w, s, m, h, n)...)
		}
	}
	return acts
}

// current says that what a cluster holds is known as it is now.
func current(w World, n int) bool { return w.Clusters[n].Presence == Present && w.Sources[n].Seen }

// leftover decides what becomes of endpoints that are not wanted, or not known. The first rule that matches counts.
func leftover(w World, s Settings, m merged, h Written, n int) []Act {
	at := slices.IndexFunc(w.Clusters, func(c Cluster) bool { return c.ID == h.Cluster })
	switch {
	case at < 0 && !w.Known:
		return nil
	case at < 0:
		return []Act{removeSlice(h, ClusterLeft)}
	case current(w, at):
		return []Act{removeSlice(h, NotServed)}
	case w.Clusters[at].Presence != Away || mostAway(w):
		return nil // unknown never deletes, and that most are away says more about the host than about them
	case w.Now.Before(w.Clusters[at].Since.Add(s.Grace)):
		return nil
	case !w.Now.Before(w.Clusters[at].Since.Add(s.Expiry)) && servedByOthers(w, n):
		return []Act{removeSlice(h, Expired)}
	case m.spec.Type == mcsv1.Headless && !servedByOthers(w, n):
		// Of a headless Service, DNS knows only endpoints that are ready: the last ones must be.
		if h.Last > 0 {
			return []Act{{Verb: Restore, Reason: Last, UID: h.UID, Slice: named(w, h.Name)}}
		}
		return nil
	case h.Ready > 0:
		return []Act{{Verb: Demote, Reason: Stale, UID: h.UID, Slice: named(w, h.Name)}}
	default:
		return nil
	}
}

func removeSlice(h Written, why Reason) Act {
	return Act{Verb: Remove, Reason: why, UID: h.UID, Slice: &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: h.Name, UID: h.UID}}}
}

func named(w World, name string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.Service.Namespace, Name: name}}
}

// mostAway says that more than half of the clusters are away at once.
func mostAway(w World) bool {
	away := 0
	for _, c := range w.Clusters {
		if c.Presence == Away {
			away++
		}
	}
	return 2*away > len(w.Clusters)
}

// servedByOthers says that some cluster which is there has endpoints that are ready.
func servedByOthers(w World, n int) bool {
	return slices.ContainsFunc(w.Held[n].Slices, func(h Written) bool {
		at := slices.IndexFunc(w.Clusters, func(c Cluster) bool { return c.ID == h.Cluster })
		return h.Ready > 0 && at >= 0 && current(w, at)
	})
}

// slicesFor are an exporter's endpoints as one cluster is to hold them.
func slicesFor(w World, s Settings, m merged, e exporter, n int) []*discoveryv1.EndpointSlice {
	var out []*discoveryv1.EndpointSlice
	switch reach := reachFor(e, n); reach {
	case Flat:
		out = flatSlices(w, m, e, n)
	default:
		if m.spec.Type == mcsv1.ClusterSetIP {
			out = frontSlices(w, m, e, reach)
		}
	}
	for _, slice := range out {
		slice.Labels = map[string]string{
			mcsv1.LabelServiceName: w.Service.Name, mcsv1.LabelSourceCluster: e.cluster.ID, discoveryv1.LabelManagedBy: fedv1.SliceManager,
			// The name of the derived Service is what kube-proxy goes by, and DNS servers for reverse names.
			discoveryv1.LabelServiceName: DerivedName(w.Service), fedv1.ControlPlaneLabel: s.ControlPlane,
		}
		if m.spec.Type == mcsv1.Headless {
			slice.Labels[corev1.IsHeadlessService] = ""
		}
		slice.OwnerReferences = ownedBy(w.Held[n].Import)
		drain := e.cluster.Drain && e.n != n && (m.spec.Type != mcsv1.Headless || othersReady(w, m, e))
		for i := range slice.Endpoints {
			finish(&slice.Endpoints[i], m, e, drain)
		}
	}
	return out
}

// reachFor is how a cluster comes to the exporter's endpoints; to its own it always comes by their addresses.
func reachFor(e exporter, n int) Reach {
	if e.n == n {
		return Flat
	}
	return e.cluster.Reach
}

// flatSlices are the source's own, without what means something there only.
func flatSlices(w World, m merged, e exporter, n int) []*discoveryv1.EndpointSlice {
	var out []*discoveryv1.EndpointSlice
	for _, source := range w.Sources[e.n].Slices {
		ports := slices.DeleteFunc(slices.Clone(source.Ports), func(p discoveryv1.EndpointPort) bool {
			return !m.serves[e.cluster.Name][*cmp.Or(p.Name, new(string))]
		})
		if len(ports) == 0 && (m.spec.Type != mcsv1.Headless || len(m.spec.Ports) > 0) {
			continue
		}
		for i := range ports {
			ports[i].Name, ports[i].Protocol = cmp.Or(ports[i].Name, new(string)), cmp.Or(ports[i].Protocol, new(corev1.ProtocolTCP))
		}
		slice := sliceNamed(w, e, source.Name, source.AddressType)
		slice.Ports = ports
		for _, from := range source.Endpoints {
			to := *from.DeepCopy()
			to.TargetRef, to.DeprecatedTopology = nil, nil
			if e.n != n {
				to.NodeName = nil
			}
			slice.Endpoints = append(slice.Endpoints, to)
		}
		out = append(out, slice)
	}
	return out
}

func sliceNamed(w World, e exporter, source string, family discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: w.Service.Namespace, Name: "imported-" + digestOf(w.Service.Name, e.cluster.ID, source, family)},
		AddressType: family,
	}
}

// frontSlices stand for all endpoints of the exporter: the nodes' addresses with the node ports, or those of the load balancer.
func frontSlices(w World, m merged, e exporter, reach Reach) []*discoveryv1.EndpointSlice {
	addresses, ports, problem := front(m, e, reach)
	if problem != "" {
		return nil
	}
	ready := slices.ContainsFunc(w.Sources[e.n].Slices, func(s *discoveryv1.EndpointSlice) bool { return ReadyIn(s) > 0 })
	var out []*discoveryv1.EndpointSlice
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		slice := sliceNamed(w, e, string(reach), family)
		slice.Ports = ports
		for _, a := range addresses {
			if strings.Contains(a, ":") == (family == discoveryv1.AddressTypeIPv6) {
				slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
			}
		}
		if len(slice.Endpoints) > 0 {
			out = append(out, slice)
		}
	}
	return out
}

// front are the addresses and ports at which an exporter is reached from outside, or why there are none.
func front(m merged, e exporter, reach Reach) (addresses []string, ports []discoveryv1.EndpointPort, problem string) {
	for _, declared := range e.service.Spec.Ports {
		p := importPort(declared)
		if !m.serves[e.cluster.Name][p.Name] {
			continue
		}
		number := p.Port
		if reach == NodePort {
			number = declared.NodePort
		}
		if number != 0 {
			ports = append(ports, discoveryv1.EndpointPort{Name: new(p.Name), Protocol: new(p.Protocol), Port: new(number), AppProtocol: p.AppProtocol})
		}
	}
	if reach == NodePort {
		addresses = e.cluster.Nodes
	} else {
		for _, i := range e.service.Status.LoadBalancer.Ingress {
			if i.IP != "" {
				addresses = append(addresses, i.IP)
			}
		}
	}
	addresses = slices.Compact(slices.Sorted(slices.Values(addresses)))
	switch {
	case m.spec.Type == mcsv1.Headless:
		problem = "the cluster is reached by " + string(reach) + ", which leads to no single Pod: a headless Service can be imported only from clusters whose Pods are reached directly (reachability flat)"
	case len(ports) == 0:
		problem = "the cluster is reached by nodePort, and the Service has no node ports: make its type NodePort or LoadBalancer"
	case len(addresses) == 0 && reach == NodePort:
		problem = "the cluster is reached by nodePort, and none of its nodes is ready"
	case len(addresses) == 0:
		problem = "the cluster is reached by loadBalancer, and status.loadBalancer of the Service has no IP address (a host name is not enough)"
	}
	return addresses, ports, problem
}

// maxHints is how many zones an endpoint may be for.
const maxHints = 8

// finish says of an endpoint who should use it. One that is drained is used only where no other is ready.
func finish(e *discoveryv1.Endpoint, m merged, from exporter, drain bool) {
	ready := e.Conditions.Ready == nil || *e.Conditions.Ready
	serving := ready
	if e.Conditions.Serving != nil {
		serving = *e.Conditions.Serving
	}
	terminating := e.Conditions.Terminating != nil && *e.Conditions.Terminating
	e.Conditions = discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}
	if drain {
		e.Conditions = Demoted(e.Conditions)
	}
	if m.spec.TrafficDistribution == nil || e.Hints != nil && len(e.Hints.ForZones) > 0 {
		return
	}
	// The cluster that the endpoint comes from may have given no hint, as it does where all its zones are one. Without a hint on each
	// endpoint, no hint counts.
	zones := from.cluster.Zones
	if e.Zone != nil && *e.Zone != "" {
		zones = []string{*e.Zone}
	}
	if len(zones) == 0 {
		zones = []string{from.cluster.ID}
	}
	hints := &discoveryv1.EndpointHints{}
	if e.Hints != nil {
		hints.ForNodes = e.Hints.ForNodes
	}
	for _, zone := range zones[:min(len(zones), maxHints)] {
		hints.ForZones = append(hints.ForZones, discoveryv1.ForZone{Name: zone})
	}
	e.Hints = hints
}

// othersReady says that an exporter which is not drained has endpoints that are ready.
func othersReady(w World, m merged, than exporter) bool {
	return slices.ContainsFunc(m.exporters, func(e exporter) bool {
		return e.n != than.n && !e.cluster.Drain && slices.ContainsFunc(w.Sources[e.n].Slices, func(s *discoveryv1.EndpointSlice) bool { return ReadyIn(s) > 0 })
	})
}

// Restored are the conditions of an endpoint that was demoted, as they were before.
func Restored(c discoveryv1.EndpointConditions) discoveryv1.EndpointConditions {
	if !isLast(c) {
		return c
	}
	return discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(bool)}
}

// Demoted are the conditions of an endpoint that is to be used only where there is no other: it serves, and takes its leave. That is what
// kube-proxy falls back to.
func Demoted(c discoveryv1.EndpointConditions) discoveryv1.EndpointConditions {
	serving := c.Serving == nil && (c.Ready == nil || *c.Ready) || c.Serving != nil && *c.Serving
	return discoveryv1.EndpointConditions{Ready: new(bool), Serving: &serving, Terminating: new(true)}
}
