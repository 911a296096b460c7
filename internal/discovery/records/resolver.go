package records

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/plan/naming"
)

// Lookup asks DNS for the addresses of a host, and how long they hold. No addresses and no error means that it has none.
type Lookup func(ctx context.Context, host string) (addresses []string, ttl time.Duration, err error)

const (
	// least and most bound how often a host name is looked up.
	least = 10 * time.Second
	most  = 5 * time.Minute
	// again is the wait after a look-up that failed.
	again = 10 * time.Second
	// none is how long a host name is believed to have no address.
	none = 30 * time.Second
	// lookups is how many are under way at the same time.
	lookups = 8
)

// resolver keeps the addresses of host names that records need, and wakes the records when they change. What DNS does not tell any more
// stays as it was last told.
type resolver struct {
	look Lookup
	wake func(types.NamespacedName)
	kick chan struct{}

	mu    sync.Mutex
	hosts map[string]*host
}

type host struct {
	answer naming.Answer
	next   time.Time
	by     map[types.NamespacedName]bool
}

func newResolver(look Lookup, wake func(types.NamespacedName)) *resolver {
	return &resolver{look: look, wake: wake, kick: make(chan struct{}, 1), hosts: map[string]*host{}}
}

// want says which host names a record needs.
func (r *resolver) want(k types.NamespacedName, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, h := range r.hosts {
		if delete(h.by, k); len(h.by) == 0 && !slices.Contains(names, name) {
			delete(r.hosts, name)
		}
	}
	for _, name := range names {
		h := r.hosts[name]
		if h == nil {
			h = &host{by: map[types.NamespacedName]bool{}}
			r.hosts[name] = h
			select {
			case r.kick <- struct{}{}:
			default:
			}
		}
		h.by[k] = true
	}
}

// answers are those for the host names that a record needs.
func (r *resolver) answers(k types.NamespacedName) map[string]naming.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]naming.Answer{}
	for name, h := range r.hosts {
		if h.by[k] {
			out[name] = h.answer
		}
	}
	return out
}

// run looks host names up until the context ends.
func (r *resolver) run(ctx context.Context) {
	for {
		due, next := r.due(time.Now())
		r.refresh(ctx, due)
		if len(due) > 0 {
			continue
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-r.kick:
			timer.Stop()
		}
	}
}

// due are the host names to look up now, sorted, and the time until the next.
func (r *resolver) due(now time.Time) ([]string, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	next := most
	for _, name := range slices.Sorted(maps.Keys(r.hosts)) {
		if wait := r.hosts[name].next.Sub(now); wait <= 0 {
			out = append(out, name)
		} else {
			next = min(next, wait)
		}
	}
	return out, next
}

func (r *resolver) refresh(ctx context.Context, names []string) {
	slots := make(chan struct{}, lookups)
	var running sync.WaitGroup
	for _, name := range names {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			addresses, ttl, err := r.look(ctx, name)
			for _, k := range r.learn(name, addresses, ttl, err) {
				r.wake(k)
			}
		})
	}
	running.Wait()
}

// learn keeps an answer, and says who is to be woken.
func (r *resolver) learn(name string, addresses []string, ttl time.Duration, err error) []types.NamespacedName {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hosts[name]
	if h == nil {
		return nil // nobody needs it any more
	}
	if err != nil {
		h.next = time.Now().Add(again)
		return nil
	}
	h.next = time.Now().Add(min(max(ttl, least), most))
	slices.Sort(addresses)
	answer := naming.Answer{Known: true, Addresses: slices.Compact(addresses)}
	if h.answer.Known && slices.Equal(h.answer.Addresses, answer.Addresses) {
		return nil
	}
	h.answer = answer
	return slices.Collect(maps.Keys(h.by))
}

// Resolver asks the name servers of a file like /etc/resolv.conf, which is read each time: it may change.
func Resolver(file string) Lookup {
	return func(ctx context.Context, host string) ([]string, time.Duration, error) {
		config, err := dns.ClientConfigFromFile(file)
		if err != nil {
			return nil, 0, fmt.Errorf("read the name servers in %s: %w", file, err)
		}
		return addressesOf(ctx, config, host)
	}
}

// addressesOf asks for both families.
func addressesOf(ctx context.Context, config *dns.ClientConfig, host string) ([]string, time.Duration, error) {
	var out []string
	ttl := most
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		answer, err := query(ctx, config, host, kind)
		if err != nil {
			return nil, 0, fmt.Errorf("look up %s %s: %w", host, dns.TypeToString[kind], err)
		}
		for _, rr := range answer.Answer {
			ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
			switch rr := rr.(type) {
			case *dns.A:
				out = append(out, rr.A.String())
			case *dns.AAAA:
				out = append(out, rr.AAAA.String())
			}
		}
	}
	if len(out) == 0 {
		ttl = none // it may be new
	}
	return out, ttl, nil
}

var errNoServer = errors.New("there is no name server to ask")

// query asks one name server after the other until one answers.
func query(ctx context.Context, config *dns.ClientConfig, host string, kind uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(host), kind)
	last := errNoServer
	for _, server := range config.Servers {
		for _, network := range []string{"udp", "tcp"} {
			c := dns.Client{Net: network, Timeout: 3 * time.Second}
			answer, _, err := c.ExchangeContext(ctx, m, net.JoinHostPort(server, config.Port))
			switch {
			case err != nil:
				last = err
			case answer.Truncated && network == "udp":
				continue
			case answer.Rcode == dns.RcodeSuccess, answer.Rcode == dns.RcodeNameError:
				return answer, nil
			default:
				last = fmt.Errorf("%s answers %s", server, dns.RcodeToString[answer.Rcode])
			}
			if network == "udp" && err == nil {
				break // it has answered: asking by TCP would give the same
			}
		}
	}
	return nil, last
}
