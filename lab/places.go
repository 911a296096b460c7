package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// place is where Pods answer: "tcp" or "udp", at an address.
type place struct {
	protocol string
	address  netip.AddrPort
}

// voice is a Pod as it answers.
type voice struct {
	pod, ip, cluster, node string
}

func (v voice) String() string {
	return fmt.Sprintf("pod ip %s, pod %s, cluster %s, node %s", v.ip, v.pod, v.cluster, v.node)
}

// podPlaces are where the Pods of a cluster answer by their own addresses: at the ports that their containers name, and
// at those where Services look for them, as images listen at ports that no Pod names. A Pod that is not running, or that
// is being deleted and does not sleep first, answers nowhere.
func podPlaces(cluster string, pods []*corev1.Pod, slices []*discoveryv1.EndpointSlice) map[place][]voice {
	places := map[place][]voice{}
	running := map[string]voice{}
	for _, pod := range pods {
		v, ok := voiceOf(cluster, pod)
		if !ok {
			continue
		}
		running[v.pod] = v
		for _, container := range pod.Spec.Containers {
			for _, port := range container.Ports {
				if p, ok := placeAt(port.Protocol, v.ip, port.ContainerPort); ok {
					places[p] = []voice{v}
				}
			}
		}
	}
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			v, ok := running[podOf(slice.Namespace, endpoint)]
			if !ok {
				continue
			}
			for _, port := range slice.Ports {
				if p, ok := placeOfPort(v.ip, port); ok {
					places[p] = []voice{v}
				}
			}
		}
	}
	return places
}

// nodePortPlaces are the node ports of a cluster's Services on the given addresses. Who answers there are the ready Pods
// behind the Service; a node port without one is closed.
func nodePortPlaces(cluster string, nodes []string, services []*corev1.Service, pods []*corev1.Pod, slices []*discoveryv1.EndpointSlice) map[place][]voice {
	running := map[string]voice{}
	for _, pod := range pods {
		if v, ok := voiceOf(cluster, pod); ok {
			running[v.pod] = v
		}
	}
	places := map[place][]voice{}
	for _, service := range services {
		for _, port := range service.Spec.Ports {
			voices := behind(service, port, running, slices)
			if port.NodePort == 0 || len(voices) == 0 {
				continue
			}
			for _, node := range nodes {
				if p, ok := placeAt(port.Protocol, node, port.NodePort); ok {
					places[p] = voices
				}
			}
		}
	}
	return places
}

func addressesOfNodes(nodes []*corev1.Node) []string {
	var addresses []string
	for _, node := range nodes {
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				addresses = append(addresses, address.Address)
			}
		}
	}
	return addresses
}

func behind(service *corev1.Service, port corev1.ServicePort, running map[string]voice, all []*discoveryv1.EndpointSlice) []voice {
	var voices []voice
	for _, slice := range all {
		if slice.Namespace != service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != service.Name ||
			!slices.ContainsFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool { return p.Name != nil && *p.Name == port.Name }) {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			v, ok := running[podOf(slice.Namespace, endpoint)]
			if ok && (endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready) {
				voices = append(voices, v)
			}
		}
	}
	slices.SortFunc(voices, func(a, b voice) int { return cmp.Compare(a.pod, b.pod) })
	return slices.Compact(voices)
}

// voiceOf knows no Pod of the host's network: its address is its node's.
func voiceOf(cluster string, pod *corev1.Pod) (voice, bool) {
	ended := pod.DeletionTimestamp != nil && !slices.ContainsFunc(pod.Spec.Containers, sleepsFirst)
	if pod.Status.Phase != corev1.PodRunning || ended || pod.Status.PodIP == "" || pod.Spec.HostNetwork {
		return voice{}, false
	}
	return voice{pod: pod.Namespace + "/" + pod.Name, ip: pod.Status.PodIP, cluster: cluster, node: pod.Spec.NodeName}, true
}

// sleepsFirst says that the container goes on for a while when its Pod is deleted; see endOfPod.
func sleepsFirst(c corev1.Container) bool {
	return c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil
}

func podOf(namespace string, e discoveryv1.Endpoint) string {
	if e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
		return ""
	}
	return namespace + "/" + e.TargetRef.Name
}

func placeOfPort(ip string, port discoveryv1.EndpointPort) (place, bool) {
	if port.Port == nil {
		return place{}, false
	}
	protocol := corev1.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	return placeAt(protocol, ip, *port.Port)
}

// placeAt knows no SCTP.
func placeAt(protocol corev1.Protocol, ip string, port int32) (place, bool) {
	address, err := netip.ParseAddrPort(net.JoinHostPort(ip, strconv.Itoa(int(port))))
	switch {
	case err != nil:
		return place{}, false
	case protocol == corev1.ProtocolUDP:
		return place{"udp", address}, true
	case protocol == corev1.ProtocolTCP, protocol == "":
		return place{"tcp", address}, true
	default:
		return place{}, false
	}
}
