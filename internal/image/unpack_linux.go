package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// canLayer says whether this system can keep layers the way overlayfs wants them.
const canLayer = true

func mkfifo(dir *os.File, name string) error {
	return wrapOp("mkfifo", name, unix.Mkfifoat(int(dir.Fd()), name, 0o600))
}

// mkWhiteout makes the character device 0:0 that hides a name from lower layers. Since Linux 5.8 it needs no privilege.
func mkWhiteout(dir *os.File, name string) error {
	return wrapOp("whiteout", name, unix.Mknodat(int(dir.Fd()), name, unix.S_IFCHR, 0))
}

func wrapOp(op, name string, err error) error {
	if err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func setOpaque(root *os.Root, dir string, style whiteoutStyle) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	err = wrapOp("marking opaque", dir, unix.Fsetxattr(int(d.Fd()), string(style), []byte("y"), 0))
	return errors.Join(err, d.Close())
}

// paxXattr is what the names of extended attributes begin with in a tar's PAX records.
const paxXattr = "SCHILY.xattr."

// setXattrs gives a file the extended attributes a container may see: capabilities and its own. Attributes of overlayfs
// would change what the layer means. A file system or user that can not set them leaves them out, as container engines do.
func setXattrs(f *os.File, h *tar.Header) error {
	for k, v := range h.PAXRecords {
		name, ok := strings.CutPrefix(k, paxXattr)
		if !ok || name != "security.capability" && !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		err := unix.Fsetxattr(int(f.Fd()), name, []byte(v), 0)
		if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

// syncTree makes everything on the file system of dir durable.
func syncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(wrapOp("syncfs", dir, unix.Syncfs(int(d.Fd()))), d.Close())
}
