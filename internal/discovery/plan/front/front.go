// Package front answers: what do the load balancers listen to, where does it lead, and what is told of it? It turns Gateways with their
// routes and FederatedServices into the listeners of the model, each at an address and port that nobody else has. It is pure.
package front

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// Controller is the name that a GatewayClass says in order to be ours.
const Controller = gwv1.GatewayController("kubefed.io/gateway-controller")

// World is all that a decision may look at.
type World struct {
	Classes    []*gwv1.GatewayClass
	Gateways   []*gwv1.Gateway
	HTTPRoutes []*gwv1.HTTPRoute
	TCPRoutes  []*gwv1.TCPRoute
	Grants     []*gwv1.ReferenceGrant
	// Namespaces of the host, with their labels.
	Namespaces map[string]labels.Set
	// Pools are the AddressPools of Home, the KubeFed namespace.
	Pools []*discv1.AddressPool
	Home  string
	// Federated are all FederatedServices.
	Federated []Federated
	// Services are all that can be balanced, sorted by name and port.
	Services []balance.Service
	Now      metav1.Time
}

// Plan is what the load balancers listen to, and what everybody is told. Every object of the world that is ours is in it.
type Plan struct {
	Listeners  []balance.Listener
	Classes    map[string]gwv1.GatewayClassStatus
	Gateways   map[types.NamespacedName]gwv1.GatewayStatus
	HTTPRoutes map[types.NamespacedName]gwv1.RouteStatus
	TCPRoutes  map[types.NamespacedName]gwv1.RouteStatus
	Pools      map[string]discv1.AddressPoolStatus
	// Federated has nil where nothing is to be told.
	Federated map[types.NamespacedName]*Told
}

// Make decides. Equal worlds give equal plans, in whatever order their objects come.
func Make(w World) Plan {
	w = sorted(w)
	p := Plan{
		Classes: map[string]gwv1.GatewayClassStatus{}, Gateways: map[types.NamespacedName]gwv1.GatewayStatus{},
		HTTPRoutes: map[types.NamespacedName]gwv1.RouteStatus{}, TCPRoutes: map[types.NamespacedName]gwv1.RouteStatus{},
		Pools: map[string]discv1.AddressPoolStatus{}, Federated: map[types.NamespacedName]*Told{},
	}
	m := &maker{World: w, gateways: map[types.NamespacedName]*gateway{}, services: map[types.NamespacedName][]int32{}, ports: map[int32][]holder{}}
	for _, s := range w.Services {
		m.services[s.NamespacedName] = append(m.services[s.NamespacedName], s.Port)
	}
	m.classes(p.Classes)
	federated := m.claim()
	for _, r := range w.HTTPRoutes {
		m.route(httpRoute(r), p.HTTPRoutes)
	}
	for _, r := range w.TCPRoutes {
		m.route(tcpRoute(r), p.TCPRoutes)
	}
	for _, g := range m.gateways {
		p.Gateways[g.name()] = m.gatewayStatus(g)
		p.Listeners = append(p.Listeners, g.model()...)
	}
	for _, f := range federated {
		p.Federated[f.NamespacedName] = f.told
		p.Listeners = append(p.Listeners, m.model(f)...)
	}
	for _, pool := range w.Pools {
		p.Pools[pool.Name] = m.poolStatus(pool)
	}
	slices.SortFunc(p.Listeners, func(a, b balance.Listener) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Name, b.Name))
	})
	return p
}

// maker is a plan in the making.
type maker struct {
	World
	gateways map[types.NamespacedName]*gateway
	// services are the ports of what can be balanced.
	services map[types.NamespacedName][]int32
	ports    map[int32][]holder
}

// sorted puts the oldest first: it is asked first, and keeps what two want.
func sorted(w World) World {
	w.Classes, w.Gateways = byAge(w.Classes), byAge(w.Gateways)
	w.HTTPRoutes, w.TCPRoutes, w.Grants = byAge(w.HTTPRoutes), byAge(w.TCPRoutes), byAge(w.Grants)
	w.Pools = slices.SortedFunc(slices.Values(w.Pools), func(a, b *discv1.AddressPool) int { return cmp.Compare(a.Name, b.Name) })
	return w
}

func byAge[T metav1.Object](in []T) []T {
	return slices.SortedFunc(slices.Values(in), func(a, b T) int {
		at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
		return cmp.Or(at.Compare(bt.Time), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
}

// classes takes the Gateways whose class is ours, and says so to their classes.
func (m *maker) classes(told map[string]gwv1.GatewayClassStatus) {
	ours := map[gwv1.ObjectName]bool{}
	for _, c := range m.Classes {
		if c.Spec.ControllerName != Controller {
			continue
		}
		accepted := yes("Accepted", "Accepted", "Gateways of this class become listeners of the load balancers that Hansa configures")
		if c.Spec.ParametersRef != nil {
			accepted = no("Accepted", "InvalidParameters", "spec.parametersRef is not supported: remove it; AddressPools say where the load balancers answer")
		}
		ours[gwv1.ObjectName(c.Name)] = accepted.Status == metav1.ConditionTrue
		status := *c.Status.DeepCopy()
		status.Conditions = renew(c.Status.Conditions, c.Generation, m.Now, accepted)
		told[c.Name] = status
	}
	for _, g := range m.Gateways {
		if ours[g.Spec.GatewayClassName] && g.DeletionTimestamp == nil {
			m.gateways[types.NamespacedName{Namespace: g.Namespace, Name: g.Name}] = m.newGateway(g)
		}
	}
}

func (m *maker) poolStatus(pool *discv1.AddressPool) discv1.AddressPoolStatus {
	var s discv1.AddressPoolStatus
	for _, port := range slices.Sorted(maps.Keys(m.ports)) {
		for _, h := range m.ports[port] {
			if h.pool == pool {
				s.Ports = append(s.Ports, discv1.PoolPort{Port: port, UsedBy: h.who})
			}
		}
	}
	s.InUse = int32(len(s.Ports)) //nolint:gosec // there are 65535 ports
	s.Ports = s.Ports[:min(len(s.Ports), maxPoolPorts)]
	return s
}

// maxPoolPorts bounds the size of a pool's status.
const maxPoolPorts = 4000
