package initproc

import (
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/runtime/account"
)

// become turns the init, step by step, into something that has no more rights than the program may have.
func become(in *Instructions) error {
	for _, l := range in.Rlimits {
		if err := unix.Prlimit(0, int(l.Resource), &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil); err != nil {
			return startFailure("error setting rlimit", err)
		}
	}
	id, err := lookUpUser(in)
	if err != nil {
		return startFailure("", err)
	}
	in.Env = completeEnv(in.Env, append(in.DefaultEnv, "HOME="+id.Home))
	if err := enterDir(in.Dir); err != nil {
		return startFailure("chdir to "+in.Dir, err)
	}
	unix.Umask(0o022)
	// Standard input was opened on the host. The container's null device is no different, but it is the container's.
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("open /dev/null", err)
	}
	if err := unix.Dup3(null, 0, 0); err != nil {
		return failed("dup /dev/null", err)
	}
	// Whatever is open beyond the standard three does not survive execve. What the runtime opens, it opens so.
	if err := unix.CloseRange(3, ^uint(0)>>1&0x7fffffff, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return failed("close_range", err)
	}
	if err := resetSignals(); err != nil {
		return err
	}
	if err := dropBounding(in.Capabilities); err != nil {
		return err
	}
	if err := setIDs(id.UID, id.GID, id.Groups, in.SingleUser); err != nil {
		return startFailure("", err)
	}
	if err := setCapabilities(in.Capabilities, id.UID == 0); err != nil {
		return err
	}
	// Changing ids cleared this.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return failed("prctl PR_SET_PDEATHSIG", err)
	}
	if !in.NewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return failed("prctl PR_SET_NO_NEW_PRIVS", err)
		}
	}
	return filter(in.Seccomp)
}

func startFailure(what string, err error) error {
	if what != "" {
		err = failed(what, err)
	}
	return &Failure{Kind: FailedStart, Text: err.Error()}
}

func lookUpUser(in *Instructions) (account.Identity, error) {
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return account.Identity{}, failed("open /", err)
	}
	defer unix.Close(root)
	passwd, err := readIfThere(root, "etc/passwd")
	if err != nil {
		return account.Identity{}, err
	}
	group, err := readIfThere(root, "etc/group")
	if err != nil {
		return account.Identity{}, err
	}
	id, err := account.Resolve(in.User, passwd, group)
	if err == nil && in.SingleUser {
		if id.UID != in.UID || id.GID != in.GID {
			return account.Identity{}, errors.New("user " + in.User + ": this user namespace has only user " + strconv.Itoa(in.UID) + " and group " + strconv.Itoa(in.GID))
		}
		id.Groups = nil
	}
	return id, err
}

// readIfThere reads a file of the container. What is not a regular file counts as empty: opening it might block.
func readIfThere(root int, path string) (string, error) {
	fd, err := inRoot(root, path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return "", nil
	}
	if err != nil {
		return "", failed("open /"+path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", failed("stat /"+path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", nil
	}
	if st.Size > account.MaxFile {
		return "", errors.New("/" + path + " is larger than 8 MiB")
	}
	b := make([]byte, st.Size)
	for got := 0; got < len(b); {
		n, err := unix.Read(fd, b[got:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", failed("read /"+path, err)
		}
		if n == 0 {
			return string(b[:got]), nil
		}
		got += n
	}
	return string(b), nil
}

// completeEnv adds the defaults whose names env does not have.
func completeEnv(env, defaults []string) []string {
	out := env[:len(env):len(env)]
	for _, d := range defaults {
		name := d[:strings.IndexByte(d, '=')+1]
		if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, name) }) {
			out = append(out, d)
		}
	}
	return out
}

func enterDir(dir string) error {
	if dir == "" {
		return nil
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	fd, err := inRoot(root, dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchdir(fd)
}

// resetSignals gives signals that the runtime's parent ignored (nohup) their default action back; execve does so only
// for those that are caught.
func resetSignals() error {
	// struct kernel_sigaction: handler, flags, restorer, mask; all zero is SIG_DFL. Larger than any architecture's.
	var action [8]uint64
	for sig := uintptr(1); sig <= 31; sig++ {
		if sig == uintptr(unix.SIGKILL) || sig == uintptr(unix.SIGSTOP) {
			continue
		}
		var old [8]uint64
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0); errno != 0 {
			return failed("rt_sigaction", errno)
		}
		const ignored = 1 // SIG_IGN
		if old[0] != ignored {
			continue
		}
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
			return failed("rt_sigaction", errno)
		}
	}
	return nil
}

// lastCapability is more than any kernel knows.
const lastCapability = 63

func dropBounding(keep uint64) error {
	for n := range uintptr(lastCapability + 1) {
		if keep>>n&1 != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, n, 0, 0, 0)
		if err == unix.EINVAL {
			break // the kernel knows no more
		}
		if err != nil {
			return failed("drop capabilities from the bounding set", err)
		}
	}
	return nil
}

// setCapabilities leaves the program the given capabilities if it runs as root, else none.
func setCapabilities(keep uint64, root bool) error {
	if !root {
		keep = 0
	}
	var old [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &old[0]); err != nil {
		return failed("capget", err)
	}
	lo, hi := uint32(keep)&old[0].Permitted, uint32(keep>>32)&old[1].Permitted
	data := [2]unix.CapUserData{{Effective: lo, Permitted: lo}, {Effective: hi, Permitted: hi}}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return failed("capset", err)
	}
	return failed("clear ambient capabilities", unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
}

// filter installs a seccomp filter. Nothing may follow that the filter forbids.
func filter(code []byte) error {
	if len(code) == 0 {
		return nil
	}
	const instruction = 8 // sizeof(struct sock_filter)
	if len(code)%instruction != 0 {
		return errors.New("seccomp filter is not a whole number of instructions")
	}
	// A copy, because a struct sock_filter must be aligned.
	program := make([]unix.SockFilter, len(code)/instruction)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(code)), code)
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
	runtime.KeepAlive(program)
	return failed("install seccomp filter", err)
}
