package fake

import (
	"sort"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Clock is a runtime.Clock that stands still until it is advanced.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer // armed
	armed  chan struct{}
}

type timer struct {
	c  *Clock
	at time.Time
	f  func()
}

var _ runtime.Clock = (*Clock)(nil)

// NewClock returns a Clock that shows now.
func NewClock(now time.Time) *Clock { return &Clock{now: now, armed: make(chan struct{})} }

// Now implements runtime.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc implements runtime.Clock. A timer for no time at all, or less, fires with the next Advance.
func (c *Clock) AfterFunc(d time.Duration, f func()) runtime.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{c, c.now.Add(d), f}
	c.timers = append(c.timers, t)
	close(c.armed)
	c.armed = make(chan struct{})
	return t
}

// Stop implements runtime.Timer.
func (t *timer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for i, other := range t.c.timers {
		if other == t {
			t.c.timers = append(t.c.timers[:i], t.c.timers[i+1:]...)
			return true
		}
	}
	return false
}

// Advance moves the clock and calls what has become due, in order, from this goroutine. The clock shows each one's time
// while it is called; it returns when all have.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.now.Add(d)
	for {
		sort.SliceStable(c.timers, func(i, j int) bool { return c.timers[i].at.Before(c.timers[j].at) })
		if len(c.timers) == 0 || c.timers[0].at.After(end) {
			break
		}
		t := c.timers[0]
		c.timers = c.timers[1:]
		if t.at.After(c.now) {
			c.now = t.at
		}
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// Timers is how many timers are armed.
func (c *Clock) Timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// AwaitTimers blocks until at least n timers are armed: until whoever will need the clock has asked for it.
func (c *Clock) AwaitTimers(n int) {
	for {
		c.mu.Lock()
		have, armed := len(c.timers), c.armed
		c.mu.Unlock()
		if have >= n {
			return
		}
		<-armed
	}
}
