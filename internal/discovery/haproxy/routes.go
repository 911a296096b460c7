package haproxy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// write writes a frontend. First it chooses the host, then the route, then the target, each once: a variable that is set stays. Values
// that others have chosen stand in named ACLs only, where nothing but the end of the line ends them.
func (l Listener) write(w *text, pools []pool) {
	w.line("\nfrontend %s from hansa", word(l.Name))
	w.line("  mode %s", l.Mode)
	w.line("  bind %s", l.bind())
	set := "http-request set-var(txn.to)"
	if l.Mode == TCP {
		w.line("  timeout client 1h")
		set = "tcp-request content set-var(txn.to)"
		split(w, set, "", TCP, l.Targets)
	} else {
		w.line("  option forwardfor")
		l.choose(w)
		for i, h := range l.Hosts {
			for j, r := range h.Routes {
				r.write(w, set, i, fmt.Sprintf("h%d.r%d", i, j))
			}
		}
		w.line("  http-request return status 404 content-type text/plain string 'no route' if !{ var(txn.to) -m found }")
	}
	l.spill(w, pools)
	w.line("  use_backend %%[var(txn.to)] if { var(txn.to) -m found }")
}

func (l Listener) bind() string {
	if l.Address == "::" {
		return at(l.Address, l.Port) + " v4v6"
	}
	return at(l.Address, l.Port)
}

// choose sets the number of the host: whole names before those of domains, long ones before short ones, all hosts last.
func (l Listener) choose(w *text) {
	type name struct {
		rank  int
		match string
		host  int
	}
	var names []name
	for i, h := range l.Hosts {
		for _, n := range h.Names {
			switch {
			case n == "*":
				names = append(names, name{2, "", i})
			case strings.HasPrefix(n, "*"):
				names = append(names, name{1, n[1:], i})
			default:
				names = append(names, name{0, n, i})
			}
		}
	}
	slices.SortStableFunc(names, func(a, b name) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(len(b.match), len(a.match)), cmp.Compare(a.match, b.match))
	})
	for i, n := range names {
		unless := "!{ var(txn.host) -m found }"
		if n.rank < 2 {
			w.line("  acl n%d req.hdr(host),host_only,lower -m %s -- %s", i, []string{"str", "end"}[n.rank], quote(n.match))
			unless = fmt.Sprintf("n%d %s", i, unless)
		}
		w.line("  http-request set-var(txn.host) int(%d) if %s", n.host, unless)
	}
}

// write chooses the target if the route matches.
func (r Route) write(w *text, set string, host int, name string) {
	when := fmt.Sprintf("{ var(txn.host) -m int %d }", host)
	acl := func(suffix, test string) {
		w.line("  acl %s.%s %s", name, suffix, test)
		if !strings.HasSuffix(when, "."+suffix) {
			when += " " + name + "." + suffix
		}
	}
	if r.Exact != "" {
		acl("path", "path -m str -- "+quote(r.Exact))
	}
	if r.Prefix != "" && r.Prefix != "/" {
		acl("path", "path -m beg -- "+quote(r.Prefix))
	}
	if r.Segments != "" {
		acl("path", "path -m str -- "+quote(r.Segments)) // two ACLs of one name: either
		acl("path", "path -m beg -- "+quote(r.Segments+"/"))
	}
	if r.Method != "" {
		acl("method", "method -m str -- "+quote(r.Method))
	}
	for i, h := range r.Headers {
		acl(fmt.Sprintf("header%d", i), fmt.Sprintf("req.fhdr(%s) -m str -- %s", h.Name, quote(h.Value)))
	}
	if total(r.Targets) > 0 {
		split(w, set, when, HTTP, r.Targets)
		return
	}
	w.line("  http-request return status %s if !{ var(txn.to) -m found } %s", answer(or(r.Status, 500)), when)
}

// answer is a status with a body, if it may have one.
func answer(status uint32) string {
	if status == 204 || status == 205 || status == 304 {
		return fmt.Sprint(status)
	}
	return fmt.Sprintf("%d content-type text/plain string 'no backend'", status)
}

// split lets each target have its share of those that the targets before it did not get.
func split(w *text, set, when string, m Mode, targets []Target) {
	left := total(targets)
	for _, t := range targets {
		if t.Weight == 0 {
			continue
		}
		line := strings.TrimRight(fmt.Sprintf("  %s str(%s) if !{ var(txn.to) -m found } %s", set, poolName(t.Service, m), when), " ")
		if uint64(t.Weight) < left {
			line += fmt.Sprintf(" { rand(%d) lt %d }", left, t.Weight)
		}
		left -= uint64(t.Weight)
		w.line("%s", line)
	}
}

func total(targets []Target) uint64 {
	var sum uint64
	for _, t := range targets {
		sum += uint64(t.Weight)
	}
	return sum
}

// spill goes to the next pool if nothing in the chosen one can be used, but something there can.
func (l Listener) spill(w *text, pools []pool) {
	used := map[string]bool{}
	for _, s := range l.Services() {
		used[poolName(s, l.Mode)] = true
	}
	for _, p := range pools {
		if p.next != "" && used[p.name] {
			w.line("  use_backend %s if { var(txn.to) -m str %s } { nbsrv(%s) eq 0 } { nbsrv(%s) gt 0 }", p.next, p.name, p.name, p.next)
		}
	}
}
