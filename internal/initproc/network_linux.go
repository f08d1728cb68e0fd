package initproc

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Network is what a new network namespace gets.
type Network struct {
	// Device is a device that is there already; without a name there is none. The loopback always is.
	Device Device
	// ServeAddress and ServePort are where to listen; there is no socket without a port.
	ServeAddress, ServePort uint64
	// Unreachable are networks that nothing is sent to.
	Unreachable []Prefix
}

// Prefix is an IPv4 network.
type Prefix struct{ Address, Bits uint64 }

// MakeNetwork makes a network namespace, lets connect put the device into it, sets it up, and returns descriptors of the
// namespace and of the listening socket, -1 without one. The namespace lasts as long as one of them, or a process in it.
func MakeNetwork(n Network, connect func(namespace int) error) (namespace, listener int, err error) {
	err = inNewNetwork(func() error {
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return failed("network namespace", err)
		}
		if err = connect(fd); err == nil {
			listener, err = n.SetUp()
		}
		if err != nil {
			_ = unix.Close(fd)
			return err
		}
		namespace = fd
		return nil
	})
	return namespace, listener, err
}

// makeNetwork gives a new network namespace its devices and addresses, and the runtime its socket in there.
func makeNetwork(in *Instructions) error {
	n := Network{Device: in.Device, ServeAddress: in.ServeAddress, ServePort: in.ServePort}
	listener, err := n.SetUp()
	if err != nil || listener < 0 {
		return err
	}
	defer unix.Close(listener)
	return failed("send the task endpoint", unix.Sendmsg(socket, []byte{madeNetwork}, unix.UnixRights(listener), nil, unix.MSG_NOSIGNAL))
}

// SetUp gives the network namespace of this thread its devices and addresses, and opens the socket in there: -1 without one.
func (n *Network) SetUp() (listener int, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, failed("socket", err)
	}
	defer unix.Close(fd)
	if err := up(fd, "lo"); err != nil {
		return -1, err
	}
	if d := &n.Device; d.Name != "" {
		if err := address(fd, d.Name, d.Address, netmask(d.Bits)); err != nil {
			return -1, err
		}
		if err := up(fd, d.Name); err != nil {
			return -1, err
		}
		if d.Gateway != 0 {
			if err := addRoute(fd, Prefix{}, d.Gateway); err != nil {
				return -1, err
			}
		}
	}
	for _, p := range n.Unreachable {
		if err := addRoute(fd, p, 0); err != nil {
			return -1, err
		}
	}
	if n.ServePort == 0 {
		return -1, nil
	}
	// An alias: the device has an address already.
	if err := address(fd, "lo:0", n.ServeAddress, netmask(32)); err != nil {
		return -1, err
	}
	return n.listen()
}

func up(fd int, device string) error {
	ifr, err := unix.NewIfreq(device)
	if err != nil {
		return failed(device, err)
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return failed("bring device "+device+" up", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr))
}

// address sets a device's IPv4 address and network mask.
func address(fd int, device string, address, mask uint64) error {
	for _, set := range []struct {
		request uint
		value   uint64
	}{{unix.SIOCSIFADDR, address}, {unix.SIOCSIFNETMASK, mask}} {
		ifr, err := unix.NewIfreq(device)
		if err != nil {
			return failed(device, err)
		}
		if err := ifr.SetInet4Addr(ipv4(set.value)); err != nil {
			return failed(device, err)
		}
		if err := unix.IoctlIfreq(fd, set.request, ifr); err != nil {
			return failed("set the address of device "+device, err)
		}
	}
	return nil
}

func ipv4(n uint64) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func netmask(bits uint64) uint64 { return uint64(^uint32(0)) << (32 - bits) & uint64(^uint32(0)) }

// route is struct rtentry of a kernel of 64 bits (linux/route.h).
type route struct {
	_                     uint64
	destination, gw, mask unix.RawSockaddrInet4
	flags                 uint16
	_                     [30]byte // down to rt_dev
	device                uintptr
	_                     [24]byte
}

// rtfReject is RTF_REJECT of linux/route.h.
const rtfReject = 0x200

// addRoute sends what is for a network to a gateway, or, if that is 0, nowhere.
func addRoute(fd int, to Prefix, gateway uint64) error {
	r := route{flags: unix.RTF_UP | rtfReject}
	if gateway != 0 {
		r.flags = unix.RTF_UP | unix.RTF_GATEWAY
	}
	r.destination.Family, r.mask.Family, r.gw.Family = unix.AF_INET, unix.AF_INET, unix.AF_INET
	r.destination.Addr, r.mask.Addr, r.gw.Addr = [4]byte(ipv4(to.Address)), [4]byte(ipv4(netmask(to.Bits))), [4]byte(ipv4(gateway))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return failed("set a route", errno)
	}
	return nil
}

// listen makes the socket.
func (n *Network) listen() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, failed("socket", err)
	}
	err = failed("bind the task endpoint", unix.Bind(fd, &unix.SockaddrInet4{Port: int(n.ServePort), Addr: [4]byte(ipv4(n.ServeAddress))}))
	if err == nil {
		err = failed("listen at the task endpoint", unix.Listen(fd, 128))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
