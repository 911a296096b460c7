package haproxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// pool is one backend of HAProxy: two levels of a service, the second as backup servers. A request that finds all servers of the first dead is
// sent again to the second, which would be too late for a choice of the frontend; the frontend chooses the pool after it, of which there
// always is one, so that a level more is no change of the topology.
type pool struct {
	name    string
	next    string // the pool that is used if no server here can be; empty for the last
	mode    Mode
	service Service
	servers []server // sorted by name
}

// server of a pool. Its name says all that cannot change while it is there.
type server struct {
	name   string
	at     string // address and port
	weight int    // 1 to 256
	backup bool
	named  bool
}

const (
	levels    = 4   // two in each of two pools
	maxWeight = 256 // HAProxy's
)

// pools returns the backends that the listeners use.
func (c Config) pools() []pool {
	type use struct {
		service string
		mode    Mode
	}
	used := map[use]bool{}
	for _, l := range c.Listeners {
		for _, s := range l.Services() {
			used[use{s, l.Mode}] = true
		}
	}
	known := map[string]Service{}
	for _, s := range c.Services {
		known[s.Name] = s
	}
	var out []pool
	for u := range used {
		s := known[u.service]
		near, far := poolName(u.service, u.mode), poolName(u.service, u.mode)+".far"
		out = append(out,
			pool{name: near, next: far, mode: u.mode, service: s, servers: s.servers(0, 2)},
			pool{name: far, mode: u.mode, service: s, servers: s.servers(2, levels)})
	}
	slices.SortFunc(out, func(a, b pool) int { return cmp.Compare(a.name, b.name) })
	return out
}

// Services are the names of those that a listener sends to.
func (l Listener) Services() []string {
	targets := slices.Clone(l.Targets)
	for _, h := range l.Hosts {
		for _, r := range h.Routes {
			targets = append(targets, r.Targets...)
		}
	}
	set := map[string]bool{}
	for _, t := range targets {
		if t.Weight > 0 {
			set[t.Service] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func poolName(service string, m Mode) string { return word(service) + "." + string(m) }

// servers returns those of some levels that get something. A server that is not among them any more leaves when its connections have ended:
// that is all that drains it. An endpoint that is in two levels has the better one.
func (s Service) servers(from, to int) []server {
	seen := map[string]bool{}
	var out []server
	for i, places := range s.Levels {
		level := min(i, levels-1)
		if level < from || level >= to {
			continue
		}
		for _, v := range share(places) {
			if seen[v.name] {
				continue
			}
			seen[v.name] = true
			if v.backup = level > from; v.backup {
				v.name += "-backup"
			}
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b server) int { return cmp.Compare(a.name, b.name) })
	return out
}

// share returns the servers of a level with their weights, the largest of them 256.
func share(places []Place) []server {
	weighted := slices.ContainsFunc(places, func(p Place) bool { return p.Weight > 0 })
	var out []server
	var parts []float64
	most := 0.0
	for _, p := range places {
		sum := 0.0
		for _, e := range p.Endpoints {
			sum += e.weight()
		}
		for _, e := range p.Endpoints {
			v := e.weight()
			if weighted && sum > 0 {
				v *= float64(p.Weight) / sum
			}
			if v > 0 {
				out = append(out, server{name: e.name(), at: e.at(), named: e.Named})
				parts, most = append(parts, v), max(most, v)
			}
		}
	}
	for i := range out {
		out[i].weight = max(1, int(math.Round(parts[i]/most*maxWeight)))
	}
	return out
}

func (e Endpoint) weight() float64 {
	if !e.Usable {
		return 0
	}
	return float64(max(1, e.Weight))
}

func (e Endpoint) name() string {
	return word(e.Address + ":" + strconv.FormatUint(uint64(e.Port), 10))
}

func (e Endpoint) at() string { return at(e.Address, e.Port) }

func at(address string, port uint32) string {
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	return address + ":" + strconv.FormatUint(uint64(port), 10)
}

// word makes a name that HAProxy accepts, a different one for each s. A slash becomes an underscore, which names in Kubernetes do not have.
func word(s string) string {
	odd := s == ""
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-.:", r):
			return r
		case r != '/':
			odd = true
		}
		return '_'
	}, s)
	if odd {
		sum := sha256.Sum256([]byte(s))
		out += "-" + hex.EncodeToString(sum[:4])
	}
	return out
}
