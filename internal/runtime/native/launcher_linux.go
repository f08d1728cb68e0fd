package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime/native/initbin"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// errLauncherGone is the reason of everything a dead launcher leaves undone.
var errLauncherGone = errors.New("the process that starts containers has died")

// launcher is the runtime's side of a launcher process.
type launcher struct {
	cmd  *exec.Cmd
	conn *net.UnixConn
	// userns is the launcher's user namespace; nil if it has none of its own.
	userns *os.File
	// maxNofile is the most open files that containers can be allowed.
	maxNofile uint64
	// gone is closed when the process is no more.
	gone chan struct{}

	hubMu  sync.Mutex
	theHub *tasknet.Hub // nil before it is wanted; see hub
	hubErr error

	mu   sync.Mutex
	last uint64
	// waiting has the receiver of events for each request that expects any. nil once the launcher is gone.
	waiting map[uint64]receiver
}

// receiver is told about one request. It must not block.
type receiver interface {
	// event is called with the pidfd that came along, or nil. It returns false if no more events are expected.
	event(e *initproc.Event, pidfd *os.File) bool
	// lost is called instead when the launcher has died.
	lost()
}

// startLauncher starts a launcher, in a user namespace if there are ids for it, and waits until it is ready.
func startLauncher(ctx context.Context, exe *os.File, ids *idMaps, dir *os.File, home []*os.File) (_ *launcher, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "launcher's socket")
	defer theirs.Close()
	conn, err := unixConn(pair[0])
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	cmd := &exec.Cmd{
		Path:       initbin.Command(exe),
		Args:       initproc.LauncherArgs(),
		Env:        initproc.LauncherEnv(),
		Dir:        "/",
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{theirs},
	}
	if ids != nil {
		all, err := allCapabilities()
		if err != nil {
			return nil, err
		}
		// Its user id means nothing in there, so that execve would take its capabilities, were they not ambient.
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, AmbientCaps: all}
	}
	if err := cmd.Start(); err != nil {
		if ids != nil {
			return nil, fmt.Errorf("start in a new user namespace: %w", err)
		}
		return nil, fmt.Errorf("start: %w", err)
	}
	// Only the launcher has its end now, so that we hear when it dies.
	_ = theirs.Close()
	l := &launcher{cmd: cmd, conn: conn, gone: make(chan struct{}), waiting: make(map[uint64]receiver)}
	go l.receive()
	defer func() {
		if err != nil {
			_ = l.close()
		}
	}()
	if ids != nil {
		if err := ids.apply(ctx, cmd.Process.Pid); err != nil {
			return nil, err
		}
		if l.userns, err = os.Open("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/ns/user"); err != nil {
			return nil, err
		}
	}
	if l.maxNofile, err = raiseLimits(cmd.Process.Pid); err != nil {
		return nil, err
	}

	ready := make(chan error, 1)
	id := l.expect(&readiness{ready})
	fds := []int{int(dir.Fd())}
	for _, f := range home {
		fds = append(fds, int(f.Fd()))
	}
	if err := l.send(&initproc.Request{Kind: initproc.RequestBegin, ID: id}, fds); err != nil {
		return nil, err
	}
	select {
	case err := <-ready:
		return l, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// unixConn makes a connection of a socket, which it takes over.
func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return c.(*net.UnixConn), nil
}

// allCapabilities are all this kernel knows.
func allCapabilities() ([]uintptr, error) {
	const path = "/proc/sys/kernel/cap_last_cap"
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []uintptr
	for c := range last + 1 {
		all = append(all, uintptr(c))
	}
	return all, nil
}

// raiseLimits lifts the launcher's hard limits, as far as this process may (CAP_SYS_RESOURCE): containers inherit them, and
// can not raise them from inside a user namespace. It returns that of open files.
func raiseLimits(pid int) (nofile uint64, err error) {
	for _, r := range limits {
		var l unix.Rlimit
		if err := unix.Prlimit(pid, r, nil, &l); err != nil {
			return 0, fmt.Errorf("prlimit: %w", err)
		}
		most := uint64(unix.RLIM_INFINITY)
		if r == unix.RLIMIT_NOFILE {
			most = kernelNofile
		}
		if most > l.Max {
			raised := unix.Rlimit{Cur: l.Cur, Max: most}
			if unix.Prlimit(pid, r, &raised, nil) == nil {
				l = raised
			}
		}
		if r == unix.RLIMIT_NOFILE {
			nofile = l.Max
		}
	}
	return nofile, nil
}

// kernelNofile is the kernel's own bound on RLIMIT_NOFILE unless somebody changed it (fs.nr_open).
const kernelNofile = 1 << 20

// readiness waits for EventReady.
type readiness struct{ c chan error }

func (r *readiness) event(e *initproc.Event, _ *os.File) bool {
	if e.Protocol != initproc.Protocol {
		r.c <- fmt.Errorf("batchbox-init speaks protocol %d, not %d: run `go generate ./internal/runtime/native` and build again", e.Protocol, initproc.Protocol)
	} else {
		r.c <- nil
	}
	return false
}

func (r *readiness) lost() { r.c <- errLauncherGone }

// expect registers a receiver and returns the id of its request.
func (l *launcher) expect(r receiver) uint64 {
	l.mu.Lock()
	l.last++
	id, gone := l.last, l.waiting == nil
	if !gone {
		l.waiting[id] = r
	}
	l.mu.Unlock()
	if gone {
		r.lost()
	}
	return id
}

func (l *launcher) forget(id uint64) {
	l.mu.Lock()
	delete(l.waiting, id)
	l.mu.Unlock()
}

// send sends a request with descriptors. It blocks while the launcher has too many to do.
func (l *launcher) send(r *initproc.Request, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := l.conn.WriteMsgUnix(r.Append(nil), oob, nil); err != nil {
		return fmt.Errorf("%w: %w", errLauncherGone, err)
	}
	return nil
}

// receive hands out events until the launcher is gone, and then tells everybody who waits for one.
func (l *launcher) receive() {
	buf, oob := make([]byte, 16<<10), make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, _, err := l.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			break
		}
		pidfd := rights(oob[:oobn])
		e, err := initproc.ParseEvent(buf[:n])
		if err != nil {
			break
		}
		l.mu.Lock()
		r := l.waiting[e.ID]
		l.mu.Unlock()
		switch {
		case r == nil:
			if pidfd != nil {
				_ = pidfd.Close()
			}
		case !r.event(e, pidfd):
			l.forget(e.ID)
		}
	}
	_ = l.conn.Close()
	_ = l.cmd.Wait() // how it ended is of no interest
	l.mu.Lock()
	left := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, r := range left {
		r.lost()
	}
	close(l.gone)
}

// rights is the descriptor in a control message, if there is one.
func rights(oob []byte) *os.File {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	return os.NewFile(uintptr(fds[0]), "pidfd")
}

// alive reports whether the launcher can be used.
func (l *launcher) alive() bool {
	select {
	case <-l.gone:
		return false
	default:
		return true
	}
}

// launcherPatience is how long a launcher may take to end: it finishes removing directories first.
const launcherPatience = 10 * time.Second

// close ends the launcher, and with it every container it started. It is called once.
func (l *launcher) close() error {
	// It sees the end of what it can read, and removes what it was asked to before it goes.
	err := l.conn.CloseWrite()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, unix.ENOTCONN) {
		err = nil
	}
	late := time.AfterFunc(launcherPatience, func() { _ = l.cmd.Process.Kill() })
	<-l.gone
	late.Stop()
	l.hubMu.Lock()
	if l.theHub != nil {
		err = errors.Join(err, l.theHub.Close())
	}
	l.hubMu.Unlock()
	if l.userns != nil {
		_ = l.userns.Close()
	}
	return err
}

// measure asks how much storage a directory takes.
func (l *launcher) measure(ctx context.Context, dir string) (uint64, error) {
	m := &measurement{make(chan result, 1)}
	id := l.expect(m)
	if err := l.send(&initproc.Request{Kind: initproc.RequestMeasure, ID: id, Path: dir}, nil); err != nil {
		l.forget(id)
		return 0, err
	}
	select {
	case r := <-m.c:
		return r.bytes, r.err
	case <-ctx.Done():
		l.forget(id)
		return 0, context.Cause(ctx)
	}
}

type result struct {
	bytes uint64
	err   error
}

type measurement struct{ c chan result }

func (m *measurement) event(e *initproc.Event, _ *os.File) bool {
	r := result{bytes: e.Bytes}
	if e.Text != "" {
		r.err = errors.New(e.Text)
	}
	m.c <- r
	return false
}

func (m *measurement) lost() { m.c <- result{err: errLauncherGone} }

// RemoveTree implements runtime.TreeRemover: the files may belong to users of the containers' user namespace.
func (r *Runtime) RemoveTree(path string) error {
	if os.Geteuid() == 0 {
		return os.RemoveAll(path)
	}
	l, err := r.current(context.Background())
	if err != nil {
		return err
	}
	return l.remove(path)
}

// remove has a directory removed in the background.
func (l *launcher) remove(dir string) error {
	return l.send(&initproc.Request{Kind: initproc.RequestRemove, Path: dir}, nil)
}
