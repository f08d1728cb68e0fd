package initproc

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// becomeReaper executes ourselves as the container's process 1, with the rights of the program: in a process of Go only
// the thread that asked has given its rights up, and this one is to live as long as the container.
func becomeReaper(in *Instructions) error {
	if _, err := unix.FcntlInt(socket, unix.F_SETFD, 0); err != nil {
		return failed("keep the socket open", err)
	}
	argv := append([]string{Name, roleReaper}, in.Argv...)
	err := syscall.Exec("/proc/self/exe", argv, in.Env)
	if errors.Is(err, unix.ENOENT) {
		// We are not the embedded batchbox-init but a program whose loader the container does not have. So we stay what we
		// are. Threads that still have rights are out of the container's reach: it can neither trace them nor, as the
		// process is not dumpable, open anything of theirs.
		reap(in.Argv, in.Env)
	}
	return failed("execute the reaper", err)
}

// reaperMain is what becomeReaper executes.
func reaperMain(argv []string) { reap(argv, os.Environ()) }

// reap is process 1 of a container that asked for an init process. It runs argv as its child, passes signals on to it, reaps
// orphans, and ends with the child's exit code. Its socket may be missing.
func reap(argv, env []string) {
	unix.CloseOnExec(socket)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		giveUp(failed("prctl PR_SET_DUMPABLE", err))
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)

	var child int
	err := tryEach(argv[0], env, func(path string) (err error) {
		child, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
		return err
	})
	if err != nil {
		giveUp(err)
	}
	_ = unix.Close(socket)
	go func() {
		for s := range signals {
			sig, ok := s.(syscall.Signal)
			// SIGURG is how Go interrupts its own threads.
			if ok && sig != unix.SIGCHLD && sig != unix.SIGURG && sig != unix.SIGPIPE {
				_ = unix.Kill(child, sig) // it may have ended
			}
		}
	}()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		if err != nil && err != unix.EINTR {
			syscall.Exit(1)
		}
		if pid == child && (ws.Exited() || ws.Signaled()) {
			if ws.Signaled() {
				syscall.Exit(128 + int(ws.Signal()))
			}
			syscall.Exit(ws.ExitStatus())
		}
	}
}
