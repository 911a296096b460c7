package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hansa-io/hansa/internal/glossary"
	"github.com/hansa-io/hansa/internal/meter"
)

//go:generate go test . -run TestReferenceIsGenerated -update
var update = flag.Bool("update", false, "write the generated pages")

// The pages of docs/reference, and the index of errors, are what the tables in the code say.
func TestReferenceIsGenerated(t *testing.T) {
	for name, want := range map[string]string{
		"docs/reference/metrics.md":    metricsPage(),
		"docs/reference/events.md":     eventsPage(),
		"docs/reference/conditions.md": conditionsPage(),
		"docs/errors/README.md":        errorsPage(t),
	} {
		path := filepath.Join(root, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is stale, run `make gen`: %v", name, err)
		}
	}
}

const generated = "This page is made from the code by `make gen`.\n\n"

func metricsPage() string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" + generated)
	b.WriteString("The leader alone has members and objects to tell of; a control plane that waits exports its process and its lock. `type` is the name of\n" +
		"a FederatedTypeConfig, `cluster` that of a KubeFedCluster. Series of a member or type end when it leaves. How to scrape, and what to\n" +
		"watch, is in the [guide](../guide/monitoring.md).\n\n")
	section := func(title string, take func(meter.Metric) bool) {
		fmt.Fprintf(&b, "## %s\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n", title)
		for _, m := range meter.All() {
			if !take(m) {
				continue
			}
			help := m.Help
			if m.Flag != "" {
				help += " Only with `" + m.Flag + "`."
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, code(m.Labels), help)
		}
		b.WriteString("\n")
	}
	section("KubeFed's", func(m meter.Metric) bool { return m.Legacy })
	b.WriteString("`--legacy-metrics=false` leaves these out. Their names, labels and buckets are KubeFed's.\n\n")
	section("Hansa's", func(m meter.Metric) bool { return !m.Legacy })
	b.WriteString(`## Of the libraries

| Metric | Labels | Meaning |
|---|---|---|
| ` + "`controller_runtime_reconcile_total`, `_errors_total`, `_time_seconds`, `_panics_total`, `controller_runtime_max_concurrent_reconciles`, `controller_runtime_active_workers`" + ` | ` + "`controller`, `result`" + ` | looks of the controllers ` + "`objects`, `replicaschedulingpreference`, `federatedtypeconfig`, `kubefedconfig`, `kubefedcluster`, `approvals`" + `. KubeFed has a controller for each federated type; here all types share ` + "`objects`" + ` |
| ` + "`workqueue_*`" + ` | ` + "`name`" + ` | depth and times of the queues, among them ` + "`objects` and `preferences`" + ` |
| ` + "`leader_election_master_status`" + ` | ` + "`name`" + ` | 1 if this process leads |
| ` + "`rest_client_requests_total`" + ` | ` + "`code`, `method`, `host`" + ` | requests to host and members |
| ` + "`go_*`, `process_*`" + ` | | of the process |

## KubeFed's that are not there

` + "`controller_runtime_reconcile_duration_seconds` and `controller_runtime_reconcile_quantile_seconds`" + ` were deprecated in KubeFed:
` + "`controller_runtime_reconcile_time_seconds`" + ` tells the same. There is no count of failovers: a failover is replicas that move because a
member is away, ` + "`kubefed_replicas_moved_total{reason=\"ClusterNotReady\"}`" + `.
`)
	return b.String()
}

func code(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "`" + w + "`"
	}
	return strings.Join(out, ", ")
}

func eventsPage() string {
	var b strings.Builder
	b.WriteString("# Events\n\n" + generated)
	b.WriteString("An event tells what happened, once; the state is in the [conditions](conditions.md). It is the difference between two statuses, so a copy\n" +
		"that is put back after a change in the member gives none: see `kubefed_drift_total`. An event about one member has its KubeFedCluster\n" +
		"as `related`. *(Hansa)* marks what KubeFed does not have.\n\n")
	for _, t := range glossary.Events {
		fmt.Fprintf(&b, "## %s\n\n| Reason | Type | Meaning | What to do |\n|---|---|---|---|\n", t.Title)
		for _, w := range t.Words {
			kind := "Normal"
			if w.Warning {
				kind = "Warning"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", named(w), kind, w.Meaning, w.Next)
		}
		switch t.Title {
		case glossary.Events[0].Title:
			fmt.Fprintf(&b, "\nAny other [status of a member](conditions.md), and any reason of a `Propagation` that is `False` for all members, is the reason of a Warning.\n")
		case "On ServiceDNSRecords and IngressDNSRecords":
			fmt.Fprintf(&b, "\nThe reason of a `Ready` that has become `False` is the reason of a Warning, too; so it is for DNSProviders, where a Normal `Published` tells of its end.\n")
		case "On KubeFedClusters":
			fmt.Fprintf(&b, "\nThe reason of a `Ready` that has become `False`, and `RotationFailed`, are reasons of Warnings, too.\n")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "## %s\n\n| Reason | Why |\n|---|---|\n", glossary.Never.Title)
	for _, w := range glossary.Never.Words {
		fmt.Fprintf(&b, "| `%s` | %s |\n", w.Name, w.Meaning)
	}
	return b.String()
}

func conditionsPage() string {
	var b strings.Builder
	b.WriteString("# Conditions, reasons and statuses\n\n" + generated)
	b.WriteString("*(Hansa)* marks what KubeFed does not have. Which reason belongs to which condition is told on the pages of\n" +
		"[federated objects](../spec/federated-objects.md), [KubeFedClusters](../spec/kubefedcluster.md) and\n" +
		"[ReplicaSchedulingPreferences](../spec/replicaschedulingpreference.md).\n")
	for _, t := range append([]glossary.Table{glossary.Statuses}, glossary.Conditions...) {
		fmt.Fprintf(&b, "\n## %s\n\n| Word | Meaning | What to do |\n|---|---|---|\n", t.Title)
		for _, w := range t.Words {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", named(w), w.Meaning, w.Next)
		}
	}
	return b.String()
}

func named(w glossary.Word) string {
	if w.Hansa {
		return "`" + w.Name + "` *(Hansa)*"
	}
	return "`" + w.Name + "`"
}

func errorsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Errors of kubefedctl\n\n" + generated)
	b.WriteString(`An error has a code that stays the same over releases. It is printed with what failed, the cause, a hint and the page here.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | refused |
| 2 | the command line, the kubeconfig or a file is wrong |
| 3 | an API server cannot be reached, or refuses the credential |
| 4 | a right is missing |
| 5 | it conflicts with what is there |
| 6 | done in part; what is left is listed |

| Code | Meaning |
|---|---|
`)
	codes := regexp.MustCompile(`Code\{"(KF\d+)", (\w+), "([^"]+)"\}`).FindAllStringSubmatch(source(t, "internal/fail/codes.go"), -1)
	slices.SortFunc(codes, func(a, b []string) int { return strings.Compare(a[1], b[1]) })
	for _, m := range codes {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s |\n", m[1], m[1], m[3])
	}
	return b.String()
}

// tellers are the packages whose words users meet.
var tellers = []string{"plan", "plan/divide", "apply", "fleet", "federate", "rollup", "cluster", "schedule", "settings", "lead", "../cmd/hansa", "discovery/plan/naming", "discovery/plan/zone", "discovery/records", "discovery/rfc2136", "discovery/members", "discovery/xds", "discovery/plan/front", "discovery/plan/exposure", "discovery/expose"}

// unread are words of those packages that no user meets in a status, a condition or an event.
var unread = words(`
	Place Withdraw Release Hold Add Remove Unchanged Pending Done Failed Refused Create Adopt Update Delete
	InSync Creating Updating Claiming Deleted Deselected Owed Gone Orphaned HostNamespace Adopted Unclaimed Synced Waiting
	Creation Deletion LabelRemoval TimedOut True False Unknown Normal Warning
	DeleteOptions Status Deployment ReplicaSet FederatedDeployment FederatedReplicaSet KubeFedCluster ReplicaSchedulingPreference
	Propagate Probe Schedule Publish Discover Probing Recovering IdentityNotPinned NotAfter NotBefore SubjectName ValidityPeriod
	Accept Authorization Bearer Retained Retain Other Adopting Deleting None
	Service CustomResourceDefinition PersistentVolume PersistentVolumeClaim ConfigMap Endpoints KubeFedConfig Configure Lead Recover PropagatedVersion PropagatedVersions ClusterPropagatedVersion
	Cluster Namespaced Enabled Disabled PushReconciler SchedulerPreferences RawResourceStatusCollection CrossClusterServiceDiscovery FederatedIngress
	Elsewhere Put Leave ServiceDeleting Leaving MadeByOthers Expose FederatedServiceExport
	Free Absent Exactly DNSEndpoint DNSProvider ServiceDNSRecord IngressDNSRecord
	Balance Listener RouteConfiguration ClusterLoadAssignment Gateway HTTPRoute TCPRoute ServiceImport`)

func words(s string) []string { return strings.Fields(s) }

// Every word that may reach a user is in the glossary, and every word of the glossary is one that the code says.
func TestGlossaryIsComplete(t *testing.T) {
	told := map[string]bool{}
	for _, table := range slices.Concat([]glossary.Table{glossary.Statuses}, glossary.Conditions, glossary.Events) {
		for _, w := range table.Words {
			told[w.Name] = true
		}
	}
	said := spoken(t)
	for _, word := range slices.Sorted(maps.Keys(said)) {
		if !told[word] && !slices.Contains(unread, word) {
			t.Errorf("%s: %q is not in internal/glossary; if no user meets it, add it to unread", said[word], word)
		}
	}
	for _, word := range slices.Sorted(maps.Keys(told)) {
		if said[word] == "" {
			t.Errorf("the glossary tells of %q, which no code says", word)
		}
	}
	for status, event := range glossary.Renamed {
		if !glossary.IsStatus(status) || !told[event] {
			t.Errorf("the event %s of the status %s is not told of", event, status)
		}
	}
}

var camel = regexp.MustCompile(`^[A-Z][a-z]+[A-Za-z]*$|^[A-Z]{2,}[a-z]+[A-Za-z]*$`)

// spoken are the words in the code of the tellers, and of the API's clusters and settings: text that is one capitalised word.
func spoken(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, event := range glossary.Renamed {
		out[event] = "internal/glossary" // rollup takes them from there
	}
	for _, does := range words("Creation Update Deletion LabelRemoval") {
		out[does+"TimedOut"] = "internal/rollup" // put together there
	}
	files, err := filepath.Glob(filepath.Join(root, "api/core/v1beta1/c[lo]*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tellers {
		more, err := filepath.Glob(filepath.Join(root, "internal", name, "*.go"))
		if err != nil || len(more) == 0 {
			t.Fatalf("no code in %s: %v", name, err)
		}
		files = append(files, more...)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(root, name) // it came from root
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, _ := strconv.Unquote(lit.Value); camel.MatchString(s) {
					out[s] = rel
				}
			}
			return true
		})
	}
	return out
}
