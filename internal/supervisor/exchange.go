package supervisor

import (
	"fmt"
	"net"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// hear takes reports in and passes them on.
func (c *Client) hear(reports []runtime.Report) {
	if len(reports) == 0 {
		return
	}
	c.mu.Lock()
	for i := range reports {
		if k := c.known[reports[i].Key]; k != nil && reports[i].Kind == runtime.Ended {
			k.ended, k.task = true, nil
		}
	}
	c.mu.Unlock()
	c.o.Reports(reports)
}

// listen receives until the connection ends.
func (c *Client) listen(r *frameReader) (useful bool, err error) {
	for ; ; useful = true {
		var a answer
		if err := r.read(&a); err != nil {
			return useful, err
		}
		if a.Done > 0 {
			c.finished(a.Done)
		}
		if a.Stats != nil {
			c.mu.Lock()
			for _, s := range c.statsSent {
				s <- *a.Stats
			}
			c.statsSent = nil
			c.mu.Unlock()
		}
		c.inspected(a.Inspected)
		c.hear(a.Reports)
	}
}

// finished forgets what has been dealt with.
func (c *Client) finished(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.sent) && c.sent[n].seq <= seq {
		if k := c.known[c.sent[n].start]; k != nil {
			k.task = nil
		}
		c.sent[n] = nil
		n++
	}
	if c.sent = c.sent[n:]; len(c.sent) == 0 {
		c.sent = nil
		c.nudge() // that may have been all there was to do
	}
}

// talk sends what is queued until the connection breaks or has been of no use for a while (nil).
func (c *Client) talk(conn *net.UnixConn, broken <-chan struct{}) error {
	linger := time.NewTimer(c.o.Linger)
	defer linger.Stop()
	for {
		q := c.take()
		if q != nil {
			if err := writeFrame(conn, q); err != nil {
				return fmt.Errorf("write to the supervisor: %w", err)
			}
			continue
		}
		if c.need() == nothing {
			linger.Reset(c.o.Linger)
		} else {
			linger.Stop()
		}
		select {
		case <-c.wake:
		case <-broken:
			return nil
		case <-linger.C:
			return nil
		}
	}
}

// take makes a frame of what is queued; nil if nothing is.
func (c *Client) take() *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := request{Seq: c.seq + 1}
	n := 0
	for n < len(c.queue) && len(q.Start) < maxFrameTasks {
		o := c.queue[n]
		// A frame's parts are done in the order start, stop, ack.
		if o.start != "" && len(q.Stop)+len(q.Ack) > 0 || o.stop != nil && len(q.Ack) > 0 {
			break
		}
		n++
		switch {
		case o.start != "":
			k := c.known[o.start]
			if k == nil || k.task == nil {
				continue // the supervisor has it, or its end is known
			}
			k.sent = true
			q.Start = append(q.Start, *k.task)
		case o.stop != nil:
			q.Stop = append(q.Stop, *o.stop)
		case o.settled:
			q.Settled = true
		default:
			q.Ack = append(q.Ack, o.ack...)
		}
		o.seq = q.Seq
		c.sent = append(c.sent, o)
	}
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = nil
		if c.shutdown != nil && !c.asked {
			q.Shutdown, c.asked = c.shutdown, true
		}
	}
	if len(c.stats) > 0 {
		q.Stats = true
		c.statsSent, c.stats = append(c.statsSent, c.stats...), nil
	}
	q.Inspect, c.inspects = c.inspects, nil
	if len(q.Start)+len(q.Stop)+len(q.Ack)+len(q.Inspect) == 0 && !q.Settled && q.Shutdown == nil && !q.Stats {
		return nil
	}
	c.seq++
	return &q
}
