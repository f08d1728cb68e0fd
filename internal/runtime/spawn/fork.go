package spawn

import (
	"runtime"
	"syscall"
)

// fork executes the programs asked for, one after the other. It stays on one thread for the life of the Host: on Linux a
// parent-death signal is sent when the thread that forked ends, not the process, and Go may end threads at any time.
func (h *Host) fork() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for s := range h.starts {
		s.p, s.err = h.forkOne(s.cmd)
		s.done <- struct{}{}
	}
}

func (h *Host) forkOne(c *Command) (*Process, error) {
	attr := syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   c.Env,
		Files: []uintptr{c.Stdin, c.Stdout, c.Stderr},
		Sys:   &c.Sys,
	}
	reaping.beforeFork()
	from := now()
	pid, err := syscall.ForkExec(c.Path, c.Argv, &attr)
	if err != nil {
		reaping.afterFork(nil)
		return nil, err
	}
	p := &Process{
		id:    identity{pid: pid, from: from, to: now()},
		group: c.Sys.Setsid || c.Sys.Setpgid && c.Sys.Pgid == 0,
		done:  make(chan struct{}),
	}
	reaping.afterFork(p)
	return p, nil
}
