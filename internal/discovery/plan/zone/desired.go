package zone

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	netutils "k8s.io/utils/net"

	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
)

// Source is a DNSEndpoint.
type Source struct {
	Namespace, Name string
	Created         time.Time
	Endpoints       []dnsv1.Endpoint
}

// Desired are the records that DNSEndpoints have in a zone, sorted by name and type, and what cannot be published. A name belongs to the
// longest of the zones that hold it; others are the zones that are served beside this one. A name that two DNSEndpoints have is the older one's.
func Desired(from []Source, o Options, others []string) ([]Record, []Refusal) {
	from = slices.Clone(from)
	slices.SortFunc(from, func(a, b Source) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	var out []Record
	var refused []Refusal
	taken := map[string]string{}
	for _, s := range from {
		where := "crd/" + s.Namespace + "/" + s.Name
		for _, e := range s.Endpoints {
			name := canonical(e.DNSName)
			if !o.holds(name, others) {
				continue
			}
			if by, ok := taken[name]; ok && by != where {
				refused = refuse(refused, name, TakenByOther, "DNSEndpoint %s/%s asks for the name, which is that of %s", s.Namespace, s.Name, strings.TrimPrefix(by, "crd/"))
				continue
			}
			r, refusal := o.record(e, name, where)
			if refusal != nil {
				refused = refuse(refused, name, refusal.Reason, "%s (DNSEndpoint %s/%s)", refusal.Message, s.Namespace, s.Name)
				continue
			}
			taken[name] = where
			out = append(out, r)
		}
	}
	return merge(out), refused
}

// holds says whether a name is published in this zone.
func (o Options) holds(name string, others []string) bool {
	return within(name, o.Zone) && !slices.ContainsFunc(others, func(other string) bool {
		return len(other) > len(o.Zone) && within(name, other)
	})
}

// record makes a record of an endpoint, or says why not.
func (o Options) record(e dnsv1.Endpoint, name, where string) (Record, *Refusal) {
	r := Record{Set: Set{Name: name, Type: strings.ToUpper(e.RecordType), TTL: o.TTL}, Resource: where}
	if e.RecordTTL > 0 {
		r.TTL = uint32(min(e.RecordTTL, math.MaxInt32))
	}
	bad := func(target string) *Refusal {
		return &Refusal{name, InvalidTarget, "the target " + `"` + target + `"` + " is none of type " + r.Type}
	}
	if !slices.Contains(types, r.Type) {
		return r, &Refusal{name, UnsupportedType, "records of type \"" + e.RecordType + "\" are not published here, only A, AAAA and CNAME"}
	}
	for _, target := range e.Targets {
		ip := netutils.ParseIPSloppy(target)
		switch {
		case r.Type == "CNAME" && (ip != nil || canonical(target) == "" || canonical(target) == name):
			return r, bad(target)
		case r.Type == "CNAME":
			r.Values = append(r.Values, canonical(target))
		case ip == nil || netutils.IsIPv6(ip) != (r.Type == "AAAA"):
			return r, bad(target)
		default:
			r.Values = append(r.Values, ip.String())
		}
	}
	switch {
	case len(r.Values) == 0:
		return r, &Refusal{name, InvalidTarget, "there is no target"}
	case r.Type == "CNAME" && len(r.Values) > 1:
		return r, &Refusal{name, InvalidTarget, "a CNAME has one target"}
	case r.Type == "CNAME" && name == o.Zone:
		return r, &Refusal{name, CNAMEAtApex, "at the apex of a zone there can be no CNAME"}
	}
	return r, nil
}

// merge joins records of the same name and type; addresses win over a CNAME.
func merge(all []Record) []Record {
	slices.SortStableFunc(all, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Type, b.Type))
	})
	var out []Record
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].Name == r.Name {
			if r.Type == "CNAME" {
				continue
			}
			if out[n-1].Type == r.Type {
				out[n-1].Values = append(slices.Clone(out[n-1].Values), r.Values...)
				continue
			}
		}
		out = append(out, r)
	}
	for i := range out {
		slices.Sort(out[i].Values)
		out[i].Values = slices.Compact(out[i].Values)
	}
	return out
}

func canonical(dns string) string { return strings.ToLower(strings.TrimSuffix(dns, ".")) }
