package tasknet

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/batchbox/batchbox/internal/runtime"
)

// gateway lets tasks reach the outside: it answers their TCP connections and UDP packets itself, with a network stack in this
// process, and makes connections of this process to where they were meant to go. Nothing of the machine's network is changed
// for that, and no right is needed. There is nothing but TCP and UDP, and nothing from outside gets in.
//
// What jobs must not reach from here is the machine itself by its loopback device, and link-local addresses: the instance
// metadata of a cloud machine is one, with the machine's own credentials.
type gateway struct {
	tap   *os.File
	link  *channel.Endpoint
	stack *stack.Stack
	log   *slog.Logger
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

const (
	nic = 1
	// queued packets for tasks; more are dropped, and TCP sends them again.
	queued = 1024
	// maxConnecting bounds TCP connections that are being made.
	maxConnecting = 4096
	dialTimeout   = 2 * time.Minute // Linux gives up by then
	// UDP has no end: an association is forgotten after a silence (RFC 4787, REQ-5), one with the name server sooner.
	udpSilence = 2 * time.Minute
	dnsSilence = 15 * time.Second
	dnsPort    = 53
)

// openGateway starts a gateway on a TAP interface, which it takes over.
func openGateway(tap *os.File, log *slog.Logger) (*gateway, error) {
	g := &gateway{
		tap: tap, log: log,
		link: channel.New(queued, mtu, ""),
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
		}),
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	if err := g.setUp(); err != nil {
		g.stop()
		g.stack.Destroy()
		return nil, errors.Join(fmt.Errorf("network stack: %s", err), tap.Close())
	}
	g.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(g.stack, 0, maxConnecting, g.connect).HandlePacket)
	g.stack.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(g.stack, g.associate).HandlePacket)
	g.work.Go(g.read)
	g.work.Go(g.write)
	return g, nil
}

// setUp has the stack answer for every address: what is not for us does not come here.
func (g *gateway) setUp() tcpip.Error {
	if err := g.stack.CreateNIC(nic, g.link); err != nil {
		return err
	}
	a := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFrom4(runtime.PrivateGateway.As4()).WithPrefix(),
	}
	if err := g.stack.AddProtocolAddress(nic, a, stack.AddressProperties{}); err != nil {
		return err
	}
	if err := g.stack.SetPromiscuousMode(nic, true); err != nil {
		return err
	}
	if err := g.stack.SetSpoofing(nic, true); err != nil {
		return err
	}
	g.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return nil
}

func (g *gateway) close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.stop()
	err := g.tap.Close() // ends read
	g.work.Wait()
	g.stack.Destroy()
	return err
}

// begin counts work that close waits for; it refuses when that has begun.
func (g *gateway) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.work.Add(1)
	}
	return !g.closed
}

const ethernetHeader = 14

var gatewayMAC = hardware(runtime.PrivateGateway)

// read takes frames from the bridge: ARP requests for the gateway, and packets sent to it.
func (g *gateway) read() {
	frame := make([]byte, ethernetHeader+mtu)
	for {
		n, err := g.tap.Read(frame)
		if err != nil {
			if g.ctx.Err() == nil {
				g.log.Error("private networks have lost their way out", "error", err)
			}
			return
		}
		f := frame[:n]
		if n < ethernetHeader {
			continue
		}
		switch binary.BigEndian.Uint16(f[12:]) {
		case unixETHArp:
			if reply := answerARP(f); reply != nil {
				_, _ = g.tap.Write(reply) // if it is lost, it is asked for again
			}
		case unixETHIP:
			if [6]byte(f[:6]) != gatewayMAC {
				continue // the bridge did not know better than to send it everywhere
			}
			p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(f[ethernetHeader:])})
			g.link.InjectInbound(ipv4.ProtocolNumber, p)
			p.DecRef()
		}
	}
}

// EtherTypes.
const (
	unixETHArp = 0x0806
	unixETHIP  = 0x0800
)

// answerARP answers the question for the gateway (RFC 826); nil for any other frame.
func answerARP(f []byte) []byte {
	const size = ethernetHeader + 28
	if len(f) < size {
		return nil
	}
	q := f[ethernetHeader:size]
	gateway := runtime.PrivateGateway.As4()
	// Ethernet and IPv4, a request, for us.
	if [8]byte(q) != [8]byte{0, 1, 8, 0, 6, 4, 0, 1} || [4]byte(q[24:]) != gateway {
		return nil
	}
	reply := make([]byte, 0, size)
	reply = append(append(reply, q[8:14]...), gatewayMAC[:]...)
	reply = append(reply, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
	reply = append(append(reply, gatewayMAC[:]...), gateway[:]...)
	return append(reply, q[8:18]...)
}

// write brings the stack's packets to the tasks, whose hardware addresses are known from their others.
func (g *gateway) write() {
	frame := make([]byte, 0, ethernetHeader+mtu)
	for {
		p := g.link.ReadContext(g.ctx)
		if p == nil {
			return
		}
		view := p.ToView()
		packet := view.AsSlice()
		if len(packet) >= header.IPv4MinimumSize {
			to := hardware(netip.AddrFrom4([4]byte(packet[16:20])))
			frame = append(append(append(frame[:0], to[:]...), gatewayMAC[:]...), 8, 0)
			frame = append(frame, packet...)
			_, _ = g.tap.Write(frame) // the task may have gone
		}
		view.Release()
		p.DecRef()
	}
}

// resolve is where a task's packet for an address goes: the machine's name server if it is the gateway's; false if it must
// not go anywhere.
func resolve(to netip.AddrPort) (netip.AddrPort, bool) {
	a := to.Addr()
	if a == runtime.PrivateGateway {
		if to.Port() != dnsPort {
			return to, false
		}
		return nameServer()
	}
	switch {
	case runtime.PrivateNetwork.Contains(a), a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsUnspecified(),
		a == netip.AddrFrom4([4]byte{255, 255, 255, 255}), a.As4()[0] == 0:
		return to, false
	}
	return to, true
}

// nameServer is the first of this machine, as it is configured now.
func nameServer() (netip.AddrPort, bool) {
	f, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return netip.AddrPort{}, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) > 1 && w[0] == "nameserver" {
			if a, err := netip.ParseAddr(w[1]); err == nil {
				return netip.AddrPortFrom(a, dnsPort), true
			}
		}
	}
	return netip.AddrPort{}, false
}

// ResolvConf is the resolv.conf of a task, made of the machine's: its name server is the gateway, if there is one.
func (h *Hub) ResolvConf(machine string) string {
	if h.gateway == nil {
		return machine
	}
	lines := slices.DeleteFunc(strings.SplitAfter(machine, "\n"), func(line string) bool {
		return strings.HasPrefix(strings.TrimSpace(line), "nameserver")
	})
	return "nameserver " + runtime.PrivateGateway.String() + "\n" + strings.Join(lines, "")
}

func destination(id stack.TransportEndpointID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(id.LocalAddress.As4()), id.LocalPort)
}

// connect answers a task's connection when the other end has: a task sees it fail as it failed here.
func (g *gateway) connect(r *tcp.ForwarderRequest) {
	if !g.begin() {
		r.Complete(false)
		return
	}
	defer g.work.Done()
	to, ok := resolve(destination(r.ID()))
	if !ok {
		r.Complete(true)
		return
	}
	d := net.Dialer{Timeout: dialTimeout}
	out, err := d.DialContext(g.ctx, "tcp", to.String())
	if err != nil {
		r.Complete(true)
		return
	}
	defer out.Close()
	var queue waiter.Queue
	ep, terr := r.CreateEndpoint(&queue)
	if terr != nil {
		r.Complete(true)
		return
	}
	r.Complete(false)
	in := gonet.NewTCPConn(&queue, ep)
	defer in.Close()
	end := context.AfterFunc(g.ctx, func() {
		_ = in.Close()
		_ = out.Close()
	})
	defer end()
	join(in, out)
}

// associate passes a task's packets from one port to one address on, and the answers back, until there is silence.
func (g *gateway) associate(r *udp.ForwarderRequest) bool {
	to, ok := resolve(destination(r.ID()))
	if !ok {
		return false // the stack answers that the port is unreachable
	}
	if !g.begin() {
		return true
	}
	var queue waiter.Queue
	ep, terr := r.CreateEndpoint(&queue)
	if terr != nil {
		g.work.Done()
		return true // two packets at once: one is lost
	}
	in := gonet.NewUDPConn(&queue, ep)
	go func() {
		defer g.work.Done()
		defer in.Close()
		out, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			return
		}
		defer out.Close()
		end := context.AfterFunc(g.ctx, func() {
			_ = in.Close()
			_ = out.Close()
		})
		defer end()
		silence := udpSilence
		if to.Port() == dnsPort {
			silence = dnsSilence
		}
		var back sync.WaitGroup
		back.Go(func() {
			relay(in, out, silence)
			_ = in.Close()
		})
		relay(out, in, silence)
		_ = out.Close()
		back.Wait()
	}()
	return true
}

// relay copies packets until none has come for a while.
func relay(to io.Writer, from net.Conn, silence time.Duration) {
	b := make([]byte, 64<<10)
	for {
		if err := from.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return
		}
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}
