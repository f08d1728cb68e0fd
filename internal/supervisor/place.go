package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/batchbox/batchbox/internal/fsys"
)

// The files of a supervisor in its directory.
const (
	lockFile    = "supervisor.lock"
	addrFile    = "supervisor.addr" // the path of the socket, which need not be in the directory
	socketFile  = "supervisor.sock"
	journalFile = "supervisor.journal"
	logFile     = "supervisor.log" // what a supervisor started by a client has to say
)

// maxSocketPath is how long a socket's path may be: sun_path has 104 bytes on the smallest of our systems, one of them
// for the end.
const maxSocketPath = 103

// ErrRunning says that the directory has a supervisor already.
var ErrRunning = errors.New("another supervisor is running")

// heldLock is a locked file.
type heldLock struct{ fsys.File }

// lost says whether the file is no longer the one of its name: the directory has been removed, or another put in its place.
// Nobody will find whoever holds this lock then.
func (h heldLock) lost() bool {
	mine, err := h.Stat()
	if err != nil {
		return false
	}
	found, err := os.Stat(h.Name())
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, found)
}

// Close releases the lock. Closing alone would leave it to a program that is just being started: it has the file until it
// runs.
func (h heldLock) Close() error {
	err := os.NewSyscallError("flock", unix.Flock(int(h.Fd()), unix.LOCK_UN))
	return errors.Join(err, h.File.Close())
}

// lock makes this process the directory's supervisor. The lock goes with the process, however that ends. first says that
// the directory has never had a supervisor.
func lock(files fsys.FS, dir string) (held heldLock, first bool, err error) {
	path := filepath.Join(dir, lockFile)
	_, err = os.Stat(path)
	first = errors.Is(err, fs.ErrNotExist)
	f, err := files.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return held, false, fmt.Errorf("supervisor lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 16)
		n, _ := f.ReadAt(holder, 0)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return held, false, fmt.Errorf("%w: process %s holds %s", ErrRunning, strings.TrimSpace(string(holder[:n])), dir)
		}
		return held, false, fmt.Errorf("supervisor lock: %w", err)
	}
	held = heldLock{f}
	if first {
		// Were its name lost with the power, the next boot's would think itself the first, and start again what had been started.
		if err := errors.Join(files.SyncDir(dir), files.SyncDir(filepath.Dir(dir))); err != nil {
			return held, false, errors.Join(fmt.Errorf("supervisor lock: %w", err), held.Close())
		}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		// The number is for people; the lock holds without it.
		if !full(err) {
			return held, false, errors.Join(fmt.Errorf("supervisor lock: %w", err), held.Close())
		}
	}
	return held, first, nil
}

// listen opens the directory's socket and writes down where it is. The caller holds the lock.
func listen(files fsys.FS, dir string) (*net.UnixListener, error) {
	path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	if err := files.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("supervisor socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("supervisor socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("supervisor socket: %w", err), l.Close())
	}
	addr := filepath.Join(dir, addrFile)
	err = fsys.WriteFile(files, addr+".new", []byte(path+"\n"), 0o600)
	if err == nil {
		err = files.Rename(addr+".new", addr)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("supervisor socket: %w", err), l.Close())
	}
	return l, nil
}

// address reads where the directory's socket is; fs.ErrNotExist says that no supervisor has written it down, or that a power
// cut has taken what one had written, which is not made durable.
func address(dir string) (string, error) {
	file := filepath.Join(dir, addrFile)
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(string(b))
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%s holds no address: %w", file, fs.ErrNotExist)
	}
	return path, nil
}

// socketPath chooses the path of the socket: in the directory, or, if that makes it too long, in a directory for sockets
// that only this user can enter.
func socketPath(dir string) (string, error) {
	path := filepath.Join(dir, socketFile)
	if len(path) <= maxSocketPath {
		return path, nil
	}
	sum := sha256.Sum256([]byte(dir))
	name := "batchbox-" + hex.EncodeToString(sum[:8]) + ".sock"
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) && len(run)+1+len(name) <= maxSocketPath {
		if info, err := os.Stat(run); err == nil && info.IsDir() {
			return filepath.Join(run, name), nil
		}
	}
	private := "/tmp/batchbox-" + strconv.Itoa(os.Getuid())
	if err := os.Mkdir(private, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("supervisor socket: %w", err)
	}
	info, err := os.Lstat(private)
	if err != nil {
		return "", fmt.Errorf("supervisor socket: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("supervisor socket: %s must be a directory of user %d that nobody else can enter", private, os.Getuid())
	}
	return filepath.Join(private, name), nil
}
