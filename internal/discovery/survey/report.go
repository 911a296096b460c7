// Package survey answers: what do the host, the members and DNS say, at this moment, of a service that spans clusters? It reads all anew
// and tells as well what could not be read. Of makes the report of what was read, and is pure.
package survey

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Report is what is known of some services, sorted by namespace and name.
type Report struct {
	Kind string `json:"kind"`
	// Enabled is the feature gate CrossClusterServiceDiscovery.
	Enabled bool      `json:"enabled"`
	Items   []Service `json:"items"`
	// Problems are what could not be read, and so is not in the items.
	Problems []string `json:"problems,omitempty"`
}

// Kind of a Report, for programs that read it.
const Kind = "DiscoveryStatusList"

// Service is one name in all clusters.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Expose are the words of the FederatedService's annotation; empty if it has none, or there is no FederatedService.
	Expose []string `json:"expose,omitempty"`
	// Problems are what a user must change to have what the annotation asks for.
	Problems []Problem `json:"problems,omitempty"`
	// Exports is "<members with the export>/<members meant>", as the FederatedServiceExport tells; empty if there is none.
	Exports string `json:"exports,omitempty"`
	// DNSName is what the service is called in every cluster.
	DNSName  string    `json:"dnsName"`
	Clusters []Cluster `json:"clusters"`
	// Public are the names in public DNS.
	Public []Name `json:"public,omitempty"`
	// PublicState is what the ServiceDNSRecord says of them, if that is not that all is well.
	PublicState string `json:"publicState,omitempty"`
	// Addresses are those of the load balancers, with ports behind them.
	Addresses []string `json:"addresses,omitempty"`
}

// Problem has a word for programs and a text for people.
type Problem struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Cluster is what one member holds of a service.
type Cluster struct {
	Name string `json:"name"`
	// Problem says why the member could not be asked; the rest is then empty.
	Problem string `json:"problem,omitempty"`
	// Placed says that the FederatedServiceExport is placed there.
	Placed bool `json:"placed"`
	// Reachability is how other clusters come to its Pods.
	Reachability string `json:"reachability"`
	// Export is nil if the service is not exported there.
	Export *Export `json:"export,omitempty"`
	// Endpoints are those of the cluster's own service.
	Endpoints Endpoints `json:"endpoints"`
	// Import is nil if the service is not imported there.
	Import *Import `json:"import,omitempty"`
	// DNS is what a DNS server answered; nil if none was asked.
	DNS *Answer `json:"dns,omitempty"`
}

// Export is a ServiceExport in short.
type Export struct {
	// State is one word: Ready, or what is not as it should be. One with a conflict may well be in use.
	State string `json:"state"`
	// Ready says that it is exported.
	Ready      bool               `json:"ready"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Endpoints are counted by what they are for.
type Endpoints struct {
	Ready int `json:"ready"`
	All   int `json:"all"`
}

// Import is a ServiceImport in short.
type Import struct {
	Type string   `json:"type"`
	IPs  []string `json:"ips,omitempty"`
	// From are the clusters that it counts as exporting, Endpoints those that clients in this cluster are sent to.
	From      []string  `json:"from,omitempty"`
	Endpoints Endpoints `json:"endpoints"`
}

// Name is one name in public DNS.
type Name struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Targets []string `json:"targets"`
	DNS     *Answer  `json:"dns,omitempty"`
}

// Answer is what a DNS server said.
type Answer struct {
	Server string `json:"server"`
	// Code is that of the answer, such as NOERROR or NXDOMAIN; empty if none came, for which Problem says why.
	Code      string   `json:"code,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	Problem   string   `json:"problem,omitempty"`
}
