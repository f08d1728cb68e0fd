package batchboxtest

import (
	"slices"
	"sync"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// clock is the time of a simulation. It stands still until it is moved. It implements server.Clock.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer // armed, in the order in which they were
}

type timer struct {
	c  *clock
	at time.Time
	f  func()
}

func newClock(now time.Time) *clock { return &clock{now: now} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc implements runtime.Clock. f is called by move, from its goroutine.
func (c *clock) AfterFunc(d time.Duration, f func()) runtime.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arm(c.now.Add(d), f)
}

func (c *clock) arm(at time.Time, f func()) *timer {
	t := &timer{c, at, f}
	c.timers = append(c.timers, t)
	return t
}

// NewTimer implements engine.Clock.
func (c *clock) NewTimer(at time.Time) (<-chan time.Time, func()) {
	fired := make(chan time.Time, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !at.After(c.now) {
		fired <- c.now
		return fired, func() {}
	}
	t := c.arm(at, nil)
	t.f = func() { fired <- t.at }
	return fired, func() { t.Stop() }
}

// Stop implements runtime.Timer.
func (t *timer) Stop() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.c.remove(t)
}

func (c *clock) remove(t *timer) bool {
	i := slices.Index(c.timers, t)
	if i < 0 {
		return false
	}
	c.timers = slices.Delete(c.timers, i, i+1)
	return true
}

// earliest is the timer that is due first, the one armed first among equals; nil if there is none.
func (c *clock) earliest() *timer {
	var first *timer
	for _, t := range c.timers {
		if first == nil || t.at.Before(first.at) {
			first = t
		}
	}
	return first
}

// next is when the first timer is due; zero if there is none.
func (c *clock) next() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.earliest(); t != nil {
		return t.at
	}
	return time.Time{}
}

// move sets the time to at, which is no earlier than now, and calls what is due by then.
func (c *clock) move(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = at
	for t := c.earliest(); t != nil && !t.at.After(at); t = c.earliest() {
		c.remove(t)
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
	}
}
