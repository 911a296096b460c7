package settings

import (
	"fmt"
	"slices"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

// gate is a feature that can be switched.
type gate struct {
	name string
	// on is what it is where the KubeFedConfig does not name it.
	on bool
}

// gates are all that are known, one line each. What they do is on the page of the KubeFedConfig.
var gates = []gate{
	{name: fedv1.GatePushReconciler, on: true},
	{name: fedv1.GateSchedulerPreferences, on: true},
	{name: fedv1.GateRawResourceStatusCollection},
	{name: fedv1.GatePropagatedVersions},
	{name: fedv1.GateCrossClusterServiceDiscovery},
	{name: fedv1.GateFederatedIngress},
}

// Gates says which features are on.
type Gates map[string]bool

// On says whether a feature is on.
func (g Gates) On(name string) bool { return g[name] }

func defaultGates() Gates {
	out := Gates{}
	for _, known := range gates {
		out[known.name] = known.on
	}
	return out
}

// gates reads spec.featureGates. No name is bad: what other releases knew is kept, told, and changes nothing here.
func (r *Reading) gates(raw any, before Gates) {
	list, ok := raw.([]any)
	if !ok && raw != nil {
		r.Settings.Gates = before
		r.bad("featureGates", "must be a list of names with configurations, is "+quoted(raw))
		return
	}
	seen := map[string]bool{}
	for n, item := range list {
		entry, _ := item.(map[string]any)
		name, _ := entry["name"].(string)
		if name == "" {
			r.bad(fmt.Sprintf("featureGates[%d].name", n), "must not be empty")
			continue
		}
		on, problem := readMode(entry["configuration"])
		if problem != "" {
			on = before.On(name)
			r.bad("featureGates["+name+"].configuration", problem)
		}
		if seen[name] {
			r.ignored("featureGates["+name+"]", "is there twice: the last one counts")
		}
		seen[name] = true
		r.gate(name, on)
	}
}

func (r *Reading) gate(name string, on bool) {
	if !slices.ContainsFunc(gates, func(g gate) bool { return g.name == name }) {
		r.ignored("featureGates["+name+"]", "is not a feature of this release")
		return
	}
	r.Settings.Gates[name] = on
}
