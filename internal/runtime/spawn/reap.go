package spawn

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

// reaping is the reaper of this process.
var reaping = reaper{procs: make(map[int]*Process)}

// reaper turns SIGCHLD into the end of Processes.
type reaper struct {
	users struct {
		sync.Mutex
		n       int
		stop    chan struct{}
		stopped chan struct{}
	}
	wake chan os.Signal // SIGCHLD, or a poke by afterFork

	mu    sync.Mutex
	procs map[int]*Process
	// forking counts forks whose child has not been entered in procs. A zombie unknown to procs may be that child.
	forking int
	// missed is set when the reaper left an unknown zombie alone because of forking.
	missed bool

	adopting atomic.Bool
	orphans  sync.Mutex // held while an adopted child is reaped or signalled
}

func (r *reaper) acquire() {
	r.users.Lock()
	defer r.users.Unlock()
	if r.users.n++; r.users.n > 1 {
		return
	}
	r.wake = make(chan os.Signal, 1)
	r.users.stop, r.users.stopped = make(chan struct{}), make(chan struct{})
	signal.Notify(r.wake, syscall.SIGCHLD)
	go r.run(r.wake, r.users.stop, r.users.stopped)
}

func (r *reaper) release() {
	r.users.Lock()
	defer r.users.Unlock()
	if r.users.n--; r.users.n > 0 {
		return
	}
	signal.Stop(r.wake)
	close(r.users.stop)
	<-r.users.stopped
	r.mu.Lock()
	clear(r.procs)
	r.mu.Unlock()
}

func (r *reaper) run(wake <-chan os.Signal, stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	for {
		select {
		case <-stop:
			return
		case <-wake:
			r.reap()
		}
	}
}

func (r *reaper) beforeFork() {
	r.mu.Lock()
	r.forking++
	r.mu.Unlock()
}

// afterFork enters the child (nil if there is none) and, if the reaper passed over a zombie meanwhile, has it look again.
func (r *reaper) afterFork(p *Process) {
	r.mu.Lock()
	r.forking--
	if p != nil {
		r.procs[p.id.pid] = p
	}
	poke := r.missed && r.forking == 0
	if poke {
		r.missed = false
	}
	r.mu.Unlock()
	if poke {
		select {
		case r.wake <- syscall.SIGCHLD:
		default:
		}
	}
}

// end reaps a zombie, after ending what is left of its process group: until it is reaped no other group can have its
// number.
func (r *reaper) end(p *Process) {
	r.mu.Lock()
	delete(r.procs, p.id.pid)
	r.mu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.group {
		_ = syscall.Kill(-p.id.pid, syscall.SIGKILL) // an error means that nobody is left
	}
	if err := wait(p.id.pid, &p.status); err != nil {
		p.err = fmt.Errorf("wait for process %d: %w", p.id.pid, err)
	}
	p.gone = true
	close(p.done)
}

// scan looks at every process of ours by its number.
func (r *reaper) scan() {
	r.mu.Lock()
	procs := make([]*Process, 0, len(r.procs))
	for _, p := range r.procs {
		procs = append(procs, p)
	}
	r.mu.Unlock()
	for _, p := range procs {
		if ended(p.id.pid) {
			r.end(p)
		}
	}
}

func wait(pid int, ws *syscall.WaitStatus) error {
	for {
		_, err := syscall.Wait4(pid, ws, 0, nil)
		if err != syscall.EINTR {
			return err
		}
	}
}
