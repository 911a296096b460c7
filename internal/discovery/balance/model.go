// Package balance answers: which listener sends what to which endpoints? It is the one model that all load balancers are made from, xDS
// and HAProxy alike. It is pure.
package balance

import "k8s.io/apimachinery/pkg/types"

// Model is everything that is balanced. It is sorted and has no two of the same name.
type Model struct {
	Listeners []Listener
	Services  []Service
}

// Service is one port of a service of all clusters.
type Service struct {
	types.NamespacedName
	// Port is the number that clients use, PortName its name; empty if it has none.
	Port     int32
	PortName string
	// AppProtocol as the Service says, such as kubernetes.io/h2c; empty means that nobody knows.
	AppProtocol string
	// Affinity says that a client's connections go to one endpoint.
	Affinity   bool
	Localities []Locality
}

// Locality is a place with endpoints: one cluster, and one zone in it if the zone is known.
type Locality struct {
	Cluster, Region, Zone string
	// Weight is that of each endpoint; 0 gets nothing as long as another locality has healthy endpoints.
	Weight int
	// Drain gets no new connections.
	Drain     bool
	Endpoints []Endpoint
}

// Endpoint is where one connection goes.
type Endpoint struct {
	// Address is an IP address, or a host name where the cluster's load balancer has no other.
	Address string
	Port    int32
	// Ready takes new connections; one that is not but Serving keeps those it has.
	Ready, Serving bool
}

// Protocol of a listener.
type Protocol string

const (
	// HTTP listeners look at requests.
	HTTP Protocol = "HTTP"
	// TCP listeners pass bytes on.
	TCP Protocol = "TCP"
)

// Listener takes connections at an address.
type Listener struct {
	// Name is unique, "<namespace>/<name>/<listener>".
	Name string
	// Address to bind to; empty means all.
	Address  string
	Port     int32
	Protocol Protocol
	// Routes are tried in this order; the first that matches counts. A TCP listener has one without matches.
	Routes []Route
}

// Route sends what matches to backends.
type Route struct {
	// Name says where the route comes from, "<namespace>/<name>".
	Name string
	// Hosts match the request's host, "*.example.com" all of a domain; empty matches all.
	Hosts   []string
	Matches []Match
	// Backends share what matches by weight. Without any that can be used, HTTP answers 500 and TCP closes.
	Backends []Backend
}

// Match is true when all that it names is; an empty one always is.
type Match struct {
	// Exact and Prefix are paths; a prefix ends at a slash or at the end of the path.
	Exact, Prefix string
	Method        string
	Headers       []Header
}

// Header matches one that has exactly the value.
type Header struct{ Name, Value string }

// Backend is a port of a service.
type Backend struct {
	types.NamespacedName
	Port   int32
	Weight int
}

// Feed takes every new model. It must not block.
type Feed interface{ Set(Model) }
