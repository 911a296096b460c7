package fault

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/lab"
)

// backlog is how many objects the first leader has in hand when it meets its fate: at ten writes a second, work for many seconds.
const backlog = 120

// TestAStandbyTakesOver [F30]: of two managers one leads. Whatever becomes of it, the other takes over within the lease and does what was
// left, and from then on the first writes nothing, neither to a member nor to the host: not what it had in hand, not what waited.
func TestAStandbyTakesOver(t *testing.T) {
	for name, fate := range map[string]func(*handover){
		"killed":              (*handover).isKilled,
		"stopped for a while": (*handover).standsStill,
		"without its Lease":   (*handover).losesItsLease,
	} {
		t.Run(name, func(t *testing.T) {
			h := begin(t)
			fate(h)
		})
	}
}

// handover is a federation with two managers; that of the federation is the standby.
type handover struct {
	*federation
	first    *manager
	identity string // of the first
	gate     *gate  // before the host, for the first
	ready    string // where the second says whether it is ready
}

func begin(t *testing.T) *handover {
	t.Helper()
	f := prepare(t)
	h := &handover{federation: f, gate: openGate(t, "host"), ready: "http://" + freeAddress(t) + "/readyz"}
	f.m1, f.m2 = f.join(linked(t, "m1", "m1")), f.join(linked(t, "m2", "m2"))
	h.startFirst()
	h.identity = h.leader("")
	f.starts(f.managersConfig(), "host", "--healthz-addr", strings.TrimSuffix(strings.TrimPrefix(h.ready, "http://"), "/readyz"))
	f.eventually(soon, "the standby to be ready", func(ctx context.Context) error { return answers(ctx, h.ready) })
	f.federatesNamespace()
	for n := range backlog {
		f.createsMap(fmt.Sprintf("o%03d", n), "x", "m1")
	}
	f.eventually(soon, "the first copies", func(ctx context.Context) error {
		if n := h.arrived(ctx); n < 3 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if n := h.arrived(t.Context()); n > backlog/2 {
		t.Fatalf("%d of %d copies are there already: too little is left to be seen", n, backlog)
	}
	return h
}

// startFirst starts the first manager, which is slow, and reaches the host through the gate. It may end as it likes.
func (h *handover) startFirst() {
	log, err := os.Create(filepath.Join(h.TempDir(), "first.log"))
	h.must(err)
	k := clientcmdapi.NewConfig()
	k.Clusters["host"] = &clientcmdapi.Cluster{Server: h.gate.server.URL, CertificateAuthorityData: h.gate.ca()}
	k.AuthInfos["host"] = &clientcmdapi.AuthInfo{Token: "of-the-gate"}
	k.Contexts["host"] = &clientcmdapi.Context{Cluster: "host", AuthInfo: "host"}
	path := filepath.Join(h.TempDir(), "first.kubeconfig")
	h.must(clientcmd.WriteToFile(*k, path))
	h.first = &manager{t: h.TB, log: log, host: h.Client, args: []string{
		"manager", "--kubeconfig", path, "--context", "host", "--metrics-addr", "0", "--healthz-addr", "0", "-v", "1",
		"--member-qps", "10", "--member-burst", "1",
	}}
	h.first.start()
	h.Cleanup(func() {
		h.first.kill()
		if h.Failed() {
			lines := strings.Split(h.first.words(), "\n")
			h.Logf("the first manager's last words:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
		_ = log.Close()
	})
}

// leader waits for a leader other than this one.
func (h *handover) leader(other string) (identity string) {
	h.Helper()
	h.eventually(soon, "a leader", func(ctx context.Context) error {
		var l coordinationv1.Lease
		if err := h.Get(ctx, client.ObjectKey{Namespace: fedv1.DefaultNamespace, Name: fedv1.LockName}, &l); err != nil {
			return err
		}
		if identity = ptr.Deref(l.Spec.HolderIdentity, ""); identity == "" || identity == other {
			return fmt.Errorf("it is %q", identity)
		}
		return nil
	})
	return identity
}

func (h *handover) arrived(ctx context.Context) int {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("ConfigMapList"))
	list.APIVersion = "v1"
	h.must(h.m1.List(ctx, list, client.InNamespace(h.namespace), client.MatchingLabels{fedv1.ManagedLabel: "true"}))
	return len(list.Items)
}

// takesOver waits until the second leads, and returns marks from then on of what the first writes.
func (h *handover) takesOver() []mark {
	h.Helper()
	h.leader(h.identity)
	var marks []mark
	for _, c := range []string{"host", "m1", "m2"} {
		marks = append(marks, record(h, c, func(r lab.Request) bool {
			return strings.Contains(r.UserAgent, h.identity) && writes(r) // one that was cut off half-way has written nothing
		}))
	}
	return marks
}

// finishes waits until the second has done what was left, and is at work.
func (h *handover) finishes() {
	h.Helper()
	h.eventually(patiently, "all copies", func(ctx context.Context) error {
		if n := h.arrived(ctx); n != backlog {
			return fmt.Errorf("there are %d of %d", n, backlog)
		}
		return nil
	})
	h.setsValue("o000", "new")
	h.holds(soon, h.m1, "o000", "new")
}

// wrote fails if the first had written nothing to a member, or has since the marks.
func (h *handover) wrote(marks []mark) {
	h.Helper()
	if len(clusters.Requests(h, "m1", func(r lab.Request) bool { return strings.Contains(r.UserAgent, h.identity) && r.Mutates() })) == 0 {
		h.Error("the audit log does not know the first manager")
	}
	for _, m := range marks {
		m.none("after another had taken over")
	}
}

func (h *handover) isKilled() {
	h.first.kill()
	marks := h.takesOver()
	h.finishes()
	h.wrote(marks)
}

// standsStill: this is the hard case. It has requests in hand, goes on where it stood, and does not know how late it is.
func (h *handover) standsStill() {
	h.must(h.first.cmd.Process.Signal(syscall.SIGSTOP))
	marks := h.takesOver()
	h.finishes()
	h.must(h.first.cmd.Process.Signal(syscall.SIGCONT))
	h.ends("lost lease")
	h.wrote(marks)
}

func (h *handover) losesItsLease() {
	h.gate.refuse(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/leases") })
	marks := h.takesOver()
	h.ends("leader election lost")
	h.finishes()
	h.wrote(marks)
}

// ends waits until the first has ended by itself, and checks that it says why.
func (h *handover) ends(words string) {
	h.Helper()
	h.eventually(soon, "the first to end", func(context.Context) error {
		if h.first.runs() {
			return fmt.Errorf("it runs")
		}
		return nil
	})
	if code := h.first.cmd.ProcessState.ExitCode(); code != 1 {
		h.Errorf("it ended with code %d", code)
	}
	if !strings.Contains(h.first.words(), words) {
		h.Errorf("it does not say %q", words)
	}
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
