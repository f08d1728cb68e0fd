package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

const (
	readBytes = 64 << 10 // as much as a pipe holds
	// What can not be written because the disk is full is tried again for ever, what can not be written for another reason
	// so long, and at most so rarely.
	writePatience = 30 * time.Second
	maxWritePause = 2 * time.Second
	// A program still holding the pipe after its container has ended is read no further than this.
	maxLeftover = 1 << 20
)

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// output carries what a container writes from its pipe to its log stream. Nothing is held in memory: while the stream
// can not take more, the pipe fills and the program waits in write(2), as with the blocking mode of the awslogs driver
// when CloudWatch can not be reached. So a full disk costs no output; jobs that write go on when there is space again.
// In non-blocking mode a bounded buffer stands between, and what does not fit is dropped.
type output struct {
	k      *Keeper
	r      *os.File
	stream LogStream
	buffer *dropBuffer // nil in blocking mode
	done   chan struct{}

	// Belong to the reading goroutine until done is closed.
	err error
}

func newOutput(k *Keeper, r *os.File, stream LogStream, target *runtime.LogTarget) *output {
	o := &output{k: k, r: r, stream: stream, done: make(chan struct{})}
	k.busy.Add(1)
	if target.NonBlocking {
		o.buffer = newDropBuffer(target.MaxBufferBytes)
		go o.readAndDrop()
	} else {
		go o.read()
	}
	return o
}

// read copies until the pipe's end.
func (o *output) read() {
	defer o.k.busy.Done()
	defer close(o.done)
	o.copy(o.write)
}

// readAndDrop is read with the buffer in between.
func (o *output) readAndDrop() {
	defer o.k.busy.Done()
	defer close(o.done)
	written := make(chan struct{})
	go func() {
		defer close(written)
		o.buffer.drain(o.write)
	}()
	o.copy(o.buffer.put)
	o.buffer.end()
	<-written
}

func (o *output) copy(to func([]byte)) {
	conn, err := o.r.SyscallConn()
	if err != nil {
		o.err = err
		return
	}
	// A buffer is only held while there is something to read.
	var broken error
	err = conn.Read(func(fd uintptr) bool {
		var again bool
		again, broken = drain(int(fd), -1, to)
		return !again
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The container has ended, but somebody holds the pipe open: take what is there and leave.
		var left error
		err = errors.Join(conn.Control(func(fd uintptr) { _, left = drain(int(fd), maxLeftover, to) }), left)
	}
	if err = errors.Join(err, broken); err != nil && o.err == nil {
		o.err = fmt.Errorf("read output: %w", err)
	}
}

// drain reads until the pipe is empty (again is true), at its end, or limit bytes have come (-1 for no limit).
func drain(fd, limit int, to func([]byte)) (again bool, err error) {
	buf := readBuffers.Get().(*[readBytes]byte)
	defer readBuffers.Put(buf)
	for limit != 0 {
		n, err := syscall.Read(fd, buf[:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return true, nil
		case err != nil:
			return false, err
		case n == 0:
			return false, nil
		default:
			to(buf[:n])
			if limit > 0 {
				limit = max(0, limit-n)
			}
		}
	}
	return false, nil
}

// write hands p to the stream, however long that takes. After an error that does not pass, or when the keeper is closed,
// the rest of the output is discarded, so that the program can go on.
func (o *output) write(p []byte) {
	o.k.count.logBytes.Add(int64(len(p)))
	if o.err != nil {
		return
	}
	o.err = o.k.insist(func() error {
		n, err := o.stream.Write(p)
		p = p[n:]
		return err
	})
}

func (k *Keeper) insist(do func() error) error { return insist(k.ctx, k.log, writePatience, do) }

// insist does something with a disk until it succeeds, ctx is done, or an error other than a full disk lasts too long.
func insist(ctx context.Context, log *slog.Logger, patience time.Duration, do func() error) error {
	err := do()
	if err == nil {
		return nil
	}
	log.Warn("the disk does not take more; trying again", "err", err)
	since := time.Now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, maxWritePause) {
		if !full(err) && time.Since(since) > patience {
			return fmt.Errorf("given up after %v: %w", patience, err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("given up because the supervisor ends: %w", err)
		}
		if err = do(); err == nil {
			log.Info("the disk takes more again", "after", time.Since(since))
			return nil
		}
	}
}

// full says whether an error means that there is no space: somebody will make some.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// finish is called when the container has ended. It returns when what it wrote is durable, or why some of it is lost.
func (o *output) finish(grace time.Duration) error {
	if o == nil {
		return nil
	}
	select {
	case <-o.done:
	default:
		// Usually the end of the pipe is there already, or a moment away.
		_ = o.r.SetReadDeadline(time.Now().Add(grace))
		<-o.done
	}
	err := errors.Join(o.err, o.k.insist(o.stream.Close), o.r.Close())
	return errors.Join(err, o.k.insist(o.k.o.Logs.Sync))
}

func (o *output) dropped() int64 {
	if o.buffer == nil {
		return 0
	}
	return o.buffer.dropped
}
