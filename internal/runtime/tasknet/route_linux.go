package tasknet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// routeSocket is a socket to the kernel's rtnetlink(7) in some network namespace. Libraries for it open their own, in the
// namespace of the calling thread, where a process without root can not go.
type routeSocket struct {
	mu  sync.Mutex
	f   *os.File
	seq uint32
}

// message is a request under construction; attributes may be nested.
type message []byte

func (m *message) attribute(kind uint16, value []byte) {
	m.nested(kind, func() { *m = append(*m, value...) })
}

func (m *message) text(kind uint16, value string) { m.attribute(kind, append([]byte(value), 0)) }

func (m *message) number(kind uint16, value uint32) {
	m.attribute(kind, binary.NativeEndian.AppendUint32(nil, value))
}

// nested appends an attribute whose value is what inside appends.
func (m *message) nested(kind uint16, inside func()) {
	start := len(*m)
	*m = append(*m, 0, 0, 0, 0)
	inside()
	binary.NativeEndian.PutUint16((*m)[start:], uint16(len(*m)-start))
	binary.NativeEndian.PutUint16((*m)[start+2:], kind)
	for len(*m)%unix.NLA_ALIGNTO != 0 {
		*m = append(*m, 0)
	}
}

// link appends a struct ifinfomsg.
func (m *message) link(index int32, flags uint32) {
	*m = append(*m, unix.AF_UNSPEC, 0, 0, 0)
	*m = binary.NativeEndian.AppendUint32(*m, uint32(index))
	*m = binary.NativeEndian.AppendUint32(*m, flags)
	*m = binary.NativeEndian.AppendUint32(*m, flags) // which to change: these
}

// do sends a request and returns the payload of the answer: that of the first message, or nothing with a mere success.
func (s *routeSocket) do(kind, flags uint16, body message) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, s.seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, body...)
	// Blocking is fine: the kernel has the answer when the request has been taken.
	fd := int(s.f.Fd())
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	buf := make([]byte, 32<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("rtnetlink: %w", err)
		}
		if n < unix.SizeofNlMsghdr || binary.NativeEndian.Uint32(buf[8:]) != s.seq {
			continue // an answer that nobody waited for
		}
		payload := buf[unix.SizeofNlMsghdr:n]
		if binary.NativeEndian.Uint16(buf[4:]) != unix.NLMSG_ERROR {
			return payload, nil
		}
		if len(payload) < 4 {
			return nil, errors.New("rtnetlink: a short answer")
		}
		if errno := -int32(binary.NativeEndian.Uint32(payload)); errno != 0 {
			return nil, unix.Errno(errno)
		}
		return nil, nil
	}
}

const create = unix.NLM_F_CREATE | unix.NLM_F_EXCL | unix.NLM_F_ACK

func (s *routeSocket) newBridge(name string, mtu uint32) error {
	var m message
	m.link(0, unix.IFF_UP)
	m.text(unix.IFLA_IFNAME, name)
	m.number(unix.IFLA_MTU, mtu)
	m.nested(unix.IFLA_LINKINFO, func() { m.text(unix.IFLA_INFO_KIND, "bridge") })
	if _, err := s.do(unix.RTM_NEWLINK, create, m); err != nil {
		return fmt.Errorf("make a bridge: %w", err)
	}
	return nil
}

// index finds a link by name.
func (s *routeSocket) index(name string) (uint32, error) {
	var m message
	m.link(0, 0)
	m.text(unix.IFLA_IFNAME, name)
	b, err := s.do(unix.RTM_GETLINK, 0, m)
	if err == nil && len(b) < unix.SizeofIfInfomsg {
		err = errors.New("a short answer")
	}
	if err != nil {
		return 0, fmt.Errorf("find device %s: %w", name, err)
	}
	return binary.NativeEndian.Uint32(b[4:]), nil
}

// enslave makes a link part of a bridge, and brings it up.
func (s *routeSocket) enslave(index, bridge, mtu uint32) error {
	var m message
	m.link(int32(index), unix.IFF_UP)
	m.number(unix.IFLA_MTU, mtu)
	m.number(unix.IFLA_MASTER, bridge)
	if _, err := s.do(unix.RTM_NEWLINK, unix.NLM_F_ACK, m); err != nil {
		return fmt.Errorf("connect device %d to the bridge: %w", index, err)
	}
	return nil
}

// pair is two connected Ethernet devices.
type pair struct {
	name      string
	master    uint32 // the bridge that the first is part of
	mtu       uint32
	peer      string // the second, in another namespace
	peerMAC   [6]byte
	namespace int
}

// vethInfoPeer is VETH_INFO_PEER of linux/veth.h.
const vethInfoPeer = 1

// newPair makes both devices with one request, each where it belongs: moving a device afterwards takes the kernel longer than
// all the rest.
func (s *routeSocket) newPair(p pair) error {
	var m message
	m.link(0, unix.IFF_UP)
	m.text(unix.IFLA_IFNAME, p.name)
	m.number(unix.IFLA_MTU, p.mtu)
	m.number(unix.IFLA_MASTER, p.master)
	m.nested(unix.IFLA_LINKINFO, func() {
		m.text(unix.IFLA_INFO_KIND, "veth")
		m.nested(unix.IFLA_INFO_DATA, func() {
			m.nested(vethInfoPeer, func() {
				m.link(0, 0)
				m.text(unix.IFLA_IFNAME, p.peer)
				m.number(unix.IFLA_MTU, p.mtu)
				m.attribute(unix.IFLA_ADDRESS, p.peerMAC[:])
				m.number(unix.IFLA_NET_NS_FD, uint32(p.namespace))
			})
		})
	})
	_, err := s.do(unix.RTM_NEWLINK, create, m)
	if errors.Is(err, unix.EEXIST) {
		// That of the last network with this address, which has ended; the kernel takes its time to remove it.
		if err := s.remove(p.name); err != nil {
			return err
		}
		_, err = s.do(unix.RTM_NEWLINK, create, m)
	}
	if err != nil {
		return fmt.Errorf("connect the task's network: %w", err)
	}
	return nil
}

// remove removes a link, if it is there, and with it its peer.
func (s *routeSocket) remove(name string) error {
	var m message
	m.link(0, 0)
	m.text(unix.IFLA_IFNAME, name)
	if _, err := s.do(unix.RTM_DELLINK, unix.NLM_F_ACK, m); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove device %s: %w", name, err)
	}
	return nil
}
