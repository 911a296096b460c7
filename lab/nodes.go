package main

import (
	"context"
	"fmt"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	kwokclient "sigs.k8s.io/kwok/pkg/utils/client"
	"sigs.k8s.io/yaml"
)

// createNodes makes the cluster's fake nodes, as kubelets would register them; kwok takes them from there.
func createNodes(ctx context.Context, client kubernetes.Interface, c cluster) error {
	for n := range c.Nodes {
		_, err := client.CoreV1().Nodes().Create(ctx, fakeNode(c, n), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create node %s: %w", nodeName(c, n), err)
		}
	}
	return nil
}

// nodeCount counts fake nodes, or the real one.
func (c cluster) nodeCount() int {
	if c.Real != nil {
		return 1
	}
	return c.Nodes
}

func nodeName(c cluster, n int) string { return fmt.Sprintf("%s-node-%d", c.Name, n) }

// fakeNode has the cluster as its region and one of three zones, which is what consumers of topology look at.
func fakeNode(c cluster, n int) *corev1.Node {
	size := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("32"),
		corev1.ResourceMemory: resource.MustParse("128Gi"),
		corev1.ResourcePods:   resource.MustParse("250"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        nodeName(c, n),
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			Labels: map[string]string{
				corev1.LabelHostname:       nodeName(c, n),
				corev1.LabelOSStable:       "linux",
				corev1.LabelArchStable:     "amd64",
				corev1.LabelTopologyRegion: c.Name,
				corev1.LabelTopologyZone:   c.Name + "-" + string("abc"[n%3]),
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    size,
			Allocatable: size,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: c.nodeIP(n)},
				{Type: corev1.NodeHostName, Address: nodeName(c, n)},
			},
		},
	}
	if c.Answer == inNetwork {
		node.Status.DaemonEndpoints.KubeletEndpoint.Port = kubeletPort
	}
	return node
}

// nodesReady wants the nodes Ready and rid of the taint they start with, as no Pod tolerates that one.
func nodesReady(client kubernetes.Interface, c cluster) probe {
	return func(ctx context.Context) error {
		for n := range c.nodeCount() {
			node, err := client.CoreV1().Nodes().Get(ctx, nodeName(c, n), metav1.GetOptions{})
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(node.Status.Conditions, isReady) || slices.ContainsFunc(node.Spec.Taints, isNotReadyTaint) {
				return fmt.Errorf("node %s is not ready", node.Name)
			}
		}
		return nil
	}
}

func isReady(c corev1.NodeCondition) bool {
	return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
}

func isNotReadyTaint(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady }

// newKwokCommand plays the kubelets of all nodes. kwok's own command is not used: it defines global flags that
// Kubernetes' components define, too.
func newKwokCommand() *cobra.Command {
	var kubeconfig, podRange string
	cmd := &cobra.Command{
		Use:  kwok,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			controller, err := newKwok(kubeconfig, podRange)
			if err != nil {
				return fmt.Errorf("make kwok's controller: %w", err)
			}
			if err := controller.Start(ctx); err != nil {
				return fmt.Errorf("start kwok's controller: %w", err)
			}
			<-ctx.Done()
			return nil
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the cluster to play nodes in")
	cmd.Flags().StringVar(&podRange, "pod-range", "", "CIDR from which Pods get addresses")
	return cmd
}

func newKwok(kubeconfig, podRange string) (*controllers.Controller, error) {
	stages, err := kwokStages()
	if err != nil {
		return nil, err
	}
	clients, err := kwokclient.NewClientset("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config := controllers.Config{
		Clock: clock.RealClock{}, ManageAllNodes: true, LocalStages: stages,
		CIDR: podRange, NodeIP: "127.0.0.1",
		NodeLeaseDurationSeconds: 40, NodeLeaseParallelism: 4,
		NodePlayStageParallelism: 4, PodPlayStageParallelism: 4, PodsOnNodeSyncParallelism: 4,
		ImpersonatingDynamicClient: clients.ToImpersonatingDynamicClient(),
		ImpersonatingTypedClient:   clients.ToImpersonatingTypedClient(),
		// Always the same: after a restart it would wait 40 s for the leases of a holder with another name to expire.
		ID: "hansa-lab",
	}
	if config, err = withClients(config, clients); err != nil {
		return nil, err
	}
	return controllers.NewController(config)
}

func withClients(config controllers.Config, clients kwokclient.Clientset) (controllers.Config, error) {
	restConfig, err := clients.ToRESTConfig()
	if err != nil {
		return config, err
	}
	if config.DynamicClient, err = clients.ToDynamicClient(); err != nil {
		return config, err
	}
	if config.RESTMapper, err = clients.ToRESTMapper(); err != nil {
		return config, err
	}
	if config.RESTClient, err = rest.RESTClientFor(restConfig); err != nil {
		return config, err
	}
	config.TypedClient, err = kubernetes.NewForConfig(restConfig)
	return config, err
}

// endOfPod is when a deleted Pod is gone: at once, unless a container of it asks to sleep before it is stopped. A
// deletionTimestamp is when its time to do so is over.
const endOfPod = `(.metadata.deletionTimestamp | fromdateiso8601) - (.metadata.deletionGracePeriodSeconds // 0) +
	([.spec.containers[].lifecycle.preStop.sleep.seconds // 0] | max) | todateiso8601`

// kwokStages are those that kwok itself uses by default: nodes get ready and stay so, Pods run at once, Jobs' Pods
// complete at once, deleted Pods go.
func kwokStages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	stages := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, text := range []string{
		fast.DefaultNodeInit, heartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete,
	} {
		var external v1alpha1.Stage
		if err := yaml.UnmarshalStrict([]byte(text), &external); err != nil {
			return nil, fmt.Errorf("read kwok stage: %w", err)
		}
		if text == podfast.DefaultPodDelete {
			external.Spec.Delay = &v1alpha1.StageDelay{DurationFrom: &v1alpha1.ExpressionFrom{JQ: &v1alpha1.ExpressionJQ{Expression: endOfPod}}}
		}
		v1alpha1.SetObjectDefaults_Stage(&external)
		stage, err := internalversion.ConvertToInternalStage(&external)
		if err != nil {
			return nil, fmt.Errorf("convert kwok stage %s: %w", external.Name, err)
		}
		stages[stage.Spec.ResourceRef] = append(stages[stage.Spec.ResourceRef], stage)
	}
	return stages, nil
}
