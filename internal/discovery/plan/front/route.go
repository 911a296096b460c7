package front

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	mcsv1 "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hansa-io/hansa/internal/discovery/balance"
)

// route is one of any kind.
type route struct {
	metav1.Object
	kind      gwv1.Kind
	hostnames []gwv1.Hostname
	parents   []gwv1.ParentReference
	rules     []rule
	status    gwv1.RouteStatus
	// unsupported names a field that cannot be honoured; empty if there is none.
	unsupported string
}

// rule of a route.
type rule struct {
	path    string
	matches []balance.Match
	refs    []gwv1.BackendRef
	// backends are those of refs that can be used.
	backends []balance.Backend
}

func (r *route) name() types.NamespacedName {
	return types.NamespacedName{Namespace: r.GetNamespace(), Name: r.GetName()}
}

func tcpRoute(of *gwv1.TCPRoute) *route {
	r := &route{Object: of, kind: "TCPRoute", parents: of.Spec.ParentRefs, status: of.Status.RouteStatus}
	for n, in := range of.Spec.Rules {
		if n > 0 {
			r.unsupported = "spec.rules[1]: TCP has nothing to tell rules apart by, one is supported"
			break
		}
		r.rules = append(r.rules, rule{path: fmt.Sprintf("spec.rules[%d]", n), refs: in.BackendRefs, matches: []balance.Match{{}}})
	}
	return r
}

// route attaches a route to the listeners of its parents, and says to each parent what came of it. Parents that are not ours are left
// alone, as is what other controllers have said.
func (m *maker) route(r *route, told map[types.NamespacedName]gwv1.RouteStatus) {
	resolved := m.resolve(r)
	out := gwv1.RouteStatus{Parents: []gwv1.RouteParentStatus{}}
	for _, p := range r.status.Parents {
		if p.ControllerName != Controller {
			out.Parents = append(out.Parents, p)
		}
	}
	ours := false
	for _, ref := range r.parents {
		g := m.parent(r, ref)
		if g == nil {
			continue
		}
		ours = true
		accepted := m.attach(r, ref, g)
		out.Parents = append(out.Parents, gwv1.RouteParentStatus{
			ParentRef: ref, ControllerName: Controller,
			Conditions: renew(before(r.status, ref), r.GetGeneration(), m.Now, accepted, resolved),
		})
	}
	if ours || len(out.Parents) != len(r.status.Parents) {
		told[r.name()] = out
	}
}

// before is what the status has said of a parent.
func before(s gwv1.RouteStatus, ref gwv1.ParentReference) []metav1.Condition {
	for _, p := range s.Parents {
		if p.ControllerName == Controller && sameParent(p.ParentRef, ref) {
			return p.Conditions
		}
	}
	return nil
}

func sameParent(a, b gwv1.ParentReference) bool {
	return a.Name == b.Name && ptr.Equal(a.Namespace, b.Namespace) && ptr.Equal(a.SectionName, b.SectionName) && ptr.Equal(a.Port, b.Port)
}

// parent is the Gateway that a reference means; nil if it is not ours.
func (m *maker) parent(r *route, ref gwv1.ParentReference) *gateway {
	if ptr.Deref(ref.Kind, "Gateway") != "Gateway" || ptr.Deref(ref.Group, gwv1.GroupName) != gwv1.GroupName {
		return nil
	}
	return m.gateways[types.NamespacedName{Namespace: string(ptr.Deref(ref.Namespace, gwv1.Namespace(r.GetNamespace()))), Name: string(ref.Name)}]
}

// attach joins a route with the listeners that its reference means and that take it. Each step leaves fewer; the first that leaves none
// is the reason.
func (m *maker) attach(r *route, ref gwv1.ParentReference, g *gateway) metav1.Condition {
	meant := keep(g.listeners, func(l *listener) bool {
		return (ref.SectionName == nil || *ref.SectionName == l.Name) && (ref.Port == nil || *ref.Port == l.Port)
	})
	if len(meant) == 0 {
		return no("Accepted", "NoMatchingParent", "the Gateway has no listener of the reference's sectionName and port")
	}
	allowed := keep(meant, func(l *listener) bool { return m.allows(g, l, r) })
	if len(allowed) == 0 {
		return no("Accepted", "NotAllowedByListeners", fmt.Sprintf("no listener takes a %s from namespace %s: see allowedRoutes and status.listeners of the Gateway", r.kind, r.GetNamespace()))
	}
	fitting := keep(allowed, func(l *listener) bool { return len(hosts(l, r)) > 0 })
	if len(fitting) == 0 {
		return no("Accepted", "NoMatchingListenerHostname", "spec.hostnames and the listeners have no host name in common")
	}
	if r.unsupported != "" {
		return no("Accepted", "UnsupportedValue", r.unsupported)
	}
	free := keep(fitting, func(l *listener) bool {
		return l.protocol != balance.TCP || len(l.attached) == 0 || l.attached[r.name().String()]
	})
	if len(free) == 0 {
		return no("Accepted", "Conflicted", "an older TCPRoute has the listener: TCP has nothing to tell two apart by")
	}
	for _, l := range free {
		if id := r.name().String(); !l.attached[id] {
			l.attached[id] = true
			l.routes = append(l.routes, r.ranked(hosts(l, r))...)
		}
	}
	return yes("Accepted", "Accepted", "")
}

func keep(in []*listener, f func(*listener) bool) []*listener {
	return slices.DeleteFunc(slices.Clone(in), func(l *listener) bool { return !f(l) })
}

// allows says whether a listener takes routes of that kind from that namespace.
func (m *maker) allows(g *gateway, l *listener, r *route) bool {
	if !slices.ContainsFunc(l.kinds, func(k gwv1.RouteGroupKind) bool { return k.Kind == r.kind }) {
		return false
	}
	var from *gwv1.RouteNamespaces
	if l.AllowedRoutes != nil {
		from = l.AllowedRoutes.Namespaces
	}
	if from == nil {
		from = &gwv1.RouteNamespaces{}
	}
	switch ptr.Deref(from.From, gwv1.NamespacesFromSame) {
	case gwv1.NamespacesFromAll:
		return true
	case gwv1.NamespacesFromSame:
		return g.Namespace == r.GetNamespace()
	case gwv1.NamespacesFromSelector:
		selector, err := metav1.LabelSelectorAsSelector(from.Selector)
		return err == nil && selector.Matches(m.Namespaces[r.GetNamespace()])
	default:
		return false
	}
}

// hosts are the host names that a listener and a route have in common; "" is all.
func hosts(l *listener, r *route) []string {
	own := strings.ToLower(string(ptr.Deref(l.Hostname, "")))
	if len(r.hostnames) == 0 || l.protocol == balance.TCP {
		return []string{own}
	}
	var out []string
	for _, h := range r.hostnames {
		if common, ok := intersect(own, strings.ToLower(string(h))); ok {
			out = append(out, common)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// intersect is the narrower of two host names, if one is within the other.
func intersect(a, b string) (string, bool) {
	switch {
	case within(a, b):
		return a, true
	case within(b, a):
		return b, true
	default:
		return "", false
	}
}

// within says whether all that a matches, b matches.
func within(a, b string) bool {
	if b == "" || a == b {
		return true
	}
	suffix, wild := strings.CutPrefix(b, "*")
	return wild && strings.HasSuffix(a, suffix)
}

// resolve finds the backends of a route's rules. Those that cannot be used are left out of the model, and told.
func (m *maker) resolve(r *route) metav1.Condition {
	out := yes("ResolvedRefs", "ResolvedRefs", "")
	for n := range r.rules {
		for k, ref := range r.rules[n].refs {
			b, problem := m.backend(r, ref)
			if problem.Type == "" {
				r.rules[n].backends = append(r.rules[n].backends, b)
				continue
			}
			if out.Status == metav1.ConditionTrue {
				problem.Message = fmt.Sprintf("%s.backendRefs[%d]: %s", r.rules[n].path, k, problem.Message)
				out = problem
			}
		}
	}
	return out
}

// backend is the port of a service that a reference means, or what is wrong with it.
func (m *maker) backend(r *route, ref gwv1.BackendRef) (balance.Backend, metav1.Condition) {
	bad := func(reason, format string, args ...any) (balance.Backend, metav1.Condition) {
		return balance.Backend{}, no("ResolvedRefs", reason, fmt.Sprintf(format, args...))
	}
	if kind := ptr.Deref(ref.Kind, "Service"); kind != "ServiceImport" || ptr.Deref(ref.Group, "") != mcsv1.GroupName {
		return bad("InvalidKind", "kind %s is no backend here: group %s, kind ServiceImport means the service of that name in all clusters", kind, mcsv1.GroupName)
	}
	name := types.NamespacedName{Namespace: string(ptr.Deref(ref.Namespace, gwv1.Namespace(r.GetNamespace()))), Name: string(ref.Name)}
	if name.Namespace != r.GetNamespace() && !m.granted(r, name) {
		return bad("RefNotPermitted", "no ReferenceGrant in namespace %s lets a %s of namespace %s refer to ServiceImport %s", name.Namespace, r.kind, r.GetNamespace(), name.Name)
	}
	ports := m.services[name]
	if len(ports) == 0 {
		return bad("BackendNotFound", "no cluster exports service %s with a TCP port", name)
	}
	port := ptr.Deref(ref.Port, 0)
	if port == 0 && len(ports) == 1 {
		port = ports[0]
	}
	if !slices.Contains(ports, port) {
		return bad("BackendNotFound", "port must be one of service %s: %s", name, strings.Trim(fmt.Sprint(ports), "[]"))
	}
	return balance.Backend{NamespacedName: name, Port: port, Weight: int(ptr.Deref(ref.Weight, 1))}, metav1.Condition{}
}

// granted says whether the namespace of a backend lets a route refer to it.
func (m *maker) granted(r *route, to types.NamespacedName) bool {
	for _, g := range m.Grants {
		from := slices.ContainsFunc(g.Spec.From, func(f gwv1.ReferenceGrantFrom) bool {
			return f.Group == gwv1.GroupName && f.Kind == r.kind && string(f.Namespace) == r.GetNamespace()
		})
		if from && g.Namespace == to.Namespace && slices.ContainsFunc(g.Spec.To, func(t gwv1.ReferenceGrantTo) bool {
			return t.Group == mcsv1.GroupName && t.Kind == "ServiceImport" && (t.Name == nil || *t.Name == "" || string(*t.Name) == to.Name)
		}) {
			return true
		}
	}
	return false
}

// ranked is a route of the model with what decides when it is tried.
type ranked struct {
	balance.Route
	host  string
	match balance.Match
	// age is the time of the route it comes from, at its place there.
	age metav1.Time
	at  int
}

// ranked makes one route of the model for each host name and match: their order does not follow from the rules' order alone.
func (r *route) ranked(hosts []string) []ranked {
	var out []ranked
	at := 0
	for _, rule := range r.rules {
		for _, match := range rule.matches {
			for _, host := range hosts {
				to := balance.Route{Name: r.name().String(), Backends: rule.backends}
				if host != "" {
					to.Hosts = []string{host}
				}
				if !empty(match) {
					to.Matches = []balance.Match{match}
				}
				out = append(out, ranked{Route: to, host: host, match: match, age: r.GetCreationTimestamp(), at: at})
			}
			at++
		}
	}
	return out
}

func empty(m balance.Match) bool {
	return m.Exact == "" && m.Prefix == "" && m.Method == "" && len(m.Headers) == 0
}

// inOrder puts the most particular first, as the Gateway API has it: host names, then exact paths, then longer prefixes, then methods,
// then more headers; of what is alike the oldest, by name, by place.
func inOrder(in []ranked) []balance.Route {
	slices.SortStableFunc(in, func(a, b ranked) int {
		return cmp.Or(
			order(strings.HasPrefix(a.host, "*") || a.host == "")-order(strings.HasPrefix(b.host, "*") || b.host == ""),
			cmp.Compare(len(b.host), len(a.host)), cmp.Compare(a.host, b.host),
			order(b.match.Exact != "")-order(a.match.Exact != ""),
			cmp.Compare(len(b.match.Prefix), len(a.match.Prefix)),
			order(b.match.Method != "")-order(a.match.Method != ""),
			cmp.Compare(len(b.match.Headers), len(a.match.Headers)),
			a.age.Compare(b.age.Time), cmp.Compare(a.Name, b.Name), cmp.Compare(a.at, b.at),
		)
	})
	var out []balance.Route
	for _, r := range in {
		out = append(out, r.Route)
	}
	return out
}
