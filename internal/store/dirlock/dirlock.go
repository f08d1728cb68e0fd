// Package dirlock gives a data directory to one process at a time. The lock is the kernel's (flock), so it ends with the
// process however that ends; what is written in its file only says who holds it.
package dirlock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/batchbox/batchbox/internal/fsys"
)

// FileName is the lock's file in the data directory. It stays there when the lock is released: removing it would let two
// processes lock two files of the same name.
const FileName = "batchbox.lock"

// Holder is the process that holds a data directory.
type Holder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	// Listen is the address the process serves, once it does; else empty.
	Listen string `json:"listen,omitempty"`
}

// HeldError says that another process holds the directory. Holder is zero if its file can not be read.
type HeldError struct {
	Dir    string
	Holder Holder
}

func (e *HeldError) Error() string {
	if e.Holder.PID == 0 {
		return fmt.Sprintf("data directory %s is in use by another process", e.Dir)
	}
	text := fmt.Sprintf("data directory %s is in use by process %d since %s", e.Dir, e.Holder.PID, e.Holder.Since.Format(time.RFC3339))
	if e.Holder.Listen != "" {
		text += ", listening on " + e.Holder.Listen
	}
	return text
}

// Lock is a held directory.
type Lock struct {
	f      fsys.File
	holder Holder
}

// Acquire tries again every pause: for a short while if a process that lives says that it holds the directory, else for
// longer, since Read holds the lock for a moment, and so does a program that a holder was just starting when it was killed.
const (
	pause        = 5 * time.Millisecond
	patience     = 100 * time.Millisecond
	longPatience = 3 * time.Second
)

// held keeps every lock reachable until it is released: the collector closes a file nobody refers to, which would give the
// lock away.
var held sync.Map

// Acquire locks dir, which must exist, for this process. It returns a *HeldError if another process (or an earlier call)
// holds it. now is what Holder.Since says.
func Acquire(dir string, now time.Time) (*Lock, error) { return acquire(fsys.OS, dir, now) }

func acquire(files fsys.FS, dir string, now time.Time) (*Lock, error) {
	path := filepath.Join(dir, FileName)
	for began := time.Now(); ; {
		f, err := files.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock data directory: %w", err)
		}
		locked, err := tryLock(f, syscall.LOCK_EX)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		// A lock on a file that was removed between opening and locking it is worth nothing.
		if locked && current(f, path) {
			l := &Lock{f: f, holder: Holder{PID: os.Getpid(), Since: now.UTC()}}
			held.Store(l, true)
			if err := l.write(); err != nil {
				return nil, errors.Join(err, l.Release())
			}
			return l, nil
		}
		holder := read(f)
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		limit := longPatience
		if alive(holder.PID) {
			limit = patience
		}
		if time.Since(began) > limit {
			return nil, &HeldError{Dir: dir, Holder: holder}
		}
		time.Sleep(pause)
	}
}

// SetListen records the address this process serves.
func (l *Lock) SetListen(addr string) error {
	l.holder.Listen = addr
	return l.write()
}

// Release gives the directory up.
func (l *Lock) Release() error {
	held.Delete(l)
	// Closing alone would leave the lock to a program that is just being started: it has the file until it runs.
	err := l.f.Truncate(0)
	if e := syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN); e != nil {
		err = errors.Join(err, os.NewSyscallError("flock", e))
	}
	if err := errors.Join(err, l.f.Close()); err != nil {
		return fmt.Errorf("release data directory: %w", err)
	}
	return nil
}

func (l *Lock) write() error {
	text, err := json.Marshal(l.holder)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err := l.f.WriteAt(text, 0); err != nil {
		return fmt.Errorf("write %s: %w", l.f.Name(), err)
	}
	if err := l.f.Truncate(int64(len(text))); err != nil {
		return fmt.Errorf("write %s: %w", l.f.Name(), err)
	}
	return nil
}

// Read says which process holds dir; held is false if none does.
func Read(dir string) (h Holder, held bool, err error) {
	f, err := os.Open(filepath.Join(dir, FileName))
	if errors.Is(err, os.ErrNotExist) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, fmt.Errorf("read the lock of a data directory: %w", err)
	}
	free, err := tryLock(f, syscall.LOCK_SH)
	if err == nil && !free {
		h = read(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return Holder{}, false, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return h, !free, nil
}

// read is zero for what a holder has not written yet.
func read(f io.ReaderAt) (h Holder) {
	text := make([]byte, 4096)
	n, _ := f.ReadAt(text, 0)
	if json.Unmarshal(text[:n], &h) != nil {
		return Holder{}
	}
	return h
}

// alive says whether there is a process of that number. Of another user's the kernel says that it may not be signalled.
func alive(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func tryLock(f fsys.File, how int) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// current says whether path still names the file.
func current(f fsys.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}
