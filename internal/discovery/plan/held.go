package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// Held is what one cluster holds of what discovery writes for a service.
type Held struct {
	// Seen says that all lists of the cluster have been read: what is nil below is not there.
	Seen bool
	// Import has the service's name; it need not be discovery's.
	Import *mcsv1.ServiceImport
	// Derived is the Service behind the import.
	Derived *corev1.Service
	// Slices are sorted by name.
	Slices []Written
	// Problem is why the last write of this service into the cluster failed, in words for users; empty if it did not. FamilyProblem says
	// that the cluster has no addresses of the family that is asked for.
	Problem       string
	FamilyProblem bool
}

// Written is an EndpointSlice that discovery has written.
type Written struct {
	Name string
	UID  types.UID
	// Cluster is the ID of the cluster whose endpoints it has.
	Cluster string
	// Digest is that of its content, as it is there.
	Digest string
	// Ready is how many endpoints take connections, Last how many do where there are no others.
	Ready, Last int
}

// SliceLabels are the labels that discovery gives its EndpointSlices; those of others do not count.
var SliceLabels = []string{
	mcsv1.LabelServiceName, mcsv1.LabelSourceCluster, discoveryv1.LabelManagedBy, discoveryv1.LabelServiceName, corev1.IsHeadlessService, fedv1.ControlPlaneLabel,
}

// Digest of what discovery says in an EndpointSlice: equal for slices that say the same.
func Digest(s *discoveryv1.EndpointSlice) string {
	endpoints, ports := s.Endpoints, s.Ports
	if len(endpoints) == 0 {
		endpoints = nil // an empty list and none say the same
	}
	if len(ports) == 0 {
		ports = nil
	}
	labels := map[string]string{}
	for _, k := range SliceLabels {
		if v, ok := s.Labels[k]; ok {
			labels[k] = v
		}
	}
	said := struct {
		Type      discoveryv1.AddressType
		Ports     []discoveryv1.EndpointPort
		Endpoints []discoveryv1.Endpoint
		Labels    map[string]string
	}{s.AddressType, ports, endpoints, labels}
	return digestOf(said)
}

// IDOf is what a cluster is called in labels and in DNS: its name where that is a DNS label, else a stable one made of it.
func IDOf(name string) string {
	if len(name) <= maxLabel && !strings.Contains(name, ".") {
		return name
	}
	short := strings.ReplaceAll(name, ".", "-")
	short = strings.TrimRight(short[:min(len(short), maxLabel-len(short8(name))-1)], "-")
	return short + "-" + short8(name)
}

// maxLabel is how long a DNS label may be.
const maxLabel = 63

// short8 is a short stable hash.
func short8(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

// ReadyIn counts the endpoints of a slice that take connections. Not knowing counts as ready, as Kubernetes says.
func ReadyIn(s *discoveryv1.EndpointSlice) int {
	n := 0
	for _, e := range s.Endpoints {
		if e.Conditions.Ready == nil || *e.Conditions.Ready {
			n++
		}
	}
	return n
}

// LastIn counts the endpoints of a slice that serve, and take their leave.
func LastIn(s *discoveryv1.EndpointSlice) int {
	n := 0
	for _, e := range s.Endpoints {
		if isLast(e.Conditions) {
			n++
		}
	}
	return n
}

func isLast(c discoveryv1.EndpointConditions) bool {
	return c.Ready != nil && !*c.Ready && c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating
}

// DerivedName is the name of the Service behind the import of a service.
func DerivedName(service types.NamespacedName) string {
	sum := sha256.Sum256([]byte(service.String()))
	return "derived-" + hex.EncodeToString(sum[:5])
}
