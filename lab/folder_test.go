package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAdmitClusterKeepsWhatItHas(t *testing.T) {
	first, err := admitCluster(lab{}, "a", upRequest{Nodes: 2, Audit: true})
	if err != nil {
		t.Fatal(err)
	}
	l := lab{}.with(first)
	second, err := admitCluster(l, "b", upRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if second.Index == first.Index || second.serviceRange() == first.serviceRange() {
		t.Errorf("clusters share index %d", first.Index)
	}
	again, err := admitCluster(l.with(second), "a", upRequest{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if again.Ports != first.Ports || again.Tokens[admin] != first.Tokens[admin] || again.Nodes != 2 || !again.Audit {
		t.Errorf("second up made %+v of %+v", again, first)
	}
}

func TestClusterNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"global": true, "m-1": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "../x": false, "a_b": false, "-a": false, "a.": false, strings.Repeat("a", 64): false,
	} {
		if err := checkClusterName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestForgetLeavesOtherClustersAndForeignFiles(t *testing.T) {
	f := folder(t.TempDir())
	a, b := cluster{Name: "a"}, cluster{Name: "b", Index: 1}
	for _, c := range []cluster{a, b} {
		if err := f.cluster(c.Name).writeFiles(c); err != nil {
			t.Fatal(err)
		}
	}
	foreign := f.path("notes.txt")
	for _, err := range []error{
		f.save(lab{}.with(a).with(b)), f.addToKubeconfig([]cluster{a, b}), os.WriteFile(foreign, nil, 0o600), f.forget([]string{"a"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	config, err := f.readKubeconfig()
	if err != nil || config.CurrentContext != "b" || len(config.Contexts) != 1 {
		t.Errorf("kubeconfig has contexts %v, current %q, %v; want b only", config.Contexts, config.CurrentContext, err)
	}

	if err := f.forget([]string{"b"}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(f.path("*"))
	if err != nil || len(left) != 1 || left[0] != foreign {
		t.Errorf("left in the folder: %v (%v), want %s only", left, err, foreign)
	}
}

func TestForgetRemovesItsOwnFolder(t *testing.T) {
	f := folder(filepath.Join(t.TempDir(), "lab"))
	if err := f.save(lab{}.with(cluster{Name: "a"})); err != nil {
		t.Fatal(err)
	}
	if err := f.forget([]string{"a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(f)); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestKubeconfigKeepsWhatUsersAdd(t *testing.T) {
	f := folder(t.TempDir())
	c := cluster{Name: "global", Ports: ports{API: 20001}, Tokens: map[string]string{admin: "secret"}}
	if err := f.cluster(c.Name).writeFiles(c); err != nil {
		t.Fatal(err)
	}
	if err := f.addToKubeconfig([]cluster{c}); err != nil {
		t.Fatal(err)
	}
	config, err := f.readKubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	context := config.Contexts["global"]
	if config.CurrentContext != "global" || context.Cluster != "global" || context.AuthInfo != "global" ||
		config.Clusters["global"].Server != "https://127.0.0.1:20001" || config.AuthInfos["global"].Token != "secret" ||
		len(config.Clusters["global"].CertificateAuthorityData) == 0 {
		t.Errorf("kubeconfig: %+v", config)
	}

	config.Contexts["mine"] = context.DeepCopy()
	config.CurrentContext = "mine"
	if err := f.writeKubeconfig(config); err != nil {
		t.Fatal(err)
	}
	if err := f.addToKubeconfig([]cluster{c}); err != nil {
		t.Fatal(err)
	}
	if config, err = f.readKubeconfig(); err != nil || config.CurrentContext != "mine" || len(config.Contexts) != 2 {
		t.Errorf("a second up left contexts %v, current %q, %v", config.Contexts, config.CurrentContext, err)
	}
}

func TestNodesDoNotChangeTheirKind(t *testing.T) {
	real, err := admitCluster(lab{}, "a", upRequest{Programs: "/bin/node"})
	if err != nil {
		t.Fatal(err)
	}
	fake, err := admitCluster(lab{}, "a", upRequest{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		has  cluster
		want upRequest
		ok   bool
	}{
		{"real stays real", real, upRequest{Programs: "/bin/node"}, true},
		{"nobody asks for nodes", real, upRequest{}, true},
		{"fake for real", real, upRequest{Nodes: 1}, false},
		{"real for fake", fake, upRequest{Programs: "/bin/node"}, false},
	} {
		c, err := admitCluster(lab{}.with(step.has), "a", step.want)
		if (err == nil) != step.ok {
			t.Errorf("%s: %v", step.name, err)
		}
		if err == nil && c.Real == nil {
			t.Errorf("%s: the node is gone", step.name)
		}
	}
}

func TestNodesFlag(t *testing.T) {
	for text, want := range map[string]*nodesFlag{
		"0": {}, "3": {fake: 3}, "real": {real: true}, "-1": nil, "": nil, "Real": nil,
	} {
		var got nodesFlag
		err := got.Set(text)
		if (err == nil) != (want != nil) || (want != nil && (got != *want || got.String() != text)) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}
