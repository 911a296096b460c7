package feed

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

// The types of resources, in the order in which a change of all is without a gap.
const (
	clusterType  = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	endpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routeType    = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// known is what was sent and can be used.
type known struct {
	listeners map[string]listener
	clusters  map[string]cluster
	routes    map[string][]haproxy.Host
	endpoints map[string][][]haproxy.Place
}

// take takes an answer of one type. What is wrong in it is told; of that, what was known stays.
func (k *known) take(typeURL string, resources []*anypb.Any) error {
	switch typeURL {
	case listenerType:
		return takeAll(&k.listeners, resources, true, func(a *anypb.Any) (string, listener, error) {
			m, err := as(a, &listenerv3.Listener{})
			return convert(m.GetName(), m, err, decodeListener)
		})
	case clusterType:
		return takeAll(&k.clusters, resources, true, func(a *anypb.Any) (string, cluster, error) {
			m, err := as(a, &clusterv3.Cluster{})
			return convert(m.GetName(), m, err, decodeCluster)
		})
	case routeType:
		return takeAll(&k.routes, resources, false, func(a *anypb.Any) (string, []haproxy.Host, error) {
			m, err := as(a, &routev3.RouteConfiguration{})
			return convert(m.GetName(), m, err, decodeHosts)
		})
	case endpointType:
		return takeAll(&k.endpoints, resources, false, func(a *anypb.Any) (string, [][]haproxy.Place, error) {
			m, err := as(a, &endpointv3.ClusterLoadAssignment{})
			return convert(m.GetClusterName(), m, err, decodeEndpoints)
		})
	}
	return fmt.Errorf("nobody has asked for resources of type %s", typeURL)
}

func convert[M, V any](name string, m M, err error, decode func(M) (V, error)) (string, V, error) {
	var v V
	if err != nil {
		return name, v, err
	}
	v, err = decode(m)
	return name, v, err
}

// takeAll reads resources into a map. If they are complete, what is not among them is gone.
func takeAll[V any](into *map[string]V, resources []*anypb.Any, complete bool, decode func(*anypb.Any) (string, V, error)) error {
	next := map[string]V{}
	if !complete {
		next = maps.Clone(*into)
	}
	if next == nil {
		next = map[string]V{}
	}
	var errs []error
	for _, a := range resources {
		name, v, err := decode(a)
		if err == nil {
			next[name] = v
			continue
		}
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
		if old, ok := (*into)[name]; ok {
			next[name] = old
		}
	}
	*into = next
	return errors.Join(errs...)
}

// routeNames and endpointNames are what listeners and clusters refer to: also the listeners of gRPC clients and clusters without a
// listener, for a server may wait until all that it has is asked for before it answers.
func (k *known) routeNames() []string {
	return names(k.listeners, func(l listener) string { return l.routes })
}

func (k *known) endpointNames() []string {
	return names(k.clusters, func(c cluster) string { return c.endpoints })
}

func names[V any](of map[string]V, name func(V) string) []string {
	set := map[string]bool{}
	for _, v := range of {
		if n := name(v); n != "" {
			set[n] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// prune forgets what nothing refers to.
func (k *known) prune() {
	routes, endpoints := k.routeNames(), k.endpointNames()
	maps.DeleteFunc(k.routes, func(n string, _ []haproxy.Host) bool { return !slices.Contains(routes, n) })
	maps.DeleteFunc(k.endpoints, func(n string, _ [][]haproxy.Place) bool { return !slices.Contains(endpoints, n) })
}

// config is what is wanted as far as it is known. missing names what was not sent yet: routes, clusters or endpoints that a listener needs.
func (k *known) config() (c haproxy.Config, missing []string) {
	needed := map[string]bool{}
	for _, l := range k.listeners {
		if !l.bound {
			continue
		}
		if l.routes != "" {
			hosts, ok := k.routes[l.routes]
			if !ok {
				missing = append(missing, "routes "+l.routes)
			}
			l.Hosts = hosts
		}
		for _, s := range l.Services() {
			needed[s] = true
		}
		c.Listeners = append(c.Listeners, l.Listener)
	}
	for name := range needed {
		v, ok := k.clusters[name]
		switch {
		case !ok:
			missing = append(missing, "cluster "+name)
			continue
		case v.endpoints != "":
			if v.Levels, ok = k.endpoints[v.endpoints]; !ok {
				missing = append(missing, "endpoints "+v.endpoints)
			}
		}
		c.Services = append(c.Services, v.Service)
	}
	slices.SortFunc(c.Listeners, func(a, b haproxy.Listener) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Services, func(a, b haproxy.Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(missing)
	return c, missing
}
