package rollup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hansa-io/hansa/internal/glossary"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// Event is something that happened, once.
type Event struct {
	Warning bool
	// Reason is KubeFed's where it has one.
	Reason  string
	Message string
	// Cluster is the member that it is about; empty if it is about several, or none.
	Cluster string
}

// Reasons of events about what the template holds in vain.
var dropped = map[string]Event{
	"annotations": {Warning: true, Reason: "AnnotationsNotSupported", Message: "annotations in spec.template.metadata are not propagated: use an override on /metadata/annotations"},
	"finalizers":  {Warning: true, Reason: "FinalizersNotSupported", Message: "finalizers in spec.template.metadata are not propagated: use an override on /metadata/finalizers"},
	"name":        {Warning: true, Reason: "NameNotSupported", Message: "spec.template.metadata.name is not used: the target has the name of the federated object"},
	"namespace":   {Warning: true, Reason: "NamespaceNotSupported", Message: "spec.template.metadata.namespace is not used: the target has the namespace of the federated object"},
}

var operations = map[string]string{
	"CreateInCluster": "Creating", "AdoptInCluster": "Adopting", "UpdateInCluster": "Updating", "DeleteInCluster": "Deleting",
	"RemoveManagedLabelFromInCluster": "Removing managed label from",
}

// events are the difference between what was told and what is told now: one event for each kind of change, with all its members.
func events(p plan.Plan, i *intent.Intent, now intent.Status) []Event {
	var out []Event
	if i.Status.ObservedGeneration != i.Generation {
		for _, d := range i.Dropped {
			out = append(out, dropped[d])
		}
	}
	if old, _ := i.Status.Condition(Propagation); p.Reason != "" && old.Reason != string(p.Reason) {
		out = append(out, Event{Warning: true, Reason: string(p.Reason), Message: p.Message})
	}
	done, failed := changes(p, i.Status, now)
	for _, reason := range slices.Sorted(maps.Keys(done)) {
		e := Event{Reason: reason, Message: fmt.Sprintf("%s %s %q in %s", operations[reason], p.Kind, target(p), quoted(done[reason]))}
		if len(done[reason]) == 1 {
			e.Cluster = done[reason][0]
		}
		out = append(out, e)
	}
	return clipped(append(out, gathered(p, failed)...))
}

// each is how many members are told of one by one. When a part of a large federation goes away, what is told should not grow with that part
// times the objects in it.
const each = 5

// gathered makes one event of those that tell the same of many members, and says in each what is in trouble, and where.
func gathered(p plan.Plan, failed []Event) []Event {
	members := map[string][]string{}
	for _, e := range failed {
		members[e.Reason] = append(members[e.Reason], e.Cluster)
	}
	var out []Event
	for _, e := range failed {
		in := members[e.Reason]
		switch {
		case len(in) <= each:
			in = []string{e.Cluster}
		case e.Cluster != in[0]:
			continue
		default:
			e.Cluster = ""
		}
		e.Message = strings.Trim(fmt.Sprintf("%s %q in %s: %s", p.Kind, target(p), quoted(in), e.Message), ": ")
		out = append(out, e)
	}
	return out
}

// longestEvent is how many bytes of a message the host takes.
const longestEvent = 1024

// clipped cuts messages that the host would refuse.
func clipped(events []Event) []Event {
	const more = "…"
	for n, e := range events {
		if len(e.Message) > longestEvent {
			events[n].Message = strings.ToValidUTF8(e.Message[:longestEvent-len(more)], "") + more
		}
	}
	return events
}

// changes are the members in which something was done, by what it was, and those in trouble, each with the member's own words.
func changes(p plan.Plan, old, now intent.Status) (done map[string][]string, failed []Event) {
	done = map[string][]string{}
	for _, s := range p.Steps {
		before, was := old.Cluster(s.Member)
		after, is := now.Cluster(s.Member)
		switch s.Reason {
		case plan.Elsewhere, plan.Awaited: // its shard tells
			continue
		case plan.Removed:
			is, after = false, intent.ClusterStatus{}
		}
		if after.Status != "" && (after.Status != before.Status || after.Message != before.Message) {
			failed = append(failed, Event{
				Warning: after.Status != string(plan.WaitingForRemoval), Reason: or(glossary.Renamed[after.Status], after.Status),
				Message: after.Message, Cluster: s.Member,
			})
		} else if unwell(after) == Failed && unwell(before) != Failed {
			failed = append(failed, Event{Warning: true, Reason: Failed, Message: after.Message, Cluster: s.Member})
		}
		reason := ""
		switch {
		case is && was && before.UID == "" && before.Status == "" && after.UID != "":
			reason = "UpdateInCluster" // KubeFed's status tells of copies without their UIDs
		case is:
			reason = arrival(s, before, after)
		case before.UID != "":
			reason = departure(s)
		}
		if reason != "" {
			done[reason] = append(done[reason], s.Member)
		}
	}
	return done, failed
}

func arrival(s plan.Step, before, after intent.ClusterStatus) string {
	switch {
	case s.Adopted && before.UID != after.UID:
		return "AdoptInCluster"
	case after.UID != "" && before.UID != after.UID:
		return "CreateInCluster"
	case after.Version != before.Version:
		return "UpdateInCluster"
	default:
		return ""
	}
}

func departure(s plan.Step) string {
	if s.Verdict == plan.Release {
		return "RemoveManagedLabelFromInCluster"
	}
	return "DeleteInCluster"
}

func target(p plan.Plan) string {
	if p.Key.Namespace == "" {
		return p.Key.Name
	}
	return p.Key.Namespace + "/" + p.Key.Name
}

// longestList is how many bytes the names of clusters have in an event, so that there is room for what is said of them.
const longestList = 400

// quoted lists clusters, or as many as there is room for.
func quoted(clusters []string) string {
	if len(clusters) == 1 {
		return fmt.Sprintf("cluster %q", clusters[0])
	}
	list := ""
	for n, c := range clusters {
		next := fmt.Sprintf("%q", c)
		if n > 0 && len(list)+len(next) > longestList {
			return fmt.Sprintf("clusters %s and %d more", list, len(clusters)-n)
		}
		if n > 0 {
			next = ", " + next
		}
		list += next
	}
	return "clusters " + list
}
