package initproc

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// devices are the host's devices that every container has, and no others.
var devices = [...]string{"full", "null", "random", "tty", "urandom", "zero"}

// MaskedPaths and ReadonlyPaths are those of container engines (Moby's oci/defaults.go): what tells about the host, or
// reaches it, and is not namespaced.
var MaskedPaths = [...]string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	"/sys/devices/virtual/powercap", "/sys/firmware",
}

var ReadonlyPaths = [...]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

const quiet = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// sources are the host trees a container needs, as detached mounts, taken before the host's root goes out of sight.
type sources struct {
	root    int // -1: to be made
	layers  []int
	upper   int // -1: in memory
	files   []int
	mounts  []int
	devices [len(devices)]int
	sys     int // -1: a sysfs of the container's own
}

func openSources(in *Instructions, fds []int) (*sources, error) {
	// A mount or unmount in here must not show on the host, nor the other way round.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, failed("make mounts private", err)
	}
	open := func(t Tree, recursive uint) (int, error) {
		switch {
		case t.Zero():
			return -1, nil
		case t.FD >= len(fds):
			return -1, errors.New("descriptor " + strconv.Itoa(t.FD) + " was not sent")
		case t.FD >= 0:
			return fds[t.FD], nil
		}
		return openTree(unix.AT_FDCWD, t.Path, recursive)
	}
	var (
		s   sources
		err error
	)
	if s.root, err = open(in.Root, 0); err != nil {
		return nil, failed("root", err)
	}
	s.layers = make([]int, len(in.Layers))
	for i, l := range in.Layers {
		if s.layers[i], err = open(l, 0); err != nil {
			return nil, failed("image layer", err)
		}
	}
	if s.upper, err = open(in.Upper, 0); err != nil {
		return nil, failed("container directory", err)
	}
	s.mounts = make([]int, len(in.Mounts))
	for i, m := range in.Mounts {
		if s.mounts[i], err = open(m.Source, unix.AT_RECURSIVE); err != nil {
			return nil, failed("volume for "+m.Target, err)
		}
	}
	for i, d := range devices {
		if s.devices[i], err = openTree(unix.AT_FDCWD, "/dev/"+d, 0); err != nil {
			return nil, err
		}
	}
	s.sys = -1
	if in.HostNetwork && in.UserNamespace {
		// A user namespace can mount sysfs only for a network namespace it owns.
		if s.sys, err = openTree(unix.AT_FDCWD, "/sys", unix.AT_RECURSIVE); err != nil {
			return nil, err
		}
	}
	return &s, nil
}

// buildRoot assembles the container's root and makes it the root. Until the last step the host's mounts stay attached,
// because the kernel lets a user namespace mount proc and sysfs only while it can see them whole.
func buildRoot(in *Instructions, fds []int) error {
	src, err := openSources(in, fds)
	if err != nil {
		return err
	}
	host, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("open /", err)
	}
	if err := mountRoot(in, src); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return failed("pivot_root", err)
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("open the container's root", err)
	}
	if err := mountKernel(in, src); err != nil {
		return err
	}
	for i, f := range in.Files {
		if in.ReadonlyRoot {
			if err := setReadonly(src.files[i], 0, 0); err != nil {
				return failed("make "+f.Path+" read-only", err)
			}
		}
		if err := attach(src.files[i], unix.AT_FDCWD, f.Path); err != nil {
			return failed("mount "+f.Path, err)
		}
	}
	for i := range in.Mounts {
		if err := mountVolume(root, &in.Mounts[i], src.mounts[i]); err != nil {
			return failed("mount "+in.Mounts[i].Target, err)
		}
	}
	if !in.Unmasked {
		if err := mask(); err != nil {
			return err
		}
	}
	if in.Dir != "" && strings.Trim(in.Dir, "/") != "" {
		dir, err := makePlace(root, in.Dir, true)
		if err != nil {
			return &Failure{Kind: FailedStart, Text: "failed to create the working directory: " + err.Error()}
		}
		_ = unix.Close(dir)
	}
	if in.ReadonlyRoot {
		if err := setReadonly(root, unix.MOUNT_ATTR_NODEV, 0); err != nil {
			return failed("make the root read-only", err)
		}
	}
	closeAll([]int{root})
	return leaveHost(host)
}

// leaveHost detaches the host's root, which pivot_root left mounted over the container's, and on it the stage: whoever
// unmounts a directory gets what is mounted on top of it.
func leaveHost(host int) error {
	if err := unix.Fchdir(host); err != nil {
		return failed("go to the host's root", err)
	}
	for _, what := range [...]string{"stage", "host's root"} {
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return failed("let go of the "+what, err)
		}
	}
	_ = unix.Close(host)
	if err := unix.Chdir("/"); err != nil {
		return failed("chdir /", err)
	}
	// Were anything still mounted over the root, this would lead there.
	var root, above unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return failed("stat /", err)
	}
	if err := unix.Stat("/..", &above); err != nil {
		return failed("stat /..", err)
	}
	if root.Dev != above.Dev || root.Ino != above.Ino {
		return errors.New("the host's root is still within reach")
	}
	return nil
}

// mountRoot leaves the container's root file system mounted on the current directory.
//
// Its parts are put together in a tmpfs that is mounted over "/" without anybody being moved there: no directory of the
// host is hidden or needed, and paths stay short however long the host's are, so that 127 layers fit into the one page
// that mount(2) takes.
func mountRoot(in *Instructions, src *sources) error {
	size := ""
	if src.upper < 0 {
		size = strconv.FormatUint(in.UpperBytes, 10)
	}
	stage, err := newTmpfs(size)
	if err != nil {
		return err
	}
	if err := unix.MoveMount(stage, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return failed("mount the stage", err)
	}
	if err := unix.Fchdir(stage); err != nil {
		return failed("go to the stage", err)
	}
	_ = unix.Close(stage)
	if err := unix.Mkdir("root", 0o755); err != nil {
		return failed("mkdir root", err)
	}
	if src.root >= 0 {
		err = failed("mount the root", attach(src.root, unix.AT_FDCWD, "root"))
	} else {
		err = mountOverlay(in, src)
	}
	if err != nil {
		return err
	}
	if in.ShareRoot {
		if err := shareRoot(src); err != nil {
			return err
		}
	}
	if err := writeFiles(in.Files, src); err != nil {
		return err
	}
	return failed("chdir", unix.Chdir("root"))
}

// mountOverlay mounts a new root file system on "root".
func mountOverlay(in *Instructions, src *sources) error {
	lower := ""
	for i := len(src.layers) - 1; i >= 0; i-- {
		dir := strconv.Itoa(i)
		if err := unix.Mkdir(dir, 0o755); err != nil {
			return failed("mkdir", err)
		}
		if err := attach(src.layers[i], unix.AT_FDCWD, dir); err != nil {
			return failed("mount image layer", err)
		}
		lower += ":" + dir
	}
	if err := unix.Mkdir("own", 0o755); err != nil {
		return failed("mkdir", err)
	}
	if src.upper >= 0 {
		if err := attach(src.upper, unix.AT_FDCWD, "own"); err != nil {
			return failed("mount the container's directory", err)
		}
	}
	for _, dir := range [...]string{"own/upper", "own/work"} {
		if err := unix.Mkdir(dir, 0o755); err != nil {
			return failed("mkdir "+dir, err)
		}
	}
	// userxattr: marks are user.overlay.*, for a user namespace can not have trusted.overlay.*. volatile: nobody will want
	// these files after a crash, so their file system need not be synced when a container ends.
	data := "lowerdir=" + lower[1:] + ",upperdir=own/upper,workdir=own/work,userxattr,volatile"
	if err := unix.Mount(in.Label, "root", "overlay", unix.MS_NODEV, data); err != nil {
		return failed("mount overlay", err)
	}
	return nil
}

// shareRoot sends the runtime a copy of the root's mount, which lives on when the container ends.
func shareRoot(src *sources) error {
	var m MadeRoot
	if src.upper >= 0 && src.root < 0 {
		var st unix.Stat_t
		if err := unix.Stat("own/upper", &st); err != nil {
			return failed("stat own/upper", err)
		}
		m.Changed = uint64(st.Ctim.Nano())
	}
	root, err := openTree(unix.AT_FDCWD, "root", 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	return failed("send the root", unix.Sendmsg(socket, m.append(nil), unix.UnixRights(root), nil, unix.MSG_NOSIGNAL))
}

// writeFiles makes the container's own files on the stage, to be mounted over those of the root: a root may be used again,
// so it is not written to.
func writeFiles(files []File, src *sources) error {
	src.files = make([]int, len(files))
	for i, f := range files {
		path := "file" + strconv.Itoa(i)
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(f.Mode))
		if err != nil {
			return failed("create "+f.Path, err)
		}
		err = writeAll(fd, f.Content)
		_ = unix.Close(fd)
		if err != nil {
			return failed("write "+f.Path, err)
		}
		if src.files[i], err = openTree(unix.AT_FDCWD, path, 0); err != nil {
			return err
		}
	}
	return nil
}

func writeAll(fd int, s string) error {
	for b := []byte(s); len(b) > 0; {
		n, err := unix.Write(fd, b)
		if err != nil && err != unix.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// mountKernel mounts what the kernel shows: /proc, /dev, /sys.
func mountKernel(in *Instructions, src *sources) error {
	const quietFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("proc", "/proc", "proc", quietFlags, ""); err != nil {
		return failed("mount proc", err)
	}
	if err := mountDev(in, src); err != nil {
		return err
	}
	if src.sys >= 0 {
		if err := setReadonly(src.sys, quiet, unix.AT_RECURSIVE); err != nil {
			return failed("make /sys read-only", err)
		}
		if err := attach(src.sys, unix.AT_FDCWD, "/sys"); err != nil {
			return failed("mount /sys", err)
		}
	} else if err := unix.Mount("sysfs", "/sys", "sysfs", quietFlags|unix.MS_RDONLY, ""); err != nil {
		return failed("mount sysfs", err)
	}
	return mountCgroups(in, src.sys >= 0)
}

func mountDev(in *Instructions, src *sources) error {
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=755,size=64m"); err != nil {
		return failed("mount /dev", err)
	}
	for i, name := range devices {
		path := "/dev/" + name
		if err := unix.Mknod(path, unix.S_IFREG|0o666, 0); err != nil {
			return failed("create "+path, err)
		}
		if err := attach(src.devices[i], unix.AT_FDCWD, path); err != nil {
			return failed("mount "+path, err)
		}
	}
	for _, l := range [...][2]string{
		{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"}, {"/proc/kcore", "/dev/core"}, {"pts/ptmx", "/dev/ptmx"},
	} {
		if err := unix.Symlink(l[0], l[1]); err != nil {
			return failed("create "+l[1], err)
		}
	}
	ptsOptions := "newinstance,ptmxmode=0666,mode=0620"
	if !in.SingleUser {
		ptsOptions += ",gid=5"
	}
	for _, m := range [...]struct {
		path, fs string
		flags    uintptr
		data     string
	}{
		{"/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, ptsOptions},
		{"/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=1777,size=" + strconv.FormatUint(in.ShmBytes, 10)},
		{"/dev/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	} {
		if err := unix.Mkdir(m.path, 0o755); err != nil {
			return failed("mkdir "+m.path, err)
		}
		if err := unix.Mount(m.fs, m.path, m.fs, m.flags, m.data); err != nil {
			return failed("mount "+m.path, err)
		}
	}
	return nil
}

// mountCgroups shows the container its own cgroups, so that programs find their limits: version 2 in one mount, version
// 1 in one for each hierarchy.
func mountCgroups(in *Instructions, hostSys bool) error {
	const dir = "/sys/fs/cgroup"
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY
	v2 := len(in.Cgroups) == 1 && in.Cgroups[0].Controllers == ""
	if !v2 || hostSys {
		// A place for several hierarchies. If /sys is the host's, it covers the host's, even with nothing; and the kernel does
		// not mount version 2 right on top of itself.
		if err := unix.Mount("tmpfs", dir, "tmpfs", flags&^unix.MS_RDONLY, "mode=755,size=64k"); err != nil {
			return failed("mount "+dir, err)
		}
	}
	for _, g := range in.Cgroups {
		if g.Controllers == "" {
			if err := unix.Mount("cgroup", dir, "cgroup2", flags, ""); err != nil {
				return failed("mount cgroup2", err)
			}
			continue
		}
		path := dir + "/" + g.Controllers
		if err := unix.Mkdir(path, 0o755); err != nil {
			return failed("mkdir "+path, err)
		}
		if err := unix.Mount("cgroup", path, "cgroup", flags, g.Controllers); err != nil {
			return failed("mount "+path, err)
		}
		if strings.Contains(g.Controllers, ",") {
			for name := range strings.SplitSeq(g.Controllers, ",") {
				if err := unix.Symlink(g.Controllers, dir+"/"+name); err != nil {
					return failed("symlink "+dir+"/"+name, err)
				}
			}
		}
	}
	if v2 {
		return nil
	}
	return failed("make "+dir+" read-only", unix.Mount("", dir, "", flags|unix.MS_REMOUNT|unix.MS_BIND, ""))
}

// mask hides MaskedPaths and takes the right to write from ReadonlyPaths, as far as this kernel has them.
func mask() error {
	for _, path := range MaskedPaths {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=0,mode=755"); err != nil {
				return failed("mask "+path, err)
			}
			continue
		}
		fd, err := openTree(unix.AT_FDCWD, "/dev/null", 0)
		if err == nil {
			err = attach(fd, unix.AT_FDCWD, path)
		}
		if err != nil {
			return failed("mask "+path, err)
		}
	}
	for _, path := range ReadonlyPaths {
		fd, err := openTree(unix.AT_FDCWD, path, 0)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err == nil {
			err = setReadonly(fd, quiet, 0)
		}
		if err == nil {
			err = attach(fd, unix.AT_FDCWD, path)
		}
		if err != nil {
			return failed("make "+path+" read-only", err)
		}
	}
	return nil
}
