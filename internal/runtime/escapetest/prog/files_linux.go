package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// secretMark begins every secret that the tests put on the host.
const secretMark = "batchbox-secret-"

func secretIn(b []byte) bool { return bytes.Contains(b, []byte(secretMark)) }

func readIf(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return "", err
	}
	if !secretIn(b) {
		return "", errorf("%s is something else", path)
	}
	return "the secret in " + path, nil
}

func readSecret(path string) (string, error) { return readIf(path) }

// climb leaves the root by .., from various places.
func climb(path string) (string, error) {
	up := strings.Repeat("../", 64)
	var errs []error
	for _, from := range []string{"/", "/proc", "/sys/fs/cgroup", "/dev/shm", "/tmp"} {
		if err := os.Chdir(from); err != nil {
			continue
		}
		got, err := readIf(up + path)
		if err == nil {
			return got, nil
		}
		errs = append(errs, err)
		if got, err := readIf(from + "/" + up + path); err == nil {
			return got, nil
		}
	}
	return "", errors.Join(errs...)
}

// readThroughProc tries the links in /proc that lead to other roots.
func readThroughProc(path string) (string, error) {
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return "", err
	}
	tried := 0
	for _, p := range append(procs, "/proc/self", "/proc/thread-self") {
		for _, link := range []string{"root", "cwd", "root/..", "cwd/.."} {
			tried++
			if got, err := readIf(p + "/" + link + path); err == nil {
				return got, nil
			}
		}
		fds, err := filepath.Glob(p + "/fd/*")
		if err != nil {
			return "", err
		}
		for _, fd := range fds {
			for _, up := range []string{"", "/..", "/../../../../../../../.."} {
				tried++
				if got, err := readIf(fd + up + path); err == nil {
					return got, nil
				}
			}
		}
		maps, err := filepath.Glob(p + "/map_files/*")
		if err != nil {
			return "", err
		}
		for _, m := range maps {
			tried++
			if got, err := readIf(m); err == nil {
				return got, nil
			}
		}
	}
	return "", errorf("none of %d links leads there", tried)
}

// inheritedDescriptors looks for open files that nobody gave it.
func inheritedDescriptors(string) (string, error) {
	var found []string
	for fd := 3; fd < 4096; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && (strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/sys/fs/cgroup/")) {
			continue // the Go runtime's own
		}
		found = append(found, fmt.Sprintf("%d is %s (mode %o)", fd, to, st.Mode))
	}
	if len(found) == 0 {
		return "", errorf("there are none")
	}
	return strings.Join(found, ", "), nil
}

// escapeChroot is the classic: a descriptor of the old root survives a second chroot.
func escapeChroot(path string) (string, error) {
	jail, err := os.MkdirTemp("", "jail")
	if err != nil {
		return "", err
	}
	defer os.Remove(jail)
	old, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	if err := unix.Chroot(jail); err != nil {
		return "", err
	}
	if err := unix.Fchdir(old); err != nil {
		return "", err
	}
	for range 64 {
		if err := unix.Chdir(".."); err != nil {
			return "", err
		}
	}
	if err := unix.Chroot("."); err != nil {
		return "", err
	}
	return readIf(path)
}

// readFromWorkingDirectory follows a working directory that may lie outside of the root.
func readFromWorkingDirectory(path string) (string, error) {
	dir, err := os.Getwd()
	if err != nil || strings.HasPrefix(dir, "(unreachable)") {
		return "the working directory is outside: " + dir, nil
	}
	return readIf(strings.Repeat("../", 64) + path)
}

// openByHandle is the shocker exploit: files by their number on the disk.
func openByHandle(string) (string, error) {
	mount, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(mount)
	const ext4Root = 2
	handle := unix.NewFileHandle(1, []byte{ext4Root, 0, 0, 0, 0, 0, 0, 0})
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_RDONLY)
	if err != nil {
		if errors.Is(err, unix.ESTALE) {
			return "the right to open by handle", nil
		}
		return "", err
	}
	_ = unix.Close(fd)
	return "inode 2 of the disk", nil
}

// overwriteRuntime opens the runtime's own program for writing (CVE-2019-5736).
func overwriteRuntime(string) (string, error) {
	var errs []error
	for _, exe := range []string{"/proc/1/exe", "/proc/self/exe"} {
		to, err := os.Readlink(exe)
		if err == nil && strings.HasSuffix(to, "/prog") {
			errs = append(errs, errorf("%s is the image's own", exe))
			continue
		}
		fd, err := unix.Open(exe, unix.O_WRONLY, 0)
		if err == nil {
			_ = unix.Close(fd)
			return exe + " is " + to, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// openDevice opens a device file that came with the image.
func openDevice(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK && st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return "", errorf("%s is no device", path)
	}
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	_ = unix.Close(fd)
	return path, nil
}

// fillShm writes more to /dev/shm than it should hold: the argument in MiB.
func fillShm(mib string) (string, error) {
	n, err := strconv.Atoi(mib)
	if err != nil {
		return "", err
	}
	f, err := os.Create("/dev/shm/fill")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 1<<20)
	for range n {
		if _, err := f.Write(block); err != nil {
			return "", err
		}
	}
	return mib + " MiB", nil
}

// fillDisk takes so many MiB of the root file system, and waits to be ended for it.
func fillDisk(mib string) (string, error) {
	n, err := strconv.Atoi(mib)
	if err != nil {
		return "", err
	}
	f, err := os.Create("/fill")
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(n)<<20); err != nil {
		return "", err
	}
	wait(30)
	return mib + " MiB", nil
}

// ruin writes to, and then removes, every file under a directory that is on the root file system.
func ruin(dir string) (string, error) {
	var root unix.Stat_t
	if err := unix.Lstat("/", &root); err != nil {
		return "", err
	}
	n := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if e.IsDir() && st.Dev != root.Dev {
			return filepath.SkipDir
		}
		if !e.Type().IsRegular() || st.Dev != root.Dev {
			return nil
		}
		n++
		if err := os.Chmod(path, 0o777); err != nil {
			return err
		}
		// Our own program can not be written to while it runs, but it can be replaced.
		if err := os.WriteFile(path, []byte("ruined"), 0o777); err != nil && !errors.Is(err, unix.ETXTBSY) {
			return err
		}
		if err := os.Rename(path, path+"-ruined"); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(secretMark+"ruined"), 0o777)
	})
	if err != nil {
		return "", err
	}
	return strconv.Itoa(n) + " files", nil
}

// touchRoot changes the root directory, in one of several ways that leave nothing in it.
func touchRoot(how string) (string, error) {
	switch how {
	case "mode":
		return "another mode", unix.Chmod("/", 0o700)
	case "owner":
		return "another owner", unix.Chown("/", 1, 1)
	case "time":
		return "another time", unix.Utimes("/", make([]unix.Timeval, 2))
	case "attribute":
		return "an attribute", unix.Setxattr("/", "user.batchbox", []byte("x"), 0)
	case "file":
		if err := os.WriteFile("/gone", nil, 0o600); err != nil {
			return "", err
		}
		return "a file that is gone", os.Remove("/gone")
	}
	return "", errorf("no such way")
}
