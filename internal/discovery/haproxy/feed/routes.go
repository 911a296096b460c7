package feed

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/hansa-io/hansa/internal/discovery/haproxy"
)

func decodeHosts(c *routev3.RouteConfiguration) ([]haproxy.Host, error) {
	var out []haproxy.Host
	for _, v := range c.GetVirtualHosts() {
		h := haproxy.Host{}
		for _, d := range v.GetDomains() {
			n, err := hostOf(d)
			if err != nil {
				return nil, fmt.Errorf("virtual host %s: %w", v.GetName(), err)
			}
			h.Names = append(h.Names, n)
		}
		for i, r := range v.GetRoutes() {
			route, err := decodeRoute(r)
			if err != nil {
				return nil, fmt.Errorf("virtual host %s: route %d: %w", v.GetName(), i, err)
			}
			h.Routes = append(h.Routes, route)
		}
		out = append(out, h)
	}
	return out, nil
}

// hostOf returns a domain without its port: HAProxy's listener has only one.
func hostOf(domain string) (string, error) {
	if host, _, err := net.SplitHostPort(domain); err == nil {
		domain = host
	}
	domain = strings.ToLower(domain)
	if domain != "*" && !hostName.MatchString(strings.TrimPrefix(domain, "*.")) {
		return "", fmt.Errorf("domain %q is neither a host name, nor *. and a domain, nor *", domain)
	}
	return domain, nil
}

func decodeRoute(r *routev3.Route) (haproxy.Route, error) {
	out, err := decodeMatch(r.GetMatch())
	if err != nil {
		return out, err
	}
	switch a := r.GetAction().(type) {
	case *routev3.Route_DirectResponse:
		if out.Status = a.DirectResponse.GetStatus(); out.Status < 200 || out.Status > 599 {
			return out, fmt.Errorf("direct_response: status %d is not between 200 and 599", out.Status)
		}
	case *routev3.Route_Route:
		if a.Route.GetPrefixRewrite() != "" || a.Route.GetHostRewriteSpecifier() != nil || a.Route.GetRegexRewrite() != nil {
			return out, errors.New("route: rewriting is not supported")
		}
		switch c := a.Route.GetClusterSpecifier().(type) {
		case *routev3.RouteAction_Cluster:
			out.Targets = []haproxy.Target{{Service: c.Cluster, Weight: 1}}
		case *routev3.RouteAction_WeightedClusters:
			for _, w := range c.WeightedClusters.GetClusters() {
				out.Targets = append(out.Targets, haproxy.Target{Service: w.GetName(), Weight: w.GetWeight().GetValue()})
			}
		default:
			return out, errors.New("route: only cluster and weighted_clusters are supported")
		}
	default:
		return out, errors.New("only route and direct_response are supported")
	}
	if len(r.GetRequestHeadersToAdd())+len(r.GetRequestHeadersToRemove())+len(r.GetResponseHeadersToAdd())+len(r.GetResponseHeadersToRemove()) > 0 {
		return out, errors.New("changing headers is not supported")
	}
	return out, nil
}

var token = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func decodeMatch(m *routev3.RouteMatch) (haproxy.Route, error) {
	var out haproxy.Route
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		out.Prefix = p.Prefix
	case *routev3.RouteMatch_Path:
		out.Exact = p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		out.Segments = p.PathSeparatedPrefix
	default:
		return out, errors.New("match: only prefix, path and path_separated_prefix are supported")
	}
	if err := plain("match: path", out.Prefix+out.Exact+out.Segments); err != nil {
		return out, err
	}
	if len(m.GetQueryParameters()) > 0 || m.GetRuntimeFraction() != nil || m.GetGrpc() != nil || m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue() {
		return out, errors.New("match: only paths, methods and headers are supported, with case")
	}
	for _, h := range m.GetHeaders() {
		v, ok := exact(h)
		switch {
		case !ok:
			return out, fmt.Errorf("match: header %s: only an exact value is supported", h.GetName())
		case h.GetName() == ":method":
			out.Method = v
		case !token.MatchString(h.GetName()):
			return out, fmt.Errorf("match: header %q cannot be matched", h.GetName())
		default:
			out.Headers = append(out.Headers, haproxy.Header{Name: strings.ToLower(h.GetName()), Value: v})
		}
		if err := plain("match: header "+h.GetName(), v); err != nil {
			return out, err
		}
	}
	return out, nil
}

// exact returns the value that a header must have.
func exact(h *routev3.HeaderMatcher) (string, bool) {
	if h.GetInvertMatch() || h.GetTreatMissingHeaderAsEmpty() {
		return "", false
	}
	s, ok := h.GetStringMatch().GetMatchPattern().(*matcherv3.StringMatcher_Exact)
	if !ok || h.GetStringMatch().GetIgnoreCase() {
		return "", false
	}
	return s.Exact, true
}
