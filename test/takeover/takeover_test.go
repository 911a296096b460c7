// Package takeover shows that a federation laid out as KubeFed leaves it is taken over where it stands, and given back: no object in a
// member is made anew, no field outside our marks changes, and a KubeFed that comes back finds nothing to rewrite.
package takeover

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/cli"
	"github.com/hansa-io/hansa/internal/lab"
	"github.com/hansa-io/hansa/test/takeover/kubefed"
)

// hansa is the binary of the manager.
var hansa string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "hansa-takeover-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	hansa = filepath.Join(dir, "hansa")
	if out, err := exec.Command("go", "build", "-o", hansa, "../../cmd/hansa").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build hansa: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

const host = "global"

// stage is a federation of KubeFed with what a user has at hand.
type stage struct {
	*testing.T
	*kubefed.Federation
	lab     *lab.Lab
	manager *exec.Cmd
}

func newStage(t *testing.T) *stage {
	t.Helper()
	l := lab.Start(t, lab.Options{Audit: true}, host, "business")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f, err := kubefed.Lay(ctx, host, map[string]*rest.Config{host: l.Config(host), "business": l.Config("business")})
	if err != nil {
		t.Fatal("lay out a federation of KubeFed: ", err)
	}
	s := &stage{T: t, Federation: f, lab: l}
	t.Cleanup(s.stopHansa)
	return s
}

// startHansa runs a manager.
func (s *stage) startHansa() {
	log, err := os.Create(filepath.Join(s.TempDir(), "manager.log"))
	if err != nil {
		s.Error(err)
		return
	}
	s.manager = exec.Command(hansa, "manager", "--kubeconfig", s.lab.Kubeconfig(), "--context", host, "--metrics-addr", "0", "--healthz-addr", "0", "-v", "1")
	s.manager.Stdout, s.manager.Stderr = log, log
	if err := s.manager.Start(); err != nil {
		s.Error(err)
	}
	s.Cleanup(func() {
		if s.Failed() {
			text, _ := os.ReadFile(log.Name())
			s.Logf("the manager's log ends with:\n%s", text[max(0, len(text)-6000):])
		}
		log.Close()
	})
}

func (s *stage) stopHansa() {
	if s.manager != nil {
		_ = s.manager.Process.Signal(syscall.SIGTERM)
		_ = s.manager.Wait()
		s.manager = nil
	}
}

// console is what a command prints; a line that it waits for may start something.
type console struct {
	mu  sync.Mutex
	buf bytes.Buffer
	on  map[string]func()
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for words, do := range c.on {
		if strings.Contains(string(p), words) {
			delete(c.on, words)
			do()
		}
	}
	return c.buf.Write(p)
}

// types what a user types, and returns what was printed. Where a line contains the words, what stands behind them is done.
func (s *stage) types(want int, on map[string]func(), words ...string) string {
	s.Helper()
	out := &console{on: on}
	args := append(words, "--kubeconfig", s.lab.Kubeconfig(), "--host-cluster-context", host)
	if got := cli.Run(s.Context(), append([]string{"kubefedctl"}, args...), cli.Streams{In: strings.NewReader(""), Out: out, Err: out}); got != want {
		s.Fatalf("kubefedctl %s ended with %d, want %d:\n%s", strings.Join(words, " "), got, want, out.buf.String())
	}
	s.Logf("kubefedctl %s\n%s", strings.Join(words, " "), out.buf.String())
	return out.buf.String()
}

func (s *stage) prints(out string, lines ...string) {
	s.Helper()
	for _, line := range lines {
		if !strings.Contains(out, line) {
			s.Errorf("it does not say %q", line)
		}
	}
}

var marks = []string{"kubefed.io/owner", "kubefed.io/applied", "kubefed.io/revision"}

// copies are all copies, by cluster and name, without what a take-over may change: its annotations, who owns which field, and the
// versions that every write moves.
func (s *stage) copies() map[string]map[string]any {
	s.Helper()
	out := map[string]map[string]any{}
	for _, o := range s.Objects {
		for cluster, c := range s.Members {
			copied := kubefed.Desired(o, cluster)
			err := c.Get(s.Context(), client.ObjectKeyFromObject(copied), copied)
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				s.Fatal(err)
			}
			annotations := copied.GetAnnotations()
			for _, mark := range marks {
				delete(annotations, mark)
			}
			delete(annotations, "deployment.kubernetes.io/revision")
			if copied.SetAnnotations(annotations); len(annotations) == 0 {
				copied.SetAnnotations(nil)
			}
			for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
				unstructured.RemoveNestedField(copied.Object, "metadata", field)
			}
			delete(copied.Object, "status") // the member's own controllers go on
			out[fmt.Sprintf("%s %s %s", cluster, copied.GetKind(), copied.GetName())] = copied.Object
		}
	}
	return out
}

func (s *stage) same(what string, before, after map[string]map[string]any) {
	s.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		s.Errorf("%s changed copies:\n%s", what, diff)
	}
}

func (s *stage) marked() {
	s.Helper()
	for _, o := range s.Objects {
		for cluster, c := range s.Members {
			copied := kubefed.Desired(o, cluster)
			if err := c.Get(s.Context(), client.ObjectKeyFromObject(copied), copied); err != nil {
				continue // same has seen that none has gone
			}
			for _, mark := range marks {
				if copied.GetAnnotations()[mark] == "" {
					s.Errorf("%s %s in %s lacks %s", copied.GetKind(), copied.GetName(), cluster, mark)
				}
			}
			for _, e := range copied.GetManagedFields() {
				if e.Manager == "controller-manager" {
					s.Errorf("KubeFed still owns fields of %s %s in %s", copied.GetKind(), copied.GetName(), cluster)
				}
			}
		}
	}
}

func (s *stage) wouldWrite() []string {
	s.Helper()
	list, err := s.WouldWrite(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return list
}

// records counts KubeFed's records.
func (s *stage) records() int {
	s.Helper()
	n := 0
	for _, o := range s.Objects {
		r := kubefed.Record(o)
		err := s.Host.Get(s.Context(), client.ObjectKeyFromObject(r), r)
		if client.IgnoreNotFound(err) != nil {
			s.Fatal(err)
		}
		if err == nil {
			n++
		}
	}
	return n
}

// kept are the writes of this process that a cluster has kept. Deletes are left out: the log does not say whether they were dry runs. What
// they would have removed is removed later, and then told.
func (s *stage) kept(cluster string) []lab.Request {
	return s.lab.Requests(s, cluster, func(r lab.Request) bool {
		return r.Mutates() && r.Verb != "delete" && r.User == "admin" && r.Code < 300 && !strings.Contains(r.Path, "dryRun=All")
	})
}

func (s *stage) edits(kind, name, patch string) {
	s.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("types.kubefed.io/v1beta1")
	o.SetKind(kind)
	o.SetNamespace("shop")
	o.SetName(name)
	if err := s.Host.Patch(s.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) read(cluster, apiVersion, kind, namespace, name string, path ...string) string {
	s.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	err := s.Members[cluster].Get(s.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
	if apierrors.IsNotFound(err) {
		return "absent"
	}
	if err != nil {
		s.Fatal(err)
	}
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	return fmt.Sprint(v)
}

// TestThereAndBack: taken over, at work, given back, and taken over once more.
func TestThereAndBack(t *testing.T) {
	s := newStage(t)
	if list := s.wouldWrite(); len(list) > 0 {
		t.Fatal("the layout is not what KubeFed leaves: ", list)
	}
	before := s.copies()

	t.Log("looking changes nothing")
	lab.Eventually(t, 10*time.Second, "the layout to be in the log", func(context.Context) error {
		if !slices.ContainsFunc(s.kept(host), func(r lab.Request) bool { return strings.HasPrefix(r.Resource, "mutatingwebhookconfigurations") }) {
			return errors.New("its last request is not")
		}
		return nil
	})
	writes := len(s.kept(host))
	out := s.types(0, nil, "takeover", "check")
	s.prints(out, "! manager ", "Deployment kubefed-controller-manager: 2 replicas", "! webhooks ", "federatedcronjobs.types.kubefed.io: adds ",
		"2 of 2 answer; 2 with tokens that never end", "19 of 19 copies of 10 objects are as they should be", "10 PropagatedVersions will be removed at the end")
	s.types(0, nil, "takeover", "apply", "--dry-run=server")
	s.types(0, nil, "takeover", "apply", "--dry-run=client")
	if now := s.kept(host); len(now) != writes {
		t.Errorf("looking, and trying, wrote: %v", now[writes:])
	}

	t.Log("there")
	out = s.types(0, map[string]func(){"Hansa leads; start it": s.startHansa}, "takeover", "apply", "--timeout", "60s")
	s.prints(out, "scaled Deployment kubefed-controller-manager from 2 to 0", "removed ValidatingWebhookConfiguration validations.core.kubefed.io",
		"customresourcedefinition.apiextensions.k8s.io/federatedcronjobs.types.kubefed.io configured",
		"all 19 copies are marked, and none was made anew", "removed 10 PropagatedVersions")
	s.same("the take-over", before, s.copies())
	s.marked()
	if n := s.records(); n != 0 {
		t.Errorf("%d PropagatedVersions are left", n)
	}
	s.types(0, nil, "takeover", "apply", "--timeout", "60s") // again: nothing to do

	t.Log("at work: what leaves the template leaves the members, though KubeFed wrote it")
	s.edits("FederatedConfigMap", "settings", `{"spec":{"template":{"data":{"b":null}}}}`)
	s.edits("FederatedDeployment", "web", `{"spec":{"template":{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"never-pulled:2"}]}}}}}}`)
	lab.Eventually(t, 30*time.Second, "the change in business", func(context.Context) error {
		data := s.read("business", "v1", "ConfigMap", "shop", "settings", "data")
		containers := s.read("business", "apps/v1", "Deployment", "shop", "web", "spec", "template", "spec", "containers")
		if data != "map[a:business html:<&>]" || strings.Contains(containers, "side") || !strings.Contains(containers, "never-pulled:2") {
			return fmt.Errorf("the data are %s, the containers %s", data, containers)
		}
		return nil
	})
	if list := s.wouldWrite(); len(list) == 0 {
		t.Error("without records KubeFed would rewrite everything, and does not seem to")
	}

	t.Log("and back")
	before = s.copies()
	out = s.types(0, map[string]func(){"stop the manager": s.stopHansa}, "takeover", "back", "--timeout", "60s")
	s.prints(out, "feature gate PropagatedVersions is on", "KubeFed will find every copy as it is on record", "is taken out",
		"restored ValidatingWebhookConfiguration validations.core.kubefed.io", "scaled Deployment kubefed-controller-manager to 2", "the federation is KubeFed's again")
	if list := s.wouldWrite(); len(list) > 0 {
		t.Errorf("KubeFed would rewrite:\n%s", strings.Join(list, "\n"))
	}
	s.same("the way back", before, s.copies())
	for _, c := range []struct{ want, apiVersion, kind, namespace, name, path string }{
		{"2", "apps/v1", "Deployment", kubefed.Namespace, "kubefed-controller-manager", "spec.replicas"},
		{"1", "apps/v1", "Deployment", kubefed.Namespace, "kubefed-admission-webhook", "spec.replicas"},
		{"mutation.core.kubefed.io", "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "mutation.core.kubefed.io", "metadata.name"},
		{"[map[configuration:Enabled name:PushReconciler] map[configuration:Enabled name:SchedulerPreferences]]", "core.kubefed.io/v1beta1", "KubeFedConfig", kubefed.Namespace, "kubefed", "spec.featureGates"},
		{"absent", "v1", "ConfigMap", kubefed.Namespace, "hansa-takeover", "data"},
	} {
		if got := s.read(host, c.apiVersion, c.kind, c.namespace, c.name, strings.Split(c.path, ".")...); got != c.want {
			t.Errorf("%s %s has %s = %s, want %s", c.kind, c.name, c.path, got, c.want)
		}
	}
	s.types(1, nil, "takeover", "back") // there is nothing to undo

	t.Log("and there once more, with the records kept")
	s.types(0, map[string]func(){"Hansa leads; start it": s.startHansa}, "takeover", "apply", "--timeout", "60s")
	s.same("the second take-over", before, s.copies())
	s.marked()

	t.Log("records are written while the gate is on, and a restart writes none")
	s.gates("PropagatedVersions", "Enabled")
	s.recorded("the gate is on")
	n := len(s.recordWrites())
	s.stopHansa()
	watches := len(s.recordRequests("watch"))
	s.startHansa()
	lab.Eventually(t, 30*time.Second, "the new process to watch", func(context.Context) error {
		if len(s.recordRequests("watch")) < watches+2 {
			return errors.New("the records are not watched")
		}
		return nil
	})
	s.edits("FederatedConfigMap", "settings", `{"spec":{"template":{"data":{"c":"3"}}}}`)
	s.recorded("a template has changed")
	for _, r := range s.recordWrites()[n:] {
		if r.Name != "configmap-settings" {
			t.Errorf("a record of what has not changed was written: %+v", r)
		}
	}
	s.gates("PropagatedVersions", "Disabled")
	value := 4
	lab.Eventually(t, 30*time.Second, "a change without a record", func(context.Context) error {
		s.edits("FederatedConfigMap", "settings", fmt.Sprintf(`{"spec":{"template":{"data":{"c":"%d"}}}}`, value))
		s.changed("business", "settings", fmt.Sprintf("map[a:business c:%d html:<&>]", value))
		if value++; len(s.wouldWrite()) == 0 {
			return errors.New("the record is up to date") // the manager had not heard of the gate yet
		}
		return nil
	})
	if n := s.records(); n != len(s.Objects) {
		t.Errorf("with the gate off there are %d records left of %d", n, len(s.Objects))
	}
}

// changed waits until a ConfigMap in a cluster has these data.
func (s *stage) changed(cluster, name, data string) {
	s.Helper()
	lab.Eventually(s, 30*time.Second, "the change in "+cluster, func(context.Context) error {
		if got := s.read(cluster, "v1", "ConfigMap", "shop", name, "data"); got != data {
			return errors.New("the data are " + got)
		}
		return nil
	})
}

// recorded waits until KubeFed's records say what is.
func (s *stage) recorded(when string) {
	s.Helper()
	lab.Eventually(s, 30*time.Second, "the records when "+when, func(context.Context) error {
		if list := s.wouldWrite(); len(list) > 0 {
			return fmt.Errorf("KubeFed would rewrite %v", list)
		}
		return nil
	})
}

// recordRequests are those for KubeFed's records, of one verb.
func (s *stage) recordRequests(verb string) []lab.Request {
	s.Helper()
	return s.lab.Requests(s, host, func(r lab.Request) bool {
		return r.Verb == verb && strings.Contains(r.Resource, "propagatedversions") && strings.HasPrefix(r.UserAgent, "hansa/")
	})
}

func (s *stage) recordWrites() []lab.Request {
	return slices.Concat(s.recordRequests("create"), s.recordRequests("patch"))
}

// gates sets a feature gate, and leaves the others to their defaults.
func (s *stage) gates(name, configuration string) {
	s.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("core.kubefed.io/v1beta1")
	o.SetKind("KubeFedConfig")
	o.SetNamespace(kubefed.Namespace)
	o.SetName("kubefed")
	patch := fmt.Sprintf(`{"spec":{"featureGates":[{"name":%q,"configuration":%q}]}}`, name, configuration)
	if err := s.Host.Patch(s.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		s.Fatal(err)
	}
}
