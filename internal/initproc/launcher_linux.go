package initproc

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// launchThreads is how many containers are cloned at once. The kernel's share of a clone, new namespaces above all, takes
// most of the time, and is spent in the thread that asks for it.
const launchThreads = 4

// maxRequest bounds an encoded Request: a path and a few numbers.
const maxRequest = 16 << 10

// initEnv is the environment of an init: it runs for a millisecond and needs neither parallelism nor garbage collection.
var initEnv = []string{"GOMAXPROCS=1", "GOGC=off"}

// launcher is the parent of a runtime's containers.
type launcher struct {
	null int
	// home are the `tasks` files of the launcher's own version 1 cgroups.
	home []int

	mu sync.Mutex
	// children maps the process id of each living container to the id of the Request that started it.
	children map[int]uint64
	// launching counts requests whose child may not be in children yet; early are the ends of children that were reaped
	// meanwhile. With launching at 0, an unknown child is one whose exec failed, and is forgotten.
	launching int
	early     map[int]unix.WaitStatus
	// born wakes the reaping thread when there may be a child again.
	born *sync.Cond
	sender
}

// sender sends events over the socket.
type sender struct {
	// sending keeps the order of events about one container: Launched before Exited.
	sending sync.Mutex
}

// launcherMain serves the requests that come over the socket until that is closed, which ends every container.
func launcherMain() {
	unix.CloseOnExec(socket)
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		say(Name + ": open /dev/null: " + err.Error() + "\n")
		syscall.Exit(1)
	}
	l := &launcher{null: null, children: make(map[int]uint64), early: make(map[int]unix.WaitStatus)}
	l.born = sync.NewCond(&l.mu)

	r, fds, err := nextRequest()
	if err != nil || r.Kind != RequestBegin || len(fds) == 0 {
		syscall.Exit(1)
	}
	// A directory whose path may lead through others that this process may not search.
	if err := unix.Fchdir(fds[0]); err != nil {
		say(Name + ": chdir: " + err.Error() + "\n")
		syscall.Exit(1)
	}
	_ = unix.Close(fds[0])
	l.home = fds[1:]
	if err := l.send(&Event{Kind: EventReady, ID: r.ID, Protocol: Protocol}, -1); err != nil {
		syscall.Exit(1)
	}
	removals, measurements := make(chan string, 1024), make(chan *Request, 1024)
	var removing, serving sync.WaitGroup
	removing.Go(func() {
		for path := range removals {
			_ = os.RemoveAll(path) // what stays is found by the next sweep
		}
	})
	go l.measure(measurements)
	go l.reap()
	for range launchThreads {
		serving.Go(func() { l.serve(removals, measurements) })
	}
	serving.Wait()
	// The runtime is gone, or wants no more containers.
	l.mu.Lock()
	for pid := range l.children {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	l.mu.Unlock()
	close(removals)
	removing.Wait()
	syscall.Exit(0)
}

func nextRequest() (*Request, []int, error) {
	buf := make([]byte, maxRequest)
	n, fds, err := receive(socket, buf)
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return nil, nil, errors.New("the runtime is gone")
	}
	r, err := ParseRequest(buf[:n])
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	return r, fds, nil
}

// serve handles requests on a thread that does nothing else: a thread's cgroups change while it launches, and a
// container's parent-death signal is bound to the thread that cloned it.
func (l *launcher) serve(removals chan<- string, measurements chan<- *Request) {
	runtime.LockOSThread()
	for {
		r, fds, err := nextRequest()
		if err != nil {
			return
		}
		switch r.Kind {
		case RequestLaunch:
			l.launch(r, fds)
		case RequestRemove:
			removals <- r.Path
		case RequestMeasure:
			measurements <- r
		case RequestHub:
			go l.makeHub(r)
		}
		closeAll(fds)
	}
}

func (l *launcher) measure(requests <-chan *Request) {
	for r := range requests {
		var err error
		e := &Event{Kind: EventMeasured, ID: r.ID}
		if e.Bytes, err = DiskUsage(r.Path); err != nil {
			e.Text = err.Error()
		}
		_ = l.send(e, -1) // if the runtime is gone, so is everything soon
	}
}

// launch clones one init.
func (l *launcher) launch(r *Request, fds []int) {
	want := 2
	if r.CgroupFD {
		want++
	}
	if len(fds) < want {
		l.fail(r, "launch", unix.EBADMSG)
		return
	}
	pidfd := -1
	attr := syscall.ProcAttr{
		Env:   initEnv,
		Files: []uintptr{uintptr(l.null), uintptr(fds[0]), uintptr(fds[0]), uintptr(fds[1])},
		Sys: &syscall.SysProcAttr{
			Cloneflags: uintptr(r.Namespaces),
			PidFD:      &pidfd,
		},
	}
	if r.OwnUser {
		// Root of that namespace in all but name, until the init gives it up.
		attr.Sys.Cloneflags |= unix.CLONE_NEWUSER
		attr.Sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: r.UID, Size: 1}}
		attr.Sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: r.GID, Size: 1}}
		attr.Sys.AmbientCaps = allCapabilities()
	}
	if r.CgroupFD {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fds[2]
	}
	// A version 1 cgroup is inherited, so this thread goes there first. Moving oneself, alone of a process, is cheap:
	// moving another process stops every fork on the machine for a moment (cgroup_threadgroup_rwsem).
	tasks := fds[want:]
	if err := enter(tasks); err != nil {
		_ = enter(l.home)
		l.fail(r, "enter cgroup", err)
		return
	}
	l.mu.Lock()
	l.launching++
	l.mu.Unlock()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{Name, roleInit}, &attr)
	back := enter(l.home)

	// The lock is held until the runtime has been told, so that it hears of the start before the end.
	l.sending.Lock()
	l.mu.Lock()
	l.launching--
	status, ended := l.early[pid]
	delete(l.early, pid)
	if err == nil && !ended {
		l.children[pid] = r.ID
		l.born.Signal()
	}
	if l.launching == 0 {
		clear(l.early)
	}
	l.mu.Unlock()
	if err != nil {
		l.sending.Unlock()
		l.fail(r, "clone", err)
		return
	}
	_ = l.sendLocked(&Event{Kind: EventLaunched, ID: r.ID, PID: pid}, pidfd)
	if ended {
		_ = l.sendLocked(&Event{Kind: EventExited, ID: r.ID, Status: uint64(status)}, -1)
	}
	l.sending.Unlock()
	if pidfd >= 0 {
		_ = unix.Close(pidfd)
	}
	if back != nil {
		// From a cgroup of a container nothing must be launched, nor can that be removed.
		say(Name + ": leave cgroup: " + back.Error() + "\n")
		syscall.Exit(1)
	}
}

// allCapabilities are those this kernel knows.
var allCapabilities = sync.OnceValue(func() (all []uintptr) {
	for n := range uintptr(lastCapability + 1) {
		if unix.Prctl(unix.PR_CAPBSET_READ, n, 0, 0, 0) != nil {
			break
		}
		all = append(all, n)
	}
	return all
})

func enter(tasks []int) error {
	for _, fd := range tasks {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return err
		}
	}
	return nil
}

func (l *launcher) fail(r *Request, what string, err error) {
	e := &Event{Kind: EventFailed, ID: r.ID, Text: what + ": " + err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		e.Errno = uint64(errno)
	}
	_ = l.send(e, -1)
}

func (s *sender) send(e *Event, fd int) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.sendLocked(e, fd)
}

func (s *sender) sendLocked(e *Event, fd int) error {
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	msg := e.Append(make([]byte, 0, 64))
	for {
		err := unix.Sendmsg(socket, msg, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// reap waits for children and tells how they ended.
func (l *launcher) reap() {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // no children
			l.mu.Lock()
			for len(l.children) == 0 {
				l.born.Wait()
			}
			l.mu.Unlock()
		default:
			l.ended(pid, ws)
		}
	}
}

func (l *launcher) ended(pid int, ws unix.WaitStatus) {
	l.mu.Lock()
	id, ok := l.children[pid]
	delete(l.children, pid)
	if !ok && l.launching > 0 {
		l.early[pid] = ws
	}
	l.mu.Unlock()
	if ok {
		_ = l.send(&Event{Kind: EventExited, ID: id, Status: uint64(ws)}, -1)
	}
}
