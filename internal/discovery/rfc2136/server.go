package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/hansa-io/hansa/internal/discovery/plan/zone"
)

// Key signs messages (TSIG, RFC 8945).
type Key struct {
	Name, Algorithm string
	// Secret in base64.
	Secret string
}

// Server is the primary of a zone.
type Server struct {
	// Address is host:port.
	Address string
	// Zone without the dot at the end.
	Zone string
	// Key may be nil: messages are not signed then.
	Key *Key
}

const (
	// patience is how long one message may take.
	patience = 5 * time.Second
	// fudge is by how many seconds the clocks may differ.
	fudge = 300
	// batch is how many records one update has at most; a DNS message has 64 KiB.
	batch = 200
)

func (s Server) apex() string { return dns.Fqdn(s.Zone) }

// sign adds the key to a message, and returns the secrets to check the answer by; nil for no key.
func (s Server) sign(m *dns.Msg) map[string]string {
	if s.Key == nil {
		return nil
	}
	name := dns.CanonicalName(s.Key.Name)
	m.SetTsig(name, dns.Fqdn(s.Key.Algorithm), fudge, time.Now().Unix())
	return map[string]string{name: s.Key.Secret}
}

// ask sends a message by TCP. The answer has been checked, and says that it was done.
func (s Server) ask(ctx context.Context, act string, m *dns.Msg) (*dns.Msg, error) {
	c := dns.Client{Net: "tcp", Timeout: patience}
	c.TsigSecret = s.sign(m)
	answer, _, err := c.ExchangeContext(ctx, m, s.Address)
	if fault := s.fault(act, answer, err); fault != nil {
		return nil, fault
	}
	return answer, nil
}

// Serial is that of the zone's SOA record, which changes with the zone.
func (s Server) Serial(ctx context.Context) (uint32, error) {
	m := new(dns.Msg)
	m.SetQuestion(s.apex(), dns.TypeSOA)
	m.RecursionDesired = false
	answer, err := s.ask(ctx, "ask for the SOA record", m)
	if err != nil {
		return 0, err
	}
	for _, rr := range answer.Answer {
		if soa, ok := rr.(*dns.SOA); ok && dns.CanonicalName(soa.Hdr.Name) == dns.CanonicalName(s.apex()) && answer.Authoritative {
			return soa.Serial, nil
		}
	}
	return 0, s.notTheZone("ask for the SOA record")
}

// Transfer reads the whole zone (AXFR), with the serial that it had. It returns all of it or an error.
func (s Server) Transfer(ctx context.Context) ([]zone.Set, uint32, error) {
	const act = "transfer the zone"
	ctx, cancel := context.WithTimeout(ctx, 12*patience)
	defer cancel()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, 0, s.fault(act, nil, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	m := new(dns.Msg)
	m.SetAxfr(s.apex())
	t := &dns.Transfer{Conn: &dns.Conn{Conn: conn}, ReadTimeout: patience, WriteTimeout: patience}
	t.TsigSecret = s.sign(m) // with it, the library takes no message that is not signed
	envelopes, err := t.In(m, s.Address)
	if err != nil {
		conn.Close()
		return nil, 0, s.fault(act, nil, err)
	}
	var all []dns.RR
	for e := range envelopes {
		if e.Error != nil {
			err = errors.Join(err, e.Error)
		}
		all = append(all, e.RR...)
	}
	if err != nil {
		return nil, 0, s.transferFault(act, err)
	}
	// The library has seen to it that the first and the last record are the zone's SOA, so that nothing is missing.
	return setsOf(all), all[0].(*dns.SOA).Serial, nil //nolint:forcetypeassert // as said
}

// setsOf groups records by name and type, sorted.
func setsOf(all []dns.RR) []zone.Set {
	type key struct{ name, kind string }
	at := map[key]int{}
	var out []zone.Set
	for _, rr := range all {
		h := rr.Header()
		if h.Rrtype == dns.TypeSOA {
			continue // it is there twice
		}
		k := key{strings.TrimSuffix(dns.CanonicalName(h.Name), "."), dns.TypeToString[h.Rrtype]}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, zone.Set{Name: k.name, Type: k.kind, TTL: h.Ttl})
		}
		out[i].Values = append(out[i].Values, valueOf(rr))
	}
	for i := range out {
		slices.Sort(out[i].Values)
	}
	return out
}

func valueOf(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.String()
	case *dns.AAAA:
		return rr.AAAA.String()
	case *dns.CNAME:
		return strings.TrimSuffix(dns.CanonicalName(rr.Target), ".")
	default:
		return strings.TrimPrefix(rr.String(), rr.Header().String())
	}
}

// recordsOf makes records of a set.
func recordsOf(s zone.Set) ([]dns.RR, error) {
	var out []dns.RR
	for _, v := range s.Values {
		if s.Type == "CNAME" {
			v = dns.Fqdn(v)
		}
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", dns.Fqdn(s.Name), s.TTL, s.Type, v))
		if err != nil {
			return nil, fmt.Errorf("make a record of %s %s: %w", s.Name, s.Type, err)
		}
		out = append(out, rr)
	}
	return out, nil
}

// empty is a record that stands for a set, whatever it holds.
func empty(s zone.Set) []dns.RR {
	return []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: dns.Fqdn(s.Name), Rrtype: dns.StringToType[s.Type]}}}
}

// message is one update of the zone.
func (s Server) message(steps []zone.Step) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetUpdate(s.apex())
	for _, step := range steps {
		for _, n := range step.Needs {
			switch n.Kind {
			case zone.Free:
				m.NameNotUsed(empty(n.Set))
			case zone.Absent:
				m.RRsetNotUsed(empty(n.Set))
			case zone.Exactly:
				rrs, err := recordsOf(n.Set)
				if err != nil {
					return nil, err
				}
				m.Used(rrs)
			}
		}
		for _, d := range step.Delete {
			m.RemoveRRset(empty(d))
		}
		for _, a := range step.Add {
			rrs, err := recordsOf(a)
			if err != nil {
				return nil, err
			}
			m.Insert(rrs)
		}
	}
	return m, nil
}

// Update takes the steps, as many at once as a message holds, and returns those that were not taken because the zone was not as they need
// it, or because the server does not allow them, by name. An error is about all of them.
func (s Server) Update(ctx context.Context, steps []zone.Step) (map[string]error, error) {
	left := map[string]error{}
	for len(steps) > 0 {
		n, size := 0, 0
		for n < len(steps) && (n == 0 || size+weight(steps[n]) <= batch) {
			size += weight(steps[n])
			n++
		}
		if err := s.take(ctx, steps[:n], left); err != nil {
			return left, err
		}
		steps = steps[n:]
	}
	return left, nil
}

// weight is the number of records that a step takes in a message.
func weight(s zone.Step) int {
	n := 0
	for _, need := range s.Needs {
		n += max(1, len(need.Set.Values))
	}
	for _, a := range s.Add {
		n += len(a.Values)
	}
	return n + len(s.Delete)
}

// take sends steps in one message; where the server refuses it because of one of them, by halves.
func (s Server) take(ctx context.Context, steps []zone.Step, left map[string]error) error {
	m, err := s.message(steps)
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, "update the zone", m)
	var fault *Fault
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &fault) || !fault.oneOf:
		return err
	case len(steps) == 1:
		left[steps[0].Name] = fault
		return nil
	}
	half := len(steps) / 2
	if err := s.take(ctx, steps[:half], left); err != nil {
		return err
	}
	return s.take(ctx, steps[half:], left)
}
