package plan_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/casefile"
	"github.com/hansa-io/hansa/internal/intent"
	"github.com/hansa-io/hansa/internal/plan"
)

// TestCases makes the plan of every world in testdata. A case file says in its first line what it proves.
func TestCases(t *testing.T) {
	casefile.Answer(t, "testdata/*.txtar", "world", "plan", runCase)
}

func runCase(t *testing.T, a *txtar.Archive) string {
	w := readWorld(t, a.Files[0].Data)
	p := plan.Make(w)
	got := printPlan(p, plan.AheadOf(w)...)
	// What every plan must be, whatever its case is about.
	if again := printPlan(plan.Make(w), plan.AheadOf(w)...); again != got {
		t.Errorf("the same world gives another plan: %s", gocmp.Diff(got, again))
	}
	checkIdentity(t, w, p)
	return got
}

// worldFile is a world as the case files write it. What they leave out is as it is on a good day.
type worldFile struct {
	// Object is the federated object as its user writes it; uid u1 and our finalizer are added, but see Unheld.
	Object map[string]any `json:"object"`
	Unheld bool           `json:"unheld"`
	// Type is needed only where there is no object.
	Type   string `json:"type"`
	Paused bool   `json:"paused"`
	// Namespace is "unknown", "missing", "none" (the control plane has no use for it), or a FederatedNamespace; selects all by default.
	Namespace any `json:"namespace"`
	// Members; unread says that the list is not known.
	Members []memberFile `json:"members"`
	Unread  bool         `json:"unread"`
	Newest  string       `json:"newest"`
	// Shared says that there are several shards; Listens and Surveying are as in the world.
	Shared    bool `json:"shared"`
	Listens   bool `json:"listens"`
	Surveying bool `json:"surveying"`
	Settings  struct {
		Accepted string `json:"accepted"`
		Adopt    *bool  `json:"adopt"`
		Deadline string `json:"deadline"`
		Idle     bool   `json:"idle"`
	} `json:"settings"`
	Now string `json:"now"`
}

type memberFile struct {
	Name          string            `json:"name"`
	Labels        map[string]string `json:"labels"`
	Host          bool              `json:"host"`
	Revision      string            `json:"revision"`
	Ready         *bool             `json:"ready"`
	View          string            `json:"view"`
	Message       string            `json:"message"`
	Copy          *copyFile         `json:"copy"`
	Record        *recordFile       `json:"record"`
	Debt          *plan.Debt        `json:"debt"`
	Absent        bool              `json:"absent"`
	Released      bool              `json:"released"`
	NamespaceHere string            `json:"namespaceHere"`
	// Elsewhere says that another shard has the member: its record, and the word that was Told, are in the object's status.
	Elsewhere bool   `json:"elsewhere"`
	Told      string `json:"told"`
}

// copyFile is a copy; it is ours, in sync and called "<member>-copy" where it says nothing else.
type copyFile struct {
	UID types.UID `json:"uid"`
	// Owner is "none", or the owner annotation; "cp/u1" by default.
	Owner string `json:"owner"`
	// Applied is "current" or any other hash.
	Applied      string `json:"applied"`
	Fields       string `json:"fields"`
	Revision     string `json:"revision"`
	OwnsReplicas bool   `json:"ownsReplicas"`
	Adopted      bool   `json:"adopted"`
	Shared       bool   `json:"shared"`
	Deleting     bool   `json:"deleting"`
	// Health is a state; nothing is collected where it is absent.
	Health plan.HealthState `json:"health"`
}

// recordFile is what the host remembers; it agrees with a copy that says nothing else.
type recordFile struct {
	UID     types.UID `json:"uid"`
	Applied string    `json:"applied"`
	Fields  string    `json:"fields"`
}

var kinds = map[string]intent.Type{
	"FederatedConfigMap":   typeOf("configmaps", "", "ConfigMap", true),
	"FederatedService":     typeOf("services", "", "Service", true),
	"FederatedDeployment":  typeOf("deployments", "apps", "Deployment", true),
	"FederatedClusterRole": typeOf("clusterroles", "rbac.authorization.k8s.io", "ClusterRole", false),
	"FederatedNamespace":   typeOf("namespaces", "", "Namespace", false),

	"FederatedPersistentVolumeClaim":    typeOf("persistentvolumeclaims", "", "PersistentVolumeClaim", true),
	"FederatedCustomResourceDefinition": typeOf("customresourcedefinitions", "apiextensions.k8s.io", "CustomResourceDefinition", false),
}

func typeOf(plural, group, kind string, namespaced bool) intent.Type {
	name := plural
	if group != "" {
		name += "." + group
	}
	federated := schema.GroupVersionResource{Group: "types.kubefed.io", Version: "v1beta1", Resource: "federated" + plural}
	return intent.Type{
		Name:      name,
		Federated: intent.Resource{GroupVersionResource: federated, Kind: "Federated" + kind, Namespaced: namespaced || kind == "Namespace"},
		Target:    intent.Resource{GroupVersionResource: schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}, Kind: kind, Namespaced: namespaced},
	}
}

func readWorld(t *testing.T, data []byte) plan.World {
	t.Helper()
	f := worldFile{Type: "FederatedConfigMap", Now: "2026-01-01T12:00:00Z"}
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatalf("world: %v", err)
	}
	w := plan.World{
		Key: intent.Key{Namespace: "shop", Name: "web"}, MembersKnown: !f.Unread, Newest: f.Newest, Now: parseTime(t, f.Now),
		Shared: f.Shared, Listens: f.Listens, Surveying: f.Surveying,
		Settings: plan.Settings{
			ControlPlane: "cp", Adopt: f.Settings.Adopt == nil || *f.Settings.Adopt, DeletionDeadline: 5 * time.Minute, Accepted: f.Settings.Accepted,
			Idle:             f.Settings.Idle,
			SystemNamespaces: []string{"kube-system", "kube-public", "default", fedv1.DefaultNamespace},
		},
	}
	if f.Object != nil {
		w.Intent = readIntent(t, f)
		f.Type, _ = f.Object["kind"].(string)
		w.Key = intent.Key{Namespace: w.Intent.Namespace, Name: w.Intent.Name}
	}
	var ok bool
	if w.Type, ok = kinds[f.Type]; !ok {
		t.Fatalf("unknown kind %q", f.Type)
	}
	w.Type.Paused, w.Key.Type = f.Paused, w.Type.Name
	w.Namespace = readNamespace(t, w.Type, f.Namespace)
	for _, m := range f.Members {
		w.Members = append(w.Members, readMember(t, w, m))
	}
	tellElsewhere(w, f.Members)
	return w
}

func readIntent(t *testing.T, f worldFile) *intent.Intent {
	obj := &unstructured.Unstructured{Object: numbers(f.Object).(map[string]any)}
	obj.SetUID(cmp.Or(obj.GetUID(), "u1"))
	obj.SetNamespace(cmp.Or(obj.GetNamespace(), "shop"))
	obj.SetName(cmp.Or(obj.GetName(), "web"))
	if !f.Unheld {
		obj.SetFinalizers(append(obj.GetFinalizers(), fedv1.SyncFinalizer))
	}
	return intent.Parse(obj)
}

// numbers turns whole numbers into int64, as the API's own decoder does.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case float64:
		if whole := int64(v); float64(whole) == v {
			return whole
		}
	}
	return v
}

func readNamespace(t *testing.T, of intent.Type, v any) plan.NamespaceWorld {
	w := plan.NamespaceWorld{Applies: of.Target.Namespaced, Known: true}
	switch v := v.(type) {
	case nil:
		v = map[string]any{"spec": map[string]any{"placement": map[string]any{"clusterSelector": map[string]any{}}}}
		w.Intent = intent.Parse(&unstructured.Unstructured{Object: v.(map[string]any)})
	case map[string]any:
		w.Intent = intent.Parse(&unstructured.Unstructured{Object: v})
	case string:
		switch v {
		case "unknown":
			w.Known = false
		case "missing":
		case "none":
			w = plan.NamespaceWorld{}
		default:
			t.Fatalf("namespace: %q", v)
		}
	}
	return w
}

func readMember(t *testing.T, w plan.World, f memberFile) plan.Member {
	m := plan.Member{
		Name: f.Name, Labels: f.Labels, Host: f.Host, Revision: f.Revision, Ready: f.Ready == nil || *f.Ready,
		View: plan.View(cmp.Or(f.View, "Synced")), ViewMessage: f.Message, Debt: f.Debt, Absent: f.Absent, Released: f.Released,
	}
	if f.View == "none" {
		m.View = ""
	}
	switch f.NamespaceHere {
	case "":
	case "no":
		m.NamespaceHere = plan.No
	case "yes":
		m.NamespaceHere = plan.Yes
	default:
		t.Fatalf("namespaceHere: %q", f.NamespaceHere)
	}
	current := func(applied string) string {
		switch {
		case applied != "" && applied != "current":
			return applied
		case w.Intent == nil:
			return "old"
		default:
			return plan.Version(w, f.Name)
		}
	}
	if c := f.Copy; c != nil {
		m.Copy = &plan.Copy{
			UID: cmp.Or(c.UID, types.UID(f.Name+"-copy")), ResourceVersion: "7", Managed: "true",
			Applied: current(c.Applied), Fields: cmp.Or(c.Fields, "f"), Revision: c.Revision, OwnsReplicas: c.OwnsReplicas, Adopted: c.Adopted, Shared: c.Shared, Deleting: c.Deleting,
		}
		if owner := cmp.Or(c.Owner, "cp/u1"); owner != "none" {
			cp, uid, _ := strings.Cut(owner, "/")
			m.Copy.ControlPlane, m.Copy.Owner = cp, types.UID(uid)
		} else {
			m.Copy.Applied = ""
		}
		if c.Health != "" {
			m.Copy.Health = &plan.Health{State: c.Health}
		}
	}
	if r := f.Record; r != nil {
		m.Record = &plan.Record{UID: cmp.Or(r.UID, types.UID(f.Name+"-copy")), Version: current(r.Applied) + "." + cmp.Or(r.Fields, "f")}
	}
	return m
}

// tellElsewhere writes into the status what other shards have told of their members.
func tellElsewhere(w plan.World, files []memberFile) {
	for n, f := range files {
		m := &w.Members[n]
		if !f.Elsewhere {
			continue
		}
		m.Elsewhere = true
		if m.Record == nil && f.Told == "" {
			continue
		}
		c := intent.ClusterStatus{Name: m.Name, Status: f.Told}
		if m.Record != nil {
			c.UID, c.Version = m.Record.UID, m.Record.Version
		}
		w.Intent.Status.Clusters = append(w.Intent.Status.Clusters, c)
	}
}

func parseTime(t *testing.T, s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// printPlan writes a plan in short. Hashes of inputs are written as VERSION: that they are there matters, not what they are.
func printPlan(p plan.Plan, ahead ...plan.Ahead) string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
	}
	if p.Reason != "" {
		line("reason: %s: %s", p.Reason, p.Message)
	}
	if p.Silent {
		line("silent")
	}
	if p.Mute {
		line("mute")
	}
	if p.Pending {
		line("pending")
	}
	if p.Finalizer != "" {
		line("finalizer: %s", p.Finalizer)
	}
	for _, m := range slices.Sorted(maps.Keys(p.Debts)) {
		d := p.Debts[m]
		line("debt: %s: owner=%s uid=%s release=%t keep-adopted=%t %s", m, d.Owner, d.UID, d.Release, d.KeepAdopted, optionsText(d.DeleteOptions))
	}
	if len(p.Settled) > 0 {
		line("settled: %s", strings.Join(p.Settled, ", "))
	}
	if !p.Recheck.IsZero() {
		line("recheck: %s", p.Recheck.UTC().Format(time.RFC3339))
	}
	for _, a := range ahead {
		line("ahead: %s: %s", a.Member, a.Revision)
	}
	for _, s := range p.Steps {
		line("%s: %s %s %s", s.Member, s.Verdict, s.Reason, strings.Join(marks(s), " "))
		if s.Message != "" {
			line("  %s", s.Message)
		}
		if s.Object != nil {
			out, _ := yaml.Marshal(s.Object.Object)
			for l := range strings.Lines(strings.ReplaceAll(string(out), s.Version, "VERSION")) {
				line("  | %s", strings.TrimSuffix(l, "\n"))
			}
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

// marks are the words about a step that are not always there.
func marks(s plan.Step) []string {
	var out []string
	for _, m := range []struct {
		is   bool
		word string
	}{
		{s.Needed, "needed"},
		{s.Selected, "selected"},
		{s.Confirm, "confirm"},
		{s.Exclusive, "exclusive"},
		{s.Adopt, "may-adopt"},
		{s.KeepReplicas, "keep-replicas"},
		{s.Adopted, "adopted"},
		{s.Version != "", "versioned"},
		{s.Record != nil, "recorded"},
		{s.UID != "", "uid=" + string(s.UID)},
		{s.Verdict != plan.Hold && s.Needed && s.Owner != "", "owner=" + string(s.Owner)},
	} {
		if m.is {
			out = append(out, m.word)
		}
	}
	if s.Health != nil {
		out = append(out, "health="+string(s.Health.State))
	}
	if s.DeleteOptions != nil {
		out = append(out, optionsText(s.DeleteOptions))
	}
	return out
}

func optionsText(o *metav1.DeleteOptions) string {
	if o == nil {
		return ""
	}
	out, _ := yaml.Marshal(o)
	return "options=" + strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", ",")
}

// checkIdentity asserts that whatever is to be applied is the federated object's own target, with this control plane's marks (K1).
func checkIdentity(t interface {
	Helper()
	Errorf(string, ...any)
}, w plan.World, p plan.Plan,
) {
	t.Helper()
	namespace, name := w.Type.TargetName(w.Key)
	for _, s := range p.Steps {
		if s.Namespace != namespace || s.Name != name {
			t.Errorf("%s: the step is about %s/%s, not %s/%s", s.Member, s.Namespace, s.Name, namespace, name)
		}
		if o := s.Object; o != nil {
			for _, fault := range identityFaults(w, o) {
				t.Errorf("%s: %s", s.Member, fault)
			}
		}
	}
}

func identityFaults(w plan.World, o *unstructured.Unstructured) []string {
	var out []string
	want := func(what, got, want string) {
		if got != want {
			out = append(out, fmt.Sprintf("%s is %q, not %q", what, got, want))
		}
	}
	namespace, name := w.Type.TargetName(w.Key)
	want("name", o.GetName(), name)
	want("namespace", o.GetNamespace(), namespace)
	want("kind", o.GetKind(), w.Type.Target.Kind)
	want("group", o.GroupVersionKind().Group, w.Type.Target.Group)
	want("label", o.GetLabels()[fedv1.ManagedLabel], "true")
	want("owner", o.GetAnnotations()[fedv1.OwnerAnnotation], w.Settings.ControlPlane+"/"+string(w.Intent.UID))
	meta, _ := o.Object["metadata"].(map[string]any)
	for _, field := range []string{
		"generateName", "uid", "resourceVersion", "generation", "ownerReferences", "managedFields", "creationTimestamp", "deletionTimestamp",
	} {
		if _, ok := meta[field]; ok {
			out = append(out, "metadata."+field+" is set")
		}
	}
	if _, ok := o.Object["status"]; ok {
		out = append(out, "status is set")
	}
	return out
}
