package supervisor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Ender is implemented by a Handle that can say whether its container has ended without being waited for.
type Ender interface {
	Ended() bool
}

// Quiet blocks until nothing goes on here by itself: no container is being started, told to stop or taken note of, and
// every report is delivered. What comes next is then up to the programs, the clock or a caller. It is for those who own
// the clock, in tests; the runtime's handles must be Enders.
func (k *Keeper) Quiet(ctx context.Context) error {
	for {
		changed := k.changes.next()
		quiet, err := k.quiet()
		if quiet || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for containers: %w", context.Cause(ctx))
		}
	}
}

func (k *Keeper) quiet() (bool, error) {
	if k.signalling.Load() != 0 { // before looking at the handles: what is being done to one may be its end
		return false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range k.tasks {
		if quiet, err := t.quiet(); !quiet || err != nil {
			return false, err
		}
	}
	return k.out.empty(), nil
}

func (t *task) quiet() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.report != nil {
		return true, nil
	}
	runs := false
	for _, c := range t.containers {
		switch c.state {
		case starting:
			return false, nil
		case running:
			h, ok := c.handle.(Ender)
			if !ok {
				return false, fmt.Errorf("container %s of task %s: its runtime does not say when it has ended", c.Name, t.Key)
			}
			if h.Ended() {
				return false, nil
			}
			runs = true
		}
	}
	return runs, nil // a task of which nothing runs is about to begin
}

// background does something to a handle that nobody waits for.
func (k *Keeper) background(do func()) {
	k.signalling.Add(1)
	k.busy.Go(func() {
		do()
		k.signalling.Add(-1)
		k.changes.tell()
	})
}

// changes wakes those who wait for a Keeper to become quiet.
type changes struct {
	mu sync.Mutex
	ch chan struct{} // nil if nobody waits
}

// next is closed at the next change.
func (c *changes) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	return c.ch
}

func (c *changes) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch != nil {
		close(c.ch)
		c.ch = nil
	}
}

// activity is what Quiet needs to know beside the tasks.
type activity struct {
	changes    changes
	signalling atomic.Int32 // handles that something is being done to
}
