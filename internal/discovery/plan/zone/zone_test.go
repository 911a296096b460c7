package zone

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	discoveryv1alpha1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
	dnsv1 "github.com/hansa-io/hansa/api/multiclusterdns/v1alpha1"
)

var opts = Options{Zone: "ex.com", Owner: "me", Policy: discoveryv1alpha1.DNSSync, TTL: 180}

// sets reads lines "name type value…"; a value of a TXT record that begins with "@" is an ownership record of that owner.
func sets(lines ...string) []Set {
	var out []Set
	for _, line := range lines {
		f := strings.Fields(line)
		s := Set{Name: f[0], Type: f[1], TTL: 180}
		for _, v := range f[2:] {
			if owner, ok := strings.CutPrefix(v, "@"); ok {
				v = Ownership(owner, "crd/ns/r")
			}
			s.Values = append(s.Values, v)
		}
		slices.Sort(s.Values)
		out = append(out, s)
	}
	return out
}

func records(lines ...string) []Record {
	var out []Record
	for _, s := range sets(lines...) {
		out = append(out, Record{Set: s, Resource: "crd/ns/r"})
	}
	return out
}

// words is a plan in lines.
func (p Plan) words() string {
	var out []string
	line := func(sign string, s Set) {
		values := strings.ReplaceAll(strings.Join(s.Values, " "), Ownership("me", "crd/ns/r"), "@me")
		out = append(out, strings.TrimSpace(sign+s.Name+" "+s.Type+" "+values))
	}
	for _, s := range p.Steps {
		for _, n := range s.Needs {
			line("? "+string(n.Kind)+" ", n.Set)
		}
		for _, d := range s.Delete {
			line("- ", d)
		}
		for _, a := range s.Add {
			line("+ ", a)
		}
	}
	for _, r := range p.Refused {
		out = append(out, "! "+r.Name+" "+r.Reason+": "+r.Message)
	}
	if len(p.Paused) > 0 {
		out = append(out, fmt.Sprintf("paused %d", len(p.Paused)))
	}
	return strings.Join(out, "\n")
}

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct {
		has, want []string
		policy    discoveryv1alpha1.DNSPolicy
		prefix    string
		plan      string
	}{
		"new": {want: []string{"w.ex.com A 1.1.1.1 2.2.2.2"}, plan: `
			? Absent a-w.ex.com TXT
			? Absent a-w.ex.com CNAME
			? Absent w.ex.com A
			? Absent w.ex.com CNAME
			+ w.ex.com A 1.1.1.1 2.2.2.2
			+ a-w.ex.com TXT @me`},
		"new alias": {want: []string{"w.ex.com CNAME x.net"}, plan: `
			? Absent cname-w.ex.com TXT
			? Absent cname-w.ex.com CNAME
			? Free w.ex.com
			+ w.ex.com CNAME x.net
			+ cname-w.ex.com TXT @me`},
		"as it should be": {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}, want: []string{"w.ex.com A 1.1.1.1"}},
		"changed": {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}, want: []string{"w.ex.com A 2.2.2.2"}, plan: `
			? Exactly a-w.ex.com TXT @me
			- w.ex.com A
			+ w.ex.com A 2.2.2.2`},
		"deleted by somebody": {has: []string{"a-w.ex.com TXT @me"}, want: []string{"w.ex.com A 2.2.2.2"}, plan: `
			? Exactly a-w.ex.com TXT @me
			+ w.ex.com A 2.2.2.2`},
		"one family more": {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}, want: []string{"w.ex.com A 1.1.1.1", "w.ex.com AAAA ::1"}, plan: `
			? Absent aaaa-w.ex.com TXT
			? Absent aaaa-w.ex.com CNAME
			? Absent w.ex.com AAAA
			? Absent w.ex.com CNAME
			+ w.ex.com AAAA ::1
			+ aaaa-w.ex.com TXT @me`},
		"address becomes alias": {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}, want: []string{"w.ex.com CNAME x.net"}, plan: `
			? Exactly a-w.ex.com TXT @me
			? Absent cname-w.ex.com TXT
			? Absent cname-w.ex.com CNAME
			? Absent w.ex.com CNAME
			- w.ex.com A
			- a-w.ex.com TXT
			+ w.ex.com CNAME x.net
			+ cname-w.ex.com TXT @me`},
		"alias becomes address": {has: []string{"w.ex.com CNAME x.net", "cname-w.ex.com TXT @me"}, want: []string{"w.ex.com A 1.1.1.1"}, plan: `
			? Absent a-w.ex.com TXT
			? Absent a-w.ex.com CNAME
			? Absent w.ex.com A
			? Exactly cname-w.ex.com TXT @me
			- w.ex.com CNAME
			- cname-w.ex.com TXT
			+ w.ex.com A 1.1.1.1
			+ a-w.ex.com TXT @me`},
		"not wanted any more": {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}, plan: `
			? Exactly a-w.ex.com TXT @me
			- w.ex.com A
			- a-w.ex.com TXT`},
		"only the mark is left": {has: []string{"a-w.ex.com TXT @me"}, plan: `
			? Exactly a-w.ex.com TXT @me
			- a-w.ex.com TXT`},
		"upsert-only deletes nothing": {policy: discoveryv1alpha1.DNSUpsertOnly, has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}},
		"upsert-only makes room": {policy: discoveryv1alpha1.DNSUpsertOnly, has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}, want: []string{"w.ex.com CNAME x.net"}, plan: `
			? Exactly a-w.ex.com TXT @me
			? Absent cname-w.ex.com TXT
			? Absent cname-w.ex.com CNAME
			? Absent w.ex.com CNAME
			- w.ex.com A
			- a-w.ex.com TXT
			+ w.ex.com CNAME x.net
			+ cname-w.ex.com TXT @me`},
		"withdraw deletes ours": {policy: discoveryv1alpha1.DNSWithdraw, has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me", "v.ex.com A 1.1.1.1"}, want: []string{"w.ex.com A 1.1.1.1", "v.ex.com A 1.1.1.1"}, plan: `
			? Exactly a-w.ex.com TXT @me
			- w.ex.com A
			- a-w.ex.com TXT`},
		"another owner's stays": {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @you"}, want: []string{"w.ex.com A 2.2.2.2"}, plan: `
			! w.ex.com OwnedByOther: the zone has A records of w.ex.com, of owner "you"`},
		"another owner's is not deleted":    {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @you"}},
		"what nobody marked stays":          {has: []string{"w.ex.com A 1.1.1.1"}, want: []string{"w.ex.com A 2.2.2.2"}, plan: `! w.ex.com OwnedByOther: the zone has A records of w.ex.com, not ours: delete what is there, or use another name`},
		"the same value is no claim":        {has: []string{"w.ex.com A 1.1.1.1"}, want: []string{"w.ex.com A 1.1.1.1"}, plan: `! w.ex.com OwnedByOther: the zone has A records of w.ex.com, not ours: delete what is there, or use another name`},
		"an alias needs a name of its own":  {has: []string{"w.ex.com MX mail"}, want: []string{"w.ex.com CNAME x.net"}, plan: `! w.ex.com OwnedByOther: the zone has MX records of w.ex.com, not ours: delete what is there, or use another name`},
		"an address does not":               {has: []string{"w.ex.com MX mail", "w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me"}, want: []string{"w.ex.com A 1.1.1.1"}},
		"signatures are no data":            {has: []string{"w.ex.com RRSIG x", "w.ex.com CNAME x.net", "cname-w.ex.com TXT @me"}, want: []string{"w.ex.com CNAME x.net"}},
		"an alias of another is in the way": {has: []string{"w.ex.com CNAME y.net"}, want: []string{"w.ex.com A 1.1.1.1"}, plan: `! w.ex.com OwnedByOther: the zone has CNAME records of w.ex.com, not ours: delete what is there, or use another name`},
		"another's reservation":             {has: []string{"a-w.ex.com TXT @you"}, want: []string{"w.ex.com A 1.1.1.1"}, plan: `! w.ex.com OwnedByOther: A records of w.ex.com are reserved by the TXT record a-w.ex.com, of owner "you"`},
		"a text of another in the place":    {has: []string{`a-w.ex.com TXT "hello"`}, want: []string{"w.ex.com A 1.1.1.1"}, plan: `! w.ex.com OwnedByOther: A records of w.ex.com are reserved by the TXT record a-w.ex.com, not ours: delete what is there, or use another name`},
		"two owners own nothing":            {has: []string{"w.ex.com A 1.1.1.1", "a-w.ex.com TXT @me @you"}},
		"a delegated name":                  {has: []string{"sub.ex.com NS ns"}, want: []string{"w.sub.ex.com A 1.1.1.1"}, plan: `! w.sub.ex.com Delegated: sub.ex.com is a zone of its own: make a DNSProvider for it`},
		"the servers of the zone itself":    {has: []string{"ex.com NS ns", "ex.com A 1.1.1.1", "a-ex.com TXT @me"}, want: []string{"ex.com A 1.1.1.1"}},
		"a prefix":                          {prefix: "x.", has: []string{"w.ex.com A 1.1.1.1", "x.a-w.ex.com TXT @me", "a-w.ex.com TXT @me"}, want: []string{"w.ex.com A 1.1.1.1"}},
		"too long for a mark":               {want: []string{strings.Repeat("a", 62) + ".ex.com A 1.1.1.1"}, plan: `! ` + strings.Repeat("a", 62) + `.ex.com NameTooLong: the TXT record that says whose it is would be called a-` + strings.Repeat("a", 62) + `.ex.com, which is too long for DNS`},
		"an alias in the place of the mark": {has: []string{"a-w.ex.com CNAME x.net"}, want: []string{"w.ex.com A 1.1.1.1"}, plan: `! w.ex.com OwnedByOther: where the TXT record that says whose it is would be, a-w.ex.com, there is a CNAME`},
		"a wildcard":                        {has: []string{"*.ex.com A 1.1.1.1", "a-*.ex.com TXT @me"}, want: []string{"*.ex.com A 1.1.1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := opts
			o.Policy, o.Prefix = cmp.Or(c.policy, o.Policy), c.prefix
			want := strings.TrimSpace(strings.ReplaceAll(c.plan, "\t", ""))
			if diff := gocmp.Diff(want, Diff(sets(c.has...), records(c.want...), o).words()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// More than half of what is ours goes only if somebody approves of it.
func TestManyDeletionsPause(t *testing.T) {
	var has, want []string
	for i := range 30 {
		name := fmt.Sprintf("n%02d.ex.com", i)
		has = append(has, name+" A 1.1.1.1", "a-"+name+" TXT @me")
		if i < 14 {
			want = append(want, name+" A 1.1.1.1")
		}
	}
	p := Diff(sets(has...), records(want...), opts)
	if len(p.Steps) != 0 || len(p.Paused) != 16 {
		t.Errorf("16 of 30: %s", p.words())
	}
	if p := Diff(sets(has...), records(append(slices.Clone(want), "n14.ex.com A 2.2.2.2")...), opts); len(p.Steps) != 16 || p.Paused != nil {
		t.Errorf("15 of 30: %s", p.words())
	}
	o := opts
	// 14 of 30 are gone already, 2 more would be more than half.
	o.Deleted = 14
	if p := Diff(sets(has[:32]...), records(want...), o); len(p.Paused) != 2 || len(p.Steps) != 0 {
		t.Errorf("step by step: %s", p.words())
	}
	if p := Diff(sets(has[:32]...), records(append(slices.Clone(want), "n14.ex.com A 1.1.1.1")...), o); len(p.Deleted) != 1 || p.Paused != nil {
		t.Errorf("just half: %s", p.words())
	}
	o = opts
	o.Approved = true
	if p := Diff(sets(has...), nil, o); len(p.Steps) != 30 {
		t.Errorf("approved: %s", p.words())
	}
	if p := Diff(sets(has[:20]...), nil, opts); len(p.Steps) != 10 {
		t.Errorf("a few: %s", p.words())
	}
}

func TestDesired(t *testing.T) {
	endpoint := func(line string) dnsv1.Endpoint {
		f := strings.Fields(line)
		return dnsv1.Endpoint{DNSName: f[0], RecordType: f[1], Targets: f[2:]}
	}
	source := func(name string, age time.Duration, lines ...string) Source {
		s := Source{Namespace: "ns", Name: name, Created: time.Unix(1_800_000_000, 0).Add(-age)}
		for _, line := range lines {
			s.Endpoints = append(s.Endpoints, endpoint(line))
		}
		return s
	}
	got, refused := Desired([]Source{
		source("young", time.Minute, "taken.ex.com A 9.9.9.9", "own.ex.com A 9.9.9.9"),
		source("old", time.Hour, "Taken.Ex.com. A 1.1.1.1 1.1.1.1", "taken.ex.com AAAA 2001:db8:0::1", "both.ex.com CNAME x.net", "both.ex.com A 3.3.3.3"),
		source("odd", time.Minute, "elsewhere.net A 1.1.1.1", "notex.com A 1.1.1.1", "in.sub.ex.com A 1.1.1.1",
			"m.ex.com MX mail", "four.ex.com AAAA 1.1.1.1", "many.ex.com CNAME a.net b.net", "none.ex.com A", "self.ex.com CNAME self.ex.com", "ex.com CNAME x.net", "ip.ex.com CNAME 1.1.1.1"),
	}, opts, []string{"sub.ex.com", "ex.com"})
	var lines []string
	for _, r := range got {
		lines = append(lines, fmt.Sprintf("%s %s %d %s %s", r.Name, r.Type, r.TTL, strings.Join(r.Values, " "), r.Resource))
	}
	for _, r := range refused {
		lines = append(lines, r.Name+" "+r.Reason)
	}
	want := []string{
		"both.ex.com A 180 3.3.3.3 crd/ns/old",
		"own.ex.com A 180 9.9.9.9 crd/ns/young",
		"taken.ex.com A 180 1.1.1.1 crd/ns/old",
		"taken.ex.com AAAA 180 2001:db8::1 crd/ns/old",
		"m.ex.com UnsupportedType", "four.ex.com InvalidTarget", "many.ex.com InvalidTarget", "none.ex.com InvalidTarget",
		"self.ex.com InvalidTarget", "ex.com CNAMEAtApex", "ip.ex.com InvalidTarget", "taken.ex.com TakenByOther",
	}
	if diff := gocmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// take does what a server does with a step; false if a need is not met.
func take(c map[string]Set, s Step) bool {
	key := func(s Set) string { return s.Name + " " + s.Type }
	for _, n := range s.Needs {
		there, ok := c[key(n.Set)]
		switch n.Kind {
		case Absent:
			if ok {
				return false
			}
		case Exactly:
			if !ok || !slices.Equal(there.Values, n.Set.Values) {
				return false
			}
		case Free:
			for k := range c {
				if strings.HasPrefix(k, n.Set.Name+" ") {
					return false
				}
			}
		}
	}
	for _, d := range s.Delete {
		delete(c, key(d))
	}
	for _, a := range s.Add {
		c[key(a)] = a
	}
	return true
}

// Whatever a zone holds and should hold: all needs are met, nothing that is not ours changes, and a second look changes nothing.
func TestEveryDiff(t *testing.T) {
	name := rapid.SampledFrom([]string{"ex.com", "a.ex.com", "b.ex.com", "a-b.ex.com", "*.ex.com"})
	pick := rapid.Custom(func(t *rapid.T) Set {
		s := Set{Name: name.Draw(t, "name"), Type: rapid.SampledFrom(append([]string{"MX"}, types...)).Draw(t, "type"), TTL: 180}
		s.Values = []string{map[string]string{"A": "1.1.1.1", "AAAA": "::1", "CNAME": "x.net", "MX": "mail"}[s.Type]}
		if s.Type == "A" && rapid.Bool().Draw(t, "other") {
			s.Values = []string{"2.2.2.2"}
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		o := opts
		o.Policy = rapid.SampledFrom([]discoveryv1alpha1.DNSPolicy{discoveryv1alpha1.DNSSync, discoveryv1alpha1.DNSUpsertOnly, discoveryv1alpha1.DNSWithdraw}).Draw(t, "policy")
		held, owners := map[string]Set{}, map[string]string{}
		alias := map[string]bool{}
		for _, s := range rapid.SliceOfN(pick, 0, 8).Draw(t, "has") {
			if alias[s.Name] || s.Type == "CNAME" && slices.ContainsFunc(slices.Collect(maps.Keys(held)), func(k string) bool { return strings.HasPrefix(k, s.Name+" ") }) {
				continue // no server holds that
			}
			alias[s.Name] = s.Type == "CNAME"
			held[s.Name+" "+s.Type] = s
			if owner := rapid.SampledFrom([]string{"", "me", "me", "you"}).Draw(t, "owner"); owner != "" && s.Type != "MX" {
				m := o.marker(s.Name, s.Type)
				held[m+" TXT"] = Set{Name: m, Type: "TXT", TTL: 180, Values: []string{Ownership(owner, "crd/ns/r")}}
				owners[s.Name+" "+s.Type] = owner
			}
		}
		for k := range held { // a mark where an alias is is none that a server holds
			if name, is := strings.CutSuffix(k, " CNAME"); is {
				delete(held, name+" TXT")
			}
		}
		var want []Record
		for _, s := range rapid.SliceOfN(pick, 0, 6).Draw(t, "want") {
			if s.Type != "MX" {
				want = append(want, Record{Set: s, Resource: "crd/ns/r"})
			}
		}
		want = merge(want)
		before := maps.Clone(held)
		p := Diff(slices.Collect(maps.Values(held)), want, o)
		for _, s := range p.Steps {
			if !take(held, s) && !inTheWay(want) {
				t.Fatalf("a need of the step for %s is not met:\n%s", s.Name, p.words())
			}
		}
		for k, s := range before {
			name, kind, _ := strings.Cut(k, " ")
			if kind == "TXT" || owners[k] == "me" && o.owner(contentOf(before), name, kind) == "me" {
				continue
			}
			if gocmp.Diff(s, held[k]) != "" {
				t.Fatalf("%s is not ours and was changed:\n%s", k, p.words())
			}
		}
		// A name can be in the way of the mark of another: then it takes more than one look.
		for range 3 {
			p = Diff(slices.Collect(maps.Values(held)), want, o)
			for _, s := range p.Steps {
				take(held, s)
			}
		}
		if len(p.Steps) > 0 {
			t.Fatalf("never done:\n%s", p.words())
		}
	})
}

// inTheWay says that an alias is wanted where the mark of another name would be.
func inTheWay(want []Record) bool {
	return slices.ContainsFunc(want, func(r Record) bool { return r.Name == "a-b.ex.com" && r.Type == "CNAME" })
}

func contentOf(held map[string]Set) content {
	out := content{}
	for _, s := range held {
		put(out, s.Name, s.Type, s)
	}
	return out
}
