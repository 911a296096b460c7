package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// gateIP is what a node and its Pods call the machine that the lab runs on. It is the same in all nodes, as their
// networks know nothing of each other.
const gateIP = "10.64.0.1"

// gate joins a network that leads nowhere, that of one node or of one cluster's Pods, with this machine's loopback, and with
// nothing else.
//
//	in the network   10.64.0.1:PORT is 127.0.0.1:PORT here, for the API server of each of the lab's clusters
//	on this machine  127.0.0.1:PROXY is an HTTP proxy into it, for the API server and for who wants to reach Pods
type gate struct {
	holder  ident // the process that holds the network
	network *os.File
	proxy   *http.Server

	mu    sync.Mutex
	doors map[int]net.Listener // at gateIP
}

// openGate opens no doors yet. The proxy listens on the socket, if there is one, for the API server, which knows no plain
// TCP, and on the port, for people.
func openGate(holder ident, network *os.File, socket string, proxyPort int) (*gate, error) {
	g := &gate{holder: holder, network: network, doors: map[int]net.Listener{}}
	g.proxy = &http.Server{Handler: g.proxyHandler()}
	places := [][2]string{{"tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(proxyPort))}}
	if socket != "" {
		places = append(places, [2]string{"unix", socket})
	}
	for _, place := range places {
		listener, err := net.Listen(place[0], place[1])
		if err != nil {
			g.close()
			return nil, err
		}
		go func() { _ = g.proxy.Serve(listener) }() // until close
	}
	return g, nil
}

// close closes the network, too, as far as this process holds it.
func (g *gate) close() {
	if g.proxy != nil {
		_ = g.proxy.Close()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, door := range g.doors {
		_ = door.Close()
	}
	_ = g.network.Close()
}

// openDoors makes the given ports of this machine's loopback reachable from the network, and no others.
func (g *gate) openDoors(ports []int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	wanted := map[int]bool{}
	for _, port := range ports {
		wanted[port] = true
		if g.doors[port] != nil {
			continue
		}
		if err := g.openDoor(port); err != nil {
			return err
		}
	}
	for port, door := range g.doors {
		if !wanted[port] {
			_ = door.Close()
			delete(g.doors, port)
		}
	}
	return nil
}

func (g *gate) openDoor(port int) error {
	door, err := g.openDoorAt(gateIP, port)
	if err == nil {
		g.doors[port] = door
	}
	return err
}

// openDoorAt makes a port of this machine's loopback one of an address in the network, until what it returns is closed.
func (g *gate) openDoorAt(ip string, port int) (door net.Listener, err error) {
	err = g.within(func() error {
		if door, err = net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port))); err != nil {
			return err
		}
		go letThrough(door, func() (net.Conn, error) { return net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) })
		return nil
	})
	return door, err
}

// letThrough gives every connection of one side one on the other.
func letThrough(door net.Listener, dial func() (net.Conn, error)) {
	for {
		inside, err := door.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			outside, err := dial()
			if err != nil {
				_ = inside.Close()
				return
			}
			join(inside, outside)
		}()
	}
}

// join copies both ways until both sides have said all.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
	_, _ = a.Close(), b.Close()
}

// within calls do on a thread that is in the network. A socket stays in the network that it was made in.
func (g *gate) within(do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		err := unix.Setns(int(g.network.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = do()
		}
		result <- err
	}()
	return <-result
}

// dial connects from within the network. There is no DNS.
func (g *gate) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) == nil {
		return nil, fmt.Errorf("%q is not IP:PORT", address)
	}
	err = g.within(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// proxyHandler serves both forms of HTTP's proxying: CONNECT, which the API server uses, and plain requests.
func (g *gate) proxyHandler() http.Handler {
	plain := &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {}, // the request names its address
		Transport: &http.Transport{DialContext: g.dial, DisableKeepAlives: true},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			plain.ServeHTTP(w, r)
			return
		}
		inside, err := g.dial(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		outside, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = inside.Close()
			return
		}
		if _, err := io.WriteString(outside, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			_, _ = inside.Close(), outside.Close()
			return
		}
		join(outside, inside)
	})
}
