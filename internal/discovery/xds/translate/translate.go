// Package translate answers: which xDS resources does a client at some place get of a model? It is pure.
package translate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// Types of resources, each before those that refer to it: a change in this order leaves no reference to what is not there.
var Types = []string{resource.EndpointType, resource.ClusterType, resource.RouteType, resource.ListenerType}

// Resources by type and name.
type Resources map[string]map[string]types.Resource

// Problem is something of the model that clients cannot get.
type Problem struct {
	Type, Name string
	// Invalid says that there is no such resource; otherwise it is there without what is at fault.
	Invalid bool
	Why     string
}

func (p Problem) String() string { return p.Name + ": " + p.Why }

// Domain is that of the services of all clusters.
const Domain = "svc.clusterset.local"

// Name of a port of a service: that of its cluster, endpoints, routes and, for gRPC, of its listener.
func Name(s balance.Service) string { return host(s) + ":" + strconv.Itoa(int(s.Port)) }

func host(s balance.Service) string { return s.Name + "." + s.Namespace + "." + Domain }

// Of translates a model for one place. Resources that their clients would refuse are left out and told.
func Of(m balance.Model, p Place) (Resources, []Problem) {
	t := &translation{place: p, out: Resources{}, services: map[string]balance.Service{}, ports: map[string]int{}}
	for _, typ := range Types {
		t.out[typ] = map[string]types.Resource{}
	}
	for _, s := range m.Services {
		t.services[Name(s)] = s
		t.ports[host(s)]++
	}
	if p.GRPC {
		t.grpc(m.Services)
	} else {
		t.listeners(m.Listeners)
	}
	return t.out, t.problems
}

type translation struct {
	place    Place
	out      Resources
	problems []Problem
	services map[string]balance.Service
	// ports counts those of each host name.
	ports map[string]int
}

// grpc makes what gRPC clients ask for by name, for all services. One that has a single port has a name without it as well.
func (t *translation) grpc(list []balance.Service) {
	for _, s := range list {
		name := Name(s)
		t.service(s)
		t.add(resource.RouteType, name, grpcRoutes(s))
		names := []string{name}
		if t.ports[host(s)] == 1 {
			names = append(names, host(s))
		}
		for _, n := range names {
			t.add(resource.ListenerType, n, &listenerv3.Listener{
				Name: n, ApiListener: &listenerv3.ApiListener{ApiListener: pack(manager(name, name))},
			})
		}
	}
}

// listeners makes the listeners of the model and the services that they lead to.
func (t *translation) listeners(list []balance.Listener) {
	used := map[string]bool{}
	for _, l := range list {
		routes := t.resolve(l.Routes)
		for _, r := range routes {
			for _, b := range r.targets {
				used[b.name] = true
			}
		}
		if l.Protocol == balance.HTTP {
			t.add(resource.RouteType, l.Name, t.httpRoutes(l.Name, routes))
			t.add(resource.ListenerType, l.Name, httpListener(l))
			continue
		}
		t.add(resource.ListenerType, l.Name, t.tcpListener(l, routes))
		if len(routes) == 0 || len(routes[0].targets) == 0 {
			t.add(resource.ClusterType, nowhere, nowhereCluster())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		t.service(t.services[name])
	}
}

// service makes the cluster of a service and, if clients are to get its endpoints apart, these.
func (t *translation) service(s balance.Service) {
	name := Name(s)
	named := slices.ContainsFunc(s.Localities, func(l balance.Locality) bool { return slices.ContainsFunc(l.Endpoints, isNamed) })
	if named && t.place.GRPC {
		s = t.addressed(s)
		named = slices.ContainsFunc(s.Localities, func(l balance.Locality) bool { return slices.ContainsFunc(l.Endpoints, isNamed) })
	}
	endpoints, twice := t.place.assign(name, s.Localities)
	for _, e := range twice {
		t.tell(resource.EndpointType, name, false, "the endpoint "+e+" has the address of a nearer one: Pods of different clusters must not have the same addresses")
	}
	if named {
		t.add(resource.ClusterType, name, namedCluster(s, endpoints, t.place.GRPC))
		return
	}
	t.add(resource.EndpointType, name, endpoints)
	t.add(resource.ClusterType, name, endpointCluster(s))
}

// addressed is a service as far as gRPC clients can use it: they take addresses, or else one host name, the nearest.
func (t *translation) addressed(s balance.Service) balance.Service {
	var addresses []balance.Locality
	for _, l := range s.Localities {
		l.Endpoints = slices.DeleteFunc(slices.Clone(l.Endpoints), isNamed)
		addresses = append(addresses, l)
	}
	t.tell(resource.ClusterType, Name(s), false, "gRPC clients cannot be sent to several host names, or to host names beside addresses: only "+
		"its addresses are used, or else its nearest host name")
	if slices.ContainsFunc(addresses, func(l balance.Locality) bool { return len(l.Endpoints) > 0 }) {
		s.Localities = addresses
		return s
	}
	nearest := t.place.rank(s.Localities)
	if len(nearest) == 0 {
		s.Localities = nil
		return s
	}
	one := nearest[0].Locality
	one.Endpoints = one.Endpoints[:1]
	s.Localities = []balance.Locality{one}
	return s
}

// add validates a resource as its clients will.
func (t *translation) add(typ, name string, m valid) {
	if err := m.ValidateAll(); err != nil {
		t.tell(typ, name, true, err.Error())
		return
	}
	t.out[typ][name] = m
}

type valid interface {
	proto.Message
	ValidateAll() error
}

func (t *translation) tell(typ, name string, invalid bool, why string) {
	t.problems = append(t.problems, Problem{Type: typ, Name: name, Invalid: invalid, Why: why})
}

// target is a cluster and its share.
type target struct {
	name   string
	weight uint32
}

// resolved is a route whose backends are known and have a share.
type resolved struct {
	balance.Route
	targets []target
}

// resolve leaves out the backends of a route that the model does not have. The same backend twice has the sum of both shares.
func (t *translation) resolve(routes []balance.Route) []resolved {
	var out []resolved
	for _, r := range routes {
		v := resolved{Route: r}
		for _, b := range r.Backends {
			name := Name(balance.Service{NamespacedName: b.NamespacedName, Port: b.Port})
			if _, ok := t.services[name]; !ok {
				t.tell(resource.RouteType, r.Name, false, fmt.Sprintf("the backend %s is not known", name))
				continue
			}
			at := slices.IndexFunc(v.targets, func(o target) bool { return o.name == name })
			switch {
			case b.Weight <= 0:
			case at >= 0:
				v.targets[at].weight += uint32(b.Weight)
			default:
				v.targets = append(v.targets, target{name, uint32(b.Weight)})
			}
		}
		out = append(out, v)
	}
	return out
}
