package inside

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// A tunnel carries connections that were accepted inside a container to its owner, over the one connection that is there
// anyway: the container's standard input and output, to which the owner is attached. So it reaches the owner wherever that
// is, with no port open on any machine, and ends with it. What is spoken is HTTP/2, for its streams, the flow control of
// each, and their half-closing: the inside asks, and each request is one connection.

const (
	pathReady   = "/ready"
	pathConnect = "/connect"
	// maxConnections at a time; more wait.
	maxConnections = 1 << 14
)

// Tunnel is the owner's end. As a listener it accepts the connections that were accepted inside.
type Tunnel struct {
	server *http.Server
	conns  chan net.Conn
	ready  chan struct{}
	ended  chan struct{}
	once   sync.Once // of ready

	ctx  context.Context
	stop context.CancelFunc
}

var _ net.Listener = (*Tunnel)(nil)

// NewTunnel begins to serve a container's standard input and output, which it takes over.
func NewTunnel(c net.Conn) *Tunnel {
	t := &Tunnel{conns: make(chan net.Conn), ready: make(chan struct{}), ended: make(chan struct{})}
	t.ctx, t.stop = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc(pathReady, func(http.ResponseWriter, *http.Request) { t.once.Do(func() { close(t.ready) }) })
	mux.HandleFunc(pathConnect, t.connected)
	only := &http.Protocols{}
	only.SetUnencryptedHTTP2(true)
	l := &oneConn{c: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.c <- &notifying{Conn: c, closed: func() { _ = l.Close() }}
	t.server = &http.Server{Handler: mux, Protocols: only, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxConnections}}
	go func() {
		defer close(t.ended)
		_ = t.server.Serve(l) // ends with the connection
		t.stop()
	}()
	return t
}

// Ready is closed when the inside listens.
func (t *Tunnel) Ready() <-chan struct{} { return t.ready }

// Ended is closed when the connection has.
func (t *Tunnel) Ended() <-chan struct{} { return t.ended }

// Accept implements net.Listener.
func (t *Tunnel) Accept() (net.Conn, error) {
	select {
	case c := <-t.conns:
		return c, nil
	case <-t.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It ends the connections as well.
func (t *Tunnel) Close() error {
	t.stop()
	err := t.server.Close()
	<-t.ended
	return err
}

// Addr implements net.Listener.
func (t *Tunnel) Addr() net.Addr { return tunnelAddr{} }

type tunnelAddr struct{}

func (tunnelAddr) Network() string { return "tunnel" }
func (tunnelAddr) String() string  { return Name }

func (t *Tunnel) connected(w http.ResponseWriter, r *http.Request) {
	s := &stream{w: w, control: http.NewResponseController(w), r: r.Body, done: make(chan struct{})}
	defer s.finish()
	w.WriteHeader(http.StatusOK)
	if http.NewResponseController(w).Flush() != nil {
		return
	}
	select {
	case t.conns <- s:
	case <-t.ctx.Done():
		return
	}
	select {
	case <-s.done:
	case <-r.Context().Done():
	}
}

// stream is a request as a connection. What belongs to the request may not be touched any more when it has been answered.
type stream struct {
	w http.ResponseWriter
	r io.Reader

	reading, writing sync.Mutex // held meanwhile
	deaf, mute       bool       // there is no more of it; under these two
	done             chan struct{}

	mu       sync.Mutex
	finished bool
	control  *http.ResponseController // while finished is false; under mu
}

func (s *stream) Read(b []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.deaf {
		return 0, net.ErrClosed
	}
	return s.r.Read(b)
}

func (s *stream) Write(b []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.mute {
		return 0, net.ErrClosed
	}
	n, err := s.w.Write(b)
	if err == nil {
		err = http.NewResponseController(s.w).Flush()
	}
	return n, err
}

// CloseWrite ends the answer, and with it the request: who has closed what it says does not hear any more.
func (s *stream) CloseWrite() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if !s.mute {
		s.mute = true
		close(s.done)
	}
	return nil
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.interrupt()
	return s.CloseWrite()
}

// interrupt ends what waits for the other end.
func (s *stream) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.finished {
		now := time.Now()
		_, _ = s.control.SetWriteDeadline(now), s.control.SetReadDeadline(now) // the protocol has both
	}
}

// finish is called before the request is answered.
func (s *stream) finish() {
	s.interrupt()
	_ = s.CloseWrite()
	s.reading.Lock()
	s.deaf = true
	s.reading.Unlock()
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
}

func (*stream) LocalAddr() net.Addr              { return tunnelAddr{} }
func (*stream) RemoteAddr() net.Addr             { return tunnelAddr{} }
func (*stream) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (*stream) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (*stream) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// oneConn is a listener that has one connection, and ends with it.
type oneConn struct {
	c      chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*oneConn) Addr() net.Addr { return tunnelAddr{} }

// notifying is a connection that says when it is closed.
type notifying struct {
	net.Conn
	closed func()
}

func (n *notifying) Close() error {
	defer n.closed()
	return n.Conn.Close()
}

// incoming is what a connection says, as the body of a request. Closing it, as the transport does after this direction, leaves
// the other be, and ends a Read.
type incoming struct{ net.Conn }

func (i incoming) Close() error { return i.SetReadDeadline(time.Now()) }

// caller is the inside's end.
type caller struct{ transport *http.Transport }

// newCaller makes one over the owner's connection.
func newCaller(owner net.Conn) *caller {
	only := &http.Protocols{}
	only.SetUnencryptedHTTP2(true)
	first := make(chan net.Conn, 1)
	first <- owner
	return &caller{&http.Transport{
		Protocols: only, DisableCompression: true, HTTP2: &http.HTTP2Config{},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case c := <-first:
				return c, nil
			default:
				return nil, errors.New("the owner's connection has ended")
			}
		},
	}}
}

// ready tells the owner that connections are accepted.
func (c *caller) ready() error {
	resp, err := c.ask(pathReady, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (c *caller) ask(path string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequest(http.MethodPost, "http://owner"+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.ContentLength = -1
	}
	return c.transport.RoundTrip(r)
}

// pass carries a connection to the owner, to its end.
func (c *caller) pass(conn net.Conn) {
	defer conn.Close()
	resp, err := c.ask(pathConnect, incoming{conn})
	if err != nil {
		return // the program sees its connection close
	}
	defer resp.Body.Close()
	_, _ = io.Copy(conn, resp.Body)
}
