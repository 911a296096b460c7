package main

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
)

// The users that a cluster's API server knows by token.
const (
	admin             = "admin"
	controllerManager = "system:kube-controller-manager"
	schedulerUser     = "system:kube-scheduler"
)

// kubeconfigUser is the user as whom a component works. kwok plays kubelets for any node, which RBAC has no role for.
var kubeconfigUser = map[string]string{
	kubeControllerManager: controllerManager,
	kubeScheduler:         schedulerUser,
	kwok:                  admin,
}

// nodeKubeconfigUser is the same for the components of a real node.
func nodeKubeconfigUser(c cluster) map[string]string {
	return map[string]string{kubelet: c.kubeletUser(), kubeProxy: kubeProxyUser}
}

// auditPolicy logs who did what to what, without bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

func newTokens(users ...string) map[string]string {
	tokens := map[string]string{}
	for _, user := range append(users, admin, controllerManager, schedulerUser) {
		tokens[user] = randomToken()
	}
	return tokens
}

// Address ranges differ by cluster, so that a test that mixes clusters up sees it. They repeat after 32 clusters.
func (c cluster) serviceRange() string { return fmt.Sprintf("10.%d.0.0/16", 96+c.Index%32) }
func (c cluster) serviceIP() net.IP    { return net.IPv4(10, byte(96+c.Index%32), 0, 1) }
func (c cluster) dnsIP() string        { return fmt.Sprintf("10.%d.0.10", 96+c.Index%32) } // as kubeadm has it
func (c cluster) podRange() string     { return fmt.Sprintf("10.%d.0.1/16", 128+c.Index%32) }
func (c cluster) nodeIP(n int) string {
	if c.Answer == onLoopback {
		return fmt.Sprintf("%s.%d", c.Loopback, n+1)
	}
	return fmt.Sprintf("10.%d.%d.%d", 160+c.Index%32, n/250, n%250+1)
}

// writeFiles makes all that the cluster's components read. It may be called again at any time.
func (f clusterFolder) writeFiles(c cluster) error {
	if err := makePKI(f.path("pki"), c.serviceIP()); err != nil {
		return err
	}
	ca, err := os.ReadFile(f.path("pki", "ca.crt"))
	if err != nil {
		return err
	}
	files := map[string][]byte{"tokens.csv": tokenFile(c), "audit-policy.yaml": []byte(auditPolicy)}
	for component, user := range kubeconfigUser {
		if files[component+".kubeconfig"], err = componentKubeconfig(c, c.apiURL(), user, ca); err != nil {
			return fmt.Errorf("kubeconfig of %s: %w", component, err)
		}
	}
	if c.Real != nil {
		nodeFiles, err := f.nodeFiles(c, ca)
		if err != nil {
			return err
		}
		maps.Copy(files, nodeFiles)
	}
	if c.Answer != "" {
		answerFiles, err := f.answerFiles(c, ca)
		if err != nil {
			return err
		}
		maps.Copy(files, answerFiles)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(f.path(name), files[name]); err != nil {
			return err
		}
	}
	return nil
}

// tokenFile has the form that --token-auth-file reads: token,user,uid,"groups".
func tokenFile(c cluster) []byte {
	var b strings.Builder
	for _, user := range slices.Sorted(maps.Keys(c.Tokens)) {
		group := ""
		switch {
		case user == admin:
			group = `,"system:masters"`
		case strings.HasPrefix(user, "system:node:"):
			group = `,"system:nodes"`
		}
		fmt.Fprintf(&b, "%s,%s,%s%s\n", c.Tokens[user], user, user, group)
	}
	return []byte(b.String())
}

// args are the flags of one component of the cluster.
func (f clusterFolder) args(c cluster, component string) []string {
	switch component {
	case etcd:
		return f.etcdArgs(c)
	case kubeAPIServer:
		return f.apiServerArgs(c)
	case kubeControllerManager:
		return f.controllerManagerArgs(c)
	case kubeScheduler:
		return append(f.clientArgs(component), "--leader-elect=false", "--secure-port=0")
	case kwok:
		return []string{"--kubeconfig=" + f.path(kwok+".kubeconfig"), "--pod-range=" + c.podRange()}
	case machine:
		return f.machineArgs(c)
	case answer:
		return f.answerArgs(c)
	case dns:
		return []string{"--corefile=" + f.path("Corefile")}
	case kubeProxy:
		return []string{"--config=" + f.path("kube-proxy.yaml"), "--hostname-override=" + nodeName(c, 0)}
	default:
		return nil
	}
}

func (f clusterFolder) etcdArgs(c cluster) []string {
	peer := fmt.Sprintf("http://127.0.0.1:%d", c.Ports.Peer)
	return []string{
		"--name=" + c.Name,
		"--data-dir=" + f.path("etcd"),
		"--listen-client-urls=" + c.etcdURL(),
		"--advertise-client-urls=" + c.etcdURL(),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + c.Name + "=" + peer,
		"--unsafe-no-fsync", // what a killed process wrote is still there; only a machine's crash would lose it
		"--log-level=warn",
	}
}

func (f clusterFolder) apiServerArgs(c cluster) []string {
	args := []string{
		"--etcd-servers=" + c.etcdURL(),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", c.Ports.API),
		"--service-cluster-ip-range=" + c.serviceRange(),
		"--tls-cert-file=" + f.path("pki", "apiserver.crt"),
		"--tls-private-key-file=" + f.path("pki", "apiserver.key"),
		"--client-ca-file=" + f.path("pki", "ca.crt"),
		"--token-auth-file=" + f.path("tokens.csv"),
		"--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + f.path("pki", "sa.key"),
		"--service-account-key-file=" + f.path("pki", "sa.pub"),
	}
	switch {
	case c.Real != nil:
		args = append(args, f.networkAPIServerArgs()...)
		args = append(args, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction")
	case c.holder() != "":
		args = append(args, f.networkAPIServerArgs()...)
		args = append(args, "--authorization-mode=RBAC")
	default:
		args = append(args,
			// Endpoints may not hold loopback addresses, so the service `kubernetes` has none.
			"--advertise-address=127.0.0.1",
			"--endpoint-reconciler-type=none",
			"--authorization-mode=RBAC",
		)
	}
	if c.Audit {
		args = append(args,
			"--audit-policy-file="+f.path("audit-policy.yaml"),
			"--audit-log-path="+f.auditLog(),
			"--audit-log-maxsize=10240", // MB: whoever counts wants one file
		)
	}
	return args
}

func (f clusterFolder) controllerManagerArgs(c cluster) []string {
	return append(f.clientArgs(kubeControllerManager),
		"--cluster-name="+c.Name,
		"--leader-elect=false",
		"--secure-port=0",
		"--use-service-account-credentials",
		"--service-account-private-key-file="+f.path("pki", "sa.key"),
		"--root-ca-file="+f.path("pki", "ca.crt"),
		"--cluster-signing-cert-file="+f.path("pki", "ca.crt"),
		"--cluster-signing-key-file="+f.path("pki", "ca.key"),
		"--flex-volume-plugin-dir="+f.path("flexvolume"), // it makes this folder; the default is the whole machine's
	)
}

// clientArgs lift the client's rate limits: a test should not wait for them.
func (f clusterFolder) clientArgs(component string) []string {
	return []string{"--kubeconfig=" + f.path(component+".kubeconfig"), "--kube-api-qps=500", "--kube-api-burst=1000"}
}
