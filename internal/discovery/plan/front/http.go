package front

import (
	"fmt"
	"strings"

	"k8s.io/utils/ptr"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hansa-io/hansa/internal/discovery/balance"
)

func httpRoute(of *gwv1.HTTPRoute) *route {
	r := &route{Object: of, kind: "HTTPRoute", hostnames: of.Spec.Hostnames, parents: of.Spec.ParentRefs, status: of.Status.RouteStatus}
	for n, in := range of.Spec.Rules {
		to := rule{path: fmt.Sprintf("spec.rules[%d]", n)}
		if r.unsupported == "" {
			r.unsupported = unsupported(to.path, in)
		}
		for k, match := range in.Matches {
			m, problem := matchOf(match)
			if problem != "" && r.unsupported == "" {
				r.unsupported = fmt.Sprintf("%s.matches[%d].%s", to.path, k, problem)
			}
			to.matches = append(to.matches, m)
		}
		if len(in.Matches) == 0 {
			to.matches = []balance.Match{{}}
		}
		for _, ref := range in.BackendRefs {
			to.refs = append(to.refs, ref.BackendRef)
		}
		r.rules = append(r.rules, to)
	}
	return r
}

// unsupported names the first field of a rule that no load balancer is told of. A rule that did less than it says would be worse than
// none.
func unsupported(path string, in gwv1.HTTPRouteRule) string {
	if len(in.Filters) > 0 {
		return fmt.Sprintf("%s.filters[0]: filter %s is not supported, nor is any other", path, in.Filters[0].Type)
	}
	for n, b := range in.BackendRefs {
		if len(b.Filters) > 0 {
			return fmt.Sprintf("%s.backendRefs[%d].filters is not supported", path, n)
		}
	}
	for _, field := range []struct {
		name string
		set  bool
	}{{"timeouts", in.Timeouts != nil}, {"retry", in.Retry != nil}, {"sessionPersistence", in.SessionPersistence != nil}} {
		if field.set {
			return fmt.Sprintf("%s.%s is not supported", path, field.name)
		}
	}
	return ""
}

// matchOf is a match as the model has it, or the field that it has not.
func matchOf(in gwv1.HTTPRouteMatch) (out balance.Match, problem string) {
	if p := in.Path; p != nil {
		value := ptr.Deref(p.Value, "/")
		switch t := ptr.Deref(p.Type, gwv1.PathMatchPathPrefix); t {
		case gwv1.PathMatchExact:
			out.Exact = value
		case gwv1.PathMatchPathPrefix:
			out.Prefix = strings.TrimRight(value, "/") // "/" is all
		default:
			return out, fmt.Sprintf("path.type %s is not supported: Exact and PathPrefix are", t)
		}
	}
	seen := map[string]bool{}
	for n, h := range in.Headers {
		if t := ptr.Deref(h.Type, gwv1.HeaderMatchExact); t != gwv1.HeaderMatchExact {
			return out, fmt.Sprintf("headers[%d].type %s is not supported: Exact is", n, t)
		}
		if name := strings.ToLower(string(h.Name)); !seen[name] { // of the same header twice, the first counts
			seen[name] = true
			out.Headers = append(out.Headers, balance.Header{Name: string(h.Name), Value: h.Value})
		}
	}
	if len(in.QueryParams) > 0 {
		return out, "queryParams is not supported"
	}
	out.Method = string(ptr.Deref(in.Method, ""))
	return out, ""
}
