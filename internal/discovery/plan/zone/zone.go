// Package zone answers: how does a DNS zone come to hold what it should, without touching what is not ours? It compares what a server told
// of a zone with what is to be published, and makes steps of it, each with what must be true on the server for it to be taken. It is pure.
// Whose a record is, is told by TXT records in the format of ExternalDNS, so that either can go on where the other has stopped.
package zone

import (
	"fmt"
	"slices"
	"strings"

	discoveryv1alpha1 "github.com/hansa-io/hansa/api/discovery/v1alpha1"
)

// Set are the records of one name and type.
type Set struct {
	// Name in lower case, without the dot at the end.
	Name, Type string
	TTL        uint32
	// Values are sorted: addresses, a name, or, for other types, what a zone file would have.
	Values []string
}

// Options say how a zone is written.
type Options struct {
	Zone, Owner, Prefix string
	Policy              discoveryv1alpha1.DNSPolicy
	// TTL of records that ask for none.
	TTL uint32
	// Approved says that any number of names may be deleted.
	Approved bool
	// Deleted is how many names were deleted lately; they count, so that many small steps are no way around the limit.
	Deleted int
}

// Record is a Set to be published.
type Record struct {
	Set
	// Resource says where it comes from, "crd/<namespace>/<name>".
	Resource string
}

// Refusal is a name that is not published, and why.
type Refusal struct{ Name, Reason, Message string }

// Reasons of refusals.
const (
	OwnedByOther    = "OwnedByOther"
	NameTooLong     = "NameTooLong"
	Delegated       = "Delegated"
	TakenByOther    = "TakenByOther"
	UnsupportedType = "UnsupportedType"
	InvalidTarget   = "InvalidTarget"
	CNAMEAtApex     = "CNAMEAtApex"
)

// Need is what must be true on the server for a step to be taken.
type Need struct {
	Kind NeedKind
	// Set names what it is about; its values count for Exactly only.
	Set Set
}

// NeedKind is one of the prerequisites of RFC 2136, section 2.4.
type NeedKind string

const (
	// Free says that nothing has this name.
	Free NeedKind = "Free"
	// Absent says that the name has no records of this type.
	Absent NeedKind = "Absent"
	// Exactly says that the name has these records of this type.
	Exactly NeedKind = "Exactly"
)

// Step changes all that is ours of one name; a server takes it as a whole or not at all.
type Step struct {
	Name  string
	Needs []Need
	// Delete are sets that go, whatever they hold.
	Delete []Set
	Add    []Set
}

// Plan is how a zone comes to hold what it should.
type Plan struct {
	// Steps, sorted by name.
	Steps []Step
	// Refused names, sorted.
	Refused []Refusal
	// Owned is the number of sets that are ours once all steps are taken.
	Owned int
	// Deleted are the names that the steps delete, Paused those that they would if so many at once were allowed; sorted.
	Deleted, Paused []string
}

// The types that are published.
var types = []string{"A", "AAAA", "CNAME"}

// heritage is how an ownership record begins.
const heritage = "heritage=external-dns"

// Ownership is the value of the TXT record that says whose a record is.
func Ownership(owner, resource string) string {
	const most = 255 // characters of one string of a TXT record
	text := heritage + ",external-dns/owner=" + owner
	if with := text + ",external-dns/resource=" + resource; len(with) <= most {
		text = with
	}
	return `"` + text + `"`
}

// ownerOf reads an ownership record; false if it is another TXT record.
func ownerOf(value string) (string, bool) {
	text := strings.ReplaceAll(value, `"`, "")
	if text != heritage && !strings.HasPrefix(text, heritage+",") {
		return "", false
	}
	for _, part := range strings.Split(text, ",") {
		if owner, ok := strings.CutPrefix(part, "external-dns/owner="); ok {
			return owner, true
		}
	}
	return "", true
}

// marker is the name of the TXT record that says whose the records of a name and type are.
func (o Options) marker(name, kind string) string {
	return o.Prefix + strings.ToLower(kind) + "-" + name
}

// marked is the name and type that a TXT record tells of; false if it cannot tell of any.
func (o Options) marked(marker string) (name, kind string, ok bool) {
	rest, ok := strings.CutPrefix(marker, o.Prefix)
	if !ok {
		return "", "", false
	}
	for _, kind := range types {
		if name, ok := strings.CutPrefix(rest, strings.ToLower(kind)+"-"); ok {
			return name, kind, true
		}
	}
	return "", "", false
}

// within says whether a name is in a zone.
func within(name, zone string) bool { return name == zone || strings.HasSuffix(name, "."+zone) }

// tooLong says why a name has no place for an ownership record; empty if it has.
func (o Options) tooLong(name, kind string) string {
	marker := o.marker(name, kind)
	label, _, _ := strings.Cut(marker, ".")
	if len(label) > 63 || len(marker) > 253 {
		return fmt.Sprintf("the TXT record that says whose it is would be called %s, which is too long for DNS", marker)
	}
	return ""
}

func refuse(to []Refusal, name, reason, format string, args ...any) []Refusal {
	if slices.ContainsFunc(to, func(r Refusal) bool { return r.Name == name && r.Reason == reason }) {
		return to
	}
	return append(to, Refusal{name, reason, fmt.Sprintf(format, args...)})
}
