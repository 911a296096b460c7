package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// ports are a cluster's, all on 127.0.0.1. They are kept over restarts, as kubeconfigs name them.
type ports struct {
	Etcd int `json:"etcd"`
	Peer int `json:"peer"` // etcd insists on one, though it has no peers
	API  int `json:"api"`

	Proxy int `json:"proxy"` // into the network of a real node
}

// Ports are taken from below the range from which Linux serves outgoing connections (32768 and up) and NodePorts
// (30000 and up): while a component is down, nothing should take its port by accident.
const (
	firstPort = 20000
	lastPort  = 29999
)

// choosePorts finds free ports that are none of taken.
func choosePorts(taken []ports) (ports, error) {
	used := map[int]bool{}
	for _, p := range taken {
		used[p.Etcd], used[p.Peer], used[p.API], used[p.Proxy] = true, true, true, true
	}
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

func portIsFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
