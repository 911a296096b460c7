// Package rollup answers: what should the user be told? It folds a plan and what came of it into the status of the federated object
// and into events. It is pure: the same inputs give the same words, and nothing moves that means the same as before.
package rollup

import (
	"bytes"
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
	// Mute says that another shard speaks of the object: the status is not to be written.
	Mute bool
	// Afoot says that steps are still under way, so that another status will follow.
	Afoot bool
	// Minor says that the status is new in counts and texts only: it may be written a little later, together with what follows.
	Minor bool
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
	sum := tally{collects: p.Collects}
	for _, s := range p.Steps {
		c, listed, settled := cluster(s, by[s.Member], late)
		t.Afoot = t.Afoot || s.Needed && by[s.Member].State == plan.Pending
		if s.Reason == plan.Elsewhere {
			c, _ = i.Status.Cluster(s.Member) // its shard's own words
			sum.count(c, s)
		} else if listed && !sum.add(&c, s, by[s.Member]) {
			settled = late
		}
		c.Message = plain(c.Message)
		t.Settled = t.Settled && settled
		if s.Selected {
			meant++
			if listed && unwell(c) == "" {
				placed++
			}
		}
		if listed {
			t.Status.Clusters = append(t.Status.Clusters, c)
		}
	}
	t.Status.ObservedGeneration, t.Status.LoadBalancer = i.Generation, i.Status.LoadBalancer
	t.Status.Ready = fmt.Sprintf("%d/%d", placed, meant)
	t.Status.Workload = sum.workload(i)
	t.Status.Conditions = conditions(p, t.Status.Clusters, i, t.Settled, now)
	t.Events = events(p, i, t.Status)
	t.Minor = minor(i.Status, t.Status)
	t.Mute = p.Mute || p.Shared && idle(p, i.Status, t.Status)
	return t
}

// idle says that a shard has nothing new to tell of its own members while others have not told yet: they will.
func idle(p plan.Plan, old, now intent.Status) bool {
	awaited := map[string]bool{}
	for _, s := range p.Steps {
		if s.Reason == plan.Awaited {
			awaited[s.Member] = true
		}
	}
	told := func(all []intent.ClusterStatus) []intent.ClusterStatus {
		return slices.DeleteFunc(slices.Clone(all), func(c intent.ClusterStatus) bool { return awaited[c.Name] })
	}
	return len(awaited) > 0 && old.ObservedGeneration == now.ObservedGeneration && slices.EqualFunc(told(old.Clusters), told(now.Clusters), sameCluster)
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
	string(plan.RecoveryHold): true, Failed: true,
}

// conditions are two questions: does every member hold what it should, and, where status is collected, does it run there as well?
func conditions(p plan.Plan, clusters []intent.ClusterStatus, i *intent.Intent, settled bool, now time.Time) []intent.Condition {
	applied, message := string(p.Reason), p.Message
	ready, why := applied, message
	if applied == "" {
		if message = troubles(clusters, unplaced); message != "" {
			applied = CheckClusters
		}
		ready, why = first(clusters), troubles(clusters, unwell)
	}
	ok, stalled := ready == "", stalling[ready]
	c := writer{old: i.Status, generation: i.Generation, now: now.UTC().Format(time.RFC3339), moved: !slices.EqualFunc(i.Status.Clusters, clusters, sameCopy)}
	c.set(Propagation, applied == "", applied, message)
	c.set(Ready, ok && settled, or(ready, "Propagated"), why)
	c.set(Reconciling, !stalled && (!ok || !settled), or(ready, "Propagated"), "")
	c.set(Stalled, stalled, or(ready, "Propagated"), "")
	return c.out
}

// unplaced is what keeps a member from holding what it should, in one word; empty if nothing does.
func unplaced(c intent.ClusterStatus) string { return c.Status }

// troubles says in words what is wrong in each member, at most five of them.
func troubles(clusters []intent.ClusterStatus, wrong func(intent.ClusterStatus) string) string {
	var words []string
	for _, c := range clusters {
		if word := wrong(c); word != "" {
			words = append(words, strings.Trim(c.Name+": "+word+": "+c.Message, ": "))
		}
	}
	if more := len(words) - 5; more > 0 {
		words = append(words[:5], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

// first is the reason of the first member in trouble. One that only a user can change comes before the others, and a member that does
// not hold what it should before one in which it does not run yet.
func first(clusters []intent.ClusterStatus) string {
	for _, counts := range []func(intent.ClusterStatus) bool{
		func(c intent.ClusterStatus) bool { return stalling[unwell(c)] },
		func(c intent.ClusterStatus) bool { return unplaced(c) != "" },
		func(intent.ClusterStatus) bool { return true },
	} {
		for _, c := range clusters {
			if word := unwell(c); word != "" && counts(c) {
				return word
			}
		}
	}
	return ""
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
	// moved says that a copy has changed, which KubeFed tells by the update time of Propagation.
	moved bool
	out   []intent.Condition
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
	if old != c || c.LastUpdateTime == "" || kind == Propagation && w.moved {
		c.LastUpdateTime = w.now
	}
	w.out = append(w.out, c)
}

// Same says whether two statuses mean the same; a publisher writes only if they do not.
func Same(a, b intent.Status) bool {
	return a.ObservedGeneration == b.ObservedGeneration && a.Ready == b.Ready && equal(a.Workload, b.Workload) &&
		slices.Equal(a.Conditions, b.Conditions) && slices.EqualFunc(a.Clusters, b.Clusters, sameCluster)
}

// Alike says whether two statuses mean the same, whenever that was told.
func Alike(a, b intent.Status) bool {
	timeless := func(s intent.Status) intent.Status {
		s.Conditions = slices.Clone(s.Conditions)
		for i := range s.Conditions {
			s.Conditions[i].LastUpdateTime, s.Conditions[i].LastTransitionTime = "", ""
		}
		return s
	}
	return Same(timeless(a), timeless(b))
}

func sameCluster(a, b intent.ClusterStatus) bool {
	return sameCopy(a, b) && a.Status == b.Status && a.Message == b.Message &&
		a.Health == b.Health && a.ReplicasReady == b.ReplicasReady && bytes.Equal(a.RemoteStatus, b.RemoteStatus)
}

// sameCopy says whether a member holds the same object in the same version.
func sameCopy(a, b intent.ClusterStatus) bool {
	return a.Name == b.Name && a.UID == b.UID && a.Version == b.Version
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// minor says whether two statuses differ in nothing that somebody waits for: in no condition's status and reason, and in no member's word.
func minor(a, b intent.Status) bool {
	sameMeaning := func(a, b intent.Condition) bool {
		return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason && a.ObservedGeneration == b.ObservedGeneration
	}
	sameWord := func(a, b intent.ClusterStatus) bool { return sameCopy(a, b) && a.Status == b.Status }
	return a.ObservedGeneration == b.ObservedGeneration &&
		slices.EqualFunc(a.Conditions, b.Conditions, sameMeaning) && slices.EqualFunc(a.Clusters, b.Clusters, sameWord)
}
