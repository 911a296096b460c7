package front

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// Federated is what counts of a FederatedService.
type Federated struct {
	types.NamespacedName
	Created  metav1.Time
	Deleting bool
	// Type and Ports of the template.
	Type  corev1.ServiceType
	Ports []corev1.ServicePort
	// Asked says that its annotation asks for balancing. A service of type LoadBalancer is balanced as well, if there is an AddressPool.
	Asked bool
	// Pool is the AddressPool that it names; empty means any.
	Pool string
	// Told is what its status says; nil if nothing.
	Told *Told
}

// Told is status.loadBalancer of a FederatedService. It is also the record of the ports that it was given.
type Told struct {
	// Address is the first address with its ports, for people.
	Address string    `json:"address,omitempty"`
	Ingress []Ingress `json:"ingress,omitempty"`
	Reason  Reason    `json:"reason"`
	Message string    `json:"message,omitempty"`
}

// Ingress is an address that answers.
type Ingress struct {
	IP       string `json:"ip,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	Ports    []Port `json:"ports"`
}

// Port that answers for a port of the service.
type Port struct {
	Port        int32           `json:"port"`
	Protocol    corev1.Protocol `json:"protocol"`
	ServicePort int32           `json:"servicePort"`
}

// Reason is a word for programs.
type Reason string

// The reasons.
const (
	// Balanced: all TCP ports have an address.
	Balanced Reason = "Balanced"
	// PortsTaken: some ports have none, because others have them.
	PortsTaken Reason = "PortsTaken"
	// NoAddressPool: there is none, or not the one that is named.
	NoAddressPool Reason = "NoAddressPool"
	// NothingToBalance: no port of the service can be.
	NothingToBalance Reason = "NothingToBalance"
)

// federated is one with what it gets.
type federated struct {
	Federated
	pool *discv1.AddressPool
	// tcp are the ports to balance; rest has a sentence about each other one.
	tcp  []int32
	rest []string
	// given are the ports that it gets, refused why others get none.
	given   []Port
	refused map[int32]string
	told    *Told
}

func (f *federated) who() string { return "FederatedService " + f.String() }

// Wanted says that the service is to be balanced.
func (f Federated) Wanted() bool {
	return !f.Deleting && (f.Asked || f.Type == corev1.ServiceTypeLoadBalancer)
}

// newFederated finds the pool of a service, and what of it can be balanced.
func (m *maker) newFederated(of Federated) *federated {
	f := &federated{Federated: of, refused: map[int32]string{}}
	if !f.Wanted() {
		return f
	}
	if f.pool = m.poolOf(f); f.pool == nil {
		f.told = m.withoutPool(f)
		return f
	}
	if f.Type == corev1.ServiceTypeExternalName {
		f.told = &Told{Reason: NothingToBalance, Message: "a service of type ExternalName has no endpoints"}
		return f
	}
	for _, p := range f.Ports {
		if p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
			f.tcp = append(f.tcp, p.Port)
		} else {
			f.rest = append(f.rest, fmt.Sprintf("port %d is %s, which is not balanced", p.Port, p.Protocol))
		}
	}
	if len(f.tcp) == 0 {
		f.told = &Told{Reason: NothingToBalance, Message: cmp.Or(strings.Join(f.rest, "; "), "the template has no ports")}
	}
	return f
}

// withoutPool is what a service is told that has no pool: nothing, if it has not asked.
func (m *maker) withoutPool(f *federated) *Told {
	switch {
	case f.Pool != "":
		return &Told{Reason: NoAddressPool, Message: fmt.Sprintf("there is no AddressPool %s in namespace %s, which annotation %s names", f.Pool, m.Home, discv1.AddressPoolAnnotation)}
	case f.Asked:
		return &Told{Reason: NoAddressPool, Message: fmt.Sprintf("there is no AddressPool in namespace %s: make one that says where the load balancers answer", m.Home)}
	default:
		return nil
	}
}

// poolOf is the pool that the service names, that which it has, or the first.
func (m *maker) poolOf(f *federated) *discv1.AddressPool {
	if f.Pool == "" && f.Told != nil {
		for _, p := range m.Pools {
			if slices.ContainsFunc(f.Told.Ingress, func(in Ingress) bool {
				return slices.Contains(p.Spec.Addresses, discv1.PoolAddress{IP: in.IP, Hostname: in.Hostname})
			}) {
				return p
			}
		}
	}
	return m.pool(f.Pool)
}

// give tries the port that the service had, its own, and the range.
func (m *maker) give(f *federated, own int32) {
	within := f.pool.Spec.PortRange
	try := func(port int32) (refused string) {
		if refused = m.take(f.pool, port, f.who()); refused == "" {
			f.given = append(f.given, Port{Port: port, Protocol: corev1.ProtocolTCP, ServicePort: own})
		}
		return refused
	}
	if had := f.had(own); had != 0 && (had == own || within != nil && within.First <= had && had <= within.Last) && try(had) == "" {
		return
	}
	refused := try(own)
	if refused == "" {
		return
	}
	if within == nil {
		f.refused[own] = fmt.Sprintf("%s, and AddressPool %s has no portRange", refused, f.pool.Name)
		return
	}
	for port := within.First; port <= within.Last; port++ {
		if try(port) == "" {
			return
		}
	}
	f.refused[own] = fmt.Sprintf("%s, and no port is left in the portRange of AddressPool %s", refused, f.pool.Name)
}

// had is the port that the status has on record for one of the service; 0 if none.
func (f *federated) had(own int32) int32 {
	if f.Told == nil {
		return 0
	}
	for _, in := range f.Told.Ingress {
		for _, p := range in.Ports {
			if p.ServicePort == own {
				return p.Port
			}
		}
	}
	return 0
}

// tell says what the service got.
func (f *federated) tell() {
	if len(f.tcp) == 0 {
		return // it is told why
	}
	slices.SortFunc(f.given, func(a, b Port) int { return cmp.Compare(a.ServicePort, b.ServicePort) })
	f.told = &Told{Reason: Balanced}
	var why []string
	for _, port := range f.tcp {
		if refused, ok := f.refused[port]; ok {
			f.told.Reason, why = PortsTaken, append(why, refused)
		}
	}
	f.told.Message = strings.Join(append(why, f.rest...), "; ")
	if len(f.given) == 0 {
		return
	}
	for _, a := range f.pool.Spec.Addresses {
		f.told.Ingress = append(f.told.Ingress, Ingress{IP: a.IP, Hostname: a.Hostname, Ports: f.given})
	}
	first := f.pool.Spec.Addresses[0]
	host := cmp.Or(first.Hostname, first.IP)
	if strings.Contains(first.IP, ":") {
		host = "[" + first.IP + "]"
	}
	var all []string
	for _, p := range f.given {
		all = append(all, fmt.Sprintf("%s:%d", host, p.Port))
	}
	f.told.Address = strings.Join(all, ",")
}

// model are the listeners of a service: each takes connections for one port. One that no cluster has yet closes them.
func (m *maker) model(f *federated) []balance.Listener {
	var out []balance.Listener
	for _, p := range f.given {
		to := balance.Route{Name: f.String()}
		if slices.Contains(m.services[f.NamespacedName], p.ServicePort) {
			to.Backends = []balance.Backend{{NamespacedName: f.NamespacedName, Port: p.ServicePort, Weight: 1}}
		}
		out = append(out, balance.Listener{
			Name: fmt.Sprintf("%s/service:%d", f, p.ServicePort), Address: f.pool.Spec.Bind, Port: p.Port, Protocol: balance.TCP, Routes: []balance.Route{to},
		})
	}
	return out
}
