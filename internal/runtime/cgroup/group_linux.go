package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is one container's control group.
type Group struct {
	tree *Tree
	name string
}

// Create makes a group, empty, with its limits set.
func (t *Tree) Create(name string, l Limits) (*Group, error) {
	g := &Group{t, name}
	for _, d := range t.dirs() {
		if err := unix.Mkdir(d.path+"/"+name, 0o755); err != nil {
			_ = g.Remove()
			return nil, &os.PathError{Op: "mkdir", Path: d.path + "/" + name, Err: err}
		}
		set := d.limitV1
		if d.path == t.v2.path {
			set = d.limitV2
		}
		if err := set(name, l); err != nil {
			_ = g.Remove()
			return nil, err
		}
	}
	return g, nil
}

// Get is the group of that name, which may or may not exist.
func (t *Tree) Get(name string) *Group { return &Group{t, name} }

func (d dir) limitV1(name string, l Limits) error {
	path := d.path + "/" + name + "/"
	if l.MemoryBytes > 0 && d.has("memory") {
		limit := strconv.FormatInt(l.MemoryBytes, 10)
		if err := write(path+"memory.limit_in_bytes", limit); err != nil {
			return err
		}
		// Memory and swap together, so that swap is no way around the limit. Kernels can be built without it.
		if err := write(path+"memory.memsw.limit_in_bytes", limit); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	if d.has("cpu") {
		if l.Shares > 0 {
			if err := write(path+"cpu.shares", strconv.FormatUint(max(l.Shares, 2), 10)); err != nil {
				return err
			}
		}
		if l.QuotaMicros > 0 {
			if err := write(path+"cpu.cfs_quota_us", strconv.FormatInt(max(l.QuotaMicros, minQuota), 10)); err != nil {
				return err
			}
		}
	}
	if l.PIDs > 0 && d.has("pids") {
		return write(path+"pids.max", strconv.FormatInt(l.PIDs, 10))
	}
	return nil
}

// Unthrottle takes the limit on processor time away. Processes that have been killed need some to end, and thousands of them
// on a quarter of a processor take minutes. A group that is gone is no error.
func (g *Group) Unthrottle() error {
	for _, d := range g.tree.dirs() {
		if !d.has("cpu") {
			continue
		}
		file, unlimited := "cpu.cfs_quota_us", "-1"
		if d.path == g.tree.v2.path {
			file, unlimited = "cpu.max", "max"
		}
		if err := write(d.path+"/"+g.name+"/"+file, unlimited); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			return err
		}
	}
	return nil
}

// minQuota is the least the kernel takes, in microseconds.
const minQuota = 1000

func (d dir) limitV2(name string, l Limits) error {
	path := d.path + "/" + name + "/"
	if l.MemoryBytes > 0 && d.has("memory") {
		if err := write(path+"memory.max", strconv.FormatInt(l.MemoryBytes, 10)); err != nil {
			return err
		}
		if err := write(path+"memory.swap.max", "0"); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	if d.has("cpu") {
		if l.Shares > 0 {
			if err := write(path+"cpu.weight", strconv.FormatUint(weight(l.Shares), 10)); err != nil {
				return err
			}
		}
		if l.QuotaMicros > 0 {
			if err := write(path+"cpu.max", strconv.FormatInt(max(l.QuotaMicros, minQuota), 10)+" "+strconv.Itoa(Period)); err != nil {
				return err
			}
		}
	}
	if l.PIDs > 0 && d.has("pids") {
		return write(path+"pids.max", strconv.FormatInt(l.PIDs, 10))
	}
	return nil
}

// Entrances are open files through which a process gets into the group.
type Entrances struct {
	// V2 is the directory of version 2, for CLONE_INTO_CGROUP; nil if there is none.
	V2 *os.File
	// Tasks are the `tasks` files of version 1: a thread that writes "0" is moved.
	Tasks []*os.File
}

// Close closes the files.
func (e *Entrances) Close() {
	if e.V2 != nil {
		_ = e.V2.Close()
	}
	closeFiles(e.Tasks)
}

// Enter opens the group's entrances.
func (g *Group) Enter() (*Entrances, error) {
	e := new(Entrances)
	if p := g.tree.v2.path; p != "" {
		fd, err := unix.Open(p+"/"+g.name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: p + "/" + g.name, Err: err}
		}
		e.V2 = os.NewFile(uintptr(fd), p+"/"+g.name)
	}
	for _, d := range g.tree.v1 {
		path := d.path + "/" + g.name + "/tasks"
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			e.Close()
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		e.Tasks = append(e.Tasks, os.NewFile(uintptr(fd), path))
	}
	return e, nil
}

// OOMKills counts the processes of the group that the kernel killed because of the memory limit.
func (g *Group) OOMKills() (int, error) {
	path := ""
	if g.tree.v2.has("memory") {
		path = g.tree.v2.path + "/" + g.name + "/memory.events"
	}
	for _, d := range g.tree.v1 {
		if d.has("memory") {
			path = d.path + "/" + g.name + "/memory.oom_control"
		}
	}
	if path == "" {
		return 0, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(v)
		}
	}
	return 0, fmt.Errorf("%s has no line oom_kill", path)
}

// procs are the processes in the group.
func (g *Group) procs() ([]int, error) {
	var pids []int
	for _, d := range g.tree.dirs() {
		b, err := os.ReadFile(d.path + "/" + g.name + "/cgroup.procs")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// Kill ends every process of the group, and returns when none is left. It is an error if ctx ends first.
func (g *Group) Kill(ctx context.Context) error {
	pause := time.Millisecond
	for {
		// At once, where the kernel can (5.14); then whoever was missed, or has forked meanwhile.
		if p := g.tree.v2.path; p != "" {
			_ = write(p+"/"+g.name+"/cgroup.kill", "1")
		}
		pids, err := g.procs()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // it may be gone
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end %d processes of cgroup %s: %w", len(pids), g.name, context.Cause(ctx))
		case <-time.After(pause):
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// Remove removes the group, whose processes have ended. Groups made by the processes themselves go with it.
func (g *Group) Remove() error {
	var errs error
	for _, d := range g.tree.dirs() {
		errs = errors.Join(errs, removeTree(d.path+"/"+g.name))
	}
	return errs
}

func removeTree(path string) error {
	err := unix.Rmdir(path)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	entries, readErr := os.ReadDir(path)
	if readErr != nil {
		return &os.PathError{Op: "rmdir", Path: path, Err: err}
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(path + "/" + e.Name()); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(path); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}
