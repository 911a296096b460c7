package lab

import "testing"

// The components of a cluster, as Pause, Resume, Kill and Start name them.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler" // with nodes only
	Kwok              = "kwok"           // the fake kubelets; with fake nodes only
	PodsAnswer        = "answer"         // what answers for Pods on fake nodes, and their network; with Options.Answer only
	KubeProxy         = "kube-proxy"     // in such a network, or of a real node
	Node              = "node"           // a real node with all that runs on it
	Containerd        = "containerd"     // of a real node, as the next
	Kubelet           = "kubelet"
)

// Pause stops components of the cluster without ending them, all if none is named: connections stay open, nothing
// answers. They go on with Resume, or when the test ends.
func (l *Lab) Pause(t testing.TB, cluster string, components ...string) {
	t.Helper()
	l.each(t, "pause", cluster, components)
	t.Cleanup(func() {
		for _, component := range orAll(components) {
			_, _ = l.run(withComponent("resume", cluster, component)...) // killed meanwhile: then it need not go on
		}
	})
}

// Resume lets paused components go on.
func (l *Lab) Resume(t testing.TB, cluster string, components ...string) {
	t.Helper()
	l.each(t, "resume", cluster, components)
}

// Kill ends components of the cluster at once, all if none is named, and returns when they have ended: connections
// break and new ones are refused. Their data stays. They stay dead until Start; in a shared lab until the test ends.
//
// After an API server was away, controllers come back to it only when their back-off ends, up to half a minute later,
// as in any cluster. A shared lab's cluster is therefore started anew as a whole after the test.
func (l *Lab) Kill(t testing.TB, cluster string, components ...string) {
	t.Helper()
	l.each(t, "kill", cluster, components)
	if l.shared {
		t.Cleanup(func() {
			l.Run(t, "kill", cluster)
			l.Start(t, cluster)
		})
	}
}

// Start starts killed components again, on the same ports and with the same data. It returns when they are ready, with
// no component named when the whole cluster is.
func (l *Lab) Start(t testing.TB, cluster string, components ...string) {
	t.Helper()
	l.each(t, "start", cluster, components)
}

func (l *Lab) each(t testing.TB, verb, cluster string, components []string) {
	t.Helper()
	for _, component := range orAll(components) {
		l.Run(t, withComponent(verb, cluster, component)...)
	}
}

// orAll stands for "all of them" by an empty name.
func orAll(components []string) []string {
	if len(components) == 0 {
		return []string{""}
	}
	return components
}

func withComponent(verb, cluster, component string) []string {
	if component == "" {
		return []string{verb, cluster}
	}
	return []string{verb, cluster, component}
}
