package naming

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	netutils "k8s.io/utils/net"

	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
)

// The types of records that are published.
const (
	A     = "A"
	AAAA  = "AAAA"
	CNAME = "CNAME"
)

// publish makes records of names.
func (p *Plan) publish(w World, names []name) {
	ttl := int64(DefaultTTL)
	if asked := ttlOf(w); asked > 0 {
		ttl = asked
	}
	hosts, unresolved := map[string]bool{}, map[string]bool{}
	for _, n := range names {
		records, pending := n.records(w, hosts)
		for _, host := range pending {
			unresolved[host] = true
		}
		for _, e := range records {
			e.RecordTTL = ttl
			p.Endpoints = append(p.Endpoints, e)
		}
	}
	slices.SortFunc(p.Endpoints, func(a, b dnsv1.Endpoint) int {
		return cmp.Or(strings.Compare(a.DNSName, b.DNSName), strings.Compare(a.RecordType, b.RecordType))
	})
	p.Hosts = slices.Sorted(maps.Keys(hosts))
	if len(unresolved) > 0 {
		p.found(HostNotResolved, fmt.Sprintf("DNS does not tell the addresses of %s; names that need them keep what they have", strings.Join(slices.Sorted(maps.Keys(unresolved)), ", ")), false)
	}
	if !slices.ContainsFunc(p.Clusters, func(s Shard) bool { return len(s.Points) > 0 }) {
		p.found(NothingToPublish, "no cluster has an address to publish: see status.dns", false)
	}
}

func ttlOf(w World) int64 {
	if w.Service != nil {
		return w.Service.Spec.RecordTTL
	}
	return w.Ingress.Spec.RecordTTL
}

// records are those of one name. Host names whose addresses are needed are added to hosts; those that DNS does not tell of are pending.
func (n name) records(w World, hosts map[string]bool) (out []dnsv1.Endpoint, pending []string) {
	byType, names := map[string][]string{}, map[string]bool{}
	for _, pt := range n.points {
		if ip := netutils.ParseIPSloppy(pt.IP); ip != nil {
			byType[family(pt.IP)] = append(byType[family(pt.IP)], ip.String())
		} else if pt.Hostname != "" {
			names[pt.Hostname] = true
		}
	}
	switch {
	case len(n.points) == 0 && n.parent == "":
		return nil, nil
	case len(n.points) == 0:
		return []dnsv1.Endpoint{n.endpoint(CNAME, []string{n.parent})}, nil
	case len(byType) == 0 && len(names) == 1 && !slices.ContainsFunc(w.Apexes, func(apex string) bool { return canonical(apex) == n.dns }):
		return []dnsv1.Endpoint{n.endpoint(CNAME, slices.Collect(maps.Keys(names)))}, nil
	}
	for _, host := range slices.Sorted(maps.Keys(names)) {
		hosts[host] = true
		answer := w.Resolved[host]
		if !answer.Known {
			pending = append(pending, host)
		}
		for _, address := range answer.Addresses {
			byType[family(address)] = append(byType[family(address)], address)
		}
	}
	if was := published(w, n.dns); len(pending) > 0 && len(was) > 0 {
		for _, e := range was {
			out = append(out, n.endpoint(e.RecordType, e.Targets))
		}
		return out, pending
	}
	for _, kind := range slices.Sorted(maps.Keys(byType)) {
		targets := byType[kind]
		slices.Sort(targets)
		out = append(out, n.endpoint(kind, slices.Compact(targets)))
	}
	return out, pending
}

func (n name) endpoint(kind string, targets []string) dnsv1.Endpoint {
	return dnsv1.Endpoint{DNSName: n.dns, RecordType: kind, Targets: targets, Labels: n.labels}
}

func family(ip string) string {
	if netutils.IsIPv6String(ip) {
		return AAAA
	}
	return A
}

// published are the records that a name has now.
func published(w World, dns string) []dnsv1.Endpoint {
	var out []dnsv1.Endpoint
	for _, e := range w.Published {
		if canonical(e.DNSName) == dns {
			out = append(out, e)
		}
	}
	return out
}
