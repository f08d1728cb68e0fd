// Package fsys is what batchbox does to its own files, behind an interface, so that tests can fail each operation by name
// (package fsystest). Reading is not part of it: what is read is checked.
package fsys

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS changes files. Errors are those of package os.
type FS interface {
	OpenFile(path string, flag int, perm fs.FileMode) (File, error)
	CreateTemp(dir, pattern string) (File, error)
	MkdirTemp(dir, pattern string) (string, error)
	MkdirAll(path string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(path string) error
	// RemoveAll is os.RemoveAll.
	RemoveAll(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Do makes an operation that has no method here, by the name it is to be known by.
	Do(op, path string, fn func() error) error
	// Wrap makes a File of a file that was opened in another way, below an os.Root say.
	Wrap(f *os.File) File
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Fd() uintptr
	Sync() error
	Truncate(size int64) error
}

// OS is the machine's own.
var OS FS = osFS{}

type osFS struct{}

func (osFS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	return file(os.OpenFile(path, flag, perm))
}

func (osFS) CreateTemp(dir, pattern string) (File, error) { return file(os.CreateTemp(dir, pattern)) }

// file keeps a nil file from becoming a File that is not nil.
func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) MkdirTemp(dir, pattern string) (string, error) { return os.MkdirTemp(dir, pattern) }
func (osFS) MkdirAll(path string, perm fs.FileMode) error  { return os.MkdirAll(path, perm) }
func (osFS) Rename(from, to string) error                  { return os.Rename(from, to) }
func (osFS) Remove(path string) error                      { return os.Remove(path) }

func (osFS) RemoveAll(path string) error           { return os.RemoveAll(path) }
func (osFS) Do(_, _ string, fn func() error) error { return fn() }
func (osFS) Wrap(f *os.File) File                  { return f }

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MakeDir is os.MkdirAll whose directories' names survive a power cut.
func MakeDir(fsys FS, dir string, perm fs.FileMode) error {
	var parents []string // of what is missing
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			break // there, or something that MkdirAll has to say
		}
		parents = append(parents, filepath.Dir(d))
	}
	if err := fsys.MkdirAll(dir, perm); err != nil {
		return err
	}
	for _, d := range parents {
		if err := fsys.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile is os.WriteFile: neither atomic nor durable.
func WriteFile(fsys FS, path string, content []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// Replace makes a file visible whole and durable, in place of what there was under its name. The caller is the only one to
// do so at a time. An error may come after it took effect.
func Replace(fsys FS, path string, content []byte, perm fs.FileMode) error {
	temp := path + ".new"
	if err := fsys.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have another mode
		return err
	}
	f, err := fsys.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		if rerr := fsys.Remove(temp); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}
