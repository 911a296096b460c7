// Package callers lets the client of gRPC call a service that two real clusters export. The control plane is all there is between them: it
// sees the clusters by their API servers, and tells the client over mutual TLS.
package callers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/xds"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hansa-io/hansa/internal/lab"
)

const (
	host  = "global"
	other = "business"
	home  = "kube-federation-system"
	// patience is how long anything may take to come about.
	patience = 60 * time.Second
)

// federation is two clusters, joined, with discovery switched on.
type federation struct {
	*lab.Lab
	t   *testing.T
	dir string
	xds string
	// endManager ends the control plane; more than once is once.
	endManager func()
}

func federate(t *testing.T) *federation {
	f := &federation{Lab: lab.Start(t, lab.Options{}, host, other), t: t, dir: t.TempDir(), xds: net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))}
	if out, err := exec.Command("go", "build", "-o", f.dir, "../../cmd/hansa", "../../cmd/kubefedctl").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	f.run("kubefedctl", "init", "--host-cluster-context", host)
	f.kubectl(host, "", "-n", home, "patch", "kubefedconfig", "kubefed", "--type=merge", "-p",
		`{"spec":{"featureGates":[{"name":"CrossClusterServiceDiscovery","configuration":"Enabled"}]}}`)
	log := &bytes.Buffer{}
	manager := exec.Command(filepath.Join(f.dir, "hansa"), "manager", "--kubeconfig", f.Kubeconfig(), "--context", host, "--healthz-addr", "0", "--metrics-addr", "0", "--xds-addr", f.xds)
	manager.Stdout, manager.Stderr = log, log
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	f.endManager = sync.OnceFunc(func() {
		_ = manager.Process.Signal(syscall.SIGTERM)
		_ = manager.Wait()
	})
	t.Cleanup(func() {
		f.endManager()
		if t.Failed() {
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			t.Logf("the manager says:\n%s", strings.Join(lines[max(0, len(lines)-25):], "\n"))
		}
	})
	for cluster, region := range map[string]string{host: "eu", other: "us"} {
		f.run("kubefedctl", "join", cluster, "--cluster-context", cluster, "--host-cluster-context", host)
		f.annotate(cluster, "discovery.kubefed.io/reachability=loadBalancer", "discovery.kubefed.io/region="+region)
	}
	return f
}

// freePort is one that nobody listens at, at an address of loopback.
func freePort(t *testing.T, at string) string {
	l, err := net.Listen("tcp", at+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (f *federation) annotate(cluster string, annotations ...string) {
	f.t.Helper()
	f.kubectl(host, "", append([]string{"-n", home, "annotate", "--overwrite", "kubefedcluster", cluster}, annotations...)...)
}

func (f *federation) run(program string, args ...string) {
	f.t.Helper()
	cmd := exec.Command(filepath.Join(f.dir, program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+f.Kubeconfig())
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

func (f *federation) kubectl(cluster, in string, args ...string) string {
	f.t.Helper()
	out, err := f.tryKubectl(cluster, in, args...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f *federation) tryKubectl(cluster, in string, args ...string) (string, error) {
	cmd := exec.Command("../../bin/kubectl", append([]string{"--kubeconfig", f.Kubeconfig(), "--context", cluster}, args...)...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl --context %s %s: %w\n%s", cluster, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// service of a cluster, behind a load balancer that is a server of this test. Its one Pod is behind that.
const service = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: false
  ports: [{name: grpc, port: %[1]s, appProtocol: grpc}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: grpc, port: 8080}]
endpoints: [{addresses: [10.99.0.1], conditions: {ready: true}}]
`

const export = `
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceExport
metadata: {name: web, namespace: shop}
`

// offer lets a server answer with the name of its cluster, and the cluster export it.
func (f *federation) offer(cluster, at, port string) {
	f.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(at, port))
	if err != nil {
		f.t.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Who", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Is",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return wrapperspb.String(cluster), decode(&emptypb.Empty{})
		},
	}}}, nil)
	go func() { _ = s.Serve(l) }()
	f.t.Cleanup(s.Stop)
	f.kubectl(cluster, "", "create", "namespace", "shop")
	f.kubectl(cluster, fmt.Sprintf(service, port), "apply", "-f", "-")
	f.kubectl(cluster, "", "-n", "shop", "patch", "service", "web", "--subresource=status", "--type=merge", "-p",
		fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, at))
	lab.Eventually(f.t, patience, cluster+" to take an export", func(context.Context) error {
		_, err := f.tryKubectl(cluster, export, "apply", "-f", "-")
		return err
	})
}

// dial connects a client in a region, with the certificate that the control plane has made.
func (f *federation) dial(region, port string) *grpc.ClientConn {
	f.t.Helper()
	files := map[string]string{}
	lab.Eventually(f.t, patience, "a certificate for clients", func(context.Context) error {
		out, err := f.tryKubectl(host, "", "-n", home, "get", "secret", "hansa-xds-client", "-o", "json")
		if err != nil {
			return err
		}
		var secret struct{ Data map[string][]byte }
		if err := json.Unmarshal([]byte(out), &secret); err != nil {
			return err
		}
		for name, data := range secret.Data {
			files[name] = filepath.Join(f.dir, name)
			if err := os.WriteFile(files[name], data, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	creds := map[string]any{"type": "tls", "config": map[string]any{"ca_certificate_file": files["ca.crt"], "certificate_file": files["tls.crt"], "private_key_file": files["tls.key"]}}
	config, err := json.Marshal(map[string]any{
		"xds_servers": []any{map[string]any{"server_uri": f.xds, "channel_creds": []any{creds}, "server_features": []any{"xds_v3"}}},
		"node":        map[string]any{"id": "caller", "locality": map[string]any{"region": region}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	r, err := xds.NewXDSResolverWithConfigForTesting(config)
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := grpc.NewClient("xds:///web.shop.svc.clusterset.local:"+port, grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return c
}

// caller calls without a pause.
type caller struct {
	mu    sync.Mutex
	last  string
	moved time.Time // since then last has answered
	calls int
	errs  []error
}

func (c *caller) call(ctx context.Context, conn *grpc.ClientConn) {
	for ctx.Err() == nil {
		var who wrapperspb.StringValue
		err := conn.Invoke(ctx, "/test.Who/Is", &emptypb.Empty{}, &who, grpc.WaitForReady(true))
		if ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		switch {
		case err != nil:
			c.errs = append(c.errs, err)
		case who.GetValue() != c.last:
			c.last, c.moved = who.GetValue(), time.Now()
		}
		c.calls++
		c.mu.Unlock()
	}
}

// answers waits until a cluster answers, and tells how long that took.
func (c *caller) answers(t *testing.T, cluster, what string, since time.Time) {
	t.Helper()
	lab.Eventually(t, patience, cluster+" to answer: "+what, func(context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.last != cluster {
			return fmt.Errorf("%q answers, after %d calls, with %d errors", c.last, c.calls, len(c.errs))
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%s: %s answers after %v (%d calls so far)", what, cluster, c.moved.Sub(since).Round(time.Millisecond), c.calls)
	if len(c.errs) > 0 {
		t.Errorf("%s: %d calls were lost, such as by %v", what, len(c.errs), c.errs[0])
	}
}

// TestCallers: calls follow what happens to the service in its clusters and to the clusters, and none is lost.
func TestCallers(t *testing.T) {
	f := federate(t)
	port := freePort(t, "127.0.31.1")
	f.offer(host, "127.0.31.1", port)
	f.offer(other, "127.0.32.1", port)
	var c caller
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	conn := f.dial("us", port)
	go func() { defer close(ended); c.call(ctx, conn) }()
	t.Cleanup(func() { cancel(); <-ended })

	c.answers(t, other, "the nearest", time.Now())
	slice := func(ready string) {
		f.kubectl(other, "", "-n", "shop", "patch", "endpointslice", "web-1", "--type=merge", "-p", `{"endpoints":[{"addresses":["10.99.0.1"],"conditions":{"ready":`+ready+`}}]}`)
	}
	since := time.Now()
	slice("false")
	c.answers(t, host, "the nearest is not ready", since)
	since = time.Now()
	slice("true")
	c.answers(t, other, "it is ready again", since)
	since = time.Now()
	f.annotate(other, "discovery.kubefed.io/drain=true")
	c.answers(t, host, "the nearest is drained", since)
	since = time.Now()
	f.annotate(other, "discovery.kubefed.io/drain-")
	c.answers(t, other, "it is not any more", since)
	since = time.Now()
	f.kubectl(other, "", "-n", "shop", "delete", "serviceexport", "web")
	c.answers(t, host, "it exports no more", since)
	since = time.Now()
	f.kubectl(other, export, "apply", "-f", "-")
	c.answers(t, other, "it exports again", since)

	f.Kill(t, other)
	c.goesOn(t, other, "the cluster's control plane is gone")
	f.endManager()
	c.goesOn(t, other, "the federation's control plane is gone")
}

// goesOn waits for many calls more, all of which a cluster must answer.
func (c *caller) goesOn(t *testing.T, cluster, what string) {
	t.Helper()
	c.mu.Lock()
	until := c.calls + 3000
	before := c.moved
	c.mu.Unlock()
	lab.Eventually(t, patience, "calls to go on: "+what, func(context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.calls < until {
			return fmt.Errorf("%d of %d calls", c.calls, until)
		}
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != cluster || c.moved != before || len(c.errs) > 0 {
		t.Errorf("%s: %s answers, %d calls were lost", what, c.last, len(c.errs))
	}
}
