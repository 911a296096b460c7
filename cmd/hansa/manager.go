package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
	"github.com/hansa-io/hansa/internal/federate"
	"github.com/hansa-io/hansa/internal/version"
)

// flags of `hansa manager`. Names and defaults are KubeFed's where it has them.
type flags struct {
	kubeconfig, context, namespace string
	healthz, metrics               string
	hostQPS                        float32
	hostBurst                      int
	memberQPS                      float32
	memberBurst, memberWorkers     int
	deletionDeadline               time.Duration
	budget                         federate.Limits
}

func managerCommand() *cobra.Command {
	f := flags{budget: federate.DefaultLimits}
	c := &cobra.Command{
		Use: "manager", Aliases: []string{"controller-manager"},
		Short: "Run the control plane against the host cluster",
		Long: "Run the control plane against the host cluster: that of the pod it runs in, or, with --kubeconfig, any.\n" +
			"Install what it needs there first, with kubefedctl init.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), f) },
	}
	fs := c.Flags()
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "path of a kubeconfig of the host; empty means the cluster of this pod, or else KUBECONFIG")
	fs.StringVar(&f.context, "context", "", "context of the kubeconfig to use; empty means its current one")
	fs.StringVar(&f.namespace, "kubefed-namespace", "", "namespace of the control plane; empty means that of this pod, or else "+fedv1.DefaultNamespace)
	fs.StringVar(&f.healthz, "healthz-addr", "", `address of /healthz and /readyz (default ":8080" in a pod, "127.0.0.1:8080" elsewhere; "0" is off)`)
	fs.StringVar(&f.metrics, "metrics-addr", "", `address of /metrics (default ":9090" in a pod, "127.0.0.1:9090" elsewhere; "0" is off)`)
	fs.Float32Var(&f.hostQPS, "rest-config-qps", 1000, "requests per second to the host's API; negative means no limit")
	fs.IntVar(&f.hostBurst, "rest-config-burst", 2000, "burst of requests to the host's API")
	fs.Float32Var(&f.memberQPS, "member-qps", 1000, "requests per second to each member's API; negative means no limit")
	fs.IntVar(&f.memberBurst, "member-burst", 2000, "burst of requests to each member's API")
	fs.IntVar(&f.memberWorkers, "member-workers", 16, "steps taken at the same time in each member")
	fs.DurationVar(&f.deletionDeadline, "deletion-deadline", 5*time.Minute, "how long a deletion waits for a member that is away; then what it holds is recorded, and removed when it returns")
	fs.DurationVar(&f.budget.Window, "deletion-budget-window", f.budget.Window, "the time over which removals that follow from placements are counted, for each type and member")
	fs.IntVar(&f.budget.Least, "deletion-budget", f.budget.Least, "removals within the window that are always allowed; 0 with a share of 0 switches the budget off")
	fs.Float64Var(&f.budget.Share, "deletion-budget-share", f.budget.Share, "share of a member's copies of a type that may be removed within the window")
	return c
}

// complete fills in what depends on where the process runs.
func (f flags) complete() (flags, *rest.Config, error) {
	loopback := "127.0.0.1"
	config, err := rest.InClusterConfig()
	if f.kubeconfig != "" || f.context != "" || err != nil {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = f.kubeconfig
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
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
	boot, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("connect to the host %s: %w", config.Host, err)
	}
	settings, err := load(ctx, boot, f)
	if err != nil {
		return err
	}
	mgr, err := newManager(config, f, settings)
	if err != nil {
		return err
	}
	if err := assemble(ctx, mgr, f, settings); err != nil {
		return err
	}
	klog.InfoS("starting", "version", version.Current().Version, "host", config.Host, "namespace", f.namespace, "scope", settings.scope())
	return mgr.Start(ctx)
}

func newManager(config *rest.Config, f flags, s *settings) (manager.Manager, error) {
	lock, err := newLock(config, f.namespace)
	if err != nil {
		return nil, err
	}
	le := s.leaderElection()
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme(),
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{f.namespace: {}},
			ByObject:          map[client.Object]cache.ByObject{&corev1.Secret{}: {Transform: cache.TransformStripManagedFields()}},
		},
		Metrics:                server.Options{BindAddress: f.metrics},
		HealthProbeBindAddress: f.healthz,
		LeaderElection:         true,
		LeaseDuration:          &le.lease, RenewDeadline: &le.renew, RetryPeriod: &le.retry,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		GracefulShutdownTimeout:             new(time.Duration),
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("ping", healthz.Ping)
}
