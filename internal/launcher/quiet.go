package launcher

import (
	"context"
	"fmt"
)

// quiet is what Quiet needs to know.
type quiet struct {
	groups int           // being prepared
	calls  int64         // of Start and Stop, ever
	ch     chan struct{} // closed when a group is done; nil if nobody waits
}

// Quiet blocks until nothing is being prepared, and returns how often Start and Stop had been called by then. It is for
// those who own the clock, in tests.
func (l *Launcher) Quiet(ctx context.Context) (calls int64, err error) {
	for {
		l.mu.Lock()
		groups, calls := l.quiet.groups, l.quiet.calls
		if l.quiet.ch == nil {
			l.quiet.ch = make(chan struct{})
		}
		done := l.quiet.ch
		l.mu.Unlock()
		if groups == 0 {
			return calls, nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for tasks to be prepared: %w", context.Cause(ctx))
		}
	}
}

// Calls is how often Start and Stop have been called.
func (l *Launcher) Calls() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.quiet.calls
}

// prepared says that a group is no longer being prepared.
func (l *Launcher) prepared() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet.groups--
	if l.quiet.ch != nil {
		close(l.quiet.ch)
		l.quiet.ch = nil
	}
}
