package cgroup

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/batchbox/batchbox/internal/runtime"
)

// Usage is what the processes of the group have used. What no controller counts stays zero.
func (g *Group) Usage() (*runtime.Usage, error) {
	u := &runtime.Usage{At: time.Now()}
	r := &usageReader{}
	for _, d := range g.tree.v1 {
		path := d.path + "/" + g.name + "/"
		if d.has("cpu") {
			u.CPU = time.Duration(r.number(path + "cpuacct.usage")) // in a hierarchy of its own it is not there
			stat := r.table(path + "cpuacct.stat")
			u.User, u.System = stat["user"].ticks(), stat["system"].ticks()
		}
		if d.has("memory") {
			u.Memory, u.MaxMemory = r.number(path+"memory.usage_in_bytes"), r.number(path+"memory.max_usage_in_bytes")
			u.MemoryLimit = r.number(path + "memory.limit_in_bytes")
			u.MemoryStat = plain(r.table(path + "memory.stat"))
		}
		if d.has("pids") {
			u.PIDs = r.number(path + "pids.current")
		}
	}
	if d := g.tree.v2; d.path != "" {
		path := d.path + "/" + g.name + "/"
		if len(g.tree.v1) == 0 {
			// There without the controller, which only limits need.
			stat := r.table(path + "cpu.stat")
			u.CPU, u.User, u.System = stat["usage_usec"].micros(), stat["user_usec"].micros(), stat["system_usec"].micros()
		}
		if d.has("memory") {
			u.Memory, u.MaxMemory = r.number(path+"memory.current"), r.number(path+"memory.peak")
			u.MemoryLimit = r.number(path + "memory.max")
			u.MemoryStat = plain(r.table(path + "memory.stat"))
		}
		if d.has("pids") {
			u.PIDs = r.number(path + "pids.current")
		}
	}
	return u, r.err
}

// usageReader reads counters. A file that is not there counts nothing: kernels differ.
type usageReader struct{ err error }

func (r *usageReader) read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.err = errors.Join(r.err, err)
	}
	return string(b)
}

// number is a file of one number; "max" and what is no number are 0.
func (r *usageReader) number(path string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(r.read(path)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

type counter uint64

func (c counter) micros() time.Duration { return time.Duration(c) * time.Microsecond }

// ticks are of USER_HZ, which is 100 on every architecture that Go runs Linux on.
func (c counter) ticks() time.Duration { return time.Duration(c) * (time.Second / 100) }

// table is a file of names and numbers.
func (r *usageReader) table(path string) map[string]counter {
	t := map[string]counter{}
	for line := range strings.Lines(r.read(path)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			t[name] = counter(n)
		}
	}
	return t
}

func plain(t map[string]counter) map[string]uint64 {
	out := make(map[string]uint64, len(t))
	for name, n := range t {
		out[name] = uint64(n)
	}
	return out
}
