package cli_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hansa-io/hansa/internal/cli"
	"github.com/hansa-io/hansa/internal/convert"
	"github.com/hansa-io/hansa/internal/enable"
	"github.com/hansa-io/hansa/internal/lab"
)

func TestMain(m *testing.M) {
	run := func() {
		os.Exit(cli.Run(context.Background(), os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	testscript.Main(m, map[string]func(){"kubefedctl": run, "kubectl-kubefed": run, "kubectl_complete-kubefed": run})
}

var clusters = lab.Shared(lab.Options{}, "global", "business")

// The stories of testdata are told one after the other, as they share their clusters.
func TestStories(t *testing.T) {
	l := clusters(t)
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(e *testscript.Env) error { e.Setenv("KUBECONFIG", l.Kubeconfig()); return kubeconfigs(l, e) },
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits": exits,
					"kube":  func(ts *testscript.TestScript, neg bool, args []string) { kube(ts, l, neg, args) },
				},
			})
		})
	}
}

// kubeconfigs puts variants of the lab's kubeconfig beside the script: one that skips the check of certificates, one whose users
// have no rights, one with another context whose user has some, one with its CAs in files, one that relies on the system's CAs, one
// whose second cluster is not there.
func kubeconfigs(l *lab.Lab, e *testscript.Env) error {
	e.Setenv("LAB", l.Kubeconfig())
	e.Setenv("ENDPOINT", l.Config("business").Host)
	variants := map[string]func(*clientcmdapi.Config){
		"insecure": func(c *clientcmdapi.Config) {
			for _, cluster := range c.Clusters {
				cluster.InsecureSkipTLSVerify, cluster.CertificateAuthorityData = true, nil
			}
		},
		"nobody": func(c *clientcmdapi.Config) {
			for _, user := range c.AuthInfos {
				user.Impersonate = "nobody"
			}
		},
		"halfway": func(c *clientcmdapi.Config) {
			user := c.AuthInfos["business"].DeepCopy()
			user.Impersonate = "halfway"
			c.AuthInfos["halfway"] = user
			c.Contexts["halfway"] = &clientcmdapi.Context{Cluster: "business", AuthInfo: "halfway"}
		},
		"reader": func(c *clientcmdapi.Config) {
			user := c.AuthInfos["global"].DeepCopy()
			user.Impersonate = "reader"
			c.AuthInfos["reader"] = user
			c.Contexts["reader"] = &clientcmdapi.Context{Cluster: "global", AuthInfo: "reader"}
		},
		"odd": func(c *clientcmdapi.Config) {
			for name, context := range maps.Clone(c.Contexts) {
				c.Contexts["kind/"+name+":1"] = context
				delete(c.Contexts, name)
			}
		},
		"file": func(c *clientcmdapi.Config) {
			for name, cluster := range c.Clusters {
				cluster.CertificateAuthority = filepath.Join(e.WorkDir, name+".crt")
				if err := os.WriteFile(cluster.CertificateAuthority, cluster.CertificateAuthorityData, 0o600); err != nil {
					e.T().Fatal(err)
				}
				cluster.CertificateAuthorityData = nil
			}
		},
		"system": func(c *clientcmdapi.Config) { c.Clusters["business"].CertificateAuthorityData = nil },
		"away":   func(c *clientcmdapi.Config) { c.Clusters["business"].Server = "https://127.0.0.1:1" },
	}
	for name, vary := range variants {
		c, err := clientcmd.LoadFromFile(l.Kubeconfig())
		if err != nil {
			return err
		}
		vary(c)
		if err := clientcmd.WriteToFile(*c, filepath.Join(e.WorkDir, "kubeconfig-"+name)); err != nil {
			return err
		}
	}
	return nil
}

// exits runs a program that must end with a certain code: exits 5 kubefedctl join ...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// kube does a little of what kubectl does:
//
//	kube CONTEXT apply FILE                             "! kube" waits until it is refused
//	kube CONTEXT get TYPE NAMESPACE NAME [JSONPATH]     "! kube" waits until it is gone; "-" is no namespace
//	kube CONTEXT delete TYPE NAMESPACE NAME
//	kube CONTEXT count TYPE NAMESPACE N                 waits until there are so many
func kube(ts *testscript.TestScript, l *lab.Lab, neg bool, args []string) {
	k := newKube(ts, l, args[0])
	verb, args := args[1], args[2:]
	switch verb {
	case "apply":
		objects, err := convert.Decode([]byte(ts.ReadFile(args[0])))
		ts.Check(err)
		for _, o := range objects {
			k.apply(ts, neg, o)
		}
	case "delete":
		ts.Check(k.Delete(k.ctx, k.object(ts, args)))
	case "count":
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(k.find(ts, args[0]).GVK())
		for n := ""; n != args[2]; n = strconv.Itoa(len(list.Items)) { // the deadline is that of the client
			if err := k.List(k.ctx, list, client.InNamespace(args[1])); err != nil {
				ts.Fatalf("%s %s in %s, want %s: %v", n, args[0], args[1], args[2], err)
			}
		}
	case "get":
		o := k.object(ts, args)
		err := k.Get(k.ctx, client.ObjectKeyFromObject(o), o)
		if neg {
			for ; err == nil; err = k.Get(k.ctx, client.ObjectKeyFromObject(o), o) {
				time.Sleep(50 * time.Millisecond)
			}
			if !apierrors.IsNotFound(err) {
				ts.Fatalf("%v should be gone: %v", args, err)
			}
			return
		}
		ts.Check(err)
		if len(args) > 3 {
			p := jsonpath.New("get").AllowMissingKeys(true)
			ts.Check(p.Parse(args[3]))
			ts.Check(p.Execute(ts.Stdout(), o.Object))
			fmt.Fprintln(ts.Stdout())
		}
	default:
		ts.Fatalf("kube: unknown verb %q", verb)
	}
}

// apply applies an object, as soon as its type is served; refused waits until it is not allowed.
func (k kubeClient) apply(ts *testscript.TestScript, refused bool, o *unstructured.Unstructured) {
	for {
		err := k.Apply(k.ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership)
		switch absent := apierrors.IsNotFound(err) || meta.IsNoMatchError(err); {
		case refused && apierrors.IsInvalid(err), !refused && err == nil:
			return
		case k.ctx.Err() != nil, err != nil && !absent:
			ts.Fatalf("apply %s %s: %v", o.GetKind(), o.GetName(), err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

type kubeClient struct {
	client.Client
	ctx context.Context
	all enable.Catalogue
}

func newKube(ts *testscript.TestScript, l *lab.Lab, cluster string) kubeClient {
	config := l.Config(cluster)
	c, err := client.New(config, client.Options{})
	ts.Check(err)
	d, err := discovery.NewDiscoveryClientForConfig(config)
	ts.Check(err)
	all, _, err := enable.Discover(d)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	ts.Defer(cancel)
	return kubeClient{c, ctx, all}
}

func (k kubeClient) find(ts *testscript.TestScript, name string) enable.Resource {
	r, err := k.all.Find(name, "")
	ts.Check(err)
	return r
}

// object is the one that TYPE NAMESPACE NAME name.
func (k kubeClient) object(ts *testscript.TestScript, args []string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(k.find(ts, args[0]).GVK())
	o.SetName(args[2])
	if args[1] != "-" {
		o.SetNamespace(args[1])
	}
	return o
}
