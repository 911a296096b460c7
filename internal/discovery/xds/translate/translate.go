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
func Of(m balance.Model, p Place) (Resources, []Problem) { return (&Translator{Place: p}).Of(m) }

// Translator translates one model after another for a place. What it made of a service it gives out again as long as that is the same:
// of thousands of services few change at a time.
type Translator struct {
	Place Place
	last  map[string]made
}

// made is what became of a service.
type made struct {
	of        balance.Service
	resources Resources
	problems  []Problem
	// alias is the listener by the name without a port, for gRPC.
	alias types.Resource
}

// Of is the function of that name.
func (tr *Translator) Of(m balance.Model) (Resources, []Problem) {
	t := &translation{place: tr.Place, out: empty(), services: map[string]balance.Service{}, last: tr.last, next: map[string]made{}}
	ports := map[string]int{}
	for _, s := range m.Services {
		t.services[Name(s)] = s
		ports[host(s)]++
	}
	if tr.Place.GRPC {
		t.all(m.Services, ports)
	} else {
		t.listeners(m.Listeners)
	}
	tr.last = t.next
	return t.out, t.problems
}

func empty() Resources {
	r := Resources{}
	for _, typ := range Types {
		r[typ] = map[string]types.Resource{}
	}
	return r
}

type translation struct {
	place      Place
	out        Resources
	problems   []Problem
	services   map[string]balance.Service
	last, next map[string]made
}

// all makes what gRPC clients ask for by name, for all services. One that has a single port has a name without it as well.
func (t *translation) all(list []balance.Service, ports map[string]int) {
	for _, s := range list {
		t.service(s)
		if alias := t.next[Name(s)].alias; ports[host(s)] == 1 && alias != nil {
			t.out[resource.ListenerType][host(s)] = alias
		}
	}
}

// service makes what belongs to a service, or takes what was made of it before.
func (t *translation) service(s balance.Service) {
	name := Name(s)
	m, ok := t.last[name]
	if !ok || !same(m.of, s) {
		one := &translation{place: t.place, out: empty()}
		m = made{of: s, alias: one.build(s), resources: one.out, problems: one.problems}
	}
	t.next[name] = m
	for typ, of := range m.resources {
		maps.Copy(t.out[typ], of)
	}
	t.problems = append(t.problems, m.problems...)
}

func same(a, b balance.Service) bool {
	return a.NamespacedName == b.NamespacedName && a.Port == b.Port && a.PortName == b.PortName && a.AppProtocol == b.AppProtocol && a.Affinity == b.Affinity &&
		slices.EqualFunc(a.Localities, b.Localities, func(a, b balance.Locality) bool {
			return a.Cluster == b.Cluster && a.Region == b.Region && a.Zone == b.Zone && a.Weight == b.Weight && a.Drain == b.Drain && slices.Equal(a.Endpoints, b.Endpoints)
		})
}

// build makes the resources of a service. It returns the listener by the other name that gRPC clients may have for it.
func (t *translation) build(s balance.Service) types.Resource {
	t.backend(s)
	if !t.place.GRPC {
		return nil
	}
	name := Name(s)
	t.add(resource.RouteType, name, grpcRoutes(s))
	api := &listenerv3.ApiListener{ApiListener: pack(manager(name, name))}
	t.add(resource.ListenerType, name, &listenerv3.Listener{Name: name, ApiListener: api})
	return &listenerv3.Listener{Name: host(s), ApiListener: api}
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

// backend makes the cluster of a service and, if clients are to get its endpoints apart, these.
func (t *translation) backend(s balance.Service) {
	name := Name(s)
	named := anyNamed(s)
	if named && t.place.GRPC {
		s = t.addressed(s)
		named = anyNamed(s)
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

func anyNamed(s balance.Service) bool {
	return slices.ContainsFunc(s.Localities, func(l balance.Locality) bool { return slices.ContainsFunc(l.Endpoints, isNamed) })
}

// addressed is a service as far as gRPC clients can use it: they take addresses, or else one host name, the nearest.
func (t *translation) addressed(s balance.Service) balance.Service {
	var addresses []balance.Locality
	all, left := 0, 0
	for _, l := range s.Localities {
		all += len(l.Endpoints)
		l.Endpoints = slices.DeleteFunc(slices.Clone(l.Endpoints), isNamed)
		left += len(l.Endpoints)
		addresses = append(addresses, l)
	}
	if all > 1 {
		t.tell(resource.ClusterType, Name(s), false, "gRPC clients cannot be sent to several host names, or to host names beside addresses: "+
			"only its addresses are used, or else its nearest host name")
	}
	nearest := t.place.rank(s.Localities)
	if left > 0 || len(nearest) == 0 {
		s.Localities = addresses
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
