package initproc

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// shim is the parent of one container that an OCI runtime makes.
type shim struct {
	sender

	mu  sync.Mutex
	pid int // of the container's first process; 0 until it is known and when it has ended
}

// shimMain runs the OCI runtime, which leaves the container behind, and reports how the container starts and ends. When
// nobody is there to be told it ends the container.
func shimMain(pidFile, runtime string, argv []string) {
	unix.CloseOnExec(socket)
	s := new(shim)
	code, err := s.run(pidFile, runtime, argv)
	if err != nil {
		_ = s.send(&Event{Kind: EventFailed, Status: uint64(code), Text: err.Error()}, -1)
		syscall.Exit(1)
	}
	syscall.Exit(0)
}

func (s *shim) run(pidFile, runtime string, argv []string) (status unix.WaitStatus, err error) {
	// Whoever made the container is gone when it runs, and somebody has to inherit it.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, failed("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	maker, err := syscall.ForkExec(runtime, argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, failed(runtime, err)
	}
	ended := make(map[int]unix.WaitStatus)
	if status, err = s.await(maker, ended); err != nil {
		return 0, err
	}
	if status != 0 {
		return status, errors.New(runtime + " failed")
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, failed(pidFile, err)
	}
	s.mu.Lock()
	s.pid = pid
	s.mu.Unlock()
	go s.listen()
	_ = s.send(&Event{Kind: EventLaunched, PID: pid}, -1) // if nobody is there, listen ends the container
	status, err = s.await(pid, ended)
	if err != nil {
		return 0, err
	}
	return 0, s.send(&Event{Kind: EventExited, Status: uint64(status)}, -1)
}

// await reaps until a process has ended. Others that end meanwhile are remembered in ended.
func (s *shim) await(pid int, ended map[int]unix.WaitStatus) (unix.WaitStatus, error) {
	for {
		if status, ok := ended[pid]; ok {
			return status, nil
		}
		// Looked at first, so that nobody signals a number that is free again.
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			if err == unix.EINTR {
				continue
			}
			return 0, failed("wait", err)
		}
		s.mu.Lock()
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if got > 0 && got == s.pid {
			s.pid = 0
		}
		s.mu.Unlock()
		if err != nil && err != unix.EINTR {
			return 0, failed("wait", err)
		}
		if got > 0 {
			ended[got] = ws
		}
	}
}

// listen signals the container as it is told to, and ends it when there is nobody to tell it anything any more.
func (s *shim) listen() {
	for {
		r, fds, err := nextRequest()
		closeAll(fds)
		sig := unix.SIGKILL
		if err == nil {
			if r.Kind != RequestSignal {
				continue
			}
			sig = syscall.Signal(r.Signal)
		}
		s.mu.Lock()
		if s.pid != 0 {
			_ = unix.Kill(s.pid, sig) // it is there, if only as a zombie
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}
