// Package cgroup gives containers their control groups: limits on memory, processors and processes, on version 1,
// version 2 and both at once ("hybrid", where version 2 has no controllers but can still end a group's processes).
//
// It finds the place under which it may make groups. As root that is the top of each hierarchy, or the group it was
// itself given by systemd with Delegate=yes; without root only the latter.
package cgroup

import (
	"errors"
	"strings"
)

// ErrUnavailable is what Open's error wraps when this process may not make cgroups.
var ErrUnavailable = errors.New("control groups can not be used")

// Limits are the limits of one container. Zero means no limit.
type Limits struct {
	MemoryBytes int64
	// Shares is the weight against others under contention, 1024 for one processor.
	Shares uint64
	// QuotaMicros is how much processor time may be used in each period of 100 ms.
	QuotaMicros int64
	PIDs        int64
}

// Period is the period of Limits.QuotaMicros, in microseconds.
const Period = 100_000

// weight converts Shares (1024 for one processor, 2 to 262144) to version 2's cpu.weight (100 for the default, 1 to
// 10000), by the formula of runc and crun: 2 is 1 and 262144 is 10000.
func weight(shares uint64) uint64 {
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}

// membership is one line of /proc/PID/cgroup.
type membership struct {
	controllers string // "memory", "cpu,cpuacct", "name=systemd", or empty for version 2
	path        string
}

func parseMembership(file string) []membership {
	var ms []membership
	for line := range strings.SplitSeq(strings.TrimSpace(file), "\n") {
		_, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		controllers, path, ok := strings.Cut(rest, ":")
		if ok {
			ms = append(ms, membership{controllers, path})
		}
	}
	return ms
}

// hierarchy is a mounted cgroup file system.
type hierarchy struct {
	root    string // which of its directories is mounted
	mount   string // where
	v2      bool
	options string // of the superblock: names of version 1 controllers among them
}

// parseMountinfo finds the cgroup file systems in /proc/PID/mountinfo (proc(5)).
func parseMountinfo(file string) []hierarchy {
	var hs []hierarchy
	for line := range strings.SplitSeq(file, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		if !ok {
			continue
		}
		f, super := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(super) < 3 || super[0] != "cgroup" && super[0] != "cgroup2" {
			continue
		}
		hs = append(hs, hierarchy{
			root:    unescape(f[3]),
			mount:   unescape(f[4]),
			v2:      super[0] == "cgroup2",
			options: super[2],
		})
	}
	return hs
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			var n int
			ok := true
			for _, d := range []byte(s[i+1 : i+4]) {
				if d < '0' || d > '7' {
					ok = false
					break
				}
				n = n<<3 | int(d-'0')
			}
			if ok && n < 256 {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// has reports whether a comma-separated list has a member.
func has(list, member string) bool {
	for m := range strings.SplitSeq(list, ",") {
		if m == member {
			return true
		}
	}
	return false
}
