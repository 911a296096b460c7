// Package monitoring tests what operators see from outside: that every metric which the dashboard and the rules name is one that a
// control plane at work exports, that all declared metrics are, and that series go with the member that they are of.
package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/internal/meter"
)

const (
	files    = "../../config/monitoring/"
	soon     = 60 * time.Second
	manifest = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedNamespace
metadata: {name: shop, namespace: shop}
spec: {placement: {clusterSelector: {}}}
---
apiVersion: types.kubefed.io/v1beta1
kind: FederatedConfigMap
metadata: {name: settings, namespace: shop}
spec:
  template: {data: {colour: blue}}
  placement: {clusterSelector: {}}
`
)

// elsewhere are metrics of what takes more than clusters; the tests of the packages that tell them see to them.
var elsewhere = map[string]bool{
	meter.DNSPublishTime.Name: true, meter.DNSRecords.Name: true, meter.DNSRefused.Name: true, // internal/discovery/records
	meter.ServiceWriteTime.Name: true,                                                                                            // internal/discovery
	meter.XDSStreams.Name:       true, meter.XDSResources.Name: true, meter.XDSRefusals.Name: true, meter.XDSPushTime.Name: true, // internal/discovery/xds
}

// plane is a control plane at work, with one member.
type plane struct {
	*testing.T
	lab      *lab.Lab
	bin, url string
	audit    string
}

func TestWhatIsNamedIsExported(t *testing.T) {
	p := start(t)
	p.kubectl("host", manifest, "apply", "-f", "-")
	p.until("the copy is there", func() error { return p.try("m1", "", "get", "configmap", "settings", "-n", "shop") })
	p.kubectl("m1", "", "patch", "configmap", "settings", "-n", "shop", "--type=merge", "-p", `{"data":{"colour":"red"}}`)

	var got scrape
	p.until("all metrics are exported", func() error {
		got = p.scrape()
		var missing []error
		for _, m := range meter.All() {
			if !got.has(m.Name) && m.Name != meter.UnjoinTime.Name && !elsewhere[m.Name] {
				missing = append(missing, fmt.Errorf("%s", m.Name))
			}
		}
		if got.value(`kubefed_drift_total{cluster="m1",type="configmaps"}`) != "1" {
			missing = append(missing, errors.New("the drift was not counted once"))
		}
		return errors.Join(missing...)
	})
	for where, expr := range expressions(t) {
		for _, name := range names(expr) {
			if !got.has(name) && !strings.Contains(name, ":") {
				t.Errorf("%s names %s, which is not exported: %s", where, name, expr)
			}
		}
	}
	p.statesAreTold(got)
	p.actsAreOnRecord()
	p.seriesGoWithTheirMember()
}

// statesAreTold looks at values, and not only at names.
func (p *plane) statesAreTold(got scrape) {
	p.Helper()
	for series, want := range map[string]string{
		`kubefedcluster_total{cluster="m1",state="ready"}`:                                                                                "1",
		`joined_cluster_total`:                                                                                                            "1",
		`join_cluster_duration_seconds_count`:                                                                                             "1",
		`kubefed_federated_resources{ready="true",type="configmaps"}`:                                                                     "1",
		`kubefed_propagation_status{cluster="m1",status="InSync",type="configmaps"}`:                                                      "1",
		`kubefed_propagation_duration_seconds_count{cluster="m1",operation="create",type="configmaps"}`:                                   "1",
		`kubefed_propagation_duration_seconds_count{cluster="m1",operation="update",type="configmaps"}`:                                   "1",
		`kubefed_deletions_paused{cluster="m1",type="configmaps"}`:                                                                        "0",
		`kubefed_debts{cluster="m1"}`:                                                                                                     "0",
		`kubefed_federated_resource_status_condition{condition="Ready",name="settings",namespace="shop",status="true",type="configmaps"}`: "1",
	} {
		if v := got.value(series); v != want {
			p.Errorf("%s is %q, want %s", series, v, want)
		}
	}
}

// actsAreOnRecord deletes a federated object.
func (p *plane) actsAreOnRecord() {
	p.Helper()
	p.kubectl("host", "", "delete", "federatedconfigmap", "settings", "-n", "shop")
	data, err := os.ReadFile(p.audit)
	if err != nil {
		p.Fatal(err)
	}
	var acts []string
	for line := range strings.Lines(string(data)) {
		var r map[string]string
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			p.Fatalf("%v: %s", err, line)
		}
		acts = append(acts, strings.Join([]string{r["audit"], r["cluster"], r["kind"], r["namespace"], r["name"], r["reason"], r["outcome"]}, " "))
		for _, field := range []string{"time", "controlPlane", "leader", "clusterID", "uid", "ownerUID", "federated"} {
			if r[field] == "" {
				p.Errorf("no %s in %s", field, line)
			}
		}
	}
	if want := []string{"delete m1 ConfigMap shop settings Deleted Done"}; !slices.Equal(acts, want) {
		p.Errorf("on record are %q, want %q", acts, want)
	}
}

func (p *plane) seriesGoWithTheirMember() {
	p.Helper()
	p.run("kubefedctl", "unjoin", "m1", "--cluster-context", "m1", "--host-cluster-context", "host")
	p.until("no series of the member are left", func() error {
		if n := strings.Count(p.scrape().text, `cluster="m1"`); n > 0 {
			return fmt.Errorf("%d series", n)
		}
		return nil
	})
	if v := p.scrape().value("unjoin_cluster_duration_seconds_count"); v != "1" {
		p.Errorf("%s unjoins were measured", v)
	}
}

// start starts two clusters and a control plane, and joins one.
func start(t *testing.T) *plane {
	t.Helper()
	l := lab.Start(t, lab.Options{}, "host", "m1")
	p := &plane{T: t, lab: l, bin: t.TempDir(), audit: filepath.Join(t.TempDir(), "audit.log")}
	if out, err := exec.Command("go", "build", "-o", p.bin, "../../cmd/hansa", "../../cmd/kubefedctl").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p.run("kubefedctl", "init", "--host-cluster-context", "host")
	address := free(t)
	p.url = "http://" + address + "/metrics"
	log, err := os.Create(filepath.Join(t.TempDir(), "manager.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(p.bin, "hansa"), "manager", "--kubeconfig", l.Kubeconfig(), "--context", "host",
		"--metrics-addr", address, "--healthz-addr", "0", "--object-metrics", "--audit-log", p.audit)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the manager said:\n%s", text)
		}
	})
	p.run("kubefedctl", "join", "m1", "--cluster-context", "m1", "--host-cluster-context", "host")
	return p
}

// free is an address on loopback that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p *plane) run(name string, args ...string) {
	p.Helper()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+p.lab.Kubeconfig())
	if out, err := cmd.CombinedOutput(); err != nil {
		p.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// kubectl repeats until it succeeds: the host may not serve what was installed yet.
func (p *plane) kubectl(cluster, stdin string, args ...string) {
	p.Helper()
	p.until("kubectl "+strings.Join(args, " "), func() error { return p.try(cluster, stdin, args...) })
}

func (p *plane) try(cluster, stdin string, args ...string) error {
	cmd := exec.Command("../../bin/kubectl", append([]string{"--kubeconfig", p.lab.Kubeconfig(), "--context", cluster}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (p *plane) until(what string, check func() error) {
	p.Helper()
	lab.Eventually(p, soon, what, func(context.Context) error { return check() })
}

// scrape is what /metrics answers.
type scrape struct{ text string }

func (p *plane) scrape() scrape {
	resp, err := http.Get(p.url)
	if err != nil {
		return scrape{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return scrape{}
	}
	return scrape{"\n" + string(text)}
}

// has says whether there is a series of this name.
func (s scrape) has(name string) bool {
	for _, suffix := range []string{"", "_count"} {
		if strings.Contains(s.text, "\n"+name+suffix+"{") || strings.Contains(s.text, "\n"+name+suffix+" ") {
			return true
		}
	}
	return false
}

func (s scrape) value(series string) string {
	_, after, ok := strings.Cut(s.text, "\n"+series+" ")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// expressions are all that the dashboard and the rules ask Prometheus, by where.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{"rules.yaml", "dashboard.json"} {
		data, err := os.ReadFile(files + name)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := yaml.Unmarshal(data, &doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		walk(doc, func(expr string) { out[fmt.Sprintf("%s #%d", name, len(out)+1)] = expr })
	}
	if len(out) < 20 {
		t.Fatalf("only %d expressions", len(out))
	}
	return out
}

// walk visits every value of a key expr.
func walk(v any, visit func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, v := range v {
			if expr, ok := v.(string); ok && k == "expr" {
				visit(expr)
			}
			walk(v, visit)
		}
	case []any:
		for _, v := range v {
			walk(v, visit)
		}
	}
}

var (
	quoted   = regexp.MustCompile(`"[^"]*"`)
	braces   = regexp.MustCompile(`\{[^}]*\}`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	ranges   = regexp.MustCompile(`\[[^\]]*\]`)
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	operator = map[string]bool{"and": true, "or": true, "unless": true, "bool": true, "offset": true}
)

// names are the metrics that an expression names: the words that are no function, label, operator or text. It does not know PromQL: a
// metric that is named by __name__ alone is missed, and a mistake in the syntax is not seen.
func names(expr string) []string {
	for _, cut := range []*regexp.Regexp{quoted, braces, grouping, ranges} {
		expr = cut.ReplaceAllString(expr, " ")
	}
	var out []string
	for _, w := range word.FindAllString(expr, -1) {
		w = strings.TrimSpace(w)
		if strings.HasSuffix(w, "(") || operator[w] {
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			w = strings.TrimSuffix(w, suffix)
		}
		out = append(out, w)
	}
	return out
}

func TestNamesAreFound(t *testing.T) {
	expr := `histogram_quantile(0.99, sum by (type, le) (rate(a_seconds_bucket{verb!="w}(x"}[5m]))) / on (cluster) b:c unless d_total == 1 or time() - e > 4 * 3600`
	if got, want := names(expr), []string{"a_seconds", "b:c", "d_total", "e"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What an expression names with a colon is recorded by a rule.
func TestWhatIsRecordedIsThere(t *testing.T) {
	data, err := os.ReadFile(files + "rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for where, expr := range expressions(t) {
		for _, name := range names(expr) {
			if strings.Contains(name, ":") && !strings.Contains(string(data), "record: "+name+"\n") {
				t.Errorf("%s names %s, which no rule records", where, name)
			}
		}
	}
}

// Every alert has a runbook.
func TestAlertsHaveRunbooks(t *testing.T) {
	rules, err := os.ReadFile(files + "rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/guide/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !strings.Contains(string(page), "\n### "+m[1]+"\n") || !strings.Contains(string(rules), "monitoring.md#"+strings.ToLower(m[1])+"\n") {
			t.Errorf("alert %s has no runbook", m[1])
		}
	}
}
