package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

var _ runtime.Meter = (*handle)(nil)

// Usage implements runtime.Meter: what the processes of the program's group that are alive have used. What those that have
// ended used is not known. The memory of one that shares pages with another counts twice.
func (h *handle) Usage() (*runtime.Usage, error) {
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	u := &runtime.Usage{At: time.Now()}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		s, err := readUsage(pid)
		if err != nil || s.group != h.PID() {
			continue // it has ended, or is none of ours
		}
		u.User += s.user
		u.System += s.system
		u.Memory += s.resident
		u.PIDs += s.threads
	}
	if u.PIDs == 0 {
		return nil, fmt.Errorf("process %d has ended", h.PID())
	}
	u.CPU = u.User + u.System
	return u, nil
}

type processUsage struct {
	group             int
	user, system      time.Duration
	resident, threads uint64
}

// readUsage reads /proc/PID/stat (proc(5)).
func readUsage(pid int) (u processUsage, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return u, err
	}
	// The name, in parentheses, may hold anything; the state, field 3, follows it.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	field := func(n int) (v uint64) {
		if err != nil || len(f) <= n-3 {
			err = fmt.Errorf("/proc/%d/stat has no field %d", pid, n)
			return 0
		}
		v, err = strconv.ParseUint(f[n-3], 10, 64)
		return v
	}
	const tick = time.Second / 100 // USER_HZ, on every architecture that Go runs Linux on
	u.group = int(field(5))
	u.user, u.system = time.Duration(field(14))*tick, time.Duration(field(15))*tick
	u.threads, u.resident = field(20), field(24)*uint64(os.Getpagesize())
	return u, err
}
