package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// folder is the place where a lab keeps all it knows. `down` needs nothing else.
//
//	lab.json             the clusters, their ports and tokens
//	kubeconfig           for the user: one context per cluster
//	supervisor.pid/.log  the lab's one supervising process; it holds a lock on the pid file as long as it lives
//	control.sock         where it takes orders
//	between              the number of the file by which it holds the network between clusters
//	clusters/NAME/       pki/ etcd/ run/COMPONENT.pid logs/COMPONENT.log audit.log and the components' files;
//	                     node/ is what a real node sees as /var/lib and /var/log
type folder string

func (f folder) path(elem ...string) string {
	return filepath.Join(append([]string{string(f)}, elem...)...)
}

func (f folder) kubeconfig() string    { return f.path("kubeconfig") }
func (f folder) supervisorLog() string { return f.path("supervisor.log") }
func (f folder) supervisorPID() string { return f.path("supervisor.pid") }
func (f folder) cluster(name string) clusterFolder {
	return clusterFolder{folder(f.path("clusters", name))}
}

// clusterFolder is the part of a lab's folder that belongs to one cluster.
type clusterFolder struct{ folder }

func (f clusterFolder) log(component string) string { return f.path("logs", component+".log") }
func (f clusterFolder) pid(component string) string { return f.path("run", component+".pid") }
func (f clusterFolder) auditLog() string            { return f.path("audit.log") }

// lab is what must be remembered to start the same clusters again.
type lab struct {
	Clusters []cluster `json:"clusters"`
	Proxy    int       `json:"proxy,omitempty"` // port of the HTTP proxy into the network between the clusters
}

// cluster is one control plane.
type cluster struct {
	Name   string            `json:"name"`
	Index  int               `json:"index"` // never given twice in a lab: address ranges follow from it
	Ports  ports             `json:"ports"`
	Tokens map[string]string `json:"tokens"` // bearer token by user
	Nodes  int               `json:"nodes"`  // fake nodes; 0: no scheduler either, unless there is a real one
	Real   *realNode         `json:"real,omitempty"`
	Answer answering         `json:"answer,omitempty"` // how Pods on fake nodes answer, if they do
	DNS    string            `json:"dns,omitempty"`    // the program of its DNS server; none: it has none
	Audit  bool              `json:"audit"`

	Loopback string `json:"loopback,omitempty"` // the first three numbers of its nodes' addresses, if Pods answer on loopback
}

func (c cluster) apiURL() string  { return fmt.Sprintf("https://127.0.0.1:%d", c.Ports.API) }
func (c cluster) etcdURL() string { return fmt.Sprintf("http://127.0.0.1:%d", c.Ports.Etcd) }

// components lists what the cluster consists of, in starting order.
func (c cluster) components() []string {
	list := []string{etcd, kubeAPIServer, kubeControllerManager}
	switch {
	case c.Real != nil:
		list = append(list, kubeScheduler, machine, containerd, kubelet, kubeProxy)
	case c.Nodes > 0:
		list = append(list, kubeScheduler, kwok)
	}
	switch c.Answer {
	case inNetwork:
		list = append(list, answer, kubeProxy)
		if c.DNS != "" {
			list = append(list, dns)
		}
	case onLoopback:
		list = append(list, answer)
	}
	return list
}

// holder is the component that holds the network of the cluster's Pods; empty if they have none.
func (c cluster) holder() string {
	switch {
	case c.Real != nil:
		return machine
	case c.Answer == inNetwork:
		return answer
	default:
		return ""
	}
}

func (l lab) find(name string) (cluster, bool) {
	i := slices.IndexFunc(l.Clusters, func(c cluster) bool { return c.Name == name })
	if i < 0 {
		return cluster{}, false
	}
	return l.Clusters[i], true
}

func (l lab) names() []string {
	var names []string
	for _, c := range l.Clusters {
		names = append(names, c.Name)
	}
	return names
}

// with returns the lab with c in place of the cluster of that name, or added to it.
func (l lab) with(c cluster) lab {
	l.Clusters = slices.Clone(l.Clusters)
	if i := slices.Index(l.names(), c.Name); i >= 0 {
		l.Clusters[i] = c
		return l
	}
	l.Clusters = append(l.Clusters, c)
	return l
}

func (l lab) without(names []string) lab {
	l.Clusters = slices.DeleteFunc(slices.Clone(l.Clusters), func(c cluster) bool {
		return slices.Contains(names, c.Name)
	})
	return l
}

// freeIndex is one that no cluster of the lab has.
func (l lab) freeIndex() int {
	for i := 0; ; i++ {
		if !slices.ContainsFunc(l.Clusters, func(c cluster) bool { return c.Index == i }) {
			return i
		}
	}
}

// load reads the lab; a folder without one holds the empty lab.
func (f folder) load() (lab, error) {
	var l lab
	data, err := os.ReadFile(f.path("lab.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err != nil {
		return l, fmt.Errorf("read the lab in %s: %w", f, err)
	}
	return l, nil
}

func (f folder) save(l lab) error {
	data, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		err = writeFile(f.path("lab.json"), data)
	}
	if err != nil {
		return fmt.Errorf("save the lab in %s: %w", f, err)
	}
	return nil
}

// forget removes the named clusters, whose processes have ended, from the folder; with the last of them goes the rest.
func (f folder) forget(names []string) error {
	l, err := f.load()
	if err != nil {
		return err
	}
	l = l.without(names)
	for _, name := range names {
		if err := errors.Join(f.cluster(name).removeCgroups(), os.RemoveAll(f.cluster(name).path())); err != nil {
			return fmt.Errorf("remove cluster %s: %w", name, err)
		}
	}
	if len(l.Clusters) == 0 {
		return f.remove()
	}
	return errors.Join(f.save(l), f.removeFromKubeconfig(names))
}

// remove deletes what a lab puts into its folder, and the folder if nothing else is there: it may be anyone's.
func (f folder) remove() error {
	var errs []error
	for _, name := range []string{"clusters", "lab.json", "kubeconfig", "control.sock", "between", "supervisor.log", "supervisor.pid"} {
		errs = append(errs, os.RemoveAll(f.path(name)))
	}
	_ = os.Remove(string(f)) // not empty: not ours
	return errors.Join(errs...)
}

// writeFile replaces a file as a whole, so that nobody reads half of it. What a lab writes holds secrets.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	draft := path + ".new"
	if err := os.WriteFile(draft, data, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func checkClusterName(name string) error {
	if !clusterName.MatchString(name) {
		return fmt.Errorf("cluster name %q: lower case letters, digits and dashes only, 63 at most", name)
	}
	return nil
}
