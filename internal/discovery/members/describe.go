package members

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/cluster"
	"github.com/hansa-io/hansa/internal/discovery/plan"
)

// defaultWeight is a cluster's share where nothing else is asked for, maxWeight the most that can be asked for.
const (
	defaultWeight = 100
	maxWeight     = 1000
)

// describe is what a KubeFedCluster says of itself, without whether it is there, and what in it cannot be used.
func describe(c *fedv1.KubeFedCluster) (out plan.Cluster, problems []string) {
	out = plan.Cluster{Name: c.Name, ID: plan.IDOf(c.Name), Zones: c.Status.Zones, Reach: plan.Flat, Weight: defaultWeight}
	if c.Status.Region != nil {
		out.Region = *c.Status.Region
	}
	bad := func(annotation, allowed string) {
		problems = append(problems, fmt.Sprintf("metadata.annotations[%s] must be %s, is %q: it counts as absent", annotation, allowed, c.Annotations[annotation]))
	}
	switch r := plan.Reach(c.Annotations[fedv1.ReachabilityAnnotation]); r {
	case plan.Flat, plan.NodePort, plan.LoadBalancer:
		out.Reach = r
	case "":
	default:
		bad(fedv1.ReachabilityAnnotation, "flat, nodePort or loadBalancer")
	}
	if text, ok := c.Annotations[fedv1.WeightAnnotation]; ok {
		if w, err := strconv.Atoi(text); err == nil && w >= 0 && w <= maxWeight {
			out.Weight = w
		} else {
			bad(fedv1.WeightAnnotation, "a number from 0 to 1000")
		}
	}
	switch c.Annotations[fedv1.DrainAnnotation] {
	case "true":
		out.Drain = true
	case "", "false":
	default:
		bad(fedv1.DrainAnnotation, "true or false")
	}
	if region, ok := c.Annotations[fedv1.RegionAnnotation]; ok {
		out.Region = strings.TrimSpace(region)
	}
	if zones, ok := c.Annotations[fedv1.ZonesAnnotation]; ok {
		out.Zones = zonesOf(zones)
	}
	return out, problems
}

func zonesOf(text string) []string {
	var out []string
	for zone := range strings.SplitSeq(text, ",") {
		if zone = strings.TrimSpace(zone); zone != "" {
			out = append(out, zone)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// presence says whether the cluster is there.
func presence(m cluster.Member) plan.Presence {
	switch {
	case m.Ready:
		return plan.Present
	case m.Name == "" || m.Reason == cluster.ReasonProbing:
		return plan.Unmet
	default:
		return plan.Away
	}
}

// since is when the cluster came or went, as its record tells, so that a restart of the control plane does not begin to count anew.
func since(c *fedv1.KubeFedCluster, p plan.Presence, learnt time.Time) time.Time {
	for _, condition := range c.Status.Conditions {
		if condition.Type == fedv1.ClusterReady && (condition.Status == metav1.ConditionTrue) == (p == plan.Present) && condition.LastTransitionTime != nil {
			return condition.LastTransitionTime.Time
		}
	}
	return learnt
}
