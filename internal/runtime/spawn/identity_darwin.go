package spawn

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// now reads the clock that the kernel stamps processes with.
func now() int64 { return time.Now().UnixNano() }

// Boot names this boot of the machine.
var Boot = sync.OnceValue(func() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "unknown"
	}
	return strings.ReplaceAll(id, "-", "")
})

// startedWithin says whether pid is a live process that was started within a window of now's clock.
func startedWithin(pid int, from, to int64) bool {
	const zombie = 5 // SZOMB in sys/proc.h
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || info.Proc.P_stat == zombie {
		return false
	}
	started := info.Proc.P_starttime.Nano()
	return started > from-int64(time.Millisecond) && started <= to+int64(time.Millisecond)
}
