package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call makes a system call of which nothing but its success is of interest.
func call(what string, nr uintptr, args ...uintptr) (string, error) {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return "", errno
	}
	return what, nil
}

// allowed is call for system calls that fail even where they are allowed, with one of the given errors, because their
// arguments are nonsense: nothing must happen to the machine that runs the tests.
func allowed(what string, harmless []unix.Errno, nr uintptr, args ...uintptr) (string, error) {
	got, err := call(what, nr, args...)
	for _, h := range harmless {
		if err == h {
			return what + " is allowed: " + err.Error(), nil
		}
	}
	return got, err
}

func text(s string) uintptr {
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return uintptr(unsafe.Pointer(p))
}

// scratch is a directory to mount on.
func scratch() string {
	dir := filepath.Join(os.TempDir(), "scratch")
	_ = os.MkdirAll(dir, 0o755) // a failure shows in what follows
	return dir
}

func mountTmpfs(string) (string, error) {
	dir := scratch()
	if err := unix.Mount("x", dir, "tmpfs", 0, ""); err != nil {
		return "", err
	}
	return "a mount", unix.Unmount(dir, 0)
}

func mountProc(string) (string, error) {
	dir := scratch()
	if err := unix.Mount("proc", dir, "proc", 0, ""); err != nil {
		return "", err
	}
	return "a proc without masks", unix.Unmount(dir, 0)
}

func mountByDescriptor(string) (string, error) {
	fd, fsopenErr := unix.Fsopen("tmpfs", 0)
	if fsopenErr == nil {
		_ = unix.Close(fd)
		return "fsopen", nil
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
	if err == nil {
		_ = unix.Close(fd)
		return "open_tree", nil
	}
	return "", errors.Join(fsopenErr, err)
}

func remountRoot(string) (string, error) {
	var errs []error
	for _, path := range []string{"/proc/sys", "/sys", "/sys/fs/cgroup", "/"} {
		err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "")
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

func unmountMasks(string) (string, error) {
	var errs []error
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/sys", "/sys/firmware", "/proc"} {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

func pivot(string) (string, error) {
	return "", orNil(unix.PivotRoot(scratch(), scratch()), unix.EINVAL, unix.EBUSY)
}

// orNil turns errors that only a caller with the right to do it sees into success.
func orNil(err error, allowed ...unix.Errno) error {
	for _, a := range allowed {
		if errors.Is(err, a) {
			return nil
		}
	}
	return err
}

func unshareUser(string) (string, error) {
	// In a program of threads the kernel refuses with EINVAL, but only after asking whether it is allowed at all.
	return allowed("unshare", []unix.Errno{unix.EINVAL}, unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
}

func unshareMount(string) (string, error) {
	runtime.LockOSThread()
	return call("a mount namespace", unix.SYS_UNSHARE, unix.CLONE_NEWNS)
}

func cloneUser(string) (string, error) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.CLONE_NEWUSER)|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	return cloned(pid, errno)
}

func clone3User(string) (string, error) {
	// struct clone_args up to exit_signal and what follows of its first version.
	args := [8]uint64{0: unix.CLONE_NEWUSER, 4: uint64(unix.SIGCHLD)}
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	return cloned(pid, errno)
}

func cloned(pid uintptr, errno unix.Errno) (string, error) {
	if errno != 0 {
		return "", errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	var ws unix.WaitStatus
	_, err := unix.Wait4(int(pid), &ws, 0, nil)
	return "a user namespace", err
}

// makeDevice makes the device of a number, "MAJOR:MINOR", and opens it.
func makeDevice(number string) (string, error) {
	var major, minor uint32
	if _, err := fmt.Sscanf(number, "%d:%d", &major, &minor); err != nil {
		return "", err
	}
	var errs []error
	for _, dir := range []string{"/tmp", "/dev", "/dev/shm", "/"} {
		path := dir + "/made-device"
		if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor))); err != nil {
			errs = append(errs, err)
			continue
		}
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		_ = os.Remove(path)
		if err == nil {
			_ = unix.Close(fd)
			return "the disk, through " + path, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// rawDevices opens whatever is in /dev that reaches hardware or kernel.
func rawDevices(string) (string, error) {
	harmless := map[string]bool{
		"full": true, "null": true, "random": true, "tty": true, "urandom": true, "zero": true, "ptmx": true, "console": true,
	}
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Type()&os.ModeDevice == 0 || harmless[e.Name()] {
			continue
		}
		return "/dev/" + e.Name() + " is there", nil
	}
	return "", errorf("there are none")
}

func writeTo(paths ...string) (string, error) {
	var errs []error
	for _, path := range paths {
		// Opening is what is decided on; nothing is written, so that nothing breaks.
		fd, err := unix.Open(path, unix.O_WRONLY, 0)
		if err == nil {
			_ = unix.Close(fd)
			return path, nil
		}
		errs = append(errs, &os.PathError{Op: "open", Path: path, Err: err})
	}
	return "", errors.Join(errs...)
}

func writeProcSys(string) (string, error) {
	return writeTo("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory",
		"/proc/sys/kernel/hostname", "/proc/sys/fs/binfmt_misc/register", "/proc/sys/net/ipv4/ip_forward",
		"/proc/irq/default_smp_affinity")
}

func sysrq(string) (string, error) { return writeTo("/proc/sysrq-trigger") }

func readKcore(string) (string, error) {
	var errs []error
	for _, path := range []string{"/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port"} {
		f, err := os.Open(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n, err := f.Read(make([]byte, 64))
		_ = f.Close()
		if n > 0 {
			return path, nil
		}
		errs = append(errs, errorf("%s: empty, %v", path, err))
	}
	return "", errors.Join(errs...)
}

func writeSys(string) (string, error) {
	paths := []string{"/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run", "/sys/module/kernel/parameters/panic"}
	for _, pattern := range []string{"/sys/block/*/uevent", "/sys/class/net/*/flags", "/sys/kernel/debug/*", "/sys/kernel/mm/transparent_hugepage/enabled"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		paths = append(paths, more[:min(len(more), 3)]...)
	}
	return writeTo(paths...)
}

// cgroupReleaseAgent is the way out that has the kernel run a program of ours on the host.
func cgroupReleaseAgent(string) (string, error) {
	paths := []string{"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/release_agent"}
	more, err := filepath.Glob("/sys/fs/cgroup/*/release_agent")
	if err != nil {
		return "", err
	}
	return writeTo(append(paths, more...)...)
}

func raiseOwnLimits(string) (string, error) {
	return writeTo("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max",
		"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max")
}

func useKeyring(string) (string, error) {
	if id, err := unix.AddKey("user", "batchbox", []byte("x"), unix.KEY_SPEC_SESSION_KEYRING); err == nil {
		return fmt.Sprintf("key %d", id), nil
	}
	if id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == nil {
		return fmt.Sprintf("keyring %d", id), nil
	}
	_, err := unix.RequestKey("user", "batchbox", "", unix.KEY_SPEC_SESSION_KEYRING)
	if err == nil || errors.Is(err, unix.ENOKEY) {
		return "request_key", nil
	}
	return "", err
}

func loadBPF(string) (string, error) {
	const progLoad = 5
	// mov r0, 0; exit: a socket filter.
	code := [2]uint64{0xb7, 0x95}
	attr := struct {
		kind, count   uint32
		code, license uint64
		rest          [12]uint64
	}{1, 2, uint64(uintptr(unsafe.Pointer(&code))), uint64(text("GPL")), [12]uint64{}}
	return call("a BPF program", unix.SYS_BPF, progLoad, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
}

func openPerf(string) (string, error) {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, 0)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return "a performance counter", nil
}

func setUpIOUring(string) (string, error) {
	var params [120]byte
	return call("a ring", unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)))
}

func openUserfaultfd(string) (string, error) {
	return allowed("userfaultfd", []unix.Errno{unix.EINVAL}, unix.SYS_USERFAULTFD, ^uintptr(0))
}

func loadModule(string) (string, error) {
	got, err := allowed("init_module", []unix.Errno{unix.ENOEXEC, unix.EFAULT, unix.EINVAL}, unix.SYS_INIT_MODULE, text("x"), 1, text(""))
	if err == nil {
		return got, nil
	}
	got, err2 := allowed("finit_module", []unix.Errno{unix.EBADF}, unix.SYS_FINIT_MODULE, ^uintptr(0), text(""), 0)
	return got, errors.Join(err, err2)
}

func loadKexec(string) (string, error) {
	return allowed("kexec_load", []unix.Errno{unix.EINVAL, unix.EADDRNOTAVAIL}, unix.SYS_KEXEC_LOAD, 0, 17, 0, ^uintptr(0))
}

func swapOn(string) (string, error) {
	return allowed("swapon", []unix.Errno{unix.EINVAL, unix.ENOENT}, unix.SYS_SWAPON, text("/nowhere"), 0)
}

func setClock(string) (string, error) {
	now := unix.NsecToTimespec(time.Now().UnixNano())
	now.Nsec = -1 // refused as nonsense, after the question of rights
	return allowed("clock_settime", []unix.Errno{unix.EINVAL}, unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, uintptr(unsafe.Pointer(&now)))
}

func setHostname(string) (string, error) {
	return call("another host name", unix.SYS_SETHOSTNAME, text("x"), 1)
}

func readKernelLog(string) (string, error) {
	buf := make([]byte, 4096)
	const readAll = 3
	if n, err := unix.Klogctl(readAll, buf); err == nil {
		return fmt.Sprintf("%d bytes of the kernel's log", n), nil
	}
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return "/dev/kmsg", nil
}

func fanotify(string) (string, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT, 0)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return "fanotify", nil
}

func accounting(string) (string, error) {
	return allowed("acct", []unix.Errno{unix.ENOENT, unix.EACCES}, unix.SYS_ACCT, text("/nowhere"))
}

func vsock(string) (string, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return "a socket to the hypervisor", nil
}

// packetSocket listens on a wire. In a network of its own there is none, so that is no harm: it counts only if there is an
// interface other than loopback.
func packetSocket(string) (string, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return "frames in the name of other tasks", nil
}

func lowerOOMScore(string) (string, error) {
	f, err := os.OpenFile("/proc/self/oom_score_adj", os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteString("-1000"); err != nil {
		return "", err
	}
	return "others are killed first", nil
}

func raisePriority(string) (string, error) {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -20); err != nil {
		return "", err
	}
	return "priority over others", nil
}

func switchOffRandomization(string) (string, error) {
	const addrNoRandomize = 0x0040000
	return call("a predictable address space", unix.SYS_PERSONALITY, addrNoRandomize)
}

// status are the lines of /proc/self/status.
func status() (map[string]string, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	m := make(map[string]string)
	for line := range strings.SplitSeq(string(b), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			m[name] = strings.TrimSpace(value)
		}
	}
	return m, nil
}
