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

// networkWired waits for the network that a cluster's Pods answer in.
func (s *supervisor) networkWired(c cluster) probe {
	return func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.openGateOf(c)
	}
}

// endOutside ends a component that is left in a network that its holder has no more: the holder was killed and started anew.
func (s *supervisor) endOutside(c cluster, component string) error {
	all := s.processes(c.Name)
	p, holder := all[component], all[c.holder()]
	if p == nil || holder == nil || p.hasEnded() {
		return nil
	}
	network := func(p *process) string {
		name, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", p.pid)) // it has just ended: then it is in none
		return name
	}
	if network(p) == network(holder) {
		return nil
	}
	return killChild(p)
}

// openGates lets all nodes reach all API servers: clusters come and go.
func (s *supervisor) openGates() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.lab.Clusters {
		if m := s.children[c.Name][c.holder()]; m == nil || m.hasEnded() {
			continue
		}
		if err := s.openGateOf(c); err != nil {
			return fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	return nil
}

// openGateOf must be called with the lock held. A network whose holder was started anew is a new one.
func (s *supervisor) openGateOf(c cluster) error {
	m := s.children[c.Name][c.holder()]
	if m == nil || m.hasEnded() {
		return fmt.Errorf("%s has ended", c.holder())
	}
	g := s.gates[c.Name]
	if g != nil && g.holder != m.ident {
		g.close()
		g = nil
	}
	var network *os.File
	if g != nil {
		network = g.network
	} else {
		var err error
		if network, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", m.pid)); err != nil {
			return err
		}
	}
	if c.Answer == inNetwork {
		if err := s.wire(c, network); err != nil {
			return err
		}
	}
	if g == nil {
		var err error
		if g, err = openGate(m.ident, network, s.dir.cluster(c.Name).gateSocket(), c.Ports.Proxy); err != nil {
			return fmt.Errorf("open the gate of %s: %w", c.Name, err)
		}
		s.gates[c.Name] = g
	}
	var ports []int
	for _, other := range s.lab.Clusters {
		ports = append(ports, other.Ports.API)
	}
	return g.openDoors(ports)
}

// wire must be called with the lock held.
func (s *supervisor) wire(c cluster, network *os.File) error {
	if s.wires == nil {
		w, err := newWires(s.lab.Proxy)
		if err != nil {
			return err
		}
		if err := s.dir.noteWires(w); err != nil {
			w.close()
			return err
		}
		s.wires = w
	}
	return s.wires.connect(c, network)
}

func (s *supervisor) pauseLoaded(c cluster) probe {
	m := s.processes(c.Name)[machine]
	if m == nil {
		return func(context.Context) error { return errors.New("there is no node") }
	}
	return pauseLoaded(c, m.pid)
}
