package initproc

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// openTree is a detached copy of the mount at path. Descriptors of detached mounts are closed by attach.
func openTree(dir int, path string, recursive uint) (int, error) {
	fd, err := unix.OpenTree(dir, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	return fd, failed(path, err)
}

// attach mounts a detached mount on a path, and closes its descriptor.
func attach(fd int, dir int, path string) error {
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH
	if path == "" {
		flags |= unix.MOVE_MOUNT_T_EMPTY_PATH
	}
	err := unix.MoveMount(fd, "", dir, path, flags)
	_ = unix.Close(fd)
	return err
}

// setReadonly makes a mount read-only and adds other attributes, with recursive to all below it.
func setReadonly(fd int, attrs uint64, recursive uint) error {
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|recursive, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | attrs})
}

// newTmpfs is a detached, empty tmpfs; size as mount(8) has it, empty for the kernel's default.
func newTmpfs(size string) (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, failed("fsopen tmpfs", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "mode", "0755"); err != nil {
		return -1, failed("tmpfs mode", err)
	}
	if size != "" {
		if err := unix.FsconfigSetString(fs, "size", size); err != nil {
			return -1, failed("tmpfs size "+size, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, failed("create tmpfs", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	return fd, failed("fsmount tmpfs", err)
}

// mountVolume mounts a host tree or a tmpfs at a place in the container's root, which it makes if there is none.
func mountVolume(root int, m *Mount, source int) error {
	if source < 0 {
		target, err := makePlace(root, m.Target, true)
		if err != nil {
			return err
		}
		defer unix.Close(target)
		return mountTmpfs(target, m)
	}
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return failed("stat source", err)
	}
	target, err := makePlace(root, m.Target, st.Mode&unix.S_IFMT == unix.S_IFDIR)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	attr := unix.MountAttr{Attr_set: m.Flags}
	if m.ReadOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(source, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return failed("set mount attributes", err)
	}
	return attach(source, target, "")
}

func mountTmpfs(target int, m *Mount) error {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return failed("fsopen tmpfs", err)
	}
	defer unix.Close(fs)
	for option := range strings.SplitSeq(m.Data, ",") {
		if option == "" {
			continue
		}
		key, value, _ := strings.Cut(option, "=")
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return failed("tmpfs option "+option, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return failed("create tmpfs", err)
	}
	attrs := m.Flags
	if m.ReadOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, int(attrs))
	if err != nil {
		return failed("fsmount tmpfs", err)
	}
	return attach(fd, target, "")
}

// inRoot opens a path as the container will see it. Symbolic links are followed inside the root only, and never those
// of /proc that lead to open files: an image could otherwise have us use a descriptor of the host.
func inRoot(root int, path string, flags uint64) (int, error) {
	if path = strings.TrimLeft(path, "/"); path == "" {
		path = "."
	}
	return unix.Openat2(root, path, &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// makePlace opens a directory or a file at a path in the root, after making what is missing of it.
func makePlace(root int, path string, dir bool) (int, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return -1, errors.New("the root can not be replaced")
	}
	parent, err := unix.Dup(root)
	if err != nil {
		return -1, failed("dup", err)
	}
	defer func() { unix.Close(parent) }()
	for i := 0; ; {
		end := strings.IndexByte(path[i:], '/')
		last := end < 0
		if last {
			end = len(path) - i
		}
		prefix, name := path[:i+end], path[i:i+end]
		i += end + 1
		if name == "" {
			continue
		}
		flags := uint64(unix.O_PATH)
		if !last || dir {
			flags |= unix.O_DIRECTORY
		}
		fd, err := inRoot(root, prefix, flags)
		if err == unix.ENOENT {
			if name == ".." || name == "." {
				return -1, failed(path, unix.ENOENT)
			}
			if !last || dir {
				err = unix.Mkdirat(parent, name, 0o755)
			} else {
				err = unix.Mknodat(parent, name, unix.S_IFREG|0o644, 0)
			}
			if err == nil {
				fd, err = inRoot(root, prefix, flags)
			}
		}
		if err != nil {
			return -1, failed(prefix, err)
		}
		if last {
			return fd, nil
		}
		_ = unix.Close(parent)
		parent = fd
	}
}
