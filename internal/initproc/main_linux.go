package initproc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Main is batchbox-init. It does not return.
func Main(args []string) {
	role := ""
	if len(args) > 1 {
		role = args[1]
	}
	switch role {
	case roleLauncher:
		launcherMain()
	case roleInit:
		initMain()
	case roleReaper:
		if len(args) > 2 {
			reaperMain(args[2:])
		}
	case roleShim:
		if len(args) > 4 {
			shimMain(args[2], args[3], args[4:])
		}
	}
	say(Name + " is started by batchbox, not by hand\n")
	syscall.Exit(2)
}

// say writes to standard error, where nobody may listen.
func say(s string) { _, _ = unix.Write(2, []byte(s)) }

// socket is the descriptor of the socket that a launcher or an init is born with.
const socket = 3

// maxFDs is the most descriptors the kernel passes in one message (SCM_MAX_FD).
const maxFDs = 253

// receive reads one message, or a piece of a stream, and the descriptors that came with it.
func receive(fd int, buf []byte) (n int, fds []int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*maxFDs))
	var oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, nil, failed("recvmsg", err)
	}
	if oobn == 0 {
		return n, nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, nil, failed("control message", err)
	}
	for i := range msgs {
		more, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return 0, nil, failed("control message", err)
		}
		fds = append(fds, more...)
	}
	return n, fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
