package survey

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Servers are the DNS servers to ask: by cluster for the names of the cluster set, with "" for clusters without one of their own; and one for
// public names. Empty means that nobody is asked.
type Servers struct {
	Clusterset map[string]string
	Public     string
}

// patience is how long a DNS server has for one answer.
const patience = 3 * time.Second

// Ask adds the answers of DNS servers to a report. Each server is asked for itself: a slow one delays its own answers only.
func Ask(ctx context.Context, r *Report, servers Servers) {
	var all sync.WaitGroup
	for i := range r.Items {
		s := &r.Items[i]
		for n := range s.Clusters {
			server, ok := servers.Clusterset[s.Clusters[n].Name]
			if !ok {
				server = servers.Clusterset[""]
			}
			if server != "" {
				all.Go(func() { s.Clusters[n].DNS = ask(ctx, server, s.DNSName, dns.TypeA, dns.TypeAAAA) })
			}
		}
		for n := range s.Public {
			if servers.Public != "" {
				all.Go(func() {
					s.Public[n].DNS = ask(ctx, servers.Public, s.Public[n].Name, dns.StringToType[s.Public[n].Type])
				})
			}
		}
	}
	all.Wait()
}

// ask sends a query for each type, by UDP, and again by TCP where the answer does not fit.
func ask(ctx context.Context, server, name string, types ...uint16) *Answer {
	a := &Answer{Server: server}
	for _, t := range types {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), t)
		in, err := exchange(ctx, m, server)
		if err != nil {
			a.Problem = err.Error()
			return a
		}
		if a.Code == "" || in.Rcode != dns.RcodeSuccess {
			a.Code = dns.RcodeToString[in.Rcode]
		}
		for _, rr := range in.Answer {
			a.Addresses = append(a.Addresses, valueOf(rr)...)
		}
	}
	slices.Sort(a.Addresses)
	a.Addresses = slices.Compact(a.Addresses)
	return a
}

func exchange(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "53")
	}
	c := &dns.Client{Timeout: patience}
	in, _, err := c.ExchangeContext(ctx, m, server)
	if err == nil && in.Truncated {
		c.Net = "tcp"
		in, _, err = c.ExchangeContext(ctx, m, server)
	}
	return in, err
}

// valueOf is what an address or a name says.
func valueOf(rr dns.RR) []string {
	switch rr := rr.(type) {
	case *dns.A:
		return []string{rr.A.String()}
	case *dns.AAAA:
		return []string{rr.AAAA.String()}
	case *dns.CNAME:
		return []string{rr.Target}
	default:
		return nil
	}
}
