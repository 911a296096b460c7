package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// nodeFurnished waits for a node's mounts and addresses, and opens its gate.
func (s *supervisor) nodeFurnished(c cluster) probe {
	return func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if m := s.children[c.Name][machine]; m != nil {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/root%s", m.pid, furnished)); err != nil {
				return err
			}
		}
		return s.openGateOf(c)
	}
}

// openGates lets all nodes reach all API servers: clusters come and go.
func (s *supervisor) openGates() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.lab.Clusters {
		if m := s.children[c.Name][machine]; m == nil || m.hasEnded() {
			continue
		}
		if err := s.openGateOf(c); err != nil {
			return fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	return nil
}

// openGateOf must be called with the lock held. A node that was started anew has a new network.
func (s *supervisor) openGateOf(c cluster) error {
	m := s.children[c.Name][machine]
	if m == nil || m.hasEnded() {
		return errors.New("the node has ended")
	}
	g := s.gates[c.Name]
	if g != nil && g.node != m.ident {
		g.close()
		g = nil
	}
	if g == nil {
		var err error
		if g, err = openGate(m.ident, s.dir.cluster(c.Name).gateSocket(), c.Ports.Proxy); err != nil {
			return fmt.Errorf("open the gate of the node: %w", err)
		}
		s.gates[c.Name] = g
	}
	var ports []int
	for _, other := range s.lab.Clusters {
		ports = append(ports, other.Ports.API)
	}
	return g.openDoors(ports)
}

func (s *supervisor) pauseLoaded(c cluster) probe {
	m := s.processes(c.Name)[machine]
	if m == nil {
		return func(context.Context) error { return errors.New("there is no node") }
	}
	return pauseLoaded(c, m.pid)
}
