package spawn

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// now reads the clock that the kernel stamps processes with: since boot, sleep included.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// userHz is the unit of the times in /proc: the same on every architecture Linux has for Go.
const userHz = 100

// Boot names this boot of the machine; times of another boot mean nothing.
var Boot = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
})

// stat is what /proc/PID/stat says about a process.
type stat struct {
	pid, ppid, pgrp, session int
	state                    byte
	started                  int64 // as now has it, rounded down to a tick
}

// readStat reads a process's stat; an error says that there is no such process.
func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	// "pid (name) state ppid pgrp session ..."; the name may hold anything, parentheses too.
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("/proc/%d/stat: no name in %q", pid, b)
	}
	f := strings.Fields(string(b[end+1:]))
	const starttime = 22 - 3 // field 22, of which two and the state come before ppid
	if len(f) <= starttime {
		return stat{}, fmt.Errorf("/proc/%d/stat: %d fields after the name", pid, len(f))
	}
	s := stat{pid: pid, state: f[0][0]}
	for i, to := range []*int{&s.ppid, &s.pgrp, &s.session} {
		if *to, err = strconv.Atoi(f[1+i]); err != nil {
			return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	ticks, err := strconv.ParseInt(f[starttime], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	s.started = ticks * int64(time.Second/userHz)
	return s, nil
}

// startedWithin says whether pid is a live process that was started within a window of now's clock.
func startedWithin(pid int, from, to int64) bool {
	s, err := readStat(pid)
	if err != nil || s.state == 'Z' || s.state == 'X' {
		return false
	}
	return s.started > from-int64(time.Second/userHz) && s.started <= to
}
