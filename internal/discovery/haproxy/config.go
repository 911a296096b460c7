// Package haproxy answers: what must HAProxy be told, so that it balances as it should? It is pure. Listeners, routes and backends are the
// topology, which is a file and needs a reload to change. Endpoints come and go by commands to the running process; the file follows
// them, so that a restart of HAProxy begins where it ended. It needs HAProxy 2.6 or later.
package haproxy

import "time"

// Config is all that one HAProxy balances. It is sorted by names, and no two are the same.
type Config struct {
	Listeners []Listener
	Services  []Service
}

// Mode is what HAProxy understands of the connections of a listener.
type Mode string

// The modes; they are also HAProxy's words.
const (
	HTTP Mode = "http"
	TCP  Mode = "tcp"
)

// Listener takes connections.
type Listener struct {
	Name string
	// Address is an IP address; empty means all.
	Address string
	Port    uint32
	Mode    Mode
	// Hosts are for HTTP: the most specific name that matches the request's host decides, and only the routes there count.
	Hosts []Host
	// Targets are for TCP.
	Targets []Target
}

// Host has the routes for some host names.
type Host struct {
	// Names are host names in lower case without a port; "*.example.com" is all below example.com, "*" is all.
	Names []string
	// Routes are tried in this order; the first that matches counts.
	Routes []Route
}

// Route says where a request goes that matches all of what is set.
type Route struct {
	// Exact is a path, Prefix how one begins, Segments the same but ending at a slash or at the end of the path.
	Exact, Prefix, Segments string
	Method                  string
	Headers                 []Header
	Targets                 []Target
	// Status is the answer where there is no target.
	Status uint32
}

// Header matches a header that has exactly the value.
type Header struct{ Name, Value string }

// Target is a service that gets a share.
type Target struct {
	Service string
	Weight  uint32
}

// Service is what connections are balanced over.
type Service struct {
	Name    string
	Balance Balance
	Check   Check
	// HTTP2 is what the endpoints speak where the mode is HTTP, without TLS.
	HTTP2 bool
	// Connect is how long a connection may take to open; 0 means 2 s.
	Connect time.Duration
	// Levels are places by priority: the next is used if nothing in those before can be. Those after the fourth count as the fourth.
	Levels [][]Place
}

// Balance is how an endpoint is chosen.
type Balance string

// The ways to choose; they are also HAProxy's words.
const (
	RoundRobin Balance = "roundrobin"
	LeastConn  Balance = "leastconn"
	// Source gives a client's connections to one endpoint, by its address.
	Source Balance = "source"
)

// Check is how HAProxy itself finds out that an endpoint is dead, beside what connections tell.
type Check struct {
	// Interval is 2 s if it is 0.
	Interval time.Duration
	// Fall and Rise are how many checks in a row count; 2 and 1 if they are 0.
	Fall, Rise uint32
	// Path of an HTTP request; empty means that an open port is enough.
	Path string
	// Host of that request.
	Host string
}

// Place is a locality: its weight is divided among the endpoints in it that can be used. If no place of a level has a weight, each endpoint
// counts for itself; otherwise a place without one gets nothing.
type Place struct {
	Weight    uint32
	Endpoints []Endpoint
}

// Endpoint is where a connection goes.
type Endpoint struct {
	// Address is an IP address or a host name.
	Address string
	Port    uint32
	// Weight within its place; 0 counts as 1.
	Weight uint32
	// Usable takes new connections; one that is not keeps those that it has, as one that is gone does.
	Usable bool
	// Named says that Address is a host name, which HAProxy resolves. It cannot be added at run time: it is topology.
	Named bool
}
