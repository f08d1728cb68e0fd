package spawn

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap ends every process of ours that has become a zombie.
func (r *reaper) reap() {
	for {
		pid := zombie(unix.P_ALL, 0)
		if pid == 0 {
			return
		}
		r.mu.Lock()
		p := r.procs[pid]
		newborn := p == nil && r.forking > 0
		r.missed = r.missed || newborn
		r.mu.Unlock()
		switch {
		case p != nil:
			r.end(p)
		case !newborn && r.adopting.Load() && adopted(pid):
			var ws syscall.WaitStatus
			r.orphans.Lock()
			_ = wait(pid, &ws) // an error means that it is gone, which is all we want
			r.orphans.Unlock()
		default:
			// Somebody else's child, which waitid would show us again and again.
			r.scan()
			return
		}
	}
}

// ended says whether our child pid is a zombie.
func ended(pid int) bool { return zombie(unix.P_PID, pid) != 0 }

// zombie names a child that has ended, without reaping it; 0 if there is none.
func zombie(idType, id int) int {
	var info unix.Siginfo
	for {
		err := unix.Waitid(idType, id, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // ECHILD
			return 0
		}
		// The union of siginfo begins where a pointer may be stored; si_pid is its first member for SIGCHLD.
		const union = (unsafe.Offsetof(info.Code) + 4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
		return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), union)))
	}
}

// adopted tells orphans that the kernel gave us from children that others in this process started: what a container
// leaves behind lives in a session that is not ours.
func adopted(pid int) bool {
	sid, err := unix.Getsid(pid)
	if err != nil {
		return false
	}
	own, err := unix.Getsid(0)
	return err == nil && sid != own
}

// Adopt makes the process inherit the orphans of the programs it starts (a child subreaper) and reap them, as init would.
// From then on every child in another session belongs to this package: os/exec must not be used with Setsid.
func Adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a child subreaper: %w", err)
	}
	reaping.adopting.Store(true)
	return nil
}
