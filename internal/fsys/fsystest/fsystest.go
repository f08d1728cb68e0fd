// Package fsystest fails operations on files by name, each before and after it took effect.
package fsystest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/testenv"
)

// Err is how operations fail.
var Err = syscall.ENOSPC

// Sweep runs a scenario without a fault, to see which operations it makes, and then once for each operation and each way it
// can fail: before it took effect (of a write, half has) and after. The scenario uses the file system it is given, and holds
// what is left on the machine's own against what it was told. It makes its operations in the same order each time. Of those
// that one place in the program makes again and again, the first and the last fail; with BATCHBOX_CI=1 all do.
func Sweep(t *testing.T, scenario func(t *testing.T, f *FS)) {
	t.Helper()
	whole := Sound()
	t.Run("no fault", func(t *testing.T) { scenario(t, whole) })
	if t.Failed() || len(whole.ops) == 0 {
		t.Fatalf("without a fault the scenario fails, or it makes no operation")
	}
	all := testenv.CI()
	first, last := map[place]int{}, map[place]int{}
	for i, at := range whole.places {
		if _, again := first[at]; !again {
			first[at] = i
		}
		last[at] = i
	}
	for i, op := range whole.ops {
		if at := whole.places[i]; !all && first[at] != i && last[at] != i {
			continue
		}
		for _, when := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%02d %s %s", i, op, when), func(t *testing.T) {
				f := &FS{failAt: i, after: when == "after"}
				scenario(t, f)
				if !f.Failed() {
					t.Error("the operation was never made")
				}
			})
		}
	}
}

// FS is the machine's file system with at most one fault.
type FS struct {
	failAt int
	after  bool

	mu     sync.Mutex
	ops    []string
	places []place // of ops, in a Sweep without fault
	failed bool
}

// place is where in the program an operation is made: the last calls that led there.
type place [8]uintptr

var _ fsys.FS = (*FS)(nil)

// Sound is a file system without a fault, and, like all of these, without the time that durability takes.
func Sound() *FS { return &FS{failAt: -1} }

// Failed says whether the operation that was to fail has.
func (f *FS) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Operations are the names of those that were made.
func (f *FS) Operations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ops)
}

// turn counts an operation; err is how it fails, effect whether it takes effect.
func (f *FS) turn(op, path string) (err error, effect bool) { //nolint:revive // the effect is of the error
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops = append(f.ops, op)
	if f.failAt < 0 {
		var at place
		runtime.Callers(2, at[:])
		f.places = append(f.places, at)
	}
	if len(f.ops)-1 != f.failAt {
		return nil, true
	}
	f.failed = true
	return &fs.PathError{Op: op, Path: path, Err: Err}, f.after
}

// do makes an operation, or lets it fail.
func (f *FS) do(op, path string, fn func() error) error {
	err, effect := f.turn(op, path)
	if effect {
		err = errors.Join(err, fn())
	}
	return err
}

func (f *FS) open(op, path string, fn func() (fsys.File, error)) (opened fsys.File, err error) {
	err = f.do(op, path, func() (err error) {
		opened, err = fn()
		return err
	})
	if err != nil {
		if opened != nil {
			_ = opened.Close() // the caller does not get it
		}
		return nil, err
	}
	return &file{opened, f}, nil
}

// OpenFile implements fsys.FS.
func (f *FS) OpenFile(path string, flag int, perm fs.FileMode) (fsys.File, error) {
	return f.open("open", path, func() (fsys.File, error) { return fsys.OS.OpenFile(path, flag, perm) })
}

// CreateTemp implements fsys.FS.
func (f *FS) CreateTemp(dir, pattern string) (fsys.File, error) {
	return f.open("create-temp", filepath.Join(dir, pattern), func() (fsys.File, error) { return fsys.OS.CreateTemp(dir, pattern) })
}

// MkdirTemp implements fsys.FS.
func (f *FS) MkdirTemp(dir, pattern string) (made string, err error) {
	err = f.do("mkdir-temp", filepath.Join(dir, pattern), func() (err error) {
		made, err = os.MkdirTemp(dir, pattern)
		return err
	})
	return made, err
}

// MkdirAll implements fsys.FS.
func (f *FS) MkdirAll(path string, perm fs.FileMode) error {
	return f.do("mkdir", path, func() error { return fsys.OS.MkdirAll(path, perm) })
}

// Rename implements fsys.FS.
func (f *FS) Rename(from, to string) error {
	return f.do("rename", to, func() error { return fsys.OS.Rename(from, to) })
}

// Remove implements fsys.FS.
func (f *FS) Remove(path string) error {
	return f.do("remove", path, func() error { return fsys.OS.Remove(path) })
}

// RemoveAll implements fsys.FS.
func (f *FS) RemoveAll(path string) error {
	return f.do("remove-all", path, func() error { return fsys.OS.RemoveAll(path) })
}

// Do implements fsys.FS. An operation whose name begins with "sync" only makes durable, see SyncDir.
func (f *FS) Do(op, path string, fn func() error) error {
	if strings.HasPrefix(op, "sync") {
		fn = nothing
	}
	return f.do(op, path, fn)
}

// Wrap implements fsys.FS.
func (f *FS) Wrap(opened *os.File) fsys.File { return &file{opened, f} }

// SyncDir implements fsys.FS. That something is durable no scenario can see, so the time for it is saved.
func (f *FS) SyncDir(dir string) error { return f.do("sync-dir", dir, nothing) }

func nothing() error { return nil }

type file struct {
	fsys.File
	fs *FS
}

// write makes half of a write that fails before it took effect.
func (f *file) write(b []byte, fn func([]byte) (int, error)) (n int, err error) {
	err, effect := f.fs.turn("write", f.Name())
	if err != nil && !effect {
		n, werr := fn(b[:len(b)/2])
		return n, errors.Join(err, werr)
	}
	n, werr := fn(b)
	return n, errors.Join(err, werr)
}

func (f *file) Write(b []byte) (int, error) { return f.write(b, f.File.Write) }

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	return f.write(b, func(b []byte) (int, error) { return f.File.WriteAt(b, off) })
}

func (f *file) Truncate(size int64) error {
	return f.fs.do("truncate", f.Name(), func() error { return f.File.Truncate(size) })
}

func (f *file) Sync() error { return f.fs.do("sync", f.Name(), nothing) }

// Close always closes: nothing else could.
func (f *file) Close() error {
	err, _ := f.fs.turn("close", f.Name())
	return errors.Join(err, f.File.Close())
}
