package runtimetest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/batchbox/batchbox/internal/runtime"
)

// engine is a listener for tasks that answers with what it hears.
type engine struct {
	net.Listener
	serving sync.WaitGroup
}

func listen(t *testing.T, address string) *engine {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{Listener: l}
	e.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, err := io.ReadAll(c)
			if err == nil {
				_, err = fmt.Fprintf(c, "engine heard %s", b)
			}
			if err := errors.Join(err, c.Close()); err != nil {
				t.Error(err)
			}
		}
	})
	t.Cleanup(e.close)
	return e
}

func (e *engine) close() {
	_ = e.Close()
	e.serving.Wait()
}

// startIn starts another container of a task.
func (s *suite) startIn(t *testing.T, task string, spec runtime.Spec) *container {
	t.Helper()
	spec.Name = strings.ReplaceAll(strings.TrimSuffix(newKey(), "/1"), "conformance", "container") // unlike any other of the task
	c, err := s.tryStartIn(t, t.Context(), task, spec)
	if err != nil {
		t.Fatalf("start %q: %v", spec.Argv, err)
	}
	return c
}

// taskEndpoint checks that every container of a task reaches the engine, whichever engine it is, and that the containers of
// a task share one network.
func (s *suite) taskEndpoint(t *testing.T) {
	e := listen(t, "127.0.0.1:0")
	address := e.Addr().String()
	private := func(args ...string) runtime.Spec {
		spec := s.spec(args...)
		spec.Network = runtime.Network{Mode: runtime.NetworkPrivate, Endpoint: address}
		return spec
	}
	task := newKey()
	// It holds the network while others come and go.
	first := s.startIn(t, task, private("serve", "127.0.0.1:7"))
	first.says("ready")
	if got := s.startIn(t, task, private("dial", runtime.TaskEndpoint, "hello")).want(0); got != "engine heard hello\n" {
		t.Errorf("the engine, from the second container: %q", got)
	}
	e.close()
	listen(t, address)
	if got := s.startIn(t, task, private("dial", runtime.TaskEndpoint, "again")).want(0); got != "engine heard again\n" {
		t.Errorf("the next engine: %q", got)
	}
	if got := s.startIn(t, task, private("dial", "127.0.0.1:7", "neighbour")).want(0); got != "heard neighbour\n" {
		t.Errorf("the first container, from another: %q", got)
	}
	first.want(0)
	// Alone, and with nothing to reach.
	if got := s.start(t, private("dial", runtime.TaskEndpoint, "alone")).want(0); got != "engine heard alone\n" {
		t.Errorf("the engine, from the only container: %q", got)
	}
	spec := private("dial", runtime.TaskEndpoint, "nobody")
	spec.Network.Endpoint = ""
	if got := s.start(t, spec).want(65); got == "" {
		t.Error("an engine is reached where there is none to be")
	}
	// One whose program can not be started leaves nothing.
	if _, err := s.tryStart(t, t.Context(), func() runtime.Spec { sp := private(); sp.Argv = []string{"/none"}; return sp }()); err == nil {
		t.Error("a program that is not there was started")
	}
}

// connectedNetworks checks that tasks reach each other, by addresses of their own on the same port, and the outside; but not
// what only this machine is to reach.
func (s *suite) connectedNetworks(t *testing.T) {
	private := func(address string, args ...string) runtime.Spec {
		spec := s.spec(args...)
		spec.Network = runtime.Network{Mode: runtime.NetworkPrivate, Address: address}
		return spec
	}
	var nodes [2]string
	for i := range nodes {
		nodes[i] = nodeAddress()
	}
	var servers [2]*container
	for i, node := range nodes {
		servers[i] = s.start(t, private(node, "serve", node+":7"))
		servers[i].says("ready")
	}
	for i, node := range nodes {
		if got := s.start(t, private("", "dial", node+":7", "hello")).want(0); got != "heard hello\n" {
			t.Errorf("from a task to node %d: %q", i, got)
		}
		servers[i].want(0)
	}
	// A retry has the address that the last attempt had, however long the kernel takes to clean up after that.
	again := nodeAddress()
	for range 20 {
		if got := s.start(t, private(again, "addresses")).want(0); got != "127.0.0.1\n"+again+"\n" {
			t.Fatalf("a retry's addresses: %q", got)
		}
	}
	// The runtime gives others an address, and says which.
	c := s.start(t, private("", "sleep"))
	c.says("ready")
	addressed, ok := c.Handle.(runtime.Addressed)
	if !ok {
		t.Fatal("the runtime does not tell addresses")
	}
	if a, err := netip.ParseAddr(addressed.Address()); err != nil || !runtime.PrivateTasks.Contains(a) {
		t.Errorf("address %q", addressed.Address())
	}
	if got := s.start(t, private("", "addresses")).want(0); !strings.HasPrefix(got, "127.0.0.1\n100.") {
		t.Errorf("a task's addresses: %q", got)
	}

	// Some machines keep it for root.
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Logf("the outside is not tried: %v", err)
		return
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	outside := outsideAddress(t)
	e := listen(t, net.JoinHostPort(outside, "0"))
	for i, text := range []string{"hello", strings.Repeat("much ", 20_000)} {
		got := s.start(t, private("", "dial", e.Addr().String(), text)).want(0)
		if got != "engine heard "+text+"\n" {
			t.Errorf("outside, by TCP, text %d: %d bytes, %.50q", i, len(got), got)
		}
	}
	udp := answerDatagrams(t, net.JoinHostPort(outside, "0"))
	if got := s.start(t, private("", "datagram", udp, "hello")).want(0); got != "heard hello\n" {
		t.Errorf("outside, by UDP: %q", got)
	}
	closed := listen(t, net.JoinHostPort(outside, "0"))
	closed.close()
	if got := s.start(t, private("", "dial", closed.Addr().String(), "hello")).want(65); !strings.Contains(got, "refused") {
		t.Errorf("where nobody listens: %q", got)
	}
	loopback := listen(t, "0.0.0.0:0")
	_, port, err := net.SplitHostPort(loopback.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{runtime.PrivateGateway.String(), "169.254.169.254"} {
		if got := s.start(t, private("", "dial", net.JoinHostPort(address, port), "hello")).want(65); got == "" {
			t.Errorf("%s is reached", address)
		}
	}
}

var nodes struct {
	sync.Mutex
	last netip.Addr
}

// nodeAddress is an address of a node that no other test has.
func nodeAddress() string {
	nodes.Lock()
	defer nodes.Unlock()
	if !nodes.last.IsValid() {
		// Somewhere in there: under some runtimes this network is other engines' as well.
		b := runtime.PrivateNodes.Addr().As4()
		b[1], b[2] = b[1]+byte(rand.N(16)), byte(rand.N(256))
		nodes.last = netip.AddrFrom4(b)
	}
	nodes.last = nodes.last.Next()
	return nodes.last.String()
}

// outsideAddress is an address of this machine that is none of its loopback.
func outsideAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	t.Skip("this machine has no address but its loopback")
	return ""
}

// answerDatagrams answers each datagram; it returns where.
func answerDatagrams(t *testing.T, address string) string {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = c.Close()
		serving.Wait()
	})
	serving.Go(func() {
		b := make([]byte, 1000)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(packetWriter{c, from}, "heard %s", b[:n]); err != nil {
				t.Error(err)
			}
		}
	})
	return c.LocalAddr().String()
}

type packetWriter struct {
	net.PacketConn
	to net.Addr
}

func (w packetWriter) Write(b []byte) (int, error) { return w.WriteTo(b, w.to) }
