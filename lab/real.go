package main

import (
	"fmt"
	"path/filepath"
)

// realNode is the one node of a cluster that runs its Pods.
type realNode struct {
	Programs string `json:"programs"` // the folder with its programs, which `make node-build` fills
}

// The programs of a real node, as files in its folder. hansa-node is the kubelet and kube-proxy.
var nodePrograms = []string{"hansa-node", containerd, "containerd-shim-runc-v2", "ctr", "runc", "bridge", "host-local", "loopback", pauseImage}

// pauseImage holds the container that holds the namespaces of a Pod.
const (
	pauseImage     = "pause.tar"
	pauseImageName = "hansa-lab.local/pause:1"
)

// The users as whom a real node's components work.
const kubeProxyUser = "system:kube-proxy"

func (c cluster) kubeletUser() string { return "system:node:" + nodeName(c, 0) }

// doorURL is the API server as Pods reach it, in this cluster and in the lab's others.
func (c cluster) doorURL() string { return fmt.Sprintf("https://%s:%d", gateIP, c.Ports.API) }

func (c cluster) proxyURL() string { return fmt.Sprintf("http://127.0.0.1:%d", c.Ports.Proxy) }

// realPodRange is what fits into one node's part of the cluster's Pod addresses.
func (c cluster) realPodRange() string { return fmt.Sprintf("10.%d.0.0/24", 128+c.Index%32) }

// programArgs are a program that runs in the node, and its flags.
func (f clusterFolder) programArgs(c cluster, component string) []string {
	program := func(name string) string { return filepath.Join(c.Real.Programs, name) }
	switch component {
	case containerd:
		return []string{program(containerd), "--config=" + f.path("containerd.toml")}
	case kubelet:
		return []string{
			program("hansa-node"), kubelet,
			"--config=" + f.path("kubelet.yaml"),
			"--kubeconfig=" + f.path(kubelet+".kubeconfig"),
			"--hostname-override=" + nodeName(c, 0),
			"--node-ip=" + c.nodeIP(0),
			"--node-labels=topology.kubernetes.io/region=" + c.Name + ",topology.kubernetes.io/zone=" + c.Name + "-a",
		}
	case kubeProxy:
		return []string{program("hansa-node"), kubeProxy, "--config=" + f.path("kube-proxy.yaml"), "--hostname-override=" + nodeName(c, 0)}
	default:
		return nil
	}
}

// gateSocket has an abstract name, as the path of a file could be too long for a socket.
func (f clusterFolder) gateSocket() string { return "@" + f.cgroup() }

func (f clusterFolder) machineArgs(c cluster) []string {
	return []string{"--data=" + f.path("node"), "--address=" + c.nodeIP(0) + "," + gateIP}
}

// networkAPIServerArgs are what an API server needs for Pods in a network that is really there.
func (f clusterFolder) networkAPIServerArgs() []string {
	return []string{
		"--advertise-address=" + gateIP, // where the service `kubernetes` leads to
		"--kubelet-client-certificate=" + f.path("pki", "apiserver.crt"),
		"--kubelet-client-key=" + f.path("pki", "apiserver.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--egress-selector-config-file=" + f.path("egress.yaml"),
	}
}

// nodeFiles are what a real node's components read.
func (f clusterFolder) nodeFiles(c cluster, ca []byte) (map[string][]byte, error) {
	program := func(name string) string { return filepath.Join(c.Real.Programs, name) }
	files := map[string][]byte{
		"egress.yaml": fmt.Appendf(nil, egressConfig, f.gateSocket()),
		"containerd.toml": fmt.Appendf(nil, containerdConfig, pauseImageName, c.Real.Programs, f.path("cni"),
			program("containerd-shim-runc-v2"), program("runc")),
		"cni/10-lab.conflist": fmt.Appendf(nil, cniConfig, c.realPodRange()),
		"kubelet.yaml":        fmt.Appendf(nil, kubeletConfig, f.cgroup(), c.nodeIP(0), f.path("pki", "ca.crt"), f.path("resolv.conf")),
		"kube-proxy.yaml":     fmt.Appendf(nil, kubeProxyConfig, f.path(kubeProxy+".kubeconfig"), c.realPodRange(), ""),
		"resolv.conf":         {}, // there is no DNS
	}
	for component, user := range nodeKubeconfigUser(c) {
		var err error
		if files[component+".kubeconfig"], err = componentKubeconfig(c, c.doorURL(), user, ca); err != nil {
			return nil, fmt.Errorf("kubeconfig of %s: %w", component, err)
		}
	}
	return files, nil
}

// egressConfig sends all that the API server wants of nodes, Pods and services through the gate.
const egressConfig = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %q}}}
`

// containerdConfig takes images that are there from nowhere else, and asks for no rights that even root may lack.
const containerdConfig = `version = 3
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %q

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [%q]
conf_dir = %q

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = %q

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = %q
SystemdCgroup = false
`

const cniConfig = `{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [{
    "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
`

// kubeletConfig: nobody evicts a test's Pods because the machine's disk is full, and only who has a certificate of the
// cluster's authority, which is the API server, may give orders.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /%s
address: %s
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: %q}}
authorization: {mode: AlwaysAllow}
resolvConf: %q
oomScoreAdj: 0
failSwapOn: false
evictionHard: {memory.available: 100Mi, nodefs.available: 0%%, nodefs.inodesFree: 0%%, imagefs.available: 0%%, imagefs.inodesFree: 0%%}
imageGCHighThresholdPercent: 100
`

// kubeProxyConfig leaves the kernel's settings of connection tracking alone.
const kubeProxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %q}
clusterCIDR: %s
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nodePortAddresses: [%s]
`
