package tasknet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Hub connects the private networks of tasks with each other, and with the outside. It is a bridge in a network namespace of
// its own, which the machine's network does not see: there is no device, address, route or rule of it on the machine, and all
// of it is gone with the processes that hold it, however they end. The way out is this process: see gateway.
type Hub struct {
	log  *slog.Logger
	link *routeSocket
	// bridge is the index of the bridge.
	bridge  uint32
	gateway *gateway // nil without a way out

	mu   sync.Mutex
	used map[netip.Addr]bool
	last netip.Addr
}

// Inside are open files of the Hub's network namespace (initproc.MakeHub). The Hub takes them over.
type Inside struct {
	Route *os.File
	Tap   *os.File // nil without a way out
}

const (
	// mtu is what loopback devices have: nothing here goes over a wire.
	mtu        = 65520
	bridgeName = "tasks"
	tapName    = "out"
	// DeviceName is the device of a task's network.
	DeviceName = "eth0"
)

// NewHub makes a Hub. Without a tap there is no way out.
func NewHub(in Inside, log *slog.Logger) (_ *Hub, err error) {
	h := &Hub{log: log, link: &routeSocket{f: in.Route}, used: map[netip.Addr]bool{}, last: runtime.PrivateTasks.Addr()}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if err := h.link.newBridge(bridgeName, mtu); err != nil {
		return nil, errors.Join(err, closeFile(in.Tap))
	}
	if h.bridge, err = h.link.index(bridgeName); err != nil {
		return nil, errors.Join(err, closeFile(in.Tap))
	}
	if in.Tap == nil {
		return h, nil
	}
	tap, err := makeTap(in.Tap, tapName)
	if err != nil {
		return nil, err
	}
	index, err := h.link.index(tapName)
	if err == nil {
		err = h.link.enslave(index, h.bridge, mtu)
	}
	if err != nil {
		return nil, errors.Join(err, tap.Close())
	}
	h.gateway, err = openGateway(tap, log)
	return h, err
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// Outside says whether there is a way out.
func (h *Hub) Outside() bool { return h.gateway != nil }

// Close ends the Hub. Networks connected to it go on without it.
func (h *Hub) Close() error {
	var errs []error
	if h.gateway != nil {
		errs = append(errs, h.gateway.close())
	}
	return errors.Join(append(errs, h.link.f.Close())...)
}

// Take reserves an address: the one wanted, or if that is not valid one that is free. Give it back when its network is gone.
func (h *Hub) Take(wanted netip.Addr) (netip.Addr, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if wanted.IsValid() {
		switch {
		case !runtime.PrivateNetwork.Contains(wanted) || runtime.PrivateTasks.Contains(wanted) || wanted == runtime.PrivateGateway:
			return netip.Addr{}, fmt.Errorf("address %v is not one for a node", wanted)
		case h.used[wanted]:
			return netip.Addr{}, fmt.Errorf("address %v is in use", wanted)
		}
		h.used[wanted] = true
		return wanted, nil
	}
	// In turn, so that an address does not mean another task soon after.
	for range len(h.used) + 2 {
		if h.last = h.last.Next(); !runtime.PrivateTasks.Contains(h.last) {
			h.last = runtime.PrivateTasks.Addr().Next()
		}
		if !h.used[h.last] {
			h.used[h.last] = true
			return h.last, nil
		}
	}
	return netip.Addr{}, errors.New("no address is free")
}

// Give gives an address back.
func (h *Hub) Give(a netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.used, a)
}

// Connect makes a device, DeviceName, in another network namespace, down and without an address, and connects it. It
// vanishes with that namespace.
func (h *Hub) Connect(namespace int, a netip.Addr) error {
	b := a.As4()
	return h.link.newPair(pair{
		name: "t" + strconv.FormatUint(uint64(b[1])<<16|uint64(b[2])<<8|uint64(b[3]), 16), master: h.bridge, mtu: mtu,
		peer: DeviceName, peerMAC: hardware(a), namespace: namespace,
	})
}

// hardware is the MAC address of the device with an address: nobody has to ask for it.
func hardware(a netip.Addr) [6]byte {
	b := a.As4()
	return [6]byte{0x02, 0x42, b[0], b[1], b[2], b[3]}
}

// makeTap makes a file of /dev/net/tun a network interface's. It returns another file of the same, and closes the first: only
// from now on can it be waited for, and the first is waited for since it was opened.
func makeTap(f *os.File, name string) (_ *os.File, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a TAP interface: %w", err)
		}
	}()
	defer f.Close()
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, ifr); err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}
