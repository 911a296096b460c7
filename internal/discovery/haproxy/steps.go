package haproxy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// State is what a running HAProxy says of itself.
type State struct {
	Topology string
	// Backends are the servers by name, of each backend by name.
	Backends map[string]map[string]Server
}

// Server as it runs.
type Server struct {
	// At is its address and port as the driver writes them; empty for one that HAProxy resolves.
	At     string
	Weight int
	// Ready is neither in maintenance nor draining on somebody's request. What health checks say is not part of it.
	Ready bool
	// Maintenance is what a server must be in before it can be removed.
	Maintenance bool
	// Checked says that health checks are on.
	Checked bool
}

// Commands that read the state, and what they are read by.
const (
	ShowTopology = "show env " + TopologyVariable
	ShowBackends = "show backend"
	ShowServers  = "show servers state"
)

// Read makes a State of the answers to ShowTopology, ShowBackends and ShowServers.
func Read(topology, backends, servers string) (State, error) {
	s := State{Backends: map[string]map[string]Server{}}
	for line := range strings.Lines(topology) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), TopologyVariable+"="); ok {
			s.Topology = v
		}
	}
	for line := range strings.Lines(backends) {
		if name := strings.TrimSpace(line); name != "" && !strings.HasPrefix(name, "#") {
			s.Backends[name] = map[string]Server{}
		}
	}
	version := false
	for line := range strings.Lines(servers) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "#":
		case !version:
			if version = len(f) == 1 && f[0] == "1"; !version {
				return State{}, fmt.Errorf("answer to %q: version %q instead of 1", ShowServers, strings.TrimSpace(line))
			}
		default:
			backend, name, v, err := readServer(f)
			if err != nil {
				return State{}, fmt.Errorf("answer to %q: %w", ShowServers, err)
			}
			if s.Backends[backend] == nil {
				s.Backends[backend] = map[string]Server{}
			}
			s.Backends[backend][name] = v
		}
	}
	return s, nil
}

// Bits and columns of version 1 of the servers' state: management guide of HAProxy, "show servers state".
const (
	maintenance = 0x01 | 0x02 | 0x20 | 0x40
	forced      = 0x01 | 0x08 // maintenance and drain that were asked for, not those that follow from a name that is not resolved
	checkOn     = 0x04

	backendColumn, nameColumn, addressColumn, adminColumn, weightColumn, checkColumn, fqdnColumn, portColumn = 1, 3, 4, 6, 7, 13, 17, 18
)

func readServer(f []string) (backend, name string, s Server, err error) {
	if len(f) <= portColumn {
		return "", "", s, fmt.Errorf("%d columns of a server, at least %d are needed", len(f), portColumn+1)
	}
	var n [3]int
	for i, column := range []int{adminColumn, weightColumn, checkColumn} {
		if n[i], err = strconv.Atoi(f[column]); err != nil {
			return "", "", s, fmt.Errorf("column %d of server %s/%s: %w", column, f[backendColumn], f[nameColumn], err)
		}
	}
	s = Server{Weight: n[1], Ready: n[0]&forced == 0, Maintenance: n[0]&maintenance != 0, Checked: n[2]&checkOn != 0}
	if f[fqdnColumn] == "-" {
		port, err := strconv.ParseUint(f[portColumn], 10, 16)
		if err != nil {
			return "", "", s, fmt.Errorf("port of server %s/%s: %w", f[backendColumn], f[nameColumn], err)
		}
		s.At = at(f[addressColumn], uint32(port))
	}
	return f[backendColumn], f[nameColumn], s, nil
}

// Steps returns the commands that lead from a state towards c: what is added or raised comes first, what is lowered or removed last, so that
// there is always a server. They are only about backends that run and that c has; the others need a reload, which is due if the topologies differ.
func Steps(from State, c Config) []string {
	var add, raise, lower, remove []string
	for _, p := range c.pools() {
		running, ok := from.Backends[p.name]
		if !ok {
			continue
		}
		wanted := map[string]bool{}
		for _, s := range p.servers {
			wanted[s.name] = true
			v, there := running[s.name]
			switch {
			case there && s.weight < v.Weight:
				lower = append(lower, s.change(p.name, v)...)
			case there:
				raise = append(raise, s.change(p.name, v)...)
			case !s.named:
				add = append(add, s.add(p)...)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(running)) {
			// What HAProxy resolves is topology: it leaves by a reload.
			if !wanted[name] && running[name].At != "" {
				remove = append(remove, removal(p.name+"/"+name, running[name])...)
			}
		}
	}
	return slices.Concat(add, raise, lower, remove)
}

func (s server) add(p pool) []string {
	of := p.name + "/" + s.name
	return []string{
		"add server " + p.name + "/" + s.definition() + " " + p.parameters(),
		"enable health " + of,
		"set server " + of + " state ready",
	}
}

func (s server) change(backend string, from Server) []string {
	of := backend + "/" + s.name
	var out []string
	if host, port, ok := cutPort(s.at); ok && !s.named && from.At != s.at {
		out = append(out, "set server "+of+" addr "+host+" port "+port)
	}
	if !from.Checked {
		out = append(out, "enable health "+of)
	}
	if from.Weight != s.weight {
		out = append(out, fmt.Sprintf("set server %s weight %d", of, s.weight))
	}
	if !from.Ready {
		out = append(out, "set server "+of+" state ready")
	}
	return out
}

// removal of a server that has connections is refused until they have ended; it gets no new ones meanwhile.
func removal(of string, from Server) []string {
	if from.Maintenance {
		return []string{"del server " + of}
	}
	return []string{"set server " + of + " state maint", "del server " + of}
}

func cutPort(at string) (host, port string, ok bool) {
	i := strings.LastIndex(at, ":")
	if i < 0 {
		return "", "", false
	}
	return strings.Trim(at[:i], "[]"), at[i+1:], true
}

// Accepted says whether an answer means that the command was done.
func Accepted(command, answer string) bool {
	answer = strings.TrimSpace(answer)
	switch {
	case strings.HasPrefix(command, "add server "):
		return strings.HasPrefix(answer, "New server registered")
	case strings.HasPrefix(command, "del server "):
		return strings.HasPrefix(answer, "Server deleted")
	case strings.Contains(command, " addr "):
		return !strings.Contains(answer, "nvalid") && !strings.Contains(answer, "rror")
	}
	return answer == ""
}
