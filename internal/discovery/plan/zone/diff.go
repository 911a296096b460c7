package zone

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	discoveryv1alpha1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
)

// fewDeletions may always be made at once; more only if they are not more than half of what is ours.
const fewDeletions = 10

// content is what a zone holds, by name and type.
type content map[string]map[string]Set

// Diff makes the plan that takes a zone from what it holds to what it should hold. An error of reading must not come here as an empty zone.
func Diff(current []Set, desired []Record, o Options) Plan {
	holds, wanted := content{}, map[string]map[string]Record{}
	for _, s := range current {
		put(holds, s.Name, s.Type, s)
	}
	for _, r := range desired {
		put(wanted, r.Name, r.Type, r)
	}
	if o.Policy == discoveryv1alpha1.DNSWithdraw {
		clear(wanted)
	}
	names := map[string]bool{}
	for name := range wanted {
		names[name] = true
	}
	for marker := range holds {
		if name, kind, ok := o.marked(marker); ok && within(name, o.Zone) && o.owner(holds, name, kind) == o.Owner {
			names[name] = true
		}
	}
	var p Plan
	var deleted []string
	ours := 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		v := view{Options: o, holds: holds, name: name, want: wanted[name]}
		if refusal := v.refusal(); refusal != nil {
			p.Refused = append(p.Refused, *refusal)
			p.Owned += v.owned()
			continue
		}
		if v.owned() > 0 {
			ours++
		}
		step, owned := v.step()
		p.Owned += owned
		if len(step.Delete)+len(step.Add) == 0 {
			continue
		}
		if len(v.want) == 0 {
			deleted = append(deleted, name)
		}
		p.Steps = append(p.Steps, step)
	}
	p.Deleted = deleted
	many := len(deleted)+o.Deleted > max(fewDeletions, (ours+o.Deleted)/2)
	if len(deleted) > 0 && many && !o.Approved && o.Policy != discoveryv1alpha1.DNSWithdraw {
		p.Deleted, p.Paused = nil, deleted
		p.Steps = slices.DeleteFunc(p.Steps, func(s Step) bool { return slices.Contains(deleted, s.Name) })
	}
	return p
}

func put[T any](in map[string]map[string]T, name, kind string, v T) {
	if in[name] == nil {
		in[name] = map[string]T{}
	}
	in[name][kind] = v
}

const (
	nobody  = ""
	unclear = "?"
	text    = "TXT"
)

// owner is whose the records of a name and type are; nobody if nothing tells. TXT records that tell of no owner, or of several, have the
// place of one that would, and are somebody's.
func (o Options) owner(holds content, name, kind string) string {
	told := holds[o.marker(name, kind)][text].Values
	if len(told) == 0 {
		return nobody
	}
	if owner, ok := ownerOf(told[0]); ok && owner != "" && len(told) == 1 {
		return owner
	}
	return unclear
}

// view is one name of a zone.
type view struct {
	Options
	holds content
	name  string
	want  map[string]Record
}

func (v view) mine(kind string) bool { return v.owner(v.holds, v.name, kind) == v.Owner }

// owned is the number of sets that are ours.
func (v view) owned() int {
	n := 0
	for _, kind := range types {
		if _, there := v.holds[v.name][kind]; there && v.mine(kind) {
			n++
		}
	}
	return n
}

// refusal says why a name is left alone; nil if it is not. The first rule that matches wins.
func (v view) refusal() *Refusal {
	if len(v.want) == 0 {
		return nil
	}
	refusal := func(reason, format string, args ...any) *Refusal {
		return &Refusal{v.name, reason, fmt.Sprintf(format, args...)}
	}
	for _, kind := range slices.Sorted(maps.Keys(v.want)) {
		if problem := v.tooLong(v.name, kind); problem != "" {
			return refusal(NameTooLong, "%s", problem)
		}
	}
	if at := v.delegation(); at != "" {
		return refusal(Delegated, "%s is a zone of its own: make a DNSProvider for it", at)
	}
	_, alias := v.want["CNAME"]
	for _, kind := range slices.Sorted(maps.Keys(v.holds[v.name])) {
		_, wanted := v.want[kind]
		known := slices.Contains(types, kind)
		switch {
		case known && v.mine(kind), signature(kind):
		case alias || wanted || kind == "CNAME":
			return refusal(OwnedByOther, "the zone has %s records of %s, %s", kind, v.name, v.whose(kind))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(v.want)) {
		if _, taken := v.holds[v.marker(v.name, kind)]["CNAME"]; taken {
			return refusal(OwnedByOther, "where the TXT record that says whose it is would be, %s, there is a CNAME", v.marker(v.name, kind))
		}
		if o := v.owner(v.holds, v.name, kind); o != nobody && o != v.Owner {
			return refusal(OwnedByOther, "%s records of %s are reserved by the TXT record %s, %s", kind, v.name, v.marker(v.name, kind), v.whose(kind))
		}
	}
	return nil
}

// whose says in words whose the records of a type are.
func (v view) whose(kind string) string {
	if o := v.owner(v.holds, v.name, kind); o != nobody && o != unclear {
		return fmt.Sprintf("of owner %q", o)
	}
	return "not ours: delete what is there, or use another name"
}

// signature says that records come and go with others by themselves, so that they are no data of the name (RFC 4034).
func signature(kind string) bool {
	return kind == "RRSIG" || kind == "NSEC" || kind == "NSEC3"
}

// delegation is the name at or above this one from which on another zone answers; empty if there is none.
func (v view) delegation() string {
	for at := v.name; at != v.Zone && within(at, v.Zone); {
		if _, ok := v.holds[at]["NS"]; ok {
			return at
		}
		_, at, _ = strings.Cut(at, ".")
	}
	return ""
}

// step makes what is ours of the name as it is wanted, and says how many sets are then ours.
func (v view) step() (Step, int) {
	s := Step{Name: v.name}
	owned := 0
	for _, kind := range types {
		want, wanted := v.want[kind]
		_, there := v.holds[v.name][kind]
		switch {
		case wanted:
			owned++
			v.place(&s, want)
		case v.mine(kind) && (v.Policy != discoveryv1alpha1.DNSUpsertOnly || there && v.inTheWay(kind)):
			marker := v.holds[v.marker(v.name, kind)][text]
			s.Needs = append(s.Needs, Need{Exactly, marker})
			if there {
				s.Delete = append(s.Delete, Set{Name: v.name, Type: kind})
			}
			s.Delete = append(s.Delete, Set{Name: marker.Name, Type: text})
		case v.mine(kind) && there:
			owned++
		}
	}
	if len(s.Delete)+len(s.Add) == 0 {
		return Step{}, owned
	}
	return s, owned
}

// inTheWay says that what is wanted cannot be beside records of a type.
func (v view) inTheWay(kind string) bool {
	_, alias := v.want["CNAME"]
	return alias || kind == "CNAME" && len(v.want) > 0
}

// place adds to a step what makes one set as it is wanted; nothing if it is.
func (v view) place(s *Step, want Record) {
	current, there := v.holds[v.name][want.Type]
	marker, marked := v.holds[v.marker(v.name, want.Type)][text]
	label := Set{Name: v.marker(v.name, want.Type), Type: text, TTL: want.TTL, Values: []string{Ownership(v.Owner, want.Resource)}}
	same := there && current.TTL == want.TTL && slices.Equal(current.Values, want.Values)
	told := marked && slices.Equal(marker.Values, label.Values)
	if same && told {
		return
	}
	if marked {
		s.Needs = append(s.Needs, Need{Exactly, marker})
	} else {
		s.Needs = append(append(s.Needs, Need{Absent, Set{Name: label.Name, Type: text}}, Need{Absent, Set{Name: label.Name, Type: "CNAME"}}), v.room(want.Type)...)
	}
	if !same {
		if there {
			s.Delete = append(s.Delete, Set{Name: v.name, Type: want.Type})
		}
		s.Add = append(s.Add, want.Set)
	}
	if !told {
		if marked {
			s.Delete = append(s.Delete, Set{Name: label.Name, Type: text})
		}
		s.Add = append(s.Add, label)
	}
}

// room is what must be true for a set to be new: that nothing is there that it cannot be beside, but what is ours and goes.
func (v view) room(kind string) []Need {
	if len(v.holds[v.name]) == 0 && kind == "CNAME" {
		return []Need{{Free, Set{Name: v.name}}}
	}
	needs := []Need{{Absent, Set{Name: v.name, Type: kind}}}
	if _, alias := v.holds[v.name]["CNAME"]; !alias && kind != "CNAME" {
		needs = append(needs, Need{Absent, Set{Name: v.name, Type: "CNAME"}})
	}
	return needs
}
