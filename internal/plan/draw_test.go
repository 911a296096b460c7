package plan_test

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// drawn is a world, with what its placement says told in another way than by the code under test.
type drawn struct {
	plan.World
	// own and namespace say which members the two placements name; false if they cannot be read.
	own, namespace func(plan.Member) (meant, readable bool)
}

// means says whether both placements are readable and mean the member, or one of them does not.
func (d drawn) means(m plan.Member) plan.Tri {
	n := d.Namespace
	switch {
	case !d.MembersKnown:
		return plan.Unknown
	case n.Applies && (!n.Known || n.Intent == nil || n.Intent.IsDeleting()):
		return plan.Unknown
	}
	own, ok := d.own(m)
	if !ok {
		return plan.Unknown
	}
	if !n.Applies {
		return plan.TriOf(own)
	}
	both, ok := d.namespace(m)
	if !ok {
		return plan.Unknown
	}
	return plan.TriOf(own && both)
}

// excludes says whether the object's own placement is enough to know that a member is not meant, or both are.
func (d drawn) excludes(m plan.Member) bool {
	own, readable := d.own(m)
	return readable && !own || d.means(m) == plan.No
}

func oneOf[T any](t *rapid.T, what string, of ...T) T { return rapid.SampledFrom(of).Draw(t, what) }

// rarely is true about once in n times.
func rarely(t *rapid.T, n int, what string) bool { return rapid.IntRange(1, n).Draw(t, what) == n }

// placements and what they mean, in words of their own.
var placements = []struct {
	spec any
	says func(plan.Member) (meant, readable bool)
}{
	{nil, func(plan.Member) (bool, bool) { return false, true }},
	{map[string]any{"clusterSelector": map[string]any{}}, func(plan.Member) (bool, bool) { return true, true }},
	{map[string]any{"clusters": []any{}}, func(plan.Member) (bool, bool) { return false, true }},
	{
		map[string]any{"clusters": []any{map[string]any{"name": "b"}, map[string]any{"name": "a"}}, "clusterSelector": map[string]any{}},
		func(m plan.Member) (bool, bool) { return m.Name == "a" || m.Name == "b", true },
	},
	{
		map[string]any{"clusterSelector": map[string]any{"matchLabels": map[string]any{"zone": "x"}}},
		func(m plan.Member) (bool, bool) { return m.Labels["zone"] == "x", true },
	},
	{map[string]any{"clusters": "a"}, func(plan.Member) (bool, bool) { return false, false }},
	{"all", func(plan.Member) (bool, bool) { return false, false }},
}

var templates = []any{
	nil,
	map[string]any{"data": map[string]any{"a": "b"}, "metadata": map[string]any{"labels": map[string]any{"app": "web"}}},
	map[string]any{"spec": map[string]any{"replicas": int64(3), "clusterIP": "10.0.0.1", "ports": []any{map[string]any{"nodePort": int64(30080)}}}},
	map[string]any{"apiVersion": "other.io/v1"},
	map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": int64(1)}}},
	"x",
}

var overrideLists = []any{
	nil,
	[]any{override("a", "replace", "/spec/replicas", int64(5))},
	[]any{override("a", "remove", "/spec/replicas", nil), override("b", "", "/spec", map[string]any{"replicas": int64(1)})},
	[]any{override("b", "remove", "/none/at/all", nil)},
	[]any{override("c", "move", "/data/a", nil)},
	"x",
}

func override(cluster, op, path string, value any) any {
	return map[string]any{"clusterName": cluster, "clusterOverrides": []any{map[string]any{"op": op, "path": path, "value": value}}}
}

func drawWorld(t *rapid.T) drawn {
	d := drawn{World: plan.World{
		Key:          intent.Key{Namespace: "shop", Name: "web"},
		MembersKnown: !rarely(t, 10, "unread"),
		Now:          time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		Settings: plan.Settings{
			ControlPlane: "cp", Adopt: rapid.Bool().Draw(t, "adopt"), DeletionDeadline: 5 * time.Minute, SystemNamespaces: []string{"default"},
		},
	}}
	d.Type = kinds[oneOf(t, "kind", slices.Sorted(maps.Keys(kinds))...)]
	d.Type.Paused = rarely(t, 10, "paused")
	if d.Type.IsNamespace() {
		d.Key = intent.Key{Namespace: oneOf(t, "namespace", "shop", "shop", "default"), Name: "shop"}
	}
	d.Key.Type = d.Type.Name
	own, around := oneOf(t, "placement", placements...), oneOf(t, "placement of the namespace", placements...)
	d.own, d.namespace = own.says, around.says
	if !rarely(t, 6, "absent object") {
		d.Intent = drawIntent(t, d.Key, own.spec)
	}
	d.Namespace = drawNamespace(t, d.Type, around.spec)
	for _, name := range []string{"a", "b", "c", "d"} {
		if !rarely(t, 4, "no "+name) {
			d.Members = append(d.Members, drawMember(t, d.World, name))
		}
	}
	if d.Intent != nil {
		d.Intent.Status = drawStatus(t, d.World)
	}
	return d
}

func drawIntent(t *rapid.T, key intent.Key, placement any) *intent.Intent {
	spec := map[string]any{
		"placement": placement, "template": oneOf(t, "template", templates...), "overrides": oneOf(t, "overrides", overrideLists...),
		"retainReplicas": rarely(t, 3, "retain"),
	}
	obj := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(map[string]any{"spec": spec})}
	obj.SetNamespace(key.Namespace)
	obj.SetName(key.Name)
	obj.SetUID("u1")
	if rapid.Bool().Draw(t, "held") {
		obj.SetFinalizers([]string{fedv1.SyncFinalizer})
	}
	if rapid.Bool().Draw(t, "deleting") {
		_ = unstructured.SetNestedField(obj.Object, oneOf(t, "since", "2026-01-01T11:59:00Z", "2026-01-01T11:00:00Z"), "metadata", "deletionTimestamp")
		obj.SetAnnotations(map[string]string{
			fedv1.OrphanAnnotation:       oneOf(t, "orphan", "", "", "true", "adopted"),
			fedv1.DeleteOptionAnnotation: oneOf(t, "options", "", "", "", `{"gracePeriodSeconds": 3}`, "{"),
		})
	}
	return intent.Parse(obj)
}

func drawNamespace(t *rapid.T, of intent.Type, placement any) plan.NamespaceWorld {
	if !of.Target.Namespaced {
		return plan.NamespaceWorld{}
	}
	w := plan.NamespaceWorld{Applies: true, Known: true}
	switch oneOf(t, "FederatedNamespace", "there", "there", "there", "missing", "unknown", "deleting", "not asked") {
	case "unknown":
		w.Known = false
	case "missing":
	case "not asked":
		return plan.NamespaceWorld{}
	case "deleting":
		w.Intent = intent.Parse(&unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"deletionTimestamp": "2026-01-01T11:59:00Z"}, "spec": map[string]any{"placement": placement},
		}})
	default:
		w.Intent = intent.Parse(&unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"placement": placement}}})
	}
	return w
}

func drawMember(t *rapid.T, w plan.World, name string) plan.Member {
	m := plan.Member{
		Name: name, Labels: map[string]string{"zone": oneOf(t, "zone", "x", "w")}, Host: name == "a", Ready: !rarely(t, 5, "away"),
		View:          oneOf(t, "view", plan.ViewSynced, plan.ViewSynced, plan.ViewSynced, plan.ViewSynced, plan.ViewWaiting, plan.ViewMissing, plan.ViewForbidden, plan.ViewFailed, ""),
		Absent:        rarely(t, 4, "absent"),
		NamespaceHere: oneOf(t, "namespace here", plan.Unknown, plan.Unknown, plan.Yes, plan.No),
	}
	applied := "old"
	if w.Intent != nil && rapid.Bool().Draw(t, "current") {
		applied = plan.Version(w, name)
	}
	if rapid.Bool().Draw(t, "copy") {
		m.Copy, m.Absent = drawCopy(t, applied), false
	}
	if rapid.Bool().Draw(t, "recorded") {
		m.Record = &plan.Record{UID: oneOf[types.UID](t, "uid on record", "c1", "c1", "c2"), Version: applied + ".f"}
	}
	if rarely(t, 3, "debt") {
		m.Debt = &plan.Debt{
			Owner: "u0", UID: oneOf[types.UID](t, "uid owed", "", "c1", "c2"),
			Release: rarely(t, 3, "release"), KeepAdopted: rarely(t, 3, "keep adopted"),
		}
	}
	return m
}

func drawCopy(t *rapid.T, applied string) *plan.Copy {
	c := &plan.Copy{
		UID: "c1", ResourceVersion: "7", Managed: "true", Applied: applied, Fields: oneOf(t, "fields", "f", "f", "g"),
		OwnsReplicas: rapid.Bool().Draw(t, "owns replicas"), Adopted: rarely(t, 4, "adopted"), Shared: rarely(t, 6, "shared"), Deleting: rarely(t, 6, "terminating"),
	}
	if mark := oneOf(t, "owner", "cp/u1", "cp/u1", "cp/u0", "other/u9", ""); mark != "" {
		cp, uid, _ := strings.Cut(mark, "/")
		c.ControlPlane, c.Owner = cp, types.UID(uid)
	}
	if state := oneOf(t, "health", plan.HealthState(""), plan.HealthCurrent, plan.HealthFailed); state != "" {
		c.Health = &plan.Health{State: state, Replicas: &plan.Replicas{Meant: 2, Ready: 1}}
	}
	return c
}

// drawStatus tells of some of the records, and of clusters that are not there any more.
func drawStatus(t *rapid.T, w plan.World) intent.Status {
	var s intent.Status
	for _, m := range w.Members {
		if m.Record != nil && rapid.Bool().Draw(t, "told") {
			s.Clusters = append(s.Clusters, intent.ClusterStatus{Name: m.Name, UID: m.Record.UID, Version: m.Record.Version})
		}
	}
	if rarely(t, 4, "left") {
		s.Clusters = append(s.Clusters, intent.ClusterStatus{Name: "gone", UID: "c9", Version: "v.f"})
	}
	return s
}
