package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	schedv1 "github.com/hansa-io/hansa/api/scheduling/v1alpha1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan/divide"
)

// Reasons of the conditions of a preference.
const (
	// Scheduled: all replicas are placed as asked for.
	Scheduled = "Scheduled"
	// Nothing is written for these.
	Disabled              = "SchedulerDisabled"
	InvalidPreference     = "InvalidPreference"
	InvalidTargetKind     = "InvalidTargetKind"
	NegativeNumber        = "NegativeNumber"
	TypeNotEnabled        = "TypeNotEnabled"
	TypeDisabled          = "TypeDisabled"
	TargetMissing         = "TargetMissing"
	TargetDeleting        = "TargetDeleting"
	InvalidTarget         = "InvalidTarget"
	NamespaceNotFederated = "NamespaceNotFederated"
	NoClusterReady        = "NoClusterReady"
	NothingSelected       = "NothingSelected"
	// These are written all the same.
	Fighting        = "Fighting"
	WriteFailed     = "WriteFailed"
	Unplaced        = "Unplaced"
	BeyondCapacity  = "BeyondCapacity"
	BelowMinimum    = "BelowMinimum"
	MinAboveMax     = "MinAboveMax"
	UnknownCluster  = "UnknownCluster"
	ClusterNotReady = "ClusterNotReady"
	ClusterLeaving  = "ClusterLeaving"
	NotSelected     = "NotSelected"
	NotInNamespace  = "NotInNamespace"
)

// finding is something to tell. The user must change something where it stalls.
type finding struct {
	reason, message string
	stalls          bool
}

// decision is what follows from a world.
type decision struct {
	// held says why nothing was divided; findings what is worth telling of what was, the most important first.
	held     *finding
	findings []finding
	// clusters are all clusters with what they get, sorted by name; placed is the sum.
	clusters []schedv1.ClusterReplicas
	placed   int64
	// considered are the clusters that the replicas were divided over.
	considered int
	// shares are the clusters to place with their replicas, patch what they change in the federated object's spec; nil if there is
	// nothing to write.
	shares map[string]int64
	patch  map[string]any
	// division in words.
	division string
	// limits are what is now known of the capacities, by cluster.
	limits map[string]*limit
	// recheck is when to look again although nothing has happened; zero is never.
	recheck time.Time
}

// decide is total: whatever the world looks like, the decision says what to do, or why nothing is done.
func decide(w world) decision {
	if f := hold(w); f != nil {
		return decision{held: f}
	}
	d := decision{limits: map[string]*limit{}}
	request := divide.Request{
		Total: int64(w.pref.Spec.TotalReplicas), Rebalance: w.pref.Spec.Rebalance,
		Key: w.pref.Namespace + "/" + w.pref.Name, Preferences: preferencesOf(w.pref.Spec),
	}
	told := declared(w.object)
	for i := range w.clusters {
		c := &w.clusters[i]
		if f := excluded(w, *c); f != nil {
			d.clusters = append(d.clusters, schedv1.ClusterReplicas{Name: c.name, Reason: f.reason, Message: f.message})
			continue
		}
		l := c.limit.next(c.seen)
		d.limits[c.name] = l
		request.Clusters = append(request.Clusters, divide.Cluster{Name: c.name, Current: c.current(told, selects(w.intent.Placement, *c)), Capacity: l.at(w.now)})
		d = d.again(c.due(w, l))
	}
	d.considered = len(request.Clusters)
	if d.considered == 0 {
		d.held = nobody(d.clusters)
		return d
	}
	return d.divided(w, divide.Divide(request))
}

// hold says why nothing can be divided. The first rule that matches wins.
func hold(w world) *finding {
	stalled := func(reason, format string, args ...any) *finding {
		return &finding{reason, fmt.Sprintf(format, args...), true}
	}
	switch {
	case w.pref.err != nil:
		return stalled(InvalidPreference, "%v", w.pref.err)
	case !w.enabled:
		return stalled(Disabled, "the feature gate SchedulerPreferences of the KubeFedConfig is Disabled")
	case w.target == nil:
		return stalled(InvalidTargetKind, "spec.targetKind %q must be %s", w.pref.Spec.TargetKind, kinds())
	case negative(w.pref.Spec) != "":
		return stalled(NegativeNumber, "%s must not be negative", negative(w.pref.Spec))
	case w.fedType == nil:
		return stalled(TypeNotEnabled, "%s are not federated: run kubefedctl enable %s", w.target.typeName, w.target.typeName)
	case w.fedType.Paused:
		return stalled(TypeDisabled, "propagation of %s is disabled in its FederatedTypeConfig", w.target.typeName)
	case w.object == nil:
		return stalled(TargetMissing, "there is no %s %s in namespace %s", w.target.kind, w.pref.Name, w.pref.Namespace)
	case w.intent.IsDeleting():
		return &finding{TargetDeleting, fmt.Sprintf("%s %s is being deleted", w.target.kind, w.pref.Name), false}
	}
	for _, part := range []intent.Part{intent.PartPlacement, intent.PartOverrides} {
		if p, bad := w.intent.Problem(part); bad {
			return stalled(InvalidTarget, "%s %s: %s", w.target.kind, w.pref.Name, p)
		}
	}
	if p, bad := w.selection.Problem(intent.PartPlacement); bad && w.pref.Spec.IntersectWithClusterSelector {
		return stalled(InvalidTarget, "%s %s: %s", w.target.kind, w.pref.Name, p)
	}
	if w.namespace == nil {
		return nil
	}
	if p, bad := w.namespace.Problem(intent.PartPlacement); bad {
		return stalled(InvalidTarget, "FederatedNamespace %s: %s", w.namespace.Name, p)
	}
	if w.namespace.IsDeleting() {
		return &finding{NamespaceNotFederated, fmt.Sprintf("FederatedNamespace %s is being deleted", w.namespace.Name), false}
	}
	return nil
}

func kinds() string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.kind
	}
	return strings.Join(names, " or ")
}

// negative names the first field that is negative.
func negative(s schedv1.ReplicaSchedulingPreferenceSpec) string {
	if s.TotalReplicas < 0 {
		return "spec.totalReplicas"
	}
	for _, name := range named(s) {
		p := s.Clusters[name]
		switch at := "spec.clusters[" + name + "]."; {
		case p.MinReplicas < 0:
			return at + "minReplicas"
		case p.MaxReplicas != nil && *p.MaxReplicas < 0:
			return at + "maxReplicas"
		case p.Weight < 0:
			return at + "weight"
		}
	}
	return ""
}

// named are the keys of spec.clusters, sorted.
func named(s schedv1.ReplicaSchedulingPreferenceSpec) []string {
	out := make([]string, 0, len(s.Clusters))
	for name := range s.Clusters {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func preferencesOf(s schedv1.ReplicaSchedulingPreferenceSpec) map[string]divide.Preference {
	out := make(map[string]divide.Preference, len(s.Clusters))
	for name, p := range s.Clusters {
		out[name] = divide.Preference{Min: p.MinReplicas, Max: p.MaxReplicas, Weight: p.Weight}
	}
	return out
}

// excluded says why a cluster takes no part; nil if it does. The first rule that matches wins.
func excluded(w world, c cluster) *finding {
	switch {
	case c.leaving:
		return &finding{reason: ClusterLeaving, message: "the KubeFedCluster is being deleted"}
	case !c.ready && !w.waitsFor(c):
		return &finding{reason: ClusterNotReady, message: "see the conditions of KubeFedCluster " + c.name}
	case w.pref.Spec.IntersectWithClusterSelector && !selects(w.selection.Placement, c):
		return &finding{reason: NotSelected, message: "spec.placement.clusterSelector does not select the cluster"}
	case w.namespace != nil && !selects(w.namespace.Placement, c):
		return &finding{reason: NotInNamespace, message: "FederatedNamespace " + w.namespace.Name + " does not select the cluster"}
	default:
		return nil
	}
}

// waitsFor says whether the replicas in a cluster that is not ready wait for it.
func (w world) waitsFor(c cluster) bool {
	return selects(w.intent.Placement, c) && !c.since.IsZero() && w.now.Before(c.since.Add(w.unavailableDelay))
}

// selects follows the rules of every placement: a list of names wins over a selector, and no selector selects nothing.
func selects(p intent.Placement, c cluster) bool {
	if p.ByName {
		return slices.Contains(p.Clusters, c.name)
	}
	return p.Selector != nil && p.Selector.Matches(labels.Set(c.labels))
}

// current is how many replicas are well in a cluster: those that the federated object declares, or else that are desired there, less
// those that are stuck. That what was declared a moment ago has not arrived yet is no reason to divide anew.
func (c cluster) current(declared map[string]int64, placed bool) int64 {
	n, ok := declared[c.name]
	if !placed {
		n, ok = 0, false
	}
	if c.seen == nil {
		return n
	}
	if !ok {
		n = c.seen.desired
	}
	return min(n, c.seen.working()+max(n-c.seen.desired, 0))
}

// glance is the wait between two looks at pods that no node has room for.
const glance = 30 * time.Second

// due is when a cluster is to be looked at again although nothing has happened; zero is never.
func (c cluster) due(w world, l *limit) time.Time {
	var due time.Time
	if !c.ready {
		due = c.since.Add(w.unavailableDelay)
	}
	if c.seen != nil {
		due = earlier(due, c.seen.due)
		if c.seen.unschedulable > 0 {
			due = earlier(due, w.now.Add(glance))
		}
	}
	if l != nil && !l.doubted(w.now) {
		due = earlier(due, l.since.Add(belief))
	}
	return due
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (d decision) again(t time.Time) decision {
	d.recheck = earlier(d.recheck, t)
	return d
}

// nobody says why there is no cluster to divide over.
func nobody(all []schedv1.ClusterReplicas) *finding {
	for _, c := range all {
		if c.Reason == NotSelected || c.Reason == NotInNamespace {
			return &finding{NothingSelected, "no cluster that is ready is selected by the clusterSelector and by the FederatedNamespace; what was placed stays", true}
		}
	}
	return &finding{NoClusterReady, "no cluster is ready; what was placed stays", false}
}

// divided is the decision once the replicas have been divided.
func (d decision) divided(w world, got divide.Division) decision {
	shares := make(map[string]int64, len(got.Shares))
	words := make([]string, 0, len(got.Shares))
	for _, s := range got.Shares {
		shares[s.Cluster] = s.Replicas
		words = append(words, fmt.Sprintf("%s %d", s.Cluster, s.Replicas))
		d.clusters = append(d.clusters, d.told(w, s))
		d.limits = forget(d.limits, s, w.now)
	}
	d.placed, d.division = got.Placed, strings.Join(words, ", ")
	d.findings = findings(w, got)
	d.clusters = append(d.clusters, unknown(w)...)
	slices.SortFunc(d.clusters, func(a, b schedv1.ClusterReplicas) int { return strings.Compare(a.Name, b.Name) })
	d.shares, d.patch = shares, patchOf(w.object, shares)
	return d.careful(w)
}

// told is what the status says of a cluster that takes part.
func (d decision) told(w world, s divide.Share) schedv1.ClusterReplicas {
	out := schedv1.ClusterReplicas{Name: s.Cluster, Replicas: s.Replicas, Reason: string(s.Reason), Message: s.Message}
	if l := d.limits[s.Cluster]; l != nil {
		out.Capacity = &l.capacity
	}
	c := w.clusters[slices.IndexFunc(w.clusters, func(c cluster) bool { return c.name == s.Cluster })]
	switch {
	case !c.ready:
		out.Message += "; the cluster is not ready: if it stays so, its replicas move to others"
	case c.problem != "":
		out.Message += "; " + c.problem
	}
	return out
}

// forget drops a capacity that is old and binds nobody.
func forget(limits map[string]*limit, s divide.Share, now time.Time) map[string]*limit {
	if l := limits[s.Cluster]; l != nil && l.doubted(now) && s.Replicas < l.capacity {
		delete(limits, s.Cluster)
	}
	return limits
}

// unknown are the clusters that spec.clusters names and nobody has joined.
func unknown(w world) []schedv1.ClusterReplicas {
	var out []schedv1.ClusterReplicas
	for _, name := range named(w.pref.Spec) {
		joined := slices.ContainsFunc(w.clusters, func(c cluster) bool { return c.name == name })
		if name != schedv1.AnyCluster && !joined {
			out = append(out, schedv1.ClusterReplicas{Name: name, Reason: UnknownCluster, Message: "no KubeFedCluster has this name"})
		}
	}
	return out
}

// findings are what is worth telling of a division, the most important first.
func findings(w world, got divide.Division) []finding {
	var out []finding
	has := func(r divide.Reason) bool {
		return slices.ContainsFunc(got.Shares, func(s divide.Share) bool { return s.Reason == r })
	}
	if got.Unplaced > 0 {
		out = append(out, finding{reason: Unplaced, message: "the preferences leave no room for all of spec.totalReplicas: raise maxReplicas, or give clusters a weight"})
	}
	if has(divide.BelowMinimum) {
		out = append(out, finding{reason: BelowMinimum, message: "spec.totalReplicas is less than the sum of minReplicas"})
	}
	if has(divide.BeyondCapacity) {
		out = append(out, finding{reason: BeyondCapacity, message: "no cluster has room for all replicas: some wait for it"})
	}
	var wrong, strangers []string
	for _, name := range named(w.pref.Spec) {
		if p := w.pref.Spec.Clusters[name]; p.MaxReplicas != nil && p.MinReplicas > *p.MaxReplicas {
			wrong = append(wrong, "spec.clusters["+name+"]")
		}
	}
	for _, c := range unknown(w) {
		strangers = append(strangers, c.Name)
	}
	if len(wrong) > 0 {
		out = append(out, finding{MinAboveMax, "minReplicas is above maxReplicas, which counts, in " + strings.Join(wrong, ", "), true})
	}
	if len(strangers) > 0 {
		out = append(out, finding{UnknownCluster, "spec.clusters names clusters that have not joined: " + strings.Join(strangers, ", "), true})
	}
	return out
}

// careful holds a write back while another manager undoes each one.
func (d decision) careful(w world) decision {
	if !w.history.fighting(w.now) {
		return d
	}
	d.findings = append([]finding{{Fighting, fightMessage(w.object), true}}, d.findings...)
	repair, over := w.history.wait(w.now)
	d = d.again(w.now.Add(over))
	if d.patch != nil && repair > 0 {
		d.patch = nil
		d = d.again(w.now.Add(repair))
	}
	return d
}
