package front

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// gateway is one of ours.
type gateway struct {
	*gwv1.Gateway
	pool *discv1.AddressPool
	// refused is why the whole Gateway is not accepted, unassigned why it has no address; nil if neither.
	refused, unassigned *metav1.Condition
	listeners           []*listener
}

// listener is one of a Gateway.
type listener struct {
	gwv1.Listener
	protocol balance.Protocol
	kinds    []gwv1.RouteGroupKind
	// accepted, resolved and conflicted are what it is told.
	accepted, resolved, conflicted metav1.Condition
	// given says that it has its port.
	given    bool
	attached map[string]bool
	routes   []ranked
}

func (g *gateway) name() types.NamespacedName {
	return types.NamespacedName{Namespace: g.Namespace, Name: g.Name}
}

func (g *gateway) who() string { return "Gateway " + g.name().String() }

func (m *maker) newGateway(of *gwv1.Gateway) *gateway {
	g := &gateway{Gateway: of}
	for _, spec := range of.Spec.Listeners {
		g.listeners = append(g.listeners, newListener(spec))
	}
	for n, l := range g.listeners {
		for _, other := range g.listeners[n+1:] {
			conflict(l, other)
		}
	}
	g.refused = refusal(of)
	if g.refused == nil {
		g.pool, g.unassigned = m.poolFor(of)
	}
	return g
}

// refusal names what in a Gateway cannot be done.
func refusal(g *gwv1.Gateway) *metav1.Condition {
	if g.Spec.Infrastructure != nil && g.Spec.Infrastructure.ParametersRef != nil {
		return ptr.To(no("Accepted", "InvalidParameters", "spec.infrastructure.parametersRef is not supported: remove it"))
	}
	for n, a := range g.Spec.Addresses {
		if t := ptr.Deref(a.Type, gwv1.IPAddressType); t != gwv1.IPAddressType && t != gwv1.HostnameAddressType {
			return ptr.To(no("Accepted", "UnsupportedAddress", fmt.Sprintf("spec.addresses[%d].type must be IPAddress or Hostname, is %s", n, t)))
		}
	}
	return nil
}

// poolFor is the pool with all addresses that a Gateway asks for; the first if it asks for none.
func (m *maker) poolFor(g *gwv1.Gateway) (*discv1.AddressPool, *metav1.Condition) {
	if len(m.Pools) == 0 {
		return nil, ptr.To(no("Programmed", "AddressNotAssigned", fmt.Sprintf("there is no AddressPool in namespace %s: make one that says where the load balancers answer", m.Home)))
	}
	var asked []string
	for _, a := range g.Spec.Addresses {
		if a.Value != "" {
			asked = append(asked, a.Value)
		}
	}
	for _, p := range m.Pools {
		has := func(value string) bool {
			return slices.ContainsFunc(p.Spec.Addresses, func(a discv1.PoolAddress) bool { return a.IP == value || a.Hostname == value })
		}
		if !slices.ContainsFunc(asked, func(value string) bool { return !has(value) }) {
			return p, nil
		}
	}
	return nil, ptr.To(no("Programmed", "AddressNotUsable", fmt.Sprintf("no AddressPool in namespace %s has %s: see spec.addresses", m.Home, strings.Join(asked, " and "))))
}

func newListener(spec gwv1.Listener) *listener {
	l := &listener{
		Listener: spec, attached: map[string]bool{},
		accepted:   yes("Accepted", "Accepted", ""),
		resolved:   yes("ResolvedRefs", "ResolvedRefs", ""),
		conflicted: no("Conflicted", "NoConflicts", ""),
	}
	kind := gwv1.Kind("")
	switch spec.Protocol {
	case gwv1.HTTPProtocolType:
		l.protocol, kind = balance.HTTP, "HTTPRoute"
	case gwv1.TCPProtocolType:
		l.protocol, kind = balance.TCP, "TCPRoute"
	case gwv1.HTTPSProtocolType, gwv1.TLSProtocolType:
		l.accepted = no("Accepted", "UnsupportedProtocol", fmt.Sprintf("protocol %s is not supported: TLS is passed through by a listener of protocol TCP with a TCPRoute", spec.Protocol))
	default:
		l.accepted = no("Accepted", "UnsupportedProtocol", fmt.Sprintf("protocol %s is not supported: HTTP and TCP are", spec.Protocol))
	}
	l.kinds = []gwv1.RouteGroupKind{}
	if kind != "" {
		l.allow(gwv1.RouteGroupKind{Group: ptr.To(gwv1.Group(gwv1.GroupName)), Kind: kind})
	}
	return l
}

// allow takes the kind of routes that the protocol has, if the listener lets it.
func (l *listener) allow(kind gwv1.RouteGroupKind) {
	if l.AllowedRoutes == nil || len(l.AllowedRoutes.Kinds) == 0 {
		l.kinds = append(l.kinds, kind)
		return
	}
	var invalid []string
	for _, k := range l.AllowedRoutes.Kinds {
		switch {
		case k.Kind != kind.Kind || ptr.Deref(k.Group, gwv1.GroupName) != *kind.Group:
			invalid = append(invalid, string(k.Kind))
		case len(l.kinds) == 0:
			l.kinds = append(l.kinds, kind)
		}
	}
	if len(invalid) > 0 {
		l.resolved = no("ResolvedRefs", "InvalidRouteKinds", fmt.Sprintf("allowedRoutes.kinds has %s: a listener of protocol %s takes %s", strings.Join(invalid, " and "), l.Protocol, kind.Kind))
	}
}

// conflict tells two listeners of one Gateway that they cannot both be.
func conflict(a, b *listener) {
	if a.Port != b.Port || a.protocol == "" || b.protocol == "" {
		return
	}
	var reason, what string
	switch {
	case a.protocol != b.protocol:
		reason, what = "ProtocolConflict", "another protocol"
	case a.protocol == balance.TCP:
		reason, what = "ProtocolConflict", "the same port, and TCP has no host names to tell them apart by"
	case ptr.Deref(a.Hostname, "") == ptr.Deref(b.Hostname, ""):
		reason, what = "HostnameConflict", "the same host name"
	default:
		return
	}
	a.conflicted = yes("Conflicted", reason, fmt.Sprintf("listener %s has port %d with %s", b.Name, a.Port, what))
	b.conflicted = yes("Conflicted", reason, fmt.Sprintf("listener %s has port %d with %s", a.Name, b.Port, what))
}

// sound says that the listener can be, if it gets its port.
func (l *listener) sound() bool {
	return l.protocol != "" && l.conflicted.Status == metav1.ConditionFalse
}

// wants are the ports that a Gateway asks for, each with the listeners that share it.
func (g *gateway) wants() map[int32][]*listener {
	out := map[int32][]*listener{}
	for _, l := range g.listeners {
		if g.pool != nil && l.sound() {
			out[l.Port] = append(out[l.Port], l)
		}
	}
	return out
}

func (m *maker) claimListeners(g *gateway, port int32, listeners []*listener) {
	refused := m.take(g.pool, port, g.who())
	for _, l := range listeners {
		if l.given = refused == ""; !l.given {
			l.accepted = no("Accepted", "PortUnavailable", refused)
		}
	}
}

func (m *maker) gatewayStatus(g *gateway) gwv1.GatewayStatus {
	out := *g.Status.DeepCopy()
	out.Addresses, out.Listeners = nil, nil
	given, sound := 0, 0
	for _, l := range g.listeners {
		if l.given {
			given++
		}
		if l.accepted.Status == metav1.ConditionTrue && l.sound() {
			sound++
		}
		out.Listeners = append(out.Listeners, m.listenerStatus(g, l))
	}
	accepted := yes("Accepted", "Accepted", "")
	switch {
	case g.refused != nil:
		accepted = *g.refused
	case sound == 0:
		accepted = no("Accepted", "ListenersNotValid", "no listener can be used: see status.listeners")
	case sound < len(g.listeners):
		accepted = yes("Accepted", "ListenersNotValid", "some listeners cannot be used: see status.listeners")
	}
	programmed := yes("Programmed", "Programmed", "")
	switch {
	case accepted.Status != metav1.ConditionTrue:
		programmed = no("Programmed", "Invalid", "the Gateway is not accepted")
	case g.unassigned != nil:
		programmed = *g.unassigned
	}
	if given > 0 && programmed.Status == metav1.ConditionTrue {
		out.Addresses = addresses(g.pool)
	}
	out.Conditions = renew(g.Status.Conditions, g.Generation, m.Now, accepted, programmed)
	return out
}

func addresses(pool *discv1.AddressPool) []gwv1.GatewayStatusAddress {
	var out []gwv1.GatewayStatusAddress
	for _, a := range pool.Spec.Addresses {
		if a.Hostname != "" {
			out = append(out, gwv1.GatewayStatusAddress{Type: ptr.To(gwv1.HostnameAddressType), Value: a.Hostname})
		} else {
			out = append(out, gwv1.GatewayStatusAddress{Type: ptr.To(gwv1.IPAddressType), Value: a.IP})
		}
	}
	return out
}

func (m *maker) listenerStatus(g *gateway, l *listener) gwv1.ListenerStatus {
	programmed := yes("Programmed", "Programmed", "")
	switch {
	case l.conflicted.Status == metav1.ConditionTrue || l.accepted.Status != metav1.ConditionTrue || g.refused != nil:
		programmed = no("Programmed", "Invalid", "the listener or its Gateway cannot be used as it is")
	case !l.given:
		programmed = no("Programmed", "Pending", "the Gateway has no address")
	}
	var old []metav1.Condition
	for _, s := range g.Status.Listeners {
		if s.Name == l.Name {
			old = s.Conditions
		}
	}
	return gwv1.ListenerStatus{
		Name: l.Name, SupportedKinds: l.kinds, AttachedRoutes: int32(len(l.attached)), //nolint:gosec // nobody has so many
		Conditions: renew(old, g.Generation, m.Now, l.accepted, l.conflicted, programmed, l.resolved),
	}
}

// model is one listener for each port: those of the Gateway that share a port differ in host names, which their routes tell.
func (g *gateway) model() []balance.Listener {
	var out []balance.Listener
	routes := map[int32][]ranked{}
	for _, l := range g.listeners {
		if !l.given {
			continue
		}
		if _, made := routes[l.Port]; !made {
			out = append(out, balance.Listener{Name: fmt.Sprintf("%s/%s", g.name(), l.Name), Address: g.pool.Spec.Bind, Port: l.Port, Protocol: l.protocol})
		}
		routes[l.Port] = append(routes[l.Port], l.routes...)
	}
	for n := range out {
		out[n].Routes = inOrder(routes[out[n].Port])
	}
	return out
}
