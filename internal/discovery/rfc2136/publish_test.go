package rfc2136

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	discoveryv1alpha1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
	"github.com/hansa-io/hansa/internal/discovery/plan/zone"
	"github.com/hansa-io/hansa/internal/discovery/rfc2136/dnslab"
	"github.com/hansa-io/hansa/internal/lab"
)

const fed = "fed.example.com"

// each runs a test against every DNS server that is installed.
func each(t *testing.T, o dnslab.Options, f func(*testing.T, *dnslab.Server)) {
	for kind, start := range dnslab.Kinds {
		t.Run(kind, func(t *testing.T) { f(t, start(t, o)) })
	}
}

// zoneOf is a zone to be published to a server. Lines are "name type target…".
func zoneOf(s *dnslab.Server, lines ...string) Zone {
	source := zone.Source{Namespace: "shop", Name: "service-web"}
	for _, line := range lines {
		f := strings.Fields(line)
		source.Endpoints = append(source.Endpoints, dnsv1.Endpoint{DNSName: f[0], RecordType: f[1], Targets: f[2:], RecordTTL: 60})
	}
	return Zone{
		Server:  Server{Address: s.Address, Zone: fed, Key: &Key{Name: dnslab.KeyName, Algorithm: dnslab.Algorithm, Secret: s.Secret}},
		Options: zone.Options{Zone: fed, Owner: "hansa", Policy: discoveryv1alpha1.DNSSync, TTL: 180},
		Sources: []zone.Source{source},
	}
}

// want fails the test unless the server answers so; no values is a name that is not there.
func want(t *testing.T, s *dnslab.Server, name, kind string, values ...string) {
	t.Helper()
	got, err := s.Look(name, kind)
	switch {
	case len(values) == 0:
		if err == nil && len(got) > 0 || err != nil && !strings.HasSuffix(err.Error(), "NXDOMAIN") {
			t.Errorf("%s %s is there: %v %v", name, kind, got, err)
		}
	case err != nil:
		t.Error(err)
	default:
		if diff := gocmp.Diff(values, got); diff != "" {
			t.Errorf("%s %s: %s", name, kind, diff)
		}
	}
}

func good(t *testing.T, z Zone, changed, owned int) {
	t.Helper()
	got := Publish(t.Context(), z)
	if got.Fault != nil || got.Changed != changed || got.Owned == nil || *got.Owned != owned {
		t.Fatalf("%+v: changed %d, not %d; ours %v, not %d", got.Fault, got.Changed, changed, got.Owned, owned)
	}
}

// fault fails the test unless publishing fails for this reason, in words that name what they must.
func fault(t *testing.T, z Zone, reason string, stalls bool, words ...string) Outcome {
	t.Helper()
	got := Publish(t.Context(), z)
	if got.Fault == nil || got.Fault.Reason != reason || got.Fault.Stalls != stalls {
		t.Fatalf("not %s: %+v", reason, got.Fault)
	}
	for _, w := range words {
		if !strings.Contains(got.Fault.Message, w) {
			t.Errorf("%q does not say %q", got.Fault.Message, w)
		}
	}
	return got
}

const mark = `60 TXT "heritage=external-dns,external-dns/owner=hansa,external-dns/resource=crd/shop/service-web"`

func TestCreateChangeDelete(t *testing.T) {
	each(t, dnslab.Options{Zones: []string{fed}}, func(t *testing.T, s *dnslab.Server) {
		good(t, zoneOf(s, "web."+fed+" A 1.1.1.1 2.2.2.2", "web."+fed+" AAAA 2001:db8::1", "eu.web."+fed+" CNAME web."+fed, "*.w."+fed+" A 3.3.3.3"), 3, 4)
		want(t, s, "web."+fed, "A", "60 A 1.1.1.1", "60 A 2.2.2.2")
		want(t, s, "web."+fed, "AAAA", "60 AAAA 2001:db8::1")
		want(t, s, "any.w."+fed, "A", "60 A 3.3.3.3")
		want(t, s, "eu.web."+fed, "CNAME", "60 CNAME web."+fed+".")
		want(t, s, "a-web."+fed, "TXT", mark)
		want(t, s, "cname-eu.web."+fed, "TXT", mark)

		// Nothing is written that is there.
		good(t, zoneOf(s, "web."+fed+" A 2.2.2.2 1.1.1.1", "web."+fed+" AAAA 2001:db8::1", "eu.web."+fed+" CNAME web."+fed+".", "*.w."+fed+" A 3.3.3.3"), 0, 4)

		// An address becomes an alias and the other way round, a family goes, a name goes.
		good(t, zoneOf(s, "web."+fed+" A 2.2.2.2", "eu.web."+fed+" A 4.4.4.4"), 3, 2)
		want(t, s, "web."+fed, "A", "60 A 2.2.2.2")
		want(t, s, "web."+fed, "AAAA")
		want(t, s, "aaaa-web."+fed, "TXT")
		want(t, s, "eu.web."+fed, "A", "60 A 4.4.4.4")
		want(t, s, "any.w."+fed, "A")
		good(t, zoneOf(s, "web."+fed+" CNAME lb.example.net", "eu.web."+fed+" A 4.4.4.4"), 1, 2)
		want(t, s, "web."+fed, "A", "60 CNAME lb.example.net.")

		// What somebody has damaged is mended.
		s.Edit(fed, "delete eu.web."+fed+". A", "delete cname-web."+fed+". TXT")
		got := Publish(t.Context(), zoneOf(s, "web."+fed+" CNAME lb.example.net", "eu.web."+fed+" A 4.4.4.4"))
		want(t, s, "eu.web."+fed, "A", "60 A 4.4.4.4")
		if got.Fault == nil || got.Fault.Reason != NamesRefused || !strings.Contains(got.Fault.Message, "web."+fed) {
			t.Errorf("without its mark the record is nobody's: %+v", got.Fault)
		}
		s.Edit(fed, "delete web."+fed+". CNAME")
		good(t, zoneOf(s), 1, 0)
		want(t, s, "eu.web."+fed, "A")
		want(t, s, "a-eu.web."+fed, "TXT")
		want(t, s, "ns."+fed, "A", "60 A 127.0.0.1")
	})
}

func TestPolicies(t *testing.T) {
	each(t, dnslab.Options{Zones: []string{fed}}, func(t *testing.T, s *dnslab.Server) {
		z := zoneOf(s, "web."+fed+" A 1.1.1.1", "old."+fed+" A 1.1.1.1")
		good(t, z, 2, 2)
		z = zoneOf(s, "web."+fed+" A 2.2.2.2")
		z.Options.Policy = discoveryv1alpha1.DNSUpsertOnly
		good(t, z, 1, 2)
		want(t, s, "old."+fed, "A", "60 A 1.1.1.1")
		z.Options.Policy = discoveryv1alpha1.DNSWithdraw
		good(t, z, 2, 0)
		want(t, s, "web."+fed, "A")
		want(t, s, "ns."+fed, "A", "60 A 127.0.0.1")
	})
}

// What is not ours is never touched, whether it was there before or comes in between.
func TestOtherOwners(t *testing.T) {
	records := []string{
		"mail." + fed + ". A 9.9.9.9", "has." + fed + `. TXT "v=spf1"`,
		"theirs." + fed + ". A 8.8.8.8", "a-theirs." + fed + `. TXT "heritage=external-dns,external-dns/owner=other,external-dns/resource=service/x/y"`,
		"sub." + fed + ". NS ns.example.net.",
	}
	each(t, dnslab.Options{Zones: []string{fed}, Records: records}, func(t *testing.T, s *dnslab.Server) {
		z := zoneOf(s, "mail."+fed+" A 1.1.1.1", "theirs."+fed+" A 1.1.1.1", "has."+fed+" CNAME web."+fed, "in.sub."+fed+" A 1.1.1.1", "web."+fed+" A 1.1.1.1")
		got := fault(t, z, NamesRefused, true, "mail."+fed)
		if i := slices.IndexFunc(got.Refused, func(r zone.Refusal) bool { return r.Name == "theirs."+fed }); i < 0 || !strings.Contains(got.Refused[i].Message, `owner "other"`) {
			t.Errorf("the other owner is not named: %+v", got.Refused)
		}
		var reasons []string
		for _, r := range got.Refused {
			reasons = append(reasons, r.Name+" "+r.Reason)
		}
		if diff := gocmp.Diff([]string{"has." + fed + " OwnedByOther", "in.sub." + fed + " Delegated", "mail." + fed + " OwnedByOther", "theirs." + fed + " OwnedByOther"}, reasons); diff != "" {
			t.Error(diff)
		}
		want(t, s, "web."+fed, "A", "60 A 1.1.1.1")
		want(t, s, "mail."+fed, "A", "60 A 9.9.9.9")
		want(t, s, "theirs."+fed, "A", "60 A 8.8.8.8")

		// A step that was decided before somebody else came is not taken; those beside it are.
		ctx := t.Context()
		desired, _ := zone.Desired([]zone.Source{zoneOf(s, "late."+fed+" A 1.1.1.1", "fine."+fed+" A 1.1.1.1", "web."+fed+" A 5.5.5.5").Sources[0]}, z.Options, nil)
		current, _, err := z.Server.Transfer(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p := zone.Diff(current, desired, z.Options)
		s.Edit(fed, "add late."+fed+". 60 A 7.7.7.7", "delete a-web."+fed+". TXT", "add a-web."+fed+`. 60 TXT "heritage=external-dns,external-dns/owner=other"`)
		left, err := z.Server.Update(ctx, p.Steps)
		if err != nil || len(left) != 2 || left["late."+fed] == nil || left["web."+fed] == nil {
			t.Errorf("%v %v", left, err)
		}
		want(t, s, "late."+fed, "A", "60 A 7.7.7.7")
		want(t, s, "web."+fed, "A", "60 A 1.1.1.1")
		want(t, s, "fine."+fed, "A", "60 A 1.1.1.1")
	})
}

// An ExternalDNS with the same owner has written these: they are taken over as they are, and changed as ours.
func TestTakenOverFromExternalDNS(t *testing.T) {
	records := []string{"web." + fed + ". 60 A 1.1.1.1", "x.a-web." + fed + `. 60 TXT "heritage=external-dns,external-dns/owner=hansa,external-dns/resource=crd/shop/service-web"`}
	each(t, dnslab.Options{Zones: []string{fed}, Records: records}, func(t *testing.T, s *dnslab.Server) {
		z := zoneOf(s, "web."+fed+" A 1.1.1.1")
		z.Options.Prefix = "x."
		good(t, z, 0, 1)
		z = zoneOf(s, "web."+fed+" A 2.2.2.2")
		z.Options.Prefix = "x."
		good(t, z, 1, 1)
		want(t, s, "web."+fed, "A", "60 A 2.2.2.2")
	})
}

func TestServerDownAndBack(t *testing.T) {
	each(t, dnslab.Options{Zones: []string{fed}}, func(t *testing.T, s *dnslab.Server) {
		z := zoneOf(s, "web."+fed+" A 1.1.1.1")
		good(t, z, 1, 1)
		s.Stop()
		fault(t, z, ServerUnreachable, false, s.Address, "connection refused")
		s.Start()
		good(t, z, 0, 1)
		want(t, s, "web."+fed, "A", "60 A 1.1.1.1")
	})
}

func TestRefusals(t *testing.T) {
	other := base64.StdEncoding.EncodeToString([]byte("another secret of some length...."))
	each(t, dnslab.Options{Zones: []string{fed}}, func(t *testing.T, s *dnslab.Server) {
		for name, c := range map[string]struct {
			change func(*Server)
			reason string
			words  string
		}{
			"another secret":    {func(s *Server) { s.Key.Secret = other }, KeyRefused, dnslab.KeyName},
			"another key":       {func(s *Server) { s.Key.Name = "nobody" }, KeyRefused, "nobody"},
			"another algorithm": {func(s *Server) { s.Key.Algorithm = "hmac-sha512" }, KeyRefused, dnslab.KeyName},
			"no key":            {func(s *Server) { s.Key = nil }, TransferRefused, "give spec.tsig"},
			"another zone":      {func(s *Server) { s.Zone = "example.net" }, "", "example.net"},
			"below the zone":    {func(s *Server) { s.Zone = "x." + fed }, NotTheZone, "x." + fed},
		} {
			t.Run(name, func(t *testing.T) {
				z := zoneOf(s, "web."+fed+" A 1.1.1.1")
				c.change(&z.Server)
				z.Options.Zone = z.Server.Zone
				got := Publish(t.Context(), z)
				if got.Fault == nil || c.reason != "" && got.Fault.Reason != c.reason || !got.Fault.Stalls || !strings.Contains(got.Fault.Message, c.words) {
					t.Errorf("%+v", got.Fault)
				}
			})
		}
		want(t, s, "web."+fed, "A")
	})
}

func TestTransferRefused(t *testing.T) {
	each(t, dnslab.Options{Zones: []string{fed}, NoTransfer: true}, func(t *testing.T, s *dnslab.Server) {
		fault(t, zoneOf(s, "web."+fed+" A 1.1.1.1"), TransferRefused, true, "AXFR", dnslab.KeyName)
		want(t, s, "web."+fed, "A")
	})
}

func TestUpdateRefused(t *testing.T) {
	each(t, dnslab.Options{Zones: []string{fed}, NoUpdate: true}, func(t *testing.T, s *dnslab.Server) {
		fault(t, zoneOf(s, "web."+fed+" A 1.1.1.1", "shop."+fed+" A 1.1.1.1"), UpdateRefused, true, dnslab.KeyName)
	})
}

// Many names take several messages.
func TestManyNames(t *testing.T) {
	each(t, dnslab.Options{Zones: []string{fed}}, func(t *testing.T, s *dnslab.Server) {
		var lines []string
		for i := range 1000 {
			lines = append(lines, fmt.Sprintf("n%d.%s A 1.1.%d.%d", i, fed, i/250, i%250))
		}
		begin := time.Now()
		good(t, zoneOf(s, lines...), 1000, 1000)
		t.Logf("1000 names created in %v", time.Since(begin).Round(time.Millisecond))
		begin = time.Now()
		good(t, zoneOf(s, lines...), 0, 1000)
		t.Logf("1000 names compared in %v", time.Since(begin).Round(time.Millisecond))
		got := Publish(t.Context(), zoneOf(s))
		if got.Fault == nil || got.Fault.Reason != DeletionPaused || got.Changed != 0 {
			t.Errorf("all were deleted at once: %+v", got)
		}
		z := zoneOf(s)
		z.Options.Approved = true
		good(t, z, 1000, 0)
	})
}

// A server that does not answer holds nobody up for long.
func TestServerHangs(t *testing.T) {
	silent := dnslab.Silent(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	z := zoneOf(&dnslab.Server{Address: silent, Secret: "c2VjcmV0"}, "web."+fed+" A 1.1.1.1")
	if got := Publish(ctx, z); got.Fault == nil || got.Fault.Reason != ServerUnreachable {
		t.Errorf("%+v", got.Fault)
	}
}

// The time from a change to the answer of the server.
func BenchmarkChangeToAnswer(b *testing.B) {
	for _, kind := range slices.Sorted(func(yield func(string) bool) {
		for k := range dnslab.Kinds {
			if !yield(k) {
				return
			}
		}
	}) {
		b.Run(kind, func(b *testing.B) {
			s := dnslab.Kinds[kind](b, dnslab.Options{Zones: []string{fed}})
			n := 0
			for b.Loop() {
				n++
				address := fmt.Sprintf("10.0.%d.%d", n/250%250, n%250+1)
				if got := Publish(b.Context(), zoneOf(s, "web."+fed+" A "+address)); got.Fault != nil {
					b.Fatal(got.Fault)
				}
				lab.Eventually(b, 10*time.Second, "the answer", func(context.Context) error {
					got, err := s.Look("web."+fed, "A")
					if !slices.Contains(got, "60 A "+address) {
						return cmp.Or(err, fmt.Errorf("%v", got))
					}
					return nil
				})
			}
		})
	}
}
