package intent

import (
	"fmt"
	"strings"
)

func (p parser) overrides(value any) {
	if value == nil {
		return
	}
	items, ok := value.([]any)
	if !ok {
		p.problem(PartOverrides, "spec.overrides", "must be a list")
		return
	}
	p.intent.Overrides = make(map[string][]Override, len(items))
	seen := map[string]int{}
	for n, item := range items {
		path := fmt.Sprintf("spec.overrides[%d]", n)
		m, ok := item.(map[string]any)
		if !ok {
			p.problem(PartOverrides, path, "must be an object")
			continue
		}
		cluster, _ := m["clusterName"].(string)
		if first, twice := seen[cluster]; twice {
			p.problem(PartOverrides, path+".clusterName", "cluster %q stands in spec.overrides[%d] already: merge the two items", cluster, first)
			continue
		}
		seen[cluster] = n
		p.intent.Overrides[cluster] = p.clusterOverrides(path+".clusterOverrides", m["clusterOverrides"])
	}
}

func (p parser) clusterOverrides(path string, value any) []Override {
	items, ok := value.([]any)
	if !ok && value != nil {
		p.problem(PartOverrides, path, "must be a list")
	}
	seen := map[string]int{}
	out := make([]Override, 0, len(items))
	for n, item := range items {
		at := fmt.Sprintf("%s[%d]", path, n)
		m, _ := item.(map[string]any)
		o, problem := parseOverride(m)
		if problem != nil {
			p.problem(PartOverrides, at+problem.Path, "%s", problem.Message)
			continue
		}
		if first, twice := seen[o.Path]; twice {
			p.problem(PartOverrides, at+".path", "path %q stands in %s[%d] already", o.Path, path, first)
			continue
		}
		seen[o.Path] = n
		out = append(out, o)
	}
	return out
}

func parseOverride(m map[string]any) (Override, *Problem) {
	o := Override{Value: m["value"]}
	o.Op, _ = m["op"].(string)
	o.Path, _ = m["path"].(string)
	switch o.Op {
	case "":
		o.Op = "replace"
	case "add", "remove", "replace":
	default:
		return o, &Problem{Path: ".op", Message: fmt.Sprintf("%q is not an operation: use add, remove or replace; absent means replace", o.Op)}
	}
	if why := forbidden(o.Path); why != "" {
		return o, &Problem{Path: ".path", Message: why}
	}
	return o, nil
}

// identity are the paths that say which object this is; clusterManaged those that only the member's API server may write.
var (
	identity = map[string]string{
		"/kind": "kind", "/metadata": "metadata", "/metadata/name": "metadata.name",
		"/metadata/namespace": "metadata.namespace", "/metadata/generateName": "metadata.generateName",
	}
	clusterManaged = []string{
		"/metadata/ownerReferences", "/metadata/managedFields", "/metadata/resourceVersion", "/metadata/uid",
		"/metadata/generation", "/metadata/creationTimestamp", "/metadata/deletionTimestamp", "/status",
	}
)

// forbidden says why a path may not be overridden; empty if it may.
func forbidden(path string) string {
	switch {
	case path == "" || path == "/":
		return "path must not be empty: it would replace the whole object"
	case !strings.HasPrefix(path, "/"):
		return fmt.Sprintf("path %q must start with a slash: did you mean %q?", path, "/"+path)
	}
	if field, ok := identity[path]; ok {
		return fmt.Sprintf("overrides may not change identity (%s)", field)
	}
	for _, p := range clusterManaged {
		if path == p || strings.HasPrefix(path, p+"/") {
			return fmt.Sprintf("field %s is managed by the cluster", strings.ReplaceAll(strings.TrimPrefix(p, "/"), "/", "."))
		}
	}
	return ""
}
