package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// balancerIP is free for whatever listens between the clusters.
const balancerIP = "10.66.0.1"

// wires are the network between those clusters of a lab whose Pods answer in networks of their own. It is a network
// namespace that nothing lives in, a router; load balancers and clients from outside of all clusters may be put there.
//
//	cluster 0                                 between                              cluster 1
//	10.160.0.1, …  nodes   ── 10.65.0.2/30 ── 10.65.0.1 ┐  ┌ 10.65.1.1 ── 10.65.1.2/30 ──   10.161.0.1, …  nodes
//	10.128.x.y     Pods                                 └──┘                               10.129.x.y     Pods
//	10.96.0.0/16   Services, by kube-proxy         10.66.0.1                               10.97.0.0/16   Services
//
// It leads nowhere else. 10.66.0.1 is for a load balancer. In each of the networks 10.64.0.1 is a gate to this machine's
// loopback; see gate.go.
type wires struct {
	network *os.File
	gate    *gate
}

// newWires makes the network between the clusters. It is there until this process ends or closes it.
func newWires(proxyPort int) (*wires, error) {
	network, err := newNetwork()
	if err != nil {
		return nil, fmt.Errorf("make the network between the clusters: %w", err)
	}
	w := &wires{network: network}
	if err := w.furnish(); err != nil {
		_ = network.Close()
		return nil, fmt.Errorf("the network between the clusters: %w", err)
	}
	if w.gate, err = openGate(ident{}, network, "", proxyPort); err != nil {
		_ = network.Close()
		return nil, fmt.Errorf("open the gate of the network between the clusters: %w", err)
	}
	return w, nil
}

func newNetwork() (*os.File, error) {
	var network *os.File
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			network, err = os.Open("/proc/thread-self/ns/net")
		}
		if err == nil {
			err = os.WriteFile(forwardSetting, []byte("1"), 0o600)
		}
		result <- err
	}()
	return network, <-result
}

func (w *wires) furnish() error {
	h, err := handleOf(w.network)
	if err != nil {
		return err
	}
	defer h.Close()
	return addLoopback(h, []string{gateIP, balancerIP})
}

// connect gives the network of a cluster its nodes' addresses, and joins it with those of the others. It may be called
// again.
func (w *wires) connect(c cluster, network *os.File) error {
	between, err := handleOf(w.network)
	if err != nil {
		return err
	}
	defer between.Close()
	inside, err := handleOf(network)
	if err != nil {
		return err
	}
	defer inside.Close()
	addresses := []string{gateIP}
	for n := range c.Nodes {
		addresses = append(addresses, c.nodeIP(n))
	}
	if err := addLoopback(inside, addresses); err != nil {
		return err
	}
	if err := w.layWire(c, between, inside, network); err != nil {
		return fmt.Errorf("lay the wire: %w", err)
	}
	// What is no Pod's address is nobody's; the way out would bring it back in, round and round.
	if err := inside.RouteReplace(&netlink.Route{Dst: ipRange(c.podNetwork()), Type: unix.RTN_UNREACHABLE, Priority: 4096}); err != nil {
		return fmt.Errorf("close %s: %w", c.podNetwork(), err)
	}
	return nil
}

func (w *wires) layWire(c cluster, between, inside *netlink.Handle, network *os.File) error {
	const insideName = "eth0"
	name := "cluster" + strconv.Itoa(c.Index)
	if _, err := inside.LinkByName(insideName); err != nil {
		// The other end of one that was killed may linger.
		if old, err := between.LinkByName(name); err == nil {
			if err := between.LinkDel(old); err != nil {
				return err
			}
		}
		err := between.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: insideName, PeerNamespace: netlink.NsFd(int(network.Fd())),
		})
		if err != nil {
			return err
		}
	}
	for _, end := range []struct {
		handle      *netlink.Handle
		name        string
		own, across string
		from        net.IP
		reaches     []string // by the other end
	}{
		{between, name, c.wireIP(1), c.wireIP(2), nil, []string{c.podNetwork(), c.nodeNetwork()}},
		{inside, insideName, c.wireIP(2), c.wireIP(1), net.ParseIP(c.nodeIP(0)), []string{"0.0.0.0/0"}},
	} {
		link, err := end.handle.LinkByName(end.name)
		if err != nil {
			return err
		}
		if err := end.handle.LinkSetUp(link); err != nil {
			return err
		}
		address, err := netlink.ParseAddr(end.own + "/30")
		if err != nil {
			return err
		}
		if err := end.handle.AddrReplace(link, address); err != nil {
			return err
		}
		for _, dst := range end.reaches {
			if err := end.handle.RouteReplace(&netlink.Route{Dst: ipRange(dst), Gw: net.ParseIP(end.across), Src: end.from}); err != nil {
				return fmt.Errorf("route to %s: %w", dst, err)
			}
		}
	}
	return nil
}

func (w *wires) close() {
	w.gate.close() // and with it the network
}

func handleOf(network *os.File) (*netlink.Handle, error) {
	return netlink.NewHandleAt(netns.NsHandle(network.Fd()), unix.NETLINK_ROUTE)
}

func addLoopback(h *netlink.Handle, addresses []string) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := h.LinkSetUp(lo); err != nil {
		return err
	}
	for _, address := range addresses {
		if err := h.AddrReplace(lo, hostAddress(address)); err != nil {
			return fmt.Errorf("address %s: %w", address, err)
		}
	}
	return nil
}

func hostAddress(ip string) *netlink.Addr {
	return &netlink.Addr{IPNet: ipRange(netip.PrefixFrom(netip.MustParseAddr(ip), 32).String())}
}

// ipRange is for ranges that this program has written itself.
func ipRange(cidr string) *net.IPNet {
	prefix := netip.MustParsePrefix(cidr)
	return &net.IPNet{IP: prefix.Masked().Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

func (c cluster) podNetwork() string  { return fmt.Sprintf("10.%d.0.0/16", 128+c.Index%32) }
func (c cluster) nodeNetwork() string { return fmt.Sprintf("10.%d.0.0/16", 160+c.Index%32) }
func (c cluster) wireIP(end int) string {
	return fmt.Sprintf("10.65.%d.%d", c.Index%32, end)
}

// noteWires tells other processes how they come into the network between the clusters: by a file of the supervisor's.
func (f folder) noteWires(w *wires) error {
	return writeFile(f.path("between"), []byte(strconv.Itoa(int(w.network.Fd()))))
}

// networkPath leads to the network of a cluster, or to the one between the clusters if none is named.
func (f folder) networkPath(name string) (string, error) {
	l, err := f.load()
	if err != nil {
		return "", err
	}
	if name == "" {
		id, err := readIdent(f.supervisorPID())
		if err != nil {
			return "", err
		}
		fd, err := os.ReadFile(f.path("between"))
		if errors.Is(err, fs.ErrNotExist) || id.state() == dead {
			return "", errors.New("there is no network between the clusters: no cluster of this lab is up with --answer in a network of its own")
		}
		return fmt.Sprintf("/proc/%d/fd/%s", id.pid, fd), err
	}
	c, ok := l.find(name)
	if !ok {
		return "", fmt.Errorf("no cluster %q in %s", name, f)
	}
	if c.holder() == "" {
		return "", fmt.Errorf("cluster %s has no network of its own: that takes up --answer, or --nodes real, and root", name)
	}
	id, err := readIdent(f.cluster(name).pid(c.holder()))
	if err != nil {
		return "", err
	}
	if id.state() == dead {
		return "", fmt.Errorf("the network of cluster %s is down: %s is dead", name, c.holder())
	}
	return fmt.Sprintf("/proc/%d/ns/net", id.pid), nil
}
