package native

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/initproc"
	"github.com/batchbox/batchbox/internal/runtime"
	"github.com/batchbox/batchbox/internal/runtime/surroundings"
)

// noTree is a Tree that names nothing.
var noTree = initproc.Tree{FD: -1}

// instructions says how to make a container. The files are the ones that the instructions' trees count; they are the
// caller's to close, also after an error.
func (r *Runtime) instructions(c *container, spec *runtime.Spec) (_ *initproc.Instructions, trees []*os.File, _ error) {
	hostname, err := surroundings.Hostname(spec)
	if err != nil {
		return nil, nil, err
	}
	in := &initproc.Instructions{
		BecomeRoot:    r.ids != nil && r.ids.foreign,
		UserNamespace: r.ids != nil,
		SingleUser:    r.ids != nil && r.ids.single(),
		UID:           c.user.uid,
		GID:           c.user.gid,
		Label:         r.label + "/" + c.root.name,
		Hostname:      hostname,
		HostNetwork:   spec.Network.Mode == runtime.NetworkHost,
		JoinNetwork:   -1,
		ShmBytes:      surroundings.DefaultShmBytes,
		ReadonlyRoot:  spec.ReadonlyRootfs,
		Argv:          spec.Argv,
		Env:           spec.Env,
		DefaultEnv:    []string{"PATH=" + runtime.DefaultPath, "HOSTNAME=" + hostname},
		Dir:           spec.Dir,
		User:          spec.User,
		Reaper:        spec.InitProcess,
		Capabilities:  r.capabilities(),
		Seccomp:       r.seccomp,
	}
	if spec.Network.Mode == runtime.NetworkPrivate {
		// Who can forge frames can pass for another task.
		in.Capabilities &^= 1 << unix.CAP_NET_RAW
	}
	if spec.Privileged {
		if r.ids == nil {
			return nil, nil, errors.New("privileged containers would be root on this machine: there is no user namespace to keep them in")
		}
		in.Capabilities, in.Seccomp, in.Unmasked, in.NewPrivileges = math.MaxUint64, nil, true, true
	}
	if r.inMemory {
		in.UpperBytes = surroundings.StorageBytes(spec)
	}
	if spec.SharedMemMiB > 0 {
		in.ShmBytes = uint64(spec.SharedMemMiB) << 20
	}
	if r.groups != nil {
		for _, m := range r.groups.Mounts() {
			in.Cgroups = append(in.Cgroups, initproc.CgroupMount{Controllers: m})
		}
	}
	files, err := surroundings.Files(spec, hostname)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		in.Files = append(in.Files, initproc.File{Path: f.Path, Content: f.Content, Mode: 0o644})
	}
	if in.Rlimits, err = rlimits(spec.Ulimits, c.launcher.maxNofile); err != nil {
		return nil, nil, err
	}
	give := func(f *os.File) initproc.Tree {
		trees = append(trees, f)
		return initproc.Tree{FD: len(trees) - 1}
	}
	// tree makes a Tree of a host path: by descriptor if its ids have to be mapped, which only we can do.
	tree := func(path string, recursive uint) (initproc.Tree, error) {
		if r.ids == nil || !r.ids.foreign {
			return initproc.Tree{FD: -1, Path: path}, nil
		}
		f, err := mappedTree(path, c.launcher.userns, recursive)
		if err != nil {
			return noTree, err
		}
		return give(f), nil
	}
	if len(spec.Image.Layers) == 0 {
		return nil, nil, fmt.Errorf("image %s has no layers", spec.Image.Ref)
	}
	if err := c.root.describe(in, spec.Image.Layers, tree, give); err != nil {
		return nil, trees, err
	}
	if len(spec.Argv) == 0 {
		in.ShareRoot = false // nobody will want the root of the trial container
	}
	for i := range spec.Mounts {
		m, err := mount(&spec.Mounts[i])
		if err != nil {
			return nil, trees, fmt.Errorf("mount %s: %w", spec.Mounts[i].Target, err)
		}
		m.Source = noTree
		if source := spec.Mounts[i].Source; !spec.Mounts[i].Tmpfs {
			if _, err := os.Stat(source); err != nil {
				return nil, trees, fmt.Errorf("invalid mount config for type \"bind\": bind source path does not exist: %s", source)
			}
			if m.Source, err = tree(source, unix.AT_RECURSIVE); err != nil {
				return nil, trees, fmt.Errorf("volume %s: %w", source, err)
			}
		}
		in.Mounts = append(in.Mounts, m)
	}
	if err := c.network.describe(spec, in); err != nil {
		return nil, trees, err
	}
	if ns := c.network.joins(); ns != nil {
		if c.user != (soleUser{}) {
			// The namespace belongs to the user namespace of the task's first container.
			return nil, trees, fmt.Errorf("user %s can not share the private network of its task's other containers: %s", spec.User, r.missingIDs)
		}
		dup, err := unix.FcntlInt(ns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, trees, err
		}
		in.JoinNetwork = give(os.NewFile(uintptr(dup), ns.Name())).FD
	}
	return in, trees, nil
}

// mappedTree is a detached copy of the mount at path, on which the ids of userns mean what they mean on disk.
func mappedTree(path string, userns *os.File, recursive uint) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Propagation: unix.MS_PRIVATE, Userns_fd: uint64(userns.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|recursive, &attr); err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EINVAL) {
			return nil, fmt.Errorf("the file system of %s can not be mounted with its ids mapped: %w", path, err)
		}
		return nil, &os.PathError{Op: "map the ids of", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// capabilities are those of container engines (Moby's caps.DefaultCapabilities). Without a user namespace the right to make
// devices would be one to use them, for there is no device controller here.
func (r *Runtime) capabilities() uint64 {
	set := uint64(0)
	for _, c := range [...]int{
		unix.CAP_AUDIT_WRITE, unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL,
		unix.CAP_MKNOD, unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_RAW, unix.CAP_SETFCAP, unix.CAP_SETGID, unix.CAP_SETPCAP,
		unix.CAP_SETUID, unix.CAP_SYS_CHROOT,
	} {
		if c != unix.CAP_MKNOD || r.ids != nil {
			set |= 1 << c
		}
	}
	return set
}

// limits are the names of ulimits.
var limits = map[string]int{
	"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
	"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
	"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
	"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

func rlimits(ulimits []runtime.Ulimit, maxNofile uint64) ([]initproc.Rlimit, error) {
	hard := min(surroundings.NofileHard, maxNofile)
	rs := []initproc.Rlimit{{Resource: unix.RLIMIT_NOFILE, Soft: min(surroundings.NofileSoft, hard), Hard: hard}}
	for _, u := range ulimits {
		n, ok := limits[u.Name]
		if !ok {
			return nil, fmt.Errorf("invalid ulimit type: %s", u.Name)
		}
		if u.Soft > u.Hard {
			return nil, fmt.Errorf("ulimit soft limit must be less than or equal to hard limit: %d > %d", u.Soft, u.Hard)
		}
		rs = append(rs, initproc.Rlimit{Resource: uint64(n), Soft: u.Soft, Hard: u.Hard})
	}
	return rs, nil
}

// attributes are mount options that are attributes of a mount; false takes away what is given by default.
var attributes = map[string]struct {
	attr uint64
	set  bool
}{
	"nosuid": {unix.MOUNT_ATTR_NOSUID, true}, "suid": {unix.MOUNT_ATTR_NOSUID, false},
	"nodev": {unix.MOUNT_ATTR_NODEV, true}, "dev": {unix.MOUNT_ATTR_NODEV, false},
	"noexec": {unix.MOUNT_ATTR_NOEXEC, true}, "exec": {unix.MOUNT_ATTR_NOEXEC, false},
	"ro": {unix.MOUNT_ATTR_RDONLY, true}, "rw": {unix.MOUNT_ATTR_RDONLY, false},
	"noatime": {unix.MOUNT_ATTR_NOATIME, true}, "strictatime": {unix.MOUNT_ATTR_STRICTATIME, true},
	"nodiratime": {unix.MOUNT_ATTR_NODIRATIME, true}, "diratime": {unix.MOUNT_ATTR_NODIRATIME, false},
}

// idle are mount options that ask for what is the case anyway.
var idle = map[string]bool{
	"defaults": true, "async": true, "nomand": true, "relatime": true, "private": true, "rprivate": true, "atime": true,
	"bind": true, "rbind": true,
}

// mount translates a mount, all but its source.
func mount(m *runtime.Mount) (initproc.Mount, error) {
	out := initproc.Mount{Target: m.Target, ReadOnly: m.ReadOnly, Flags: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	var data []string
	if !strings.HasPrefix(m.Target, "/") {
		return out, errors.New("the path in the container is not absolute")
	}
	if m.Tmpfs {
		out.Flags |= unix.MOUNT_ATTR_NOEXEC // as container engines mount them
		if m.SizeMiB > 0 {
			data = append(data, "size="+strconv.FormatInt(m.SizeMiB<<20, 10))
		}
	}
	mode := false
	for _, option := range m.Options {
		if a, ok := attributes[option]; ok {
			if a.set {
				out.Flags |= a.attr
			} else {
				out.Flags &^= a.attr
			}
			continue
		}
		name, _, isValue := strings.Cut(option, "=")
		switch {
		case idle[option]:
		case m.Tmpfs && isValue && (name == "mode" || name == "uid" || name == "gid" || name == "nr_inodes" || name == "nr_blocks" || name == "mpol"):
			data = append(data, option)
			mode = mode || name == "mode"
		default:
			return out, fmt.Errorf("mount option %q is not supported", option)
		}
	}
	if m.Tmpfs && !mode {
		data = append(data, "mode=1777")
	}
	out.Data = strings.Join(data, ",")
	return out, nil
}
