package server

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxConnections and maxClientConnections bound the open connections of a listener and of one of its clients. SDKs open a
	// few dozen.
	maxConnections       = 4096
	maxClientConnections = 256
	// maxClients bounds what is remembered.
	maxClients = 1 << 16
	// burstTime is how long a client may have been silent for, to send as much at once.
	burstTime = 2 * time.Second
	// writeIdle is how long a client may take nothing of an answer for.
	writeIdle = 30 * time.Second
)

// clients bounds what one client of a listener can take from the others: connections and requests a second. A client is an
// IPv4 address, or an IPv6 network of 64 bits, which is what one subscriber has. Its methods may be called from many
// goroutines.
type clients struct {
	rate  float64 // requests a second
	burst float64
	now   func() time.Time

	mu    sync.Mutex
	known map[netip.Prefix]*client
	swept time.Time // when forget last looked
	open  int
}

type client struct {
	tokens float64 // requests it may make now
	at     time.Time
	open   int // connections
}

func newClients(rate float64, now func() time.Time) *clients {
	return &clients{rate: rate, burst: max(1, rate*burstTime.Seconds()), now: now, known: map[netip.Prefix]*client{}}
}

// clientOf is who an address belongs to.
func clientOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // an address without one is nobody's: the zero Prefix
	return p
}

// get finds a client; nil if it is new and there are too many. c.mu is held.
func (c *clients) get(who netip.Prefix, now time.Time) *client {
	k := c.known[who]
	if k == nil {
		if len(c.known) >= maxClients {
			c.forget(now)
		}
		if len(c.known) >= maxClients {
			return nil
		}
		k = &client{tokens: c.burst, at: now}
		c.known[who] = k
		return k
	}
	k.tokens = min(c.burst, k.tokens+c.rate*now.Sub(k.at).Seconds())
	k.at = now
	return k
}

// forget drops those about whom nothing is worth knowing any more. It looks at all of them, so it does that only so often,
// however many strangers come. c.mu is held.
func (c *clients) forget(now time.Time) {
	if now.Sub(c.swept) < burstTime {
		return
	}
	c.swept = now
	for who, k := range c.known {
		if k.open == 0 && now.Sub(k.at) >= burstTime {
			delete(c.known, who)
		}
	}
}

// request says whether a client may make a request now, and counts it.
func (c *clients) request(who netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.get(who, c.now())
	if k == nil || k.tokens < 1 {
		return false
	}
	k.tokens--
	return true
}

// connect says whether a client may have another connection, and counts it; each has to be given back by disconnect.
func (c *clients) connect(who netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.get(who, c.now())
	if k == nil || k.open >= maxClientConnections || c.open >= maxConnections {
		return false
	}
	k.open++
	c.open++
	return true
}

func (c *clients) disconnect(who netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.known[who]; k != nil && k.open > 0 {
		k.open--
		c.open--
	}
}

// limit hands the requests of clients that are too quick to refuse.
func (c *clients) limit(next http.Handler, refuse http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr, _ := netip.ParseAddrPort(r.RemoteAddr) // net/http makes it of a TCP address
		if !c.request(clientOf(addr.Addr())) {
			w.Header().Set("Retry-After", "1")
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// listen bounds the connections of a listener.
func (c *clients) listen(l net.Listener) net.Listener { return &boundListener{l, c} }

type boundListener struct {
	net.Listener
	clients *clients
}

// Accept implements net.Listener. A connection too many is closed at once.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var who netip.Prefix
		if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			who = clientOf(tcp.AddrPort().Addr())
		}
		if !l.clients.connect(who) {
			_ = conn.Close() // there is nobody to tell
			continue
		}
		return &boundConn{Conn: conn, leave: sync.OnceFunc(func() { l.clients.disconnect(who) })}, nil
	}
}

// boundConn is given back when it is closed, and ends when its client takes nothing for writeIdle.
type boundConn struct {
	net.Conn
	leave func()
}

func (c *boundConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeIdle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *boundConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
