package cluster

import (
	"context"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrlcluster "sigs.k8s.io/controller-runtime/pkg/cluster"
)

// Recorder records what happened to a KubeFedCluster once; a controller-runtime event recorder is one.
type Recorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Rotator renews the token in the host's secret if it is time. It is called after each good probe, from the member's own goroutine;
// doing nothing is no error. See join.Rotator.
type Rotator func(ctx context.Context, member *rest.Config, secret *corev1.Secret) error

// Options are what a Controller needs.
type Options struct {
	// Host is the host cluster; a controller-runtime manager is one. Its cache must cover KubeFedClusters and Secrets in Namespace.
	Host ctrlcluster.Cluster
	// Namespace is the KubeFed namespace, in the host and in the members.
	Namespace string
	// HostIDs are the UIDs that mean the host itself: that of its kube-system namespace, and, where that may not be read,
	// NamespaceID of its KubeFed namespace.
	HostIDs []types.UID
	// Connect holds the settings of all connections.
	Connect ConnectOptions
	// Health returns the settings of probes; it is asked before each.
	Health func() Health
	// Watcher is told of every change.
	Watcher Watcher
	// Rotate renews credentials; nil leaves them as they are.
	Rotate Rotator
	// Recorder for events; nil uses the host's, as "kubefedcluster-controller".
	Recorder Recorder
	// Log of what is told nowhere else.
	Log logr.Logger
	// Clock to measure by; nil is the real one.
	Clock clock.Clock
	// Metrics is where the metrics are registered; nil is controller-runtime's registry.
	Metrics prometheus.Registerer
}

// NamespaceID is the ID of a cluster of which only the KubeFed namespace can be seen.
func NamespaceID(uid types.UID) types.UID { return "namespace:" + uid }

// Controller keeps the members. It is a manager.Runnable that needs leadership.
type Controller struct{ o Options }

// New makes a Controller; nothing happens before Start.
func New(o Options) (*Controller, error) { return &Controller{o: o}, nil }

// NeedLeaderElection says that only the leader probes and writes.
func (c *Controller) NeedLeaderElection() bool { return true }

// Start keeps the members until the context ends, and returns when all of its goroutines have.
func (c *Controller) Start(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
