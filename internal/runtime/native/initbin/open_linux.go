package initbin

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Open opens an executable of batchbox-init that no container can write to, whatever it finds out about it
// (CVE-2019-5736): the embedded one, or else this program.
func Open() (f *os.File, isEmbedded bool, err error) {
	f, err = embedded()
	if f != nil || err != nil {
		return f, true, err
	}
	f, err = ownExecutable()
	return f, false, err
}

// Command is the path by which this process executes f, for as long as f is open.
func Command(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// embedded is the embedded batchbox-init, in a file in memory that can not be changed any more; nil if there is none, or
// if this machine does not execute such files.
func embedded() (*os.File, error) {
	binary := Binary()
	if len(binary) == 0 {
		return nil, nil
	}
	fd, err := unix.MemfdCreate("batchbox-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all were executable
		fd, err = unix.MemfdCreate("batchbox-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if errors.Is(err, unix.EACCES) { // vm.memfd_noexec=2
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "batchbox-init")
	if _, err := f.Write(binary); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("copy batchbox-init: %w", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("seal batchbox-init: %w", err)
	}
	return f, nil
}

// ownExecutable is this program's file. As root it is seen through a mount of its own that is read-only, so that a container
// which finds it (/proc/1/exe) can not write to it; others have not the right to.
func ownExecutable() (*os.File, error) {
	const self = "/proc/self/exe"
	if os.Geteuid() == 0 {
		fd, err := unix.OpenTree(unix.AT_FDCWD, self, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("open_tree %s: %w", self, err)
		}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("mount_setattr: %w", err)
		}
		return os.NewFile(uintptr(fd), self), nil
	}
	return os.Open(self)
}
