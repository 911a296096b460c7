package naming

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// service are the names of a service: global, by region and by zone, and one by prefix.
func (p *Plan) service(w World) []name {
	spec := w.Service.Spec
	if w.Domain == nil {
		p.Hold, p.Domain = true, w.Service.Status.Domain
		p.found(DomainNotFound, fmt.Sprintf("there is no Domain %q (spec.domainRef) in the KubeFed namespace; what was published stays", spec.DomainRef), true)
		return nil
	}
	p.Domain = canonical(w.Domain.Domain)
	of, labels := w.Service.Name, map[string]string(nil)
	if spec.ExternalName != "" {
		of, labels = spec.ExternalName, map[string]string{"serviceName": w.Service.Name}
	}
	stem := strings.ToLower(of + "." + w.Service.Namespace + "." + spec.DomainRef + ".svc")
	global := stem + "." + p.Domain
	if problem := invalid(global); problem != "" {
		p.Hold = true
		p.found(InvalidName, fmt.Sprintf("%s is no DNS name: %s; shorten the names, or set spec.externalName", global, problem), true)
		return nil
	}
	var out []name
	for i, s := range p.Clusters {
		out = add(out, name{dns: global, points: s.Points, labels: labels})
		region := stem + "." + canonical(s.Region) + "." + p.Domain
		if s.Region == "" || invalid(region) != "" {
			p.Clusters[i].Message = joined(s.Message, placeless(s))
			continue
		}
		out = add(out, name{dns: region, points: s.Points, parent: global, labels: labels})
		for _, zone := range s.Zones {
			dns := stem + "." + canonical(zone) + "." + canonical(s.Region) + "." + p.Domain
			if invalid(dns) != "" {
				p.Clusters[i].Message = joined(p.Clusters[i].Message, fmt.Sprintf("its zone %q makes no DNS name", zone))
				continue
			}
			out = add(out, name{dns: dns, points: s.Points, parent: region, labels: labels})
		}
	}
	return p.prefixed(out, spec.DNSPrefix, global)
}

// prefixed adds the name by prefix, which is there even while no other is.
func (p *Plan) prefixed(to []name, prefix, global string) []name {
	if prefix == "" {
		return to
	}
	dns := canonical(prefix) + "." + p.Domain
	taken := slices.ContainsFunc(to, func(n name) bool { return n.dns == dns }) || dns == global
	if problem := invalid(dns); problem != "" || taken {
		if taken {
			problem = "the service has this name already"
		}
		p.found(InvalidName, fmt.Sprintf("spec.dnsPrefix makes %s: %s", dns, problem), true)
		return to
	}
	return append(to, name{dns: dns, parent: global})
}

// ingress are the hosts of an ingress, each with the addresses of all clusters.
func (p *Plan) ingress(w World) []name {
	var out []name
	for _, host := range w.Ingress.Spec.Hosts {
		dns := canonical(host)
		if problem := invalid(dns); problem != "" {
			p.found(InvalidName, fmt.Sprintf("spec.hosts: %q is no DNS name: %s", host, problem), true)
			continue
		}
		for _, s := range p.Clusters {
			out = add(out, name{dns: dns, points: s.Points})
		}
	}
	if len(w.Ingress.Spec.Hosts) == 0 {
		p.found(InvalidName, "spec.hosts is empty: nothing is published", true)
	}
	return out
}

// placeless says why a cluster has no names of its own.
func placeless(s Shard) string {
	switch {
	case len(s.Points) == 0:
		return ""
	case s.Region == "":
		return "its region is not known: its addresses are under the global name only"
	default:
		return fmt.Sprintf("its region %q makes no DNS name: its addresses are under the global name only", s.Region)
	}
}

func joined(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "" || a == b || strings.HasSuffix(a, "; "+b):
		return a
	default:
		return a + "; " + b
	}
}

// invalid says what is wrong with a name, which may begin with a wildcard; empty if nothing is.
func invalid(dns string) string {
	if len(dns) > validation.DNS1123SubdomainMaxLength {
		return fmt.Sprintf("it has more than %d characters", validation.DNS1123SubdomainMaxLength)
	}
	for i, label := range strings.Split(dns, ".") {
		if label == "*" && i == 0 {
			continue
		}
		switch {
		case len(label) > validation.DNS1123LabelMaxLength:
			return fmt.Sprintf("%q has more than %d characters", label, validation.DNS1123LabelMaxLength)
		case len(validation.IsDNS1123Label(label)) > 0:
			return fmt.Sprintf("%q must be lower case letters, digits and '-', and begin and end without '-'", label)
		}
	}
	return ""
}
