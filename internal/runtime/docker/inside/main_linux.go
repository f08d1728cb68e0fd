package inside

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/initproc"
)

// Main is the program. It returns its exit code.
func Main(args []string) int {
	err := errors.New(Name + " is started by batchbox, not by hand")
	if len(args) > 1 {
		switch args[0] {
		case RoleNetwork:
			err = network(args[1], args[2:])
		case RoleRemove:
			err = empty(args[1])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func network(endpoint string, unreachable []string) error {
	to, err := netip.ParseAddrPort(endpoint)
	if err != nil {
		return err
	}
	n := initproc.Network{ServeAddress: number(to.Addr()), ServePort: uint64(to.Port())}
	for _, text := range unreachable {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		n.Unreachable = append(n.Unreachable, initproc.Prefix{Address: number(p.Addr()), Bits: uint64(p.Bits())})
	}
	fd, err := n.SetUp()
	if err != nil {
		return err
	}
	owner := stdio{gone: make(chan struct{})}
	owner.leave = sync.OnceFunc(func() { close(owner.gone) })
	c := newCaller(owner)
	if fd < 0 { // nobody is to be reached; the network has to be held all the same
		if err := c.ready(); err != nil {
			return err
		}
		<-owner.gone
		return nil
	}
	f := os.NewFile(uintptr(fd), "task endpoint")
	l, err := net.FileListener(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	defer l.Close()
	if err := c.ready(); err != nil {
		return err
	}
	go accept(l, c)
	<-owner.gone
	return nil
}

// accept passes connections on until the listener is closed.
func accept(l net.Listener, c *caller) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // too many open files, most likely: some will be closed
			continue
		}
		go c.pass(conn)
	}
}

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// stdio is the connection to the owner. When that is gone, so is the program.
type stdio struct {
	gone  chan struct{}
	leave func() // closes gone, once
}

func (s stdio) Read(b []byte) (int, error) {
	n, err := os.Stdin.Read(b)
	if err != nil {
		s.leave()
	}
	return n, err
}

func (stdio) Write(b []byte) (int, error)      { return os.Stdout.Write(b) }
func (s stdio) Close() error                   { s.leave(); return nil }
func (stdio) LocalAddr() net.Addr              { return tunnelAddr{} }
func (stdio) RemoteAddr() net.Addr             { return tunnelAddr{} }
func (stdio) SetDeadline(time.Time) error      { return nil }
func (stdio) SetReadDeadline(time.Time) error  { return nil }
func (stdio) SetWriteDeadline(time.Time) error { return nil }

// empty removes all that is in a directory.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}
