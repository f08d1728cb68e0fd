package spawn

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// KillOrphans sends SIGKILL to the orphans that this process adopted and that are still running, save those whose
// environment (as /proc/PID/environ has it, that of their last execve) keep wants kept. It returns how many it killed;
// what those started is adopted in turn, so call it until it returns 0. Without Adopt it does nothing.
func KillOrphans(keep func(environ []byte) bool) int {
	own, err := unix.Getsid(0)
	if err != nil || !reaping.adopting.Load() {
		return 0
	}
	self, killed := os.Getpid(), 0
	for _, pid := range pids() {
		if isOrphan(pid, self, own) && killOrphan(pid, self, own, keep) {
			killed++
		}
	}
	return killed
}

func isOrphan(pid, self, own int) bool {
	s, err := readStat(pid)
	if err != nil || s.ppid != self || s.session == own || s.state == 'Z' || s.state == 'X' {
		return false
	}
	reaping.mu.Lock()
	defer reaping.mu.Unlock()
	return reaping.procs[pid] == nil && reaping.forking == 0
}

func killOrphan(pid, self, own int, keep func([]byte) bool) bool {
	// While we hold this the reaper does not reap it, so the number stays its own.
	reaping.orphans.Lock()
	defer reaping.orphans.Unlock()
	if !isOrphan(pid, self, own) {
		return false
	}
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || keep(environ) {
		return false
	}
	return syscall.Kill(pid, syscall.SIGKILL) == nil
}

// KillMarked sends SIGKILL to every process but this one whose environment marked names, whoever its parent is, and
// returns how many there were. Processes of other users are not seen unless we are root.
func KillMarked(marked func(environ []byte) bool) int {
	self, killed := os.Getpid(), 0
	for _, pid := range pids() {
		if pid == self {
			continue
		}
		// The descriptor keeps us from signalling another process that gets the number meanwhile.
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err == nil && len(environ) > 0 && marked(environ) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil {
			killed++
		}
		_ = unix.Close(fd)
	}
	return killed
}

// pids lists the processes of the machine.
func pids() []int {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var out []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out
}
