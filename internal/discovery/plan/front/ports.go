package front

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	discv1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
)

// holder is who has a port of a pool.
type holder struct {
	pool *discv1.AddressPool
	who  string
}

// claimant wants a port.
type claimant struct {
	// has says that it was given the port before: it keeps it.
	has     bool
	created metav1.Time
	who     string
	port    int32
	claim   func()
}

// claim gives ports out: first to those who have them, then to the oldest. So nobody who comes later takes away what works.
func (m *maker) claim() []*federated {
	var all []claimant
	for _, g := range m.gateways {
		for port, listeners := range g.wants() {
			all = append(all, claimant{holds(g.pool, port, g.who()), g.CreationTimestamp, g.who(), port, func() {
				m.claimListeners(g, port, listeners)
			}})
		}
	}
	var services []*federated
	for _, f := range m.Federated {
		s := m.newFederated(f)
		services = append(services, s)
		for _, port := range s.tcp {
			all = append(all, claimant{s.had(port) != 0, f.Created, s.who(), port, func() { m.give(s, port) }})
		}
	}
	slices.SortFunc(all, func(a, b claimant) int {
		return cmp.Or(order(b.has)-order(a.has), a.created.Compare(b.created.Time), cmp.Compare(a.who, b.who), cmp.Compare(a.port, b.port))
	})
	for _, c := range all {
		c.claim()
	}
	for _, s := range services {
		s.tell()
	}
	return services
}

// holds says whether a pool has on record that somebody was given a port.
func holds(pool *discv1.AddressPool, port int32, who string) bool {
	return slices.Contains(pool.Status.Ports, discv1.PoolPort{Port: port, UsedBy: who})
}

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// take gives a port of a pool, or says why not.
func (m *maker) take(pool *discv1.AddressPool, port int32, who string) (refused string) {
	if slices.Contains(pool.Spec.ReservedPorts, port) {
		return fmt.Sprintf("port %d is reserved by AddressPool %s", port, pool.Name)
	}
	for _, h := range m.ports[port] {
		if h.pool.Spec.Bind == pool.Spec.Bind || h.pool.Spec.Bind == "" || pool.Spec.Bind == "" {
			return fmt.Sprintf("port %d is taken by %s", port, h.who)
		}
	}
	m.ports[port] = append(m.ports[port], holder{pool, who})
	return ""
}

// pool by name; the first of all if there is no name.
func (m *maker) pool(name string) *discv1.AddressPool {
	for _, p := range m.Pools {
		if p.Name == name || name == "" {
			return p
		}
	}
	return nil
}
