// Package exposure answers: what must stand beside a FederatedService in the host, so that it is known beyond its clusters, and why? It is
// pure. What a user has made by hand is left alone, and a word that nobody knows takes nothing away.
package exposure

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Words are what the annotation of a FederatedService asks for.
type Words struct {
	// Clusterset exports the service to all clusters. Public and Balance do so as well: what is known outside is known inside.
	Clusterset bool
	// Public gives it names in public DNS.
	Public bool
	// Balance gives it an address at the load balancers.
	Balance bool
	// Unknown are the words that mean nothing, in the order of the annotation.
	Unknown []string
}

// Read reads the annotation. Spaces around words do not count.
func Read(annotation string) Words {
	var w Words
	for _, word := range strings.Split(annotation, ",") {
		switch word = strings.TrimSpace(word); word {
		case "":
		case "clusterset":
			w.Clusterset = true
		case "public":
			w.Public = true
		case "balance":
			w.Balance = true
		default:
			w.Unknown = append(w.Unknown, word)
		}
	}
	return w
}

// String is the annotation that says the same.
func (w Words) String() string {
	var out []string
	for _, word := range []struct {
		name  string
		asked bool
	}{{"clusterset", w.Clusterset}, {"public", w.Public}, {"balance", w.Balance}} {
		if word.asked {
			out = append(out, word.name)
		}
	}
	return strings.Join(append(out, w.Unknown...), ",")
}

// Exported says whether the service is to be known in all clusters.
func (w Words) Exported() bool { return w.Clusterset || w.Public || w.Balance }

// World is all that a decision about one FederatedService may look at.
type World struct {
	Service Service
	// Export is the FederatedServiceExport, Record the ServiceDNSRecord of the service's name.
	Export, Record Neighbour
	// Exportable says that FederatedServiceExports are federated.
	Exportable bool
	// Domains are the names of all Domains, sorted; DomainsRead says that they have been read.
	Domains     []string
	DomainsRead bool
}

// Service is what counts of a FederatedService.
type Service struct {
	Namespace, Name string
	UID             types.UID
	Deleting        bool
	// Expose and Domain are the values of its annotations, Passed those that count for the export as well.
	Expose, Domain string
	Passed         map[string]string
	// Type is the template's spec.type.
	Type string
	// Placement is spec.placement; nil if there is none. The export has the same.
	Placement map[string]any
}

// Neighbour is an object of the service's name beside it.
type Neighbour struct {
	// Read says that the objects of this kind have been read: where UID is empty there is none. Problem says why they have not.
	Read    bool
	Problem string
	UID     types.UID
	// Deleting says that it is on its way out.
	Deleting bool
	// Owner is the UID of the FederatedService that it was made for; empty if somebody made it by hand.
	Owner types.UID
	// What an export says.
	Placement map[string]any
	Passed    map[string]string
	// Domain is what a record says.
	Domain string
}

func (n Neighbour) exists() bool { return n.UID != "" }

// Plan is what becomes of the two neighbours.
type Plan struct {
	Export, Record Step
	// Problems are what the user must change to have what the annotation asks for.
	Problems []Problem
}

// Problem has a word for programs and a text for people.
type Problem struct{ Reason, Message string }

// Step is what becomes of one object.
type Step struct {
	Verdict Verdict
	// Reason is a word for programs, Message a text for people.
	Reason, Message string
	// Problem says that this step is one of the plan's problems.
	Problem bool
	// Domain is what a record is to say.
	Domain string
}

// Verdict says what is to be done with an object.
type Verdict string

const (
	// Leave it as it is, or absent.
	Leave Verdict = "Leave"
	// Put it there, or make it as it should be.
	Put Verdict = "Put"
	// Remove it, and with it what it has become in the members.
	Remove Verdict = "Remove"
)

// Make decides on both neighbours. It is total: what cannot be done is left, with the reason.
func Make(w World) Plan {
	words := Read(w.Service.Expose)
	p := Plan{Export: export(w, words), Record: record(w, words)}
	if len(words.Unknown) > 0 {
		p.Problems = append(p.Problems, Problem{"UnknownExposure", unknown(words)})
	}
	for _, s := range []Step{p.Export, p.Record} {
		if told := (Problem{s.Reason, s.Message}); s.Problem && !slices.Contains(p.Problems, told) {
			p.Problems = append(p.Problems, told)
		}
	}
	return p
}

func unknown(words Words) string {
	return fmt.Sprintf("the annotation discovery.kubefed.io/expose has no such word as %q: it knows balance, clusterset and public, with commas between", strings.Join(words.Unknown, ", "))
}

// export decides on the FederatedServiceExport; the first that matches counts.
func export(w World, words Words) Step {
	n := w.Export
	ours := n.Owner != "" && n.Owner == w.Service.UID
	switch {
	case w.Service.Deleting:
		return leave("ServiceDeleting", "goes after the FederatedService is gone")
	case words.Exported() && !w.Exportable:
		return problem("ExportsNotFederated", "FederatedServiceExports are not federated: kubefedctl discovery enable, or kubefedctl enable serviceexports.multicluster.x-k8s.io")
	case !n.Read:
		return unread(n, words.Exported())
	case n.Deleting:
		return leave("Leaving", "is being deleted; it is looked at again when it is gone")
	case !words.Exported() && len(words.Unknown) > 0:
		return leave("UnknownExposure", unknown(words))
	case !words.Exported() && ours:
		return Step{Verdict: Remove, Reason: "NotExposed", Message: "the FederatedService is not exposed any more"}
	case !words.Exported():
		return leave("NotExposed", "the FederatedService is not exposed")
	case w.Service.Type == "ExternalName":
		return problem("ExternalName", "a service of type ExternalName has no endpoints and is not exported: expose one of another type")
	case n.exists() && !ours:
		return leave("MadeByOthers", "the FederatedServiceExport was not made for the annotation and stays as it is, with its own placement")
	case n.exists() && reflect.DeepEqual(n.Placement, w.Service.Placement) && maps.Equal(n.Passed, w.Service.Passed):
		return leave("Exposed", "is as the FederatedService says")
	default:
		return Step{Verdict: Put, Reason: "Exposed", Message: "gets the placement of the FederatedService"}
	}
}

// record decides on the ServiceDNSRecord; the first that matches counts.
func record(w World, words Words) Step {
	n := w.Record
	ours := n.Owner != "" && n.Owner == w.Service.UID
	switch {
	case w.Service.Deleting:
		return leave("ServiceDeleting", "goes after the FederatedService is gone")
	case !n.Read:
		return unread(n, words.Public)
	case n.Deleting:
		return leave("Leaving", "is being deleted; it is looked at again when it is gone")
	case !words.Public && len(words.Unknown) > 0:
		return leave("UnknownExposure", unknown(words))
	case !words.Public && ours:
		return Step{Verdict: Remove, Reason: "NotPublic", Message: "the FederatedService is not public any more"}
	case !words.Public:
		return leave("NotPublic", "the FederatedService is not public")
	case w.Service.Type == "ExternalName":
		return problem("ExternalName", "a service of type ExternalName has no addresses to publish: expose one of another type")
	case n.exists() && !ours:
		return leave("MadeByOthers", "the ServiceDNSRecord was not made for the annotation and stays as it is")
	case !w.DomainsRead:
		return leave("Unread", "the Domains have not been read yet")
	}
	domain, why := domainOf(w)
	switch {
	case why.Reason != "":
		return why
	case n.exists() && n.Domain == domain:
		return leave("Exposed", "is as the FederatedService says")
	default:
		return Step{Verdict: Put, Reason: "Exposed", Message: "names are made in the Domain " + domain, Domain: domain}
	}
}

// domainOf is the Domain that names are made in: the one that the annotation names, else the one that the record has, else the only one
// there is. If there is none, the step says why.
func domainOf(w World) (string, Step) {
	known := strings.Join(w.Domains, ", ")
	const way = "the annotation discovery.kubefed.io/domain must name one"
	switch asked, now := w.Service.Domain, w.Record.Domain; {
	case len(w.Domains) == 0:
		return "", problem("NoDomain", "there is no Domain in the namespace of the control plane to make public names in: create one")
	case asked != "" && !slices.Contains(w.Domains, asked):
		return "", problem("UnknownDomain", fmt.Sprintf("there is no Domain %q: %s of %s", asked, way, known))
	case asked != "":
		return asked, Step{}
	case slices.Contains(w.Domains, now):
		return now, Step{}
	case len(w.Domains) == 1:
		return w.Domains[0], Step{}
	default:
		return "", problem("SeveralDomains", fmt.Sprintf("there are several Domains: %s of %s", way, known))
	}
}

func leave(reason, message string) Step {
	return Step{Verdict: Leave, Reason: reason, Message: message}
}

func problem(reason, message string) Step {
	return Step{Verdict: Leave, Reason: reason, Message: message, Problem: true}
}

func unread(n Neighbour, wanted bool) Step {
	if n.Problem == "" {
		return leave("Unread", "has not been read yet")
	}
	s := leave("Unread", "cannot be read: "+n.Problem)
	s.Problem = wanted
	return s
}
