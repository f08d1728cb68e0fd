package image

import (
	"context"
	"errors"
	"sync"
)

// flights lets callers who want the same thing at the same time share the work of getting it. The work goes on while
// anybody waits for it, and is cancelled when the last one has left.
type flights struct {
	mu     sync.Mutex
	live   map[string]*flight
	closed bool
	wg     sync.WaitGroup
}

var errClosed = errors.New("the image cache is closed")

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	val     any
	err     error
}

// do returns the result of fn for key, from a call already under way if there is one. fn runs in a goroutine of its own
// with a context that has the values of the first caller's and ends when nobody waits any more.
func (f *flights) do(ctx context.Context, key string, fn func(context.Context) (any, error)) (any, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, errClosed
	}
	fl := f.live[key]
	if fl == nil {
		fctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight{done: make(chan struct{}), cancel: cancel}
		if f.live == nil {
			f.live = map[string]*flight{}
		}
		f.live[key] = fl
		f.wg.Go(func() {
			defer cancel()
			fl.val, fl.err = fn(fctx)
			f.mu.Lock()
			if f.live[key] == fl {
				delete(f.live, key)
			}
			f.mu.Unlock()
			close(fl.done)
		})
	}
	fl.waiting++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.val, fl.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.waiting--; fl.waiting == 0 {
		fl.cancel()
		// Whoever comes now starts anew and does not get this one's cancellation.
		if f.live[key] == fl {
			delete(f.live, key)
		}
	}
	return nil, context.Cause(ctx)
}

// stop cancels what is under way and waits for it; nothing is begun any more.
func (f *flights) stop() {
	f.mu.Lock()
	f.closed = true
	for _, fl := range f.live {
		fl.cancel()
	}
	f.mu.Unlock()
	f.wg.Wait()
}
