// Package spawn starts programs on the host as cheaply as the kernel allows and tells how they ended. A few threads do
// all forking and one goroutine all reaping, however many programs run, so that a running program costs no thread.
//
// Reaping is a property of a whole process (SIGCHLD does not say whose child it was), so every Host of a process shares
// one reaper. It leaves alone the children that others started, os/exec among them.
package spawn

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// Command is a program to start. There is no search along PATH and nothing is added to Env.
type Command struct {
	Path string   // absolute path of the file to execute
	Argv []string // with the name the program sees as its own first
	Env  []string // NAME=VALUE; empty means an empty environment
	Dir  string   // working directory; empty is the caller's
	// Stdin, Stdout and Stderr are descriptors of the caller. They should be in blocking mode: the mode is shared with the
	// program.
	Stdin, Stdout, Stderr uintptr
	// Sys is passed to the kernel as it is. A program that leads a session or process group of its own (Setsid, Setpgid)
	// takes the rest of its group with it when it ends.
	Sys syscall.SysProcAttr
}

// ErrClosed is returned by Start on a closed Host.
var ErrClosed = errors.New("spawn: host is closed")

// Host starts programs. Its methods may be called concurrently.
type Host struct {
	starts  chan *start
	forkers sync.WaitGroup

	mu     sync.RWMutex // held for reading while something is sent on starts
	closed bool
}

type start struct {
	cmd  *Command
	p    *Process
	err  error
	done chan struct{}
}

var startPool = sync.Pool{New: func() any { return &start{done: make(chan struct{}, 1)} }}

// Open returns a Host. Close it when every program it started has ended. Descriptors that this process was given by
// whoever started it are not passed on to programs from then on.
func Open() *Host {
	withhold()
	h := &Host{starts: make(chan *start, 64)}
	reaping.acquire()
	// A fork holds its thread until the program has been executed. One forking thread keeps two processors busy.
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		h.forkers.Go(h.fork)
	}
	return h
}

// Close ends the forking threads and, with the last Host, the reaper. Programs still running are neither ended nor
// reported any more.
func (h *Host) Close() {
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.closed = true
		close(h.starts)
	}
	h.mu.Unlock()
	h.forkers.Wait()
	if !closed {
		reaping.release()
	}
}

// Start executes the program. It returns when the kernel has taken it (execve succeeded), or the error of the system call
// that failed, a syscall.Errno.
func (h *Host) Start(cmd *Command) (*Process, error) {
	s := startPool.Get().(*start)
	s.cmd = cmd
	h.mu.RLock()
	if h.closed {
		h.mu.RUnlock()
		return nil, ErrClosed
	}
	h.starts <- s
	h.mu.RUnlock()
	<-s.done
	p, err := s.p, s.err
	s.cmd, s.p, s.err = nil, nil, nil
	startPool.Put(s)
	return p, err
}

// Process is a started program.
type Process struct {
	id    identity
	group bool // it leads its process group

	mu   sync.Mutex
	gone bool // reaped: the pid may be somebody else's by now

	// Written before done is closed.
	status syscall.WaitStatus
	err    error
	done   chan struct{}
}

// PID is the process id; it is only meaningful until the program has ended.
func (p *Process) PID() int { return p.id.pid }

// Done is closed when the program has ended and been reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait blocks until the program has ended. The error says why its status is not known: something else in this process
// waited for it.
func (p *Process) Wait() (syscall.WaitStatus, error) {
	<-p.done
	return p.status, p.err
}

// Signal sends a signal to the program. Signalling a program that has ended is not an error.
func (p *Process) Signal(sig syscall.Signal) error { return p.signal(p.id.pid, sig) }

// SignalGroup sends a signal to every process of the group that the program leads, or to the program alone if it leads
// none.
func (p *Process) SignalGroup(sig syscall.Signal) error {
	if p.group {
		return p.signal(-p.id.pid, sig)
	}
	return p.signal(p.id.pid, sig)
}

func (p *Process) signal(to int, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	if err := syscall.Kill(to, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to process %d: %w", sig, p.id.pid, err)
	}
	return nil
}

// ExitCode is the exit code as a container engine reports it: the program's own, or 128 + the signal that ended it.
func ExitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// withhold sets close-on-exec on every descriptor but the standard ones. Go sets it on its own; those that were inherited
// come without.
var withhold = sync.OnceFunc(func() {
	d, err := os.Open("/dev/fd")
	if err != nil {
		return
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
})

// devNull is opened once; every program gets it as stdin that is given none.
var devNull = sync.OnceValues(func() (*os.File, error) { return os.Open(os.DevNull) })

// DevNull is a descriptor of /dev/null opened for reading, valid for the life of the process.
func DevNull() (uintptr, error) {
	f, err := devNull()
	if err != nil {
		return 0, err
	}
	return f.Fd(), nil
}
