package inside

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/testenv"
)

const patience = testenv.Patience

// ends are a tunnel and the inside's end of it, over a connection like that to a container.
func ends(t *testing.T) (*Tunnel, *caller, net.Conn) {
	t.Helper()
	outside, within := pair(t)
	tunnel, c := NewTunnel(outside), newCaller(within)
	t.Cleanup(func() {
		if err := tunnel.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		c.transport.CloseIdleConnections()
		_ = within.Close()
	})
	if err := c.ready(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-tunnel.Ready():
	default:
		t.Fatal("it is not ready, though the inside has said so")
	}
	return tunnel, c, within
}

// pair is the two ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

// connect makes a connection inside, as a task does, and returns both of its ends.
func connect(t *testing.T, tunnel *Tunnel, c *caller) (task net.Conn, owner *stream) {
	t.Helper()
	task, inside := pair(t)
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		c.pass(inside)
	}()
	t.Cleanup(func() {
		_ = task.Close()
		<-passed
	})
	accepted, err := tunnel.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return task, accepted.(*stream)
}

// A hundred tasks at once say something larger than any window, close that side, and hear it again.
func TestConnectionsThroughATunnel(t *testing.T) {
	t.Parallel()
	tunnel, c, _ := ends(t)
	var work sync.WaitGroup
	for i := range 100 {
		task, owner := connect(t, tunnel, c)
		text := []byte(strings.Repeat(fmt.Sprintf("task %d ", i), 1<<14))
		work.Go(func() {
			if _, err := task.Write(text); err != nil {
				t.Error(err)
			}
			if err := task.(*net.TCPConn).CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		work.Go(func() {
			heard, err := io.ReadAll(owner)
			if err != nil {
				t.Error(err)
			}
			if _, err := owner.Write(heard); err != nil {
				t.Error(err)
			}
			if err := owner.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		work.Go(func() {
			if got, err := io.ReadAll(task); err != nil || !bytes.Equal(got, text) {
				t.Errorf("task %d: %d bytes of %d, %v", i, len(got), len(text), err)
			}
		})
	}
	work.Wait()
}

// Whoever ends a connection, and whatever is done with it afterwards, the other end sees it, and the tunnel goes on.
func TestConnectionsEnd(t *testing.T) {
	t.Parallel()
	tunnel, c, _ := ends(t)
	for name, end := range map[string]func(task net.Conn, owner *stream) error{
		"the owner":       func(_ net.Conn, owner *stream) error { return owner.Close() },
		"the owner, half": func(_ net.Conn, owner *stream) error { return owner.CloseWrite() },
		"the task":        func(task net.Conn, _ *stream) error { return task.Close() },
		"the task, with force": func(task net.Conn, _ *stream) error {
			return errors.Join(task.(*net.TCPConn).SetLinger(0), task.Close())
		},
	} {
		task, owner := connect(t, tunnel, c)
		if err := end(task, owner); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.HasPrefix(name, "the task") {
			if _, err := io.ReadAll(owner); err != nil && name == "the task" {
				t.Errorf("%s: %v", name, err)
			}
		} else if got, err := io.ReadAll(task); err != nil || len(got) > 0 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for range 3 {
			if err := owner.Close(); err != nil {
				t.Errorf("%s: closed again: %v", name, err)
			}
		}
		if _, err := owner.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: written after the end: %v", name, err)
		}
		if _, err := io.ReadAll(owner); err == nil && name != "the task" {
			t.Errorf("%s: read after the end without an error", name)
		}
	}
	task, owner := connect(t, tunnel, c)
	if _, err := owner.Write([]byte("still here")); err != nil || owner.CloseWrite() != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(task); err != nil || string(got) != "still here" {
		t.Errorf("%q, %v", got, err)
	}
}

// A write that nobody takes ends with the connection.
func TestCloseOfAConnectionThatIsStuck(t *testing.T) {
	t.Parallel()
	tunnel, c, _ := ends(t)
	_, owner := connect(t, tunnel, c)
	stuck := make(chan error)
	go func() {
		for {
			if _, err := owner.Write(make([]byte, 1<<20)); err != nil {
				stuck <- err
				return
			}
		}
	}()
	_ = owner.Close()
	select {
	case err := <-stuck:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}

// With the connection to the container all ends.
func TestEndOfATunnel(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"inside", "outside"} {
		tunnel, c, within := ends(t)
		task, owner := connect(t, tunnel, c)
		if who == "inside" {
			_ = within.Close()
		} else if err := tunnel.Close(); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(owner); err == nil {
			t.Errorf("%s: the owner hears an ordinary end", who)
		}
		if got, _ := io.ReadAll(task); len(got) > 0 {
			t.Errorf("%s: the task hears %q", who, got)
		}
		select {
		case <-tunnel.Ended():
		case <-time.After(patience):
			t.Errorf("%s: the tunnel has not ended", who)
		}
		if _, err := tunnel.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: accept: %v", who, err)
		}
	}
}

// What is no batchbox-helper is no tunnel.
func TestNoTunnel(t *testing.T) {
	t.Parallel()
	outside, within := pair(t)
	tunnel := NewTunnel(outside)
	if _, err := within.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(within) // cut off, in some way
	select {
	case <-tunnel.Ended():
	case <-time.After(patience):
		t.Error("it has not ended")
	}
	if err := tunnel.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
