package initproc

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// makeNetwork gives a new network namespace its devices and addresses, and the runtime its socket in there.
func makeNetwork(in *Instructions) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed("socket", err)
	}
	defer unix.Close(fd)
	if err := up(fd, "lo"); err != nil {
		return err
	}
	if d := &in.Device; d.Name != "" {
		if err := address(fd, d.Name, d.Address, netmask(d.Bits)); err != nil {
			return err
		}
		if err := up(fd, d.Name); err != nil {
			return err
		}
		if d.Gateway != 0 {
			if err := defaultRoute(fd, d.Gateway); err != nil {
				return err
			}
		}
	}
	if in.ServePort == 0 {
		return nil
	}
	// An alias: the device has an address already.
	if err := address(fd, "lo:0", in.ServeAddress, netmask(32)); err != nil {
		return err
	}
	return serve(in)
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

func defaultRoute(fd int, gateway uint64) error {
	r := route{flags: unix.RTF_UP | unix.RTF_GATEWAY}
	r.destination.Family, r.mask.Family, r.gw.Family = unix.AF_INET, unix.AF_INET, unix.AF_INET
	r.gw.Addr = [4]byte(ipv4(gateway))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return failed("set the default route", errno)
	}
	return nil
}

// serve makes the runtime's socket and sends it.
func serve(in *Instructions) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(in.ServePort), Addr: [4]byte(ipv4(in.ServeAddress))}); err != nil {
		return failed("bind the task endpoint", err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		return failed("listen at the task endpoint", err)
	}
	return failed("send the task endpoint", unix.Sendmsg(socket, []byte{madeNetwork}, unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL))
}
