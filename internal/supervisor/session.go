package supervisor

import (
	"net"
	"sync"
	"time"
)

// session is a client's connection. What is posted while a frame is being written goes with the next.
type session struct {
	conn *net.UnixConn

	mu    sync.Mutex
	more  sync.Cond
	next  answer
	dirty bool
	over  bool
}

func newSession(conn *net.UnixConn) *session {
	c := &session{conn: conn}
	c.more.L = &c.mu
	return c
}

// post adds to the next frame.
func (c *session) post(add func(*answer)) {
	c.mu.Lock()
	add(&c.next)
	c.dirty = true
	c.mu.Unlock()
	c.more.Signal()
}

// finish lets write send what has been posted and then close the connection.
func (c *session) finish() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.more.Signal()
}

func (c *session) finished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

func (c *session) write() {
	defer c.conn.Close() // which ends serve
	for {
		c.mu.Lock()
		for !c.dirty && !c.over {
			c.more.Wait()
		}
		if !c.dirty {
			c.mu.Unlock()
			return
		}
		a := c.next
		c.next, c.dirty = answer{}, false
		over := c.over
		c.mu.Unlock()
		if over {
			// A client that does not read must not keep a supervisor that wants to end.
			_ = c.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		}
		if err := writeFrame(c.conn, a); err != nil {
			return // the client is gone; it will be told again
		}
	}
}
