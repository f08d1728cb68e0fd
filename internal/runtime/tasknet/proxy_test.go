package tasknet

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/batchbox/batchbox/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proxy is a Proxy to target, and where it listens.
func proxy(t *testing.T, target string) (*Proxy, string) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var f *os.File
	if f, err = l.File(); err != nil {
		t.Fatal(err)
	}
	p, err := Serve(f, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return p, l.Addr().String()
}

// say sends a text and returns the answer.
func say(address, text string) (string, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// echo answers n connections with what it hears, once that has come to an end.
func echo(t *testing.T, l net.Listener, n int) *sync.WaitGroup {
	var work sync.WaitGroup
	work.Go(func() {
		for range n {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			b, err := io.ReadAll(c)
			if err == nil {
				_, err = c.Write(b)
			}
			if err := errors.Join(err, c.Close()); err != nil {
				t.Error(err)
			}
		}
	})
	return &work
}

func TestProxy(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, address := proxy(t, l.Addr().String())
	work := echo(t, l, 2)
	for _, text := range []string{"hello", ""} {
		if got, err := say(address, text); err != nil || got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	work.Wait()
	target := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A connection that comes while the engine is away is answered by the next.
	answered := make(chan string, 1)
	go func() {
		got, err := say(address, "patient")
		if err != nil {
			got = err.Error()
		}
		answered <- got
	}()
	if l, err = net.Listen("tcp", target); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	echo(t, l, 1).Wait()
	if got := <-answered; got != "patient" {
		t.Errorf("while the engine is replaced: %q", got)
	}
}

// A Proxy that is closed leaves no connection, whichever side it waits for.
func TestProxyCloses(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, address := proxy(t, l.Addr().String())
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	engine, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, end := range []net.Conn{c, engine} {
		if err := end.SetReadDeadline(time.Now().Add(testenv.Patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := end.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection is still open: %v", err)
		}
	}
}
