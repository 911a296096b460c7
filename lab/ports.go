package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
)

// ports are a cluster's, all on 127.0.0.1. They are kept over restarts, as kubeconfigs name them.
type ports struct {
	Etcd int `json:"etcd"`
	Peer int `json:"peer"` // etcd insists on one, though it has no peers
	API  int `json:"api"`

	Proxy int `json:"proxy"` // into the network of a real node, or of Pods that answer
}

// Ports are taken from below the range from which Linux serves outgoing connections (32768 and up) and NodePorts
// (30000 and up): while a component is down, nothing should take its port by accident.
const (
	firstPort = 20000
	lastPort  = 29999
)

// usedPorts are those of the lab and its clusters.
func (l lab) usedPorts() map[int]bool {
	used := map[int]bool{l.Proxy: true}
	for _, c := range l.Clusters {
		p := c.Ports
		used[p.Etcd], used[p.Peer], used[p.API], used[p.Proxy] = true, true, true, true
	}
	return used
}

// choosePorts finds free ports that are none of those used, and adds them.
func choosePorts(used map[int]bool) (ports, error) {
	var p ports
	for _, port := range []*int{&p.Etcd, &p.Peer, &p.API, &p.Proxy} {
		free, err := choosePort(used)
		if err != nil {
			return ports{}, err
		}
		*port, used[free] = free, true
	}
	return p, nil
}

// choosePort tries at random, as labs that start at the same time would otherwise all come upon the same port.
func choosePort(used map[int]bool) (int, error) {
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if !used[port] && portIsFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("no free port found on 127.0.0.1")
}

// freeLoopback is a part of the loopback network, three numbers of an address, that none of the lab's clusters has. Labs that
// know nothing of each other should not meet, so it is taken at random.
func (l lab) freeLoopback() string {
	for {
		part := fmt.Sprintf("127.%d.%d", 64+rand.IntN(128), rand.IntN(256))
		if !slices.ContainsFunc(l.Clusters, func(c cluster) bool { return c.Loopback == part }) {
			return part
		}
	}
}

func portIsFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
