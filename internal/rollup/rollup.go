// Package rollup answers: what should the user be told? It folds a plan and what came of it into the status of the federated object
// and into events. It is pure: the same inputs give the same words, and nothing moves that means the same as before.
package rollup

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// Told is what to tell.
type Told struct {
	Status intent.Status
	Events []Event
	// Settled says that nothing is under way: the status will not move again by itself.
	Settled bool
}

// Condition types. Propagation is KubeFed's, the others are kstatus'.
const (
	Propagation = "Propagation"
	Ready       = "Ready"
	Reconciling = "Reconciling"
	Stalled     = "Stalled"
)

// CheckClusters is KubeFed's reason for a Propagation that is False because of a member.
const CheckClusters = "CheckClusters"

// Of folds. late says that what is pending has been so for long enough to be told.
func Of(p plan.Plan, outcomes []plan.Outcome, i *intent.Intent, late bool, now time.Time) Told {
	if p.Silent {
		return silent(p)
	}
	p.Message = plain(p.Message)
	by := make(map[string]plan.Outcome, len(outcomes))
	for _, o := range outcomes {
		by[o.Member] = o
	}
	t := Told{Settled: !p.Pending}
	placed, meant := 0, 0
	for _, s := range p.Steps {
		c, listed, settled := cluster(s, by[s.Member], late)
		c.Message = plain(c.Message)
		t.Settled = t.Settled && settled
		if s.Selected {
			meant++
			if listed && c.Status == "" {
				placed++
			}
		}
		if listed {
			t.Status.Clusters = append(t.Status.Clusters, c)
		}
	}
	t.Status.ObservedGeneration = i.Generation
	t.Status.Ready = fmt.Sprintf("%d/%d", placed, meant)
	t.Status.Conditions = conditions(p, t.Status.Clusters, i, t.Settled, now)
	t.Events = events(p, i, t.Status)
	return t
}

// silent is for what is no federated object: it has no status, at most an event that says why.
func silent(p plan.Plan) Told {
	t := Told{Settled: true}
	if p.Reason != "" {
		t.Events = []Event{{Warning: true, Reason: string(p.Reason), Message: plain(p.Message)}}
	}
	return t
}

// cluster says how a member is listed, whether it is, and whether that will stay so.
func cluster(s plan.Step, o plan.Outcome, late bool) (c intent.ClusterStatus, listed, settled bool) {
	c = intent.ClusterStatus{Name: s.Member}
	keep(&c, s.Record)
	switch {
	case s.Verdict == plan.Hold:
		c.Status, c.Message = string(s.Reason), s.Message
		return c, true, !passing(s.Reason) || late
	case !s.Needed:
		return c, s.Verdict == plan.Place, true
	case o.State == plan.Failed || o.State == plan.Refused:
		c.Status, c.Message = or(string(o.Reason), operation(s)+"Failed"), o.Message
		keep(&c, o.Record)
		return c, true, true
	case o.State == plan.Done && s.Verdict == plan.Place:
		keep(&c, o.Record)
		return c, true, true
	case o.State == plan.Done && s.Verdict == plan.Release:
		return c, false, true
	case o.State == plan.Done:
		c.Status = string(plan.WaitingForRemoval)
		return c, true, late
	default:
		c.Status, c.Message = operation(s)+"TimedOut", "the cluster has not answered yet"
		return c, true, late
	}
}

func keep(c *intent.ClusterStatus, r *plan.Record) {
	if r != nil {
		c.UID, c.Version = r.UID, r.Version
	}
}

// passing reasons end by themselves within moments, so they are told only if they do not.
func passing(r plan.Reason) bool {
	return r == plan.Observing || r == plan.WaitingForNamespace || r == plan.WaitingForRemoval || r == plan.Reason(plan.ViewFailed)
}

// operation is KubeFed's word for what a step does; with TimedOut or Failed behind it, for what became of it.
func operation(s plan.Step) string {
	switch {
	case s.Verdict == plan.Withdraw:
		return "Deletion"
	case s.Verdict == plan.Release:
		return "LabelRemoval"
	case s.UID != "":
		return "Update"
	default:
		return "Creation"
	}
}

// longest is how many characters of a message are told.
const longest = 500

// plain makes of a stranger's words one line of text that stays what it is when it is stored and read back.
func plain(s string) string {
	n := 0
	s = strings.Map(func(r rune) rune {
		n++
		switch {
		case n > longest:
			return -1
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		default:
			return utf8.RuneError // control characters, and those that turn the direction of the text
		}
	}, s)
	if n > longest {
		s += "…"
	}
	return s
}

// stalling reasons are those that only a user can change.
var stalling = map[string]bool{
	string(plan.ApplyOverridesFailed): true, string(plan.ComputeResourceFailed): true, string(plan.ComputePlacementFailed): true,
	string(plan.NamespaceNotFederated): true, string(plan.AlreadyExists): true, string(plan.ManagedLabelFalse): true,
	string(plan.OwnedByOther): true, string(plan.Paused): true, string(plan.DeletionPaused): true,
	string(plan.RecoveryHold): true,
}

func conditions(p plan.Plan, clusters []intent.ClusterStatus, i *intent.Intent, settled bool, now time.Time) []intent.Condition {
	reason, message := string(p.Reason), p.Message
	propagation := reason
	if words := troubles(clusters); reason == "" && len(words) > 0 {
		propagation, reason, message = CheckClusters, first(clusters), strings.Join(words, "; ")
	}
	ok := reason == ""
	stalled := stalling[reason]
	c := writer{old: i.Status, generation: i.Generation, now: now.UTC().Format(time.RFC3339)}
	c.set(Propagation, ok, propagation, message)
	c.set(Ready, ok && settled, or(reason, "Propagated"), message)
	c.set(Reconciling, !stalled && (!ok || !settled), or(reason, "Propagated"), "")
	c.set(Stalled, stalled, or(reason, "Propagated"), "")
	return c.out
}

// troubles says in words what is wrong in each member, at most five of them.
func troubles(clusters []intent.ClusterStatus) []string {
	var words []string
	for _, c := range clusters {
		if c.Status != "" {
			words = append(words, strings.Trim(c.Name+": "+c.Status+": "+c.Message, ": "))
		}
	}
	if more := len(words) - 5; more > 0 {
		words = append(words[:5], fmt.Sprintf("and %d more", more))
	}
	return words
}

// first is the reason of the first member in trouble; one that only a user can change comes before the others.
func first(clusters []intent.ClusterStatus) string {
	reason := ""
	for _, c := range clusters {
		if c.Status != "" && (reason == "" || stalling[c.Status] && !stalling[reason]) {
			reason = c.Status
		}
	}
	return reason
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// writer makes conditions whose times move only with their meaning.
type writer struct {
	old        intent.Status
	generation int64
	now        string
	out        []intent.Condition
}

func (w *writer) set(kind string, value bool, reason, message string) {
	c := intent.Condition{Type: kind, Status: "False", Reason: reason, Message: message, ObservedGeneration: w.generation}
	if value {
		c.Status = "True"
	}
	if kind == Propagation && value {
		c.Reason = "" // KubeFed's: a Propagation that is True has no reason
	}
	old, _ := w.old.Condition(kind)
	c.LastTransitionTime, c.LastUpdateTime = old.LastTransitionTime, old.LastUpdateTime
	if old.Status != c.Status || old.LastTransitionTime == "" {
		c.LastTransitionTime = w.now
	}
	if old != c || c.LastUpdateTime == "" {
		c.LastUpdateTime = w.now
	}
	w.out = append(w.out, c)
}

// Same says whether two statuses mean the same; a publisher writes only if they do not.
func Same(a, b intent.Status) bool {
	return a.ObservedGeneration == b.ObservedGeneration && a.Ready == b.Ready &&
		slices.Equal(a.Conditions, b.Conditions) && slices.EqualFunc(a.Clusters, b.Clusters, sameCluster)
}

func sameCluster(a, b intent.ClusterStatus) bool {
	return a.Name == b.Name && a.Status == b.Status && a.Message == b.Message && a.UID == b.UID && a.Version == b.Version
}
