package initproc

import (
	"encoding/binary"
	"errors"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// HeaderSize is the size of what precedes the Instructions on an init's socket: their length, as a little-endian number.
const HeaderSize = 4

// MaxInstructions bounds the encoded Instructions: room for the largest arguments and environment that execve takes.
const MaxInstructions = 16 << 20

// initMain is the first program of a container. All it does for the container it does on one thread, because identity,
// capabilities, cgroup namespace and seccomp filter belong to a thread; execve then makes that thread the whole process.
func initMain() {
	runtime.LockOSThread()
	in, fds, err := receiveInstructions()
	if err != nil {
		// The runtime is gone, or not one of ours.
		say(Name + ": " + err.Error() + "\n")
		syscall.Exit(1)
	}
	err = build(in, fds)
	if err == nil {
		err = become(in)
	}
	if err == nil {
		err = execute(in)
	}
	giveUp(err)
}

// giveUp tells why there is no container: the runtime, or, if it does not listen, whoever reads the output.
func giveUp(err error) {
	f := new(Failure)
	if !errors.As(err, &f) {
		f = &Failure{Kind: FailedSetup, Text: err.Error()}
	}
	if err := unix.Sendto(socket, f.Append(nil), unix.MSG_NOSIGNAL, nil); err != nil {
		say(f.Text + "\n")
	}
	switch f.Kind {
	case FailedNotFound:
		syscall.Exit(127)
	case FailedNotExecutable:
		syscall.Exit(126)
	}
	syscall.Exit(1)
}

func receiveInstructions() (*Instructions, []int, error) {
	unix.CloseOnExec(socket)
	buf := make([]byte, 64<<10)
	n, fds, err := receive(socket, buf)
	if err != nil {
		return nil, nil, err
	}
	if n < HeaderSize {
		return nil, nil, errors.New("no instructions")
	}
	size := int(binary.LittleEndian.Uint32(buf))
	buf = buf[HeaderSize:n]
	if size > MaxInstructions || size < len(buf) {
		return nil, nil, errors.New("instructions of a wrong size")
	}
	if size > len(buf) {
		whole := make([]byte, size)
		got := copy(whole, buf)
		for got < size {
			n, err := unix.Read(socket, whole[got:])
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return nil, nil, failed("read instructions", err)
			}
			if n == 0 {
				return nil, nil, errors.New("incomplete instructions")
			}
			got += n
		}
		buf = whole
	}
	in, err := ParseInstructions(buf)
	return in, fds, err
}

// build makes the container's namespaces into what the program is to see.
func build(in *Instructions, fds []int) error {
	if in.BecomeRoot {
		if err := setIDs(0, 0, nil, false); err != nil {
			return err
		}
	}
	// When the launcher dies the container dies. Changing ids cleared an earlier wish.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return failed("prctl PR_SET_PDEATHSIG", err)
	}
	if _, err := unix.Setsid(); err != nil {
		return failed("setsid", err)
	}
	// Not by the launcher's clone: a cgroup namespace is rooted at the cgroup of whoever makes it.
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return failed("unshare the cgroup namespace", err)
	}
	if err := unix.Sethostname([]byte(in.Hostname)); err != nil {
		return failed("set hostname", err)
	}
	if in.JoinNetwork >= 0 {
		if in.JoinNetwork >= len(fds) {
			return errors.New("the network namespace was not sent")
		}
		if err := unix.Setns(fds[in.JoinNetwork], unix.CLONE_NEWNET); err != nil {
			return failed("join the task's network namespace", err)
		}
		_ = unix.Close(fds[in.JoinNetwork])
	} else if !in.HostNetwork {
		if err := makeNetwork(in); err != nil {
			return err
		}
	}
	return buildRoot(in, fds)
}

// setIDs changes the ids of this thread alone. Package syscall would change them for all threads, which costs time and
// which the seccomp filter may prevent.
func setIDs(uid, gid int, groups []int, single bool) error {
	if !single { // a user namespace of one id does not allow setgroups
		list := make([]uint32, len(groups)+1)
		for i, g := range groups {
			list[i] = uint32(g)
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0); errno != 0 {
			return failed("setgroups", errno)
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); errno != 0 {
		return failed("setgid", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return failed("setuid", errno)
	}
	return nil
}
