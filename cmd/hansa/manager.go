package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/federate"
	"github.com/hansa-io/hansa/internal/lead"
	"github.com/hansa-io/hansa/internal/version"
)

// flags of `hansa manager`. Names and defaults are KubeFed's where it has them.
type flags struct {
	kubeconfig, context, master  string
	namespace, config            string
	healthz, metrics             string
	hostQPS                      float32
	hostBurst                    int
	memberQPS                    float32
	memberBurst, memberWorkers   int
	deletionDeadline             time.Duration
	leaseDuration, renewDeadline time.Duration
	retryPeriod                  time.Duration
	version                      bool
	shards                       bool
	budget                       federate.Limits
	measure                      measure
	staleness                    staleness
	xds                          xdsFlags
}

func managerCommand() *cobra.Command {
	f := flags{budget: federate.DefaultLimits}
	c := &cobra.Command{
		Use: "manager", Aliases: []string{"controller-manager"},
		Short: "Run the control plane against the host cluster",
		Long: "Run the control plane against the host cluster: that of the pod it runs in, or, with --kubeconfig, any.\n" +
			"Install what it needs there first, with kubefedctl init.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.version {
				fmt.Fprintln(c.OutOrStdout(), "hansa version:", version.Current())
				return nil
			}
			if err := f.validate(); err != nil {
				return err
			}
			return run(c.Context(), f)
		},
	}
	fs := c.Flags()
	f.addHost(c)
	fs.StringVar(&f.config, "kubefed-config", "", "file with a KubeFedConfig, which is used instead of the host's and not followed")
	fs.StringVar(&f.namespace, "kubefed-namespace", "", "namespace of the control plane; empty means that of this pod, or else "+fedv1.DefaultNamespace)
	fs.StringVar(&f.healthz, "healthz-addr", "", `address of /healthz and /readyz (default ":8080" in a pod, "127.0.0.1:8080" elsewhere; "0" is off)`)
	fs.StringVar(&f.metrics, "metrics-addr", "", `address of /metrics (default ":9090" in a pod, "127.0.0.1:9090" elsewhere; "0" is off)`)
	f.measure.flags(fs)
	f.staleness.flags(fs)
	f.xds.flags(fs)
	fs.Float32Var(&f.hostQPS, "rest-config-qps", 1000, "requests per second to the host's API; negative means no limit")
	fs.IntVar(&f.hostBurst, "rest-config-burst", 2000, "burst of requests to the host's API")
	fs.Float32Var(&f.memberQPS, "member-qps", 1000, "requests per second to each member's API; negative means no limit")
	fs.IntVar(&f.memberBurst, "member-burst", 2000, "burst of requests to each member's API")
	fs.IntVar(&f.memberWorkers, "member-workers", 16, "steps taken at the same time in each member")
	fs.DurationVar(&f.deletionDeadline, "deletion-deadline", 5*time.Minute, "how long a deletion waits for a member that is away; then what it holds is recorded, and removed when it returns")
	fs.DurationVar(&f.leaseDuration, "leader-elect-lease-duration", 0, "instead of leaderElect.leaseDuration of the KubeFedConfig")
	fs.DurationVar(&f.renewDeadline, "leader-elect-renew-deadline", 0, "instead of leaderElect.renewDeadline")
	fs.DurationVar(&f.retryPeriod, "leader-elect-retry-period", 0, "instead of leaderElect.retryPeriod")
	fs.BoolVar(&f.shards, "shards", false, "share the members out over all managers that run with this flag, instead of one having them all while the others stand by")
	fs.BoolVar(&f.version, "version", false, "print the version and end")
	fs.DurationVar(&f.budget.Window, "deletion-budget-window", f.budget.Window, "the time over which removals that follow from placements are counted, for each type and member")
	fs.IntVar(&f.budget.Least, "deletion-budget", f.budget.Least, "removals within the window that are always allowed; 0 with a share of 0 switches the budget off")
	fs.Float64Var(&f.budget.Share, "deletion-budget-share", f.budget.Share, "share of a member's copies of a type that may be removed within the window")
	return c
}

// validate names a flag whose value makes no sense.
func (f flags) validate() error {
	for _, flag := range []struct {
		name string
		bad  bool
	}{
		{"rest-config-qps", f.hostQPS == 0},
		{"rest-config-burst", f.hostBurst < 1},
		{"member-qps", f.memberQPS == 0},
		{"member-burst", f.memberBurst < 1},
		{"member-workers", f.memberWorkers < 1},
		{"leader-elect-lease-duration", f.leaseDuration < 0},
		{"leader-elect-renew-deadline", f.renewDeadline < 0},
		{"leader-elect-retry-period", f.retryPeriod < 0},
		{"deletion-deadline", f.deletionDeadline < 0},
		{"discovery-grace", f.staleness.grace <= 0},
		{"discovery-expiry", f.staleness.expiry <= 0},
	} {
		if flag.bad {
			return fmt.Errorf("%w: --%s", errFlag, flag.name)
		}
	}
	return f.xds.validate()
}

var errFlag = errors.New("a flag must be more than 0 (a rate may also be negative: no limit)")

// addHost adds the flags that lead to the host.
func (f *flags) addHost(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "path of a kubeconfig of the host; empty means the cluster of this pod, or else KUBECONFIG")
	fs.StringVar(&f.context, "context", "", "context of the kubeconfig to use; empty means its current one")
	fs.StringVar(&f.master, "master", "", "address of the host's API server, instead of that of the kubeconfig")
}

// complete fills in what depends on where the process runs.
func (f flags) complete() (flags, *rest.Config, error) {
	loopback := "127.0.0.1"
	config, err := rest.InClusterConfig()
	if f.kubeconfig != "" || f.context != "" || f.master != "" || err != nil {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = f.kubeconfig
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context, ClusterInfo: clientcmdapi.Cluster{Server: f.master}}).ClientConfig()
		if err != nil {
			return f, nil, fmt.Errorf("find the host cluster: %w", err)
		}
	} else {
		loopback = ""
		if ns, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace"); err == nil && f.namespace == "" {
			f.namespace = string(ns)
		}
	}
	if f.namespace == "" {
		f.namespace = fedv1.DefaultNamespace
	}
	if f.healthz == "" {
		f.healthz = loopback + ":8080"
	}
	if f.metrics == "" {
		f.metrics = loopback + ":9090"
	}
	config.QPS, config.Burst = f.hostQPS, f.hostBurst
	config.UserAgent = "hansa/" + version.Current().Version
	return f, config, nil
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = clientgoscheme.AddToScheme(s)
	_ = fedv1.AddToScheme(s)
	return s
}

func run(ctx context.Context, f flags) error {
	ctrl.SetLogger(klog.NewKlogr())
	f, config, err := f.complete()
	if err != nil {
		return err
	}
	identity, err := identify()
	if err != nil {
		return err
	}
	config.UserAgent += " (" + identity + ")"
	f.measure.identity = identity
	boot, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("connect to the host %s: %w", config.Host, err)
	}
	settings, err := load(ctx, boot, f, ctrl.Log)
	if err != nil {
		return err
	}
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	h := &helm{flags: f, settings: settings, config: config, identity: identity, lose: lose}
	mgr, term, err := h.newManager()
	if err != nil {
		return err
	}
	if err := assemble(ctx, mgr, f, settings, term, h.shards); err != nil {
		return err
	}
	klog.InfoS("starting", "version", version.Current().Version, "host", config.Host, "namespace", f.namespace, "scope", settings.scope(), "identity", identity)
	err = mgr.Start(ctx)
	h.shards.leave()
	if err != nil {
		return fmt.Errorf("%w: this process ends, so that another leads, or itself after a restart", err)
	}
	if cause := context.Cause(ctx); errors.As(cause, new(lostError)) {
		return cause
	}
	return nil
}

// identify names this process, as KubeFed does.
func identify() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this process: %w", err)
	}
	return host + "_" + string(uuid.NewUUID()), nil
}

// lostError says who leads now.
type lostError struct{ lease, holder string }

func (e lostError) Error() string {
	return fmt.Sprintf("lost lease: %s leads by the Lease %s: this process ends, and is a standby after a restart", e.holder, e.lease)
}

// helm is what a manager is made of.
type helm struct {
	flags    flags
	settings *current
	config   *rest.Config
	identity string
	lose     context.CancelCauseFunc
	mgr      manager.Manager
	shards   *shards
}

// newManager makes a manager whose writes end with its term.
func (h *helm) newManager() (manager.Manager, *lead.Term, error) {
	times := h.settings.in.Load().Lease
	term := lead.NewTerm(times.Renew, times.Duration)
	lock, err := lead.New(h.config, lead.Options{
		Namespace: h.flags.namespace, Identity: h.identity, Term: term, Alone: !h.flags.shards, Waiting: h.waits,
		Lost: func(holder string) {
			h.lose(lostError{lease: h.flags.namespace + "/" + fedv1.LockName, holder: holder})
		},
	})
	if err != nil {
		return nil, nil, err
	}
	if h.shards, err = newShards(h.flags, h.config, h.identity, times, ctrl.Log.WithName("shards")); err != nil {
		return nil, nil, err
	}
	guard := h.shards.guard(term)
	guarded := rest.CopyConfig(h.config)
	guarded.Wrap(guard.Requests)
	guarded.Dial = guard.Dial((&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext)
	mgr, err := ctrl.NewManager(guarded, ctrl.Options{
		Scheme: scheme(),
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{h.flags.namespace: {}},
			ByObject:          map[client.Object]cache.ByObject{&corev1.Secret{}: {Transform: cache.TransformStripManagedFields()}},
		},
		Metrics:                h.flags.measure.server(h.flags.metrics),
		HealthProbeBindAddress: h.flags.healthz,
		PprofBindAddress:       h.flags.measure.pprof,
		LeaderElection:         true,
		LeaseDuration:          &times.Duration, RenewDeadline: &times.Renew, RetryPeriod: &times.Retry,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		GracefulShutdownTimeout:             new(time.Duration),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make the manager: %w", err)
	}
	h.mgr = mgr
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, nil, err
	}
	return mgr, term, mgr.AddReadyzCheck("ping", healthz.Ping)
}

// waits says that a KubeFed manager, or managers that share the members, keep this one from leading.
func (h *helm) waits(who lead.Holder) {
	h.mgr.GetLogger().Info("waiting to lead: " + who.String())
	config := newConfig()
	config.SetNamespace(h.flags.namespace)
	config.SetName(fedv1.ConfigName)
	if err := h.mgr.GetCache().Get(context.Background(), client.ObjectKeyFromObject(config), config); err != nil {
		return // the log has it
	}
	reason := "WaitingForKubeFed"
	if who.Shard() {
		reason = "WaitingForShards"
	}
	h.mgr.GetEventRecorder("hansa").Eventf(config, nil, corev1.EventTypeWarning, reason, "Lead", "%s", who.String())
}
