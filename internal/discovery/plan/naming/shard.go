package naming

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hansa-io/hansa/internal/discovery/plan"
)

const (
	// settle is how long a cluster that is away keeps its addresses in any case: those that were lost at the same moment are noticed one
	// after another.
	settle = 15 * time.Second
	// together is the time within which clusters are lost at once.
	together = 5 * time.Minute
)

// shards are what the clusters give, and when to look again although nothing has happened.
func shards(w World) ([]Shard, time.Time) {
	old := last(w)
	var out, spare []Shard
	var again time.Time
	for i, c := range w.Clusters {
		before, had := find(old, c.Name)
		s, reserve := judge(w, i, before, had)
		out, spare = append(out, s), append(spare, reserve)
		if c.Presence == plan.Away && w.Now.Before(c.Since.Add(settle)) && (again.IsZero() || c.Since.Add(settle).Before(again)) {
			again = c.Since.Add(settle)
		}
	}
	for _, s := range old {
		if _, there := find(out, s.Cluster); !there && !w.Known {
			out, spare = append(out, s), append(spare, Shard{})
		}
	}
	for _, reason := range []string{Draining, ClusterNotReady} {
		out = rescue(out, spare, reason)
	}
	slices.SortFunc(out, func(a, b Shard) int { return strings.Compare(a.Cluster, b.Cluster) })
	return out, again
}

// rescue publishes what those that are left out for this reason have in reserve, if nothing else is published.
func rescue(all, spare []Shard, reason string) []Shard {
	if slices.ContainsFunc(all, func(s Shard) bool { return len(s.Points) > 0 }) {
		return all
	}
	out := slices.Clone(all)
	for i, s := range all {
		if s.Reason == reason && len(spare[i].Points) > 0 {
			out[i] = spare[i]
		}
	}
	return out
}

// judge says what a cluster gives, and what it has in reserve if nobody gives anything. The first rule that matches wins.
func judge(w World, i int, before Shard, had bool) (now, reserve Shard) {
	c, s := w.Clusters[i], w.Sources[i]
	give := func(points []corev1.LoadBalancerIngress, reason, message string) Shard {
		return Shard{Cluster: c.Name, Region: c.Region, Zones: slices.Clone(c.Zones), Points: points, Reason: reason, Message: message}
	}
	if c.Region == "" && len(c.Zones) == 0 && (c.Presence != plan.Present || !s.Seen) {
		c.Region, c.Zones = before.Region, before.Zones
	}
	kept := func(why string) Shard { return give(before.Points, LastKnown, "the last addresses stay: "+why) }
	points, there := pointsOf(w, s)
	switch {
	case c.Presence == plan.Away && len(before.Points) == 0:
		return give(nil, ClusterNotReady, "see the conditions of KubeFedCluster "+c.Name), Shard{}
	case c.Presence == plan.Away && w.Now.Before(c.Since.Add(settle)):
		return before, Shard{} // nothing is told of a moment
	case c.Presence == plan.Away && lostWithMost(w.Clusters, c):
		return kept("the cluster was lost together with most others, so that the fault may be here"), Shard{}
	case c.Presence == plan.Away:
		return give(nil, ClusterNotReady, "see the conditions of KubeFedCluster "+c.Name), kept("the cluster is away, and no other has any")
	case (c.Presence != plan.Present || !s.Seen) && had:
		return before, Shard{}
	case c.Presence != plan.Present || !s.Seen:
		return give(nil, Observing, "the cluster has not been looked into yet"), Shard{}
	case !there && w.Service != nil:
		return give(nil, ServiceMissing, "there is no such Service"), Shard{}
	case !there:
		return give(nil, IngressMissing, "there is no such Ingress"), Shard{}
	case len(points) == 0:
		return give(nil, NoAddress, "no load balancer has given it an address"), Shard{}
	case w.Service != nil && !w.Service.Spec.AllowServiceWithoutEndpoints && !ready(s):
		return give(nil, NoReadyEndpoints, "none of its endpoints is ready"), Shard{}
	case c.Drain || c.Weight <= 0:
		return give(nil, Draining, "the cluster is drained, or has weight 0"), give(points, Serving, "the cluster is drained, but no other has any address")
	default:
		return give(points, Serving, ""), Shard{}
	}
}

// lostWithMost says whether more than half of the clusters that were there were lost at once with this one.
func lostWithMost(all []plan.Cluster, c plan.Cluster) bool {
	lost, there := 0, 0
	for _, o := range all {
		switch {
		case o.Presence != plan.Away:
			there++
		case o.Since.Sub(c.Since).Abs() <= together:
			lost++
			there++
		case o.Since.After(c.Since):
			there++
		}
	}
	return there > 1 && 2*lost > there
}

// pointsOf are the addresses that a cluster's load balancer has for it, sorted; false if it is not there.
func pointsOf(w World, s plan.Source) ([]corev1.LoadBalancerIngress, bool) {
	var out []corev1.LoadBalancerIngress
	switch {
	case w.Service != nil && s.Service != nil:
		for _, p := range s.Service.Status.LoadBalancer.Ingress {
			out = append(out, corev1.LoadBalancerIngress{IP: p.IP, Hostname: canonical(p.Hostname)})
		}
	case w.Service == nil && s.Ingress != nil:
		for _, p := range s.Ingress.Status.LoadBalancer.Ingress {
			out = append(out, corev1.LoadBalancerIngress{IP: p.IP, Hostname: canonical(p.Hostname)})
		}
	default:
		return nil, false
	}
	out = slices.DeleteFunc(out, func(p corev1.LoadBalancerIngress) bool { return p.IP == "" && p.Hostname == "" })
	slices.SortFunc(out, func(a, b corev1.LoadBalancerIngress) int {
		return cmp.Or(strings.Compare(a.IP, b.IP), strings.Compare(a.Hostname, b.Hostname))
	})
	return slices.CompactFunc(out, func(a, b corev1.LoadBalancerIngress) bool { return a.IP == b.IP && a.Hostname == b.Hostname }), true
}

// ready says whether an endpoint takes connections.
func ready(s plan.Source) bool {
	for _, slice := range s.Slices {
		for _, e := range slice.Endpoints {
			if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				return true
			}
		}
	}
	return false
}

// last is what the status says that each cluster gave.
func last(w World) []Shard {
	var out []Shard
	if w.Service != nil {
		for _, d := range w.Service.Status.DNS {
			out = append(out, Shard{Cluster: d.Cluster, Region: d.Region, Zones: d.Zones, Points: d.LoadBalancer.Ingress, Reason: d.Reason, Message: d.Message})
		}
		return out
	}
	for _, d := range w.Ingress.Status.DNS {
		out = append(out, Shard{Cluster: d.Cluster, Points: d.LoadBalancer.Ingress, Reason: d.Reason, Message: d.Message})
	}
	return out
}

func find(in []Shard, cluster string) (Shard, bool) {
	i := slices.IndexFunc(in, func(s Shard) bool { return s.Cluster == cluster })
	if i < 0 {
		return Shard{}, false
	}
	return in[i], true
}
