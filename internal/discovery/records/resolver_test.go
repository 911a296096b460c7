package records

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hansa-io/hansa/internal/discovery/rfc2136/dnslab"
)

// Addresses of both families come with the time that they hold; that there is none is an answer, that nobody answers is not.
func TestAddressesOf(t *testing.T) {
	s := dnslab.Bind(t, dnslab.Options{Zones: []string{"one.net"}, Records: []string{"lb.one.net. 40 A 192.0.2.1", "lb.one.net. 30 AAAA 2001:db8::1", "alias.one.net. 20 CNAME lb.one.net."}})
	host, port, err := net.SplitHostPort(s.Address)
	must(t, err)
	config := &dns.ClientConfig{Servers: []string{host}, Port: port}
	for name, want := range map[string]struct {
		addresses []string
		ttl       time.Duration
	}{
		"lb.one.net":    {[]string{"192.0.2.1", "2001:db8::1"}, 30 * time.Second},
		"alias.one.net": {[]string{"192.0.2.1", "2001:db8::1"}, 20 * time.Second},
		"none.one.net":  {nil, none},
	} {
		got, ttl, err := addressesOf(t.Context(), config, name)
		if err != nil || !slices.Equal(got, want.addresses) || ttl != want.ttl {
			t.Errorf("%s: %v for %v, %v", name, got, ttl, err)
		}
	}
	if _, _, err := addressesOf(t.Context(), config, "lb.two.net"); err == nil {
		t.Error("a server that refuses was believed")
	}
	s.Stop()
	if _, _, err := addressesOf(t.Context(), config, "lb.one.net"); err == nil {
		t.Error("a server that is away was believed")
	}
	if _, _, err := Resolver("testdata/nowhere")(t.Context(), "lb.one.net"); err == nil {
		t.Error("a file that is not there was read")
	}
}

// What DNS does not tell any more stays; what it tells anew wakes who needs it, and nobody else.
func TestAnswersStay(t *testing.T) {
	var mu sync.Mutex
	answer, failure := []string{"192.0.2.1"}, error(nil)
	say := func(a []string, err error) {
		mu.Lock()
		defer mu.Unlock()
		answer, failure = a, err
	}
	woken := make(chan types.NamespacedName, 10)
	r := newResolver(func(context.Context, string) ([]string, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		return answer, time.Second, failure
	}, func(k types.NamespacedName) { woken <- k })
	one, two := types.NamespacedName{Name: "one"}, types.NamespacedName{Name: "two"}
	look := func() { r.refresh(t.Context(), []string{"lb.one.net"}) }
	is := func(want ...string) {
		t.Helper()
		if got := r.answers(one)["lb.one.net"]; got.Known != (want != nil) || !slices.Equal(got.Addresses, want) {
			t.Errorf("%+v, not %v", got, want)
		}
	}
	r.want(one, []string{"lb.one.net"})
	say(nil, errors.New("no answer"))
	look()
	is()
	say([]string{"192.0.2.2", "192.0.2.1"}, nil)
	look()
	is("192.0.2.1", "192.0.2.2")
	if k := <-woken; k != one {
		t.Errorf("%v was woken", k)
	}
	say(nil, errors.New("no answer"))
	look()
	is("192.0.2.1", "192.0.2.2")
	say([]string{"192.0.2.1", "192.0.2.2"}, nil)
	look()
	if len(woken) > 0 {
		t.Errorf("%v was woken for nothing", <-woken)
	}
	if len(r.answers(two)) > 0 {
		t.Error("who asked for nothing has an answer")
	}
	r.want(one, nil)
	if due, _ := r.due(time.Now().Add(time.Hour)); len(due) > 0 {
		t.Errorf("%v is looked up for nobody", due)
	}
}
