// Package tasknet is what the private networks of tasks need besides a network namespace: a way to the engine's listener for
// tasks, an address that other tasks can reach, and a way out.
package tasknet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Proxy passes the connections to a socket inside a task's network on to the engine's listener for tasks. It belongs to
// whoever owns the container, so that a program's connections are accepted while an engine is replaced.
type Proxy struct {
	l      net.Listener
	target string
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup
}

// Serve starts a Proxy on a listening socket, which it takes over. target is host:port. Close it when the task has ended.
func Serve(socket *os.File, target string) (*Proxy, error) {
	l, err := net.FileListener(socket)
	if err := errors.Join(err, socket.Close()); err != nil {
		return nil, err
	}
	return ServeListener(l, target), nil
}

// ServeListener is Serve for who has a listener.
func ServeListener(l net.Listener, target string) *Proxy {
	p := &Proxy{l: l, target: target}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	return p
}

// Close ends all connections, and the socket.
func (p *Proxy) Close() error {
	if p == nil {
		return nil
	}
	p.stop()
	err := p.l.Close()
	p.work.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		switch {
		case err == nil:
			p.work.Go(func() { p.pass(c) })
		case p.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // too many open files, most likely: some will be closed
			pause(p.ctx, 50*time.Millisecond)
		}
	}
}

// patience is for how long a connection waits for an engine that is being replaced.
const patience = 5 * time.Second

func (p *Proxy) pass(c net.Conn) {
	defer c.Close()
	engine, err := p.dial()
	if err != nil {
		return // the program sees its connection close
	}
	defer engine.Close()
	// Ends what blocks in the copies below.
	end := context.AfterFunc(p.ctx, func() {
		_ = c.Close()
		_ = engine.Close()
	})
	defer end()
	join(c, engine)
}

func (p *Proxy) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", p.target)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// halfCloser is a connection whose one direction can end before the other.
type halfCloser interface{ CloseWrite() error }

// join passes what comes on each of two connections on to the other, until both directions have ended.
func join(a, b net.Conn) {
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		pass(a, b)
	}()
	pass(b, a)
	<-copied
}

// pass copies one direction to its end. What breaks it ends the other as well: there is nobody to answer any more.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if w, ok := to.(halfCloser); ok && err == nil {
		err = w.CloseWrite()
	}
	if err != nil {
		_ = to.Close()
		_ = from.Close()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
