package lab

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// Proxy is an HTTP proxy into the network of a cluster's Pods, where one is the cluster's first node, or, for the cluster "",
// into the network between the clusters, where one is outside of all of them. It makes a connection for every request.
// The cluster's Pods must answer in a network, or be on a real node.
func (l *Lab) Proxy(t testing.TB, cluster string) *url.URL {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state struct {
		Clusters []struct {
			Name  string
			Ports struct{ Proxy int }
		}
		Proxy int
	}
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	port := state.Proxy
	for _, c := range state.Clusters {
		if c.Name == cluster {
			port = c.Ports.Proxy
		}
	}
	return &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
}

// Inside runs a command in the network of a cluster's Pods, or, for the cluster "", in the network between the clusters, and
// returns what it prints.
func (l *Lab) Inside(t testing.TB, cluster string, command ...string) string {
	t.Helper()
	args := []string{"exec"}
	if cluster != "" {
		args = append(args, cluster)
	}
	return l.Run(t, append(append(args, "--"), command...)...)
}
