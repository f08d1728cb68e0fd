package docker

import (
	"io"
	"sync"
	"time"
)

// A daemon waits for two seconds after a program's end until its output has been taken, and then gives up what it has not
// read yet (moby, daemon/monitor.go and container/stream; so does containerd's shim): it holds a mebibyte for whoever is
// attached, and the pipes from the program to it hold some more. It says that a program has ended only after that.
//
// So a program whose output is not taken for a while, because the disk is full or slow, waits as it should, but when it may
// have ended its output is taken all the same: what the daemon can hold, and no more.
const (
	// maxBacklog is how much of a running program's output is held here.
	maxBacklog = 256 << 10
	// maxLate is how much more of one that may have ended, more than a daemon holds; maxHeld is how much in all, for some have not.
	maxLate = 4 << 20
	maxHeld = 16 << 20
	// stallPatience is how long nothing is taken before it is asked whether the program has ended.
	stallPatience = 200 * time.Millisecond
)

// backlog is what is yet to be written to a file that takes its time.
type backlog struct {
	to io.Writer
	// mayHaveEnded says whether the program may have ended.
	mayHaveEnded func() bool
	limit        int // of what is held; Write's

	mu      sync.Mutex
	buf     []byte
	pending int // buf, and what is being written
	err     error
	closed  bool

	more, room chan struct{} // hold one notice each
	done       chan struct{}
}

func newBacklog(to io.Writer, mayHaveEnded func() bool) *backlog {
	b := &backlog{to: to, mayHaveEnded: mayHaveEnded, more: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{})}
	go b.write()
	return b
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Write implements io.Writer. It returns when there is room for more.
func (b *backlog) Write(p []byte) (int, error) {
	b.mu.Lock()
	if b.err != nil {
		defer b.mu.Unlock()
		return 0, b.err
	}
	b.buf = append(b.buf, p...)
	b.pending += len(p)
	b.mu.Unlock()
	notify(b.more)
	for {
		held := b.held()
		if held <= maxBacklog {
			b.limit = maxBacklog
		}
		if held <= b.limit {
			return len(p), nil
		}
		stalled := time.NewTimer(stallPatience)
		select {
		case <-b.room:
		case <-stalled.C:
			b.limit = maxBacklog
			if b.mayHaveEnded() {
				b.limit = min(b.held()+maxLate, maxHeld)
			}
		}
		stalled.Stop()
	}
}

func (b *backlog) held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pending
}

// write writes what there is, as long as there may be more. An error ends all writing, and Write hears of it.
func (b *backlog) write() {
	defer close(b.done)
	var free []byte
	for {
		b.mu.Lock()
		chunk, closed := b.buf, b.closed
		b.buf = free[:0]
		b.mu.Unlock()
		if len(chunk) == 0 {
			if closed {
				return
			}
			free = chunk
			<-b.more
			continue
		}
		_, err := b.to.Write(chunk)
		b.mu.Lock()
		b.pending -= len(chunk)
		if err != nil {
			b.err = err
			b.buf, b.pending = nil, 0
		}
		b.mu.Unlock()
		notify(b.room)
		if err != nil {
			return
		}
		if free = chunk; cap(free) > maxBacklog {
			free = nil
		}
	}
}

// close waits until all is written, however long that takes.
func (b *backlog) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	notify(b.more)
	<-b.done
}
