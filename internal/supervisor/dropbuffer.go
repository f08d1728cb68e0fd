package supervisor

import (
	"bytes"
	"sync"
)

// defaultDropBuffer is the max-buffer-size of the awslogs driver's non-blocking mode where none is given (Docker's
// default).
const defaultDropBuffer = 1 << 20

// dropBuffer holds output on its way in non-blocking mode. When it is full, whole lines are dropped: from where it is
// full to the next line end, so that what is kept are lines as they were written, save one cut short.
type dropBuffer struct {
	max int

	mu       sync.Mutex
	more     sync.Cond
	data     []byte
	dropping bool
	ended    bool
	dropped  int64
}

func newDropBuffer(limit int64) *dropBuffer {
	if limit <= 0 {
		limit = defaultDropBuffer
	}
	b := &dropBuffer{max: int(limit)}
	b.more.L = &b.mu
	return b
}

// put adds p, or as much of it as there is room for. It does not block on anything but the lock.
func (b *dropBuffer) put(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dropping {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			b.dropped += int64(len(p))
			return
		}
		// The line end is kept: it ends the line that was cut short.
		b.dropped += int64(end)
		p = p[end:]
		b.dropping = false
	}
	n := min(len(p), b.max-len(b.data))
	b.data = append(b.data, p[:n]...)
	if n < len(p) {
		b.dropping = true
		b.dropped += int64(len(p) - n)
	}
	b.more.Signal()
}

// end says that nothing more comes.
func (b *dropBuffer) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.more.Signal()
}

// drain passes on what is put, until the end.
func (b *dropBuffer) drain(to func([]byte)) {
	var batch []byte
	for {
		b.mu.Lock()
		for len(b.data) == 0 && !b.ended {
			b.more.Wait()
		}
		// Two slices change places; both stay until the end only if they are small.
		batch, b.data = b.data, batch[:0]
		b.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		to(batch)
		if cap(batch) > readBytes {
			batch = nil
		}
	}
}
