package runc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// network is the private network of a task: a network namespace of this process's making, which runc is told to join.
type network struct {
	log     *slog.Logger
	hub     *tasknet.Hub // nil if it is connected to nothing
	address netip.Addr   // on the hub
	ns      *os.File
	proxy   *tasknet.Proxy // nil without a task endpoint
}

// makeNetwork makes a task's network by the wishes of its first container.
func (r *Runtime) makeNetwork(spec *runtime.Spec) (_ *network, err error) {
	n := &network{log: r.options.Log}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	var wanted netip.Addr
	if spec.Network.Address != "" {
		if wanted, err = netip.ParseAddr(spec.Network.Address); err != nil {
			return nil, fmt.Errorf("network address: %w", err)
		}
	}
	hub, err := r.hub.get(r.options.Log)
	if err != nil && wanted.IsValid() {
		return nil, fmt.Errorf("private networks can not be connected here, which the nodes of a job need: %w", err)
	}
	var set initproc.Network
	if err == nil {
		if n.address, err = hub.Take(wanted); err != nil {
			return nil, err
		}
		n.hub = hub
		set.Device = initproc.Device{Name: tasknet.DeviceName, Address: number(n.address), Bits: uint64(runtime.PrivateNetwork.Bits())}
		if hub.Outside() {
			set.Device.Gateway = number(runtime.PrivateGateway)
		}
	}
	if spec.Network.Endpoint != "" {
		endpoint, err := netip.ParseAddrPort(runtime.TaskEndpoint)
		if err != nil {
			return nil, err
		}
		set.ServeAddress, set.ServePort = number(endpoint.Addr()), uint64(endpoint.Port())
	}
	ns, listener, err := initproc.MakeNetwork(set, func(namespace int) error {
		if n.hub == nil {
			return nil
		}
		return n.hub.Connect(namespace, n.address)
	})
	if err != nil {
		return nil, fmt.Errorf("make the task's network: %w", err)
	}
	n.ns = os.NewFile(uintptr(ns), "network namespace")
	if listener >= 0 {
		if n.proxy, err = tasknet.Serve(os.NewFile(uintptr(listener), "task endpoint"), spec.Network.Endpoint); err != nil {
			return nil, fmt.Errorf("task endpoint: %w", err)
		}
	}
	return n, nil
}

// number is an IPv4 address as initproc has it.
func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// path is where runc finds the namespace, for as long as n is not closed.
func (n *network) path() string {
	return "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/" + strconv.Itoa(int(n.ns.Fd()))
}

// resolvConf is a container's resolv.conf, made of the machine's.
func (n *network) resolvConf(machine string) string {
	if n.hub == nil {
		return machine
	}
	return n.hub.ResolvConf(machine)
}

// Close ends the network, when no process is in it any more.
func (n *network) Close() {
	if n.ns != nil {
		_ = n.ns.Close()
	}
	if n.hub != nil {
		n.hub.Give(n.address)
	}
	if err := n.proxy.Close(); err != nil {
		n.log.Warn("close the task endpoint", "error", err)
	}
}

// lazyHub is the hub of all private networks, made when it is first wanted.
type lazyHub struct {
	mu  sync.Mutex
	hub *tasknet.Hub
	err error
}

// get returns the hub. Why there is none, or no way out, is logged once.
func (l *lazyHub) get(log *slog.Logger) (*tasknet.Hub, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hub != nil || l.err != nil {
		return l.hub, l.err
	}
	route, tap, why, err := initproc.MakeHub()
	if err == nil {
		in := tasknet.Inside{Route: os.NewFile(uintptr(route), "route socket")}
		if tap >= 0 {
			in.Tap = os.NewFile(uintptr(tap), "/dev/net/tun")
		}
		l.hub, err = tasknet.NewHub(in, log)
	}
	switch {
	case err != nil:
		l.hub, l.err = nil, err
		log.Warn("private networks are connected to nothing: they have a loopback device and the task endpoint alone", "error", err)
	case !l.hub.Outside():
		log.Warn("private networks are connected with each other, but not with the outside", "error", why)
	}
	return l.hub, l.err
}

func (l *lazyHub) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	hub := l.hub
	l.hub, l.err = nil, errors.New("the runtime is closed")
	if hub == nil {
		return nil
	}
	return hub.Close()
}
