package schedule

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// replicasPath is the override that a division is written as.
const replicasPath = "/spec/replicas"

// applied is what a division applies to a federated object's spec: the clusters to place, and their replicas. shares are the clusters
// by name. Where the API server keeps overrides by cluster and path, all other fields stay their owners'.
func applied(shares map[string]int64) map[string]any {
	overrides := make([]any, 0, len(shares))
	for _, name := range sortedKeys(shares) {
		overrides = append(overrides, overrideOf(name, shares[name]))
	}
	return map[string]any{"placement": placementOf(shares), "overrides": overrides}
}

func placementOf(shares map[string]int64) map[string]any {
	clusters := make([]any, 0, len(shares))
	for _, name := range sortedKeys(shares) {
		clusters = append(clusters, map[string]any{"name": name})
	}
	return map[string]any{"clusters": clusters}
}

func overrideOf(cluster string, share int64) map[string]any {
	return map[string]any{"clusterName": cluster, "clusterOverrides": []any{replicasOverride(share)}}
}

// foreign are the overrides that are not replicas, by cluster, each cluster's in their order.
func foreign(obj *unstructured.Unstructured) map[string][]any {
	out := map[string][]any{}
	list, _, _ := unstructured.NestedSlice(obj.Object, "spec", "overrides")
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, _ := m["clusterName"].(string)
		operations, _ := m["clusterOverrides"].([]any)
		for _, o := range operations {
			if o, _ := o.(map[string]any); o["path"] != replicasPath {
				out[name] = append(out[name], o)
			}
		}
	}
	return out
}

// patchOf is the merge patch of spec that makes a federated object say what a division says; nil if it says so already. shares are
// the clusters to place, by name. All other overrides stay as they are, and in their order: who wrote them finds them again.
func patchOf(obj *unstructured.Unstructured, shares map[string]int64) map[string]any {
	patch := map[string]any{}
	if placed, ok := placedIn(obj); !ok || !slices.Equal(placed, sortedKeys(shares)) {
		patch["placement"] = placementOf(shares)
	}
	if overrides, changed := overridesFor(obj, shares); changed {
		patch["overrides"] = overrides
	}
	if len(patch) == 0 {
		return nil
	}
	return patch
}

// placedIn is the sorted list of names in spec.placement.clusters; false if there is no list.
func placedIn(obj *unstructured.Unstructured) ([]string, bool) {
	list, ok, _ := unstructured.NestedSlice(obj.Object, "spec", "placement", "clusters")
	names := make([]string, len(list))
	for i, item := range list {
		m, _ := item.(map[string]any)
		names[i], _ = m["name"].(string)
	}
	slices.Sort(names)
	return names, ok
}

// overridesFor is spec.overrides with the replicas of a division. Replicas of clusters that have no share go, and with them an item
// that held nothing else.
func overridesFor(obj *unstructured.Unstructured, shares map[string]int64) (out []any, changed bool) {
	list, _, _ := unstructured.NestedSlice(obj.Object, "spec", "overrides")
	out = []any{}
	missing := sortedKeys(shares)
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			out = append(out, item)
			continue
		}
		name, _ := m["clusterName"].(string)
		operations, _ := m["clusterOverrides"].([]any)
		share, meant := shares[name]
		missing = slices.DeleteFunc(missing, func(n string) bool { return n == name })
		kept, differs := operationsFor(operations, share, meant)
		changed = changed || differs
		if differs && len(kept) == 0 {
			continue
		}
		m["clusterOverrides"] = kept
		out = append(out, m)
	}
	for _, name := range missing {
		changed = true
		out = append(out, overrideOf(name, shares[name]))
	}
	return out, changed
}

// operationsFor is one cluster's list of overrides with its replicas, or without if it is not meant.
func operationsFor(list []any, share int64, meant bool) (out []any, changed bool) {
	out = make([]any, 0, len(list)+1)
	found := false
	for _, item := range list {
		m, _ := item.(map[string]any)
		switch {
		case m["path"] != replicasPath:
			out = append(out, item)
		case !meant:
			changed = true
		default:
			found = true
			if n, ok := replicasIn(m); ok && n == share {
				out = append(out, item)
				continue
			}
			changed = true
			out = append(out, replicasOverride(share))
		}
	}
	if meant && !found {
		changed = true
		out = append(out, replicasOverride(share))
	}
	return out, changed
}

func replicasOverride(n int64) map[string]any {
	return map[string]any{"path": replicasPath, "value": n}
}

// replicasIn is the number that an override on replicas sets; false if it sets none.
func replicasIn(m map[string]any) (int64, bool) {
	if m["op"] == "remove" {
		return 0, false
	}
	n, ok := m["value"].(int64)
	return n, ok
}

// declared are the numbers of replicas that the overrides of a federated object set, by cluster.
func declared(obj *unstructured.Unstructured) map[string]int64 {
	list, _, _ := unstructured.NestedSlice(obj.Object, "spec", "overrides")
	out := map[string]int64{}
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, _ := m["clusterName"].(string)
		operations, _ := m["clusterOverrides"].([]any)
		for _, o := range operations {
			if o, _ := o.(map[string]any); o["path"] == replicasPath {
				if n, ok := replicasIn(o); ok {
					out[name] = n
				}
			}
		}
	}
	return out
}

func sortedKeys(m map[string]int64) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, strings.Compare)
	return out
}
