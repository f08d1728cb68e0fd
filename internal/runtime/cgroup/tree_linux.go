package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Tree is the place under which the groups of one owner are made: a directory in each hierarchy that is used.
type Tree struct {
	name string
	v2   dir   // zero if version 2 is not mounted or can not be used
	v1   []dir // the version 1 hierarchies used
	// path is where groups are in the version 2 hierarchy, as /proc/PID/cgroup shows it.
	path string
	// others are the directories of that name in hierarchies that limits do not need. An OCI runtime makes them.
	others []string
}

// dir is a directory that has a subdirectory for each group.
type dir struct {
	path string
	// controllers are the ones usable in the subdirectories.
	controllers []string
	// visible is how the hierarchy is mounted in a container: "cpu,cpuacct"; empty for version 2.
	visible string
}

func (d dir) has(controller string) bool { return slices.Contains(d.controllers, controller) }

// wanted are the controllers that limits need.
var wanted = []string{"cpu", "memory", "pids"}

// Open makes the place for an owner's groups, a directory called name. Its error wraps ErrUnavailable and says what to
// do if this process may not make groups at all; a Tree that lacks some controllers is no error (see Controllers).
func Open(name string) (*Tree, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find own cgroup: %w", err)
	}
	hierarchies, own := parseMountinfo(string(info)), parseMembership(string(self))
	t := &Tree{name: name, path: "/" + name}
	if err := t.open(hierarchies, own); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return t, nil
}

func (t *Tree) open(hierarchies []hierarchy, own []membership) error {
	var problems []string
	for _, h := range hierarchies {
		var err error
		switch {
		case h.v2 && t.v2.path == "":
			err = t.openV2(h, own)
		case !h.v2:
			err = t.openV1(h)
		}
		if err != nil && !slices.Contains(problems, err.Error()) {
			problems = append(problems, err.Error())
		}
	}
	if len(t.Controllers()) > 0 {
		return nil
	}
	if len(problems) == 0 {
		return errors.New("no cgroup file system with the controllers for limits is mounted")
	}
	return errors.New(strings.Join(problems, "; "))
}

// openV1 makes the directory in one version 1 hierarchy. There only root makes groups, and does so at the top, as
// container engines do.
func (t *Tree) openV1(h hierarchy) error {
	d := dir{path: filepath.Join(h.mount, t.name)}
	var all []string
	for option := range strings.SplitSeq(h.options, ",") {
		if slices.Contains(wanted, option) {
			d.controllers = append(d.controllers, option)
		}
		if slices.Contains(knownV1, option) {
			all = append(all, option)
		}
	}
	if len(d.controllers) == 0 {
		t.others = append(t.others, d.path)
		return nil
	}
	if slices.ContainsFunc(t.v1, func(o dir) bool { return o.has(d.controllers[0]) }) {
		return nil // mounted twice
	}
	if os.Geteuid() != 0 {
		return errors.New("version 1 groups are for root")
	}
	d.visible = strings.Join(all, ",")
	if err := os.Mkdir(d.path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	t.v1 = append(t.v1, d)
	return nil
}

// knownV1 are all version 1 controllers, as mount options.
var knownV1 = []string{"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "net_cls", "net_prio", "perf_event", "pids", "rdma"}

// openV2 makes the directory in the version 2 hierarchy: in the group we were given, or at the top.
func (t *Tree) openV2(h hierarchy, own []membership) error {
	i := slices.IndexFunc(own, func(m membership) bool { return m.controllers == "" })
	if i < 0 {
		return errors.New("this process is in no version 2 cgroup")
	}
	ownDir, err := h.locate(own[i].path)
	if err != nil {
		return err
	}
	given, path := ownDir, own[i].path
	if filepath.Base(given) == leaf && !isDelegated(given) {
		// Where vacate puts processes, this one among them.
		given, path = filepath.Dir(given), filepath.Dir(path)
	}
	switch {
	case isDelegated(given):
		if err := vacate(given); err != nil {
			return err
		}
		t.path = filepath.Join(path, t.name)
		return t.useV2(given)
	case os.Geteuid() == 0:
		return t.useV2(h.mount)
	}
	return errors.New("this process was given no group of its own, as `systemd-run --user --scope -p Delegate=yes` would")
}

// locate is the directory of the cgroup that /proc/PID/cgroup calls path.
func (h hierarchy) locate(path string) (string, error) {
	rel, err := filepath.Rel(h.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("own cgroup %s is outside of what is mounted at %s", path, h.mount)
	}
	return filepath.Join(h.mount, rel), nil
}

// isDelegated reports whether systemd has given the group away (Delegate=yes): it says so by an extended attribute.
func isDelegated(path string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var b [8]byte
		if n, err := unix.Getxattr(path, name, b[:]); err == nil && string(b[:n]) == "1" {
			return unix.Access(path+"/cgroup.subtree_control", unix.W_OK) == nil
		}
	}
	return false
}

// leaf is the subgroup for the processes of a group we were given.
const leaf = "batchbox"

// vacate moves the processes of a group we were given into a subgroup: version 2 does not let a group have both
// processes and controllers for its children.
func vacate(path string) error {
	to := filepath.Join(path, leaf)
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	// Again, as long as there are some: they may be forking.
	for range 10 {
		b, err := os.ReadFile(path + "/cgroup.procs")
		if err != nil {
			return err
		}
		pids := strings.Fields(string(b))
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := write(to+"/cgroup.procs", pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("processes keep appearing in %s", path)
}

// useV2 makes t's directory under parent, with as many of the wanted controllers as parent has to give.
func (t *Tree) useV2(parent string) error {
	path := filepath.Join(parent, t.name)
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, dir := range []string{parent, path} {
		b, err := os.ReadFile(dir + "/cgroup.controllers")
		if err != nil {
			return err
		}
		have := strings.Fields(string(b))
		for _, c := range wanted {
			if !slices.Contains(have, c) {
				continue
			}
			if err := write(dir+"/cgroup.subtree_control", "+"+c); err != nil {
				return err
			}
		}
	}
	b, err := os.ReadFile(path + "/cgroup.subtree_control")
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(b)) {
		if slices.Contains(wanted, c) {
			t.v2.controllers = append(t.v2.controllers, c)
		}
	}
	t.v2.path = path
	return nil
}

// Controllers are those of "cpu", "memory" and "pids" that limits can use here.
func (t *Tree) Controllers() []string {
	cs := slices.Clone(t.v2.controllers)
	for _, d := range t.v1 {
		for _, c := range d.controllers {
			if !slices.Contains(cs, c) {
				cs = append(cs, c)
			}
		}
	}
	slices.Sort(cs)
	return cs
}

// Mounts are the hierarchies a container should see, by their version 1 controllers ("memory", "cpu,cpuacct"); an empty
// string is version 2.
func (t *Tree) Mounts() []string {
	if len(t.v1) == 0 {
		return []string{""}
	}
	var ms []string
	for _, d := range t.v1 {
		ms = append(ms, d.visible)
	}
	return ms
}

// Version describes what is in use: "v1", "v2" or "v1+v2".
func (t *Tree) Version() string {
	switch {
	case len(t.v1) == 0:
		return "v2"
	case t.v2.path == "":
		return "v1"
	}
	return "v1+v2"
}

// dirs are all directories of t.
func (t *Tree) dirs() []dir {
	if t.v2.path == "" {
		return t.v1
	}
	return append(slices.Clone(t.v1), t.v2)
}

// List names the groups that exist, an earlier owner's of the same name included.
func (t *Tree) List() ([]string, error) {
	var names []string
	for _, d := range t.dirs() {
		entries, err := os.ReadDir(d.path)
		if err != nil {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Path is the path of a group from the top of its hierarchies, for an OCI runtime that makes the group.
func (t *Tree) Path(group string) string {
	if len(t.v1) > 0 {
		return "/" + t.name + "/" + group
	}
	return t.path + "/" + group
}

// Close removes the place, if no group is left in it.
func (t *Tree) Close() error {
	var errs error
	for _, path := range t.others {
		_ = unix.Rmdir(path) // mostly there is none
	}
	for _, d := range t.dirs() {
		if err := unix.Rmdir(d.path); err != nil && err != unix.ENOENT {
			errs = errors.Join(errs, &os.PathError{Op: "rmdir", Path: d.path, Err: err})
		}
	}
	return errs
}

// HomeTasks opens the `tasks` files of this process's own version 1 groups in the hierarchies of t: a thread that went
// into a group to be forked there comes back through them.
func (t *Tree) HomeTasks() ([]*os.File, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := parseMembership(string(b))
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	hierarchies := parseMountinfo(string(info))
	var files []*os.File
	for _, d := range t.v1 {
		i := slices.IndexFunc(own, func(m membership) bool { return has(m.controllers, d.controllers[0]) })
		j := slices.IndexFunc(hierarchies, func(h hierarchy) bool { return h.mount == filepath.Dir(d.path) })
		if i < 0 || j < 0 {
			closeFiles(files)
			return nil, fmt.Errorf("own cgroup of controller %s not found", d.controllers[0])
		}
		path, err := hierarchies[j].locate(own[i].path)
		if err == nil {
			var f *os.File
			if f, err = os.OpenFile(path+"/tasks", os.O_WRONLY, 0); err == nil {
				files = append(files, f)
			}
		}
		if err != nil {
			closeFiles(files)
			return nil, err
		}
	}
	return files, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// write writes a value to a control file.
func write(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return &os.PathError{Op: "write " + strconv.Quote(value) + " to", Path: path, Err: err}
	}
	return nil
}
