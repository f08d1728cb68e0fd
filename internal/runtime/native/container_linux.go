package native

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/cgroup"
	"github.com/batchbox/batchbox/internal/runtime/storage"
	"github.com/batchbox/batchbox/internal/runtime/tasknet"
)

// container is one container, from before its start until everything of it is removed. It implements runtime.Handle.
type container struct {
	r        *Runtime
	launcher *launcher
	name     string
	user     soleUser // of the container's only user, if it is not root
	root     *rootfs
	group    *cgroup.Group
	network  *membership
	storage  *storage.Watch

	// requested is set when an end will be reported.
	requested bool
	launched  chan error
	pid       int

	mu    sync.Mutex
	pidfd *os.File // nil before the launch and after the end
	// Set before ended is closed.
	status       unix.WaitStatus
	launcherDied bool
	ended        chan struct{}

	finishing sync.Once
	outcome   runtime.Exit
}

var _ runtime.Handle = (*container)(nil)

// event implements receiver.
func (c *container) event(e *initproc.Event, pidfd *os.File) bool {
	switch e.Kind {
	case initproc.EventLaunched:
		c.mu.Lock()
		c.pid, c.pidfd = e.PID, pidfd
		c.mu.Unlock()
		c.launched <- nil
		return true
	case initproc.EventFailed:
		c.launched <- errors.New(e.Text)
		return false
	case initproc.EventExited:
		c.status = unix.WaitStatus(e.Status)
		c.end()
	}
	return false
}

// lost implements receiver: with the launcher its containers die, which takes the kernel a moment.
func (c *container) lost() {
	c.launcherDied = true
	c.mu.Lock()
	pidfd := c.pidfd
	c.mu.Unlock()
	if pidfd == nil {
		c.launched <- errLauncherGone
		c.end()
		return
	}
	_ = unix.PidfdSendSignal(int(pidfd.Fd()), unix.SIGKILL, nil, 0)
	// As long as it lives, or its parent has not waited for it, poll blocks.
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			break
		}
	}
	c.end()
}

func (c *container) end() {
	c.mu.Lock()
	if c.pidfd != nil {
		_ = c.pidfd.Close()
		c.pidfd = nil
	}
	c.mu.Unlock()
	close(c.ended)
}

// PID implements runtime.Handle.
func (c *container) PID() int { return c.pid }

// Signal implements runtime.Handle.
func (c *container) Signal(sig string) error {
	n, err := runtime.SignalNumber(sig)
	if err != nil {
		return err
	}
	return c.signal(n)
}

// Kill implements runtime.Handle. With process 1 the kernel ends all others of its pid namespace.
func (c *container) Kill() error {
	err := c.signal(unix.SIGKILL)
	if c.group != nil {
		err = errors.Join(err, c.group.Unthrottle())
	}
	return err
}

func (c *container) signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd == nil {
		return nil
	}
	if err := unix.PidfdSendSignal(int(c.pidfd.Fd()), sig, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("signal %v to container %s: %w", sig, c.name, err)
	}
	return nil
}

// Address implements runtime.Addressed.
func (c *container) Address() string {
	if c.network == nil || !c.network.net.address.IsValid() {
		return ""
	}
	return c.network.net.address.String()
}

// Usage implements runtime.Meter.
func (c *container) Usage() (*runtime.Usage, error) {
	if c.group == nil {
		return nil, errors.New("there are no control groups to count what a container uses")
	}
	u, err := c.group.Usage()
	if err != nil || c.network == nil {
		return u, err
	}
	u.Networks, err = tasknet.Usage(c.pid)
	return u, err
}

// Wait implements runtime.Handle.
func (c *container) Wait() runtime.Exit {
	<-c.ended
	c.finish()
	return c.outcome
}

// finish finds out how the container ended, once that has happened, and removes what is left of it.
func (c *container) finish() {
	c.finishing.Do(func() {
		c.outcome = c.exit()
		c.remove()
	})
}

func (c *container) exit() runtime.Exit {
	reason := c.storage.Stop()
	if c.launcherDied {
		return runtime.Exit{Err: errLauncherGone.Error()}
	}
	exit := runtime.Exit{Code: exitCode(c.status), Err: reason}
	if exit.Code != 0 && reason == "" && c.group != nil {
		kills, err := c.group.OOMKills()
		if err != nil {
			c.r.options.Log.Warn("read a container's memory events", "container", c.name, "error", err)
		}
		exit.OOM = kills > 0
	}
	return exit
}

func exitCode(ws unix.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// abandon undoes a start that failed.
func (c *container) abandon() {
	if c.requested {
		_ = c.Kill()
		<-c.ended
	}
	c.remove()
}

// remove removes what is left of a container whose processes have ended.
func (c *container) remove() {
	log := c.r.options.Log.With("container", c.name)
	if c.group != nil {
		if err := removeGroup(c.group); err != nil {
			log.Warn("remove control group", "error", err)
		}
	}
	c.network.leave()
	if c.root != nil {
		if err := c.root.release(); err != nil {
			log.Warn("remove the root file system", "error", err)
		}
	}
	c.r.mu.Lock()
	delete(c.r.live, c.name)
	c.r.mu.Unlock()
}

// removeGroup removes a group, a few times if the kernel has not noticed yet that it is empty.
func removeGroup(g *cgroup.Group) error {
	err := g.Remove()
	for pause := time.Millisecond; errors.Is(err, unix.EBUSY) && pause < time.Second; pause *= 2 {
		time.Sleep(pause)
		err = g.Remove()
	}
	return err
}
