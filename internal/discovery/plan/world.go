// Package plan answers, for services that span clusters: what should every member, DNS zone and load balancer hold, and why? It is pure:
// values in, values out. It reads Kubernetes' own types; what was not seen is Unknown, and unknown never deletes.
package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// Cluster is a member as discovery knows it.
type Cluster struct {
	// Name of the KubeFedCluster.
	Name string
	// ID is the cluster's name in labels and in DNS: the name itself where that is a DNS label, else a stable one made of it.
	ID string
	// Region and Zones as the KubeFedCluster's status or its annotations tell them; empty if they do not.
	Region string
	Zones  []string
	// Presence says whether the cluster is there, Since when it has been so. Neither says what the cluster holds.
	Presence Presence
	Since    time.Time
	// Reach is how other clusters come to the cluster's Pods.
	Reach Reach
	// Weight is that of each of the cluster's endpoints in what is balanced over clusters, 0 to 1000; 100 where nothing else is asked for.
	Weight int
	// Drain asks that no new connections go there from other places.
	Drain bool
	// Trouble is why discovery cannot do its work in the cluster, in words for users; empty if nothing is in the way.
	Trouble string
	// Nodes are the addresses of the cluster's nodes that are ready; only for Reach NodePort.
	Nodes []string
}

// Presence of a cluster.
type Presence string

const (
	// Present is ready, its identity verified.
	Present Presence = "Present"
	// Away is not ready.
	Away Presence = "Away"
	// Unmet was not looked at yet by this process.
	Unmet Presence = "Unmet"
)

// Reach is how the Pods of a cluster are reached from outside of it.
type Reach string

const (
	// Flat is by the Pods' own addresses.
	Flat Reach = "flat"
	// NodePort is by the nodes' addresses and the Service's node ports.
	NodePort Reach = "nodePort"
	// LoadBalancer is by the addresses in the Service's status.loadBalancer.
	LoadBalancer Reach = "loadBalancer"
)

// Source is what one cluster holds under the name of a service.
type Source struct {
	// Cluster is its name.
	Cluster string
	// Seen says that all lists of the cluster have been read: what is nil below is not there. Where it is false, nothing is known, except
	// that what is set was there when it was last seen.
	Seen bool
	// Namespace says that the service's namespace is there and stays.
	Namespace bool
	Export    *mcsv1.ServiceExport
	Service   *corev1.Service
	// Slices are those of the service itself, not those that discovery has written, sorted by name.
	Slices  []*discoveryv1.EndpointSlice
	Ingress *networkingv1.Ingress
}

// World is all that a decision about one service may look at.
type World struct {
	Service types.NamespacedName
	// Clusters are all members, Sources what each holds; both sorted by name and of the same length.
	Clusters []Cluster
	Sources  []Source
	// Held is what discovery itself has written into each cluster for the service; of the same length.
	Held []Held
	// Known says that Clusters are all there are.
	Known bool
	Now   time.Time
}
