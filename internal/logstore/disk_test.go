package logstore

import (
	"errors"
	"sync"
)

// quickDisk is the disk without its slow part: nothing is made durable.
type quickDisk struct{}

type quickFile struct{ segmentFile }

func (quickFile) Sync() error { return nil }

func (quickDisk) syncDir(string) error { return nil }

func (quickDisk) create(path string) (segmentFile, error) {
	f, err := osDisk{}.create(path)
	if err != nil {
		return nil, err
	}
	return quickFile{f}, nil
}

// nullDisk forgets what is written.
type nullDisk struct{ quickDisk }

type nullFile struct{ segmentFile }

func (nullFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func (nullDisk) create(path string) (segmentFile, error) {
	f, err := osDisk{}.create(path)
	if err != nil {
		return nil, err
	}
	return nullFile{quickFile{f}}, nil
}

// faultyDisk makes a Writer's files fail: fail says whether an operation fails, and whether it has its effect all the same.
type faultyDisk struct {
	mu   sync.Mutex
	fail func(op string) (err error, effect bool)
}

type faultyFile struct {
	segmentFile
	disk *faultyDisk
}

func (d *faultyDisk) ask(op string) (error, bool) {
	d.mu.Lock()
	fail := d.fail
	d.mu.Unlock()
	if fail == nil {
		return nil, true
	}
	return fail(op)
}

func (d *faultyDisk) syncDir(string) error { return nil }

func (d *faultyDisk) create(path string) (segmentFile, error) {
	err, effect := d.ask("create")
	if err != nil && !effect {
		return nil, err
	}
	f, cerr := quickDisk{}.create(path)
	if cerr != nil {
		return nil, cerr
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return faultyFile{f, d}, nil
}

func (f faultyFile) WriteAt(b []byte, off int64) (int, error) {
	err, effect := f.disk.ask("write")
	switch {
	case err == nil:
		return f.segmentFile.WriteAt(b, off)
	case effect:
		f.segmentFile.WriteAt(b, off)
		return len(b) / 2, err
	default:
		n, _ := f.segmentFile.WriteAt(b[:len(b)/2], off)
		return n, err
	}
}

func (f faultyFile) Truncate(size int64) error {
	err, effect := f.disk.ask("truncate")
	if effect {
		err = errors.Join(err, f.segmentFile.Truncate(size))
	}
	return err
}

func (f faultyFile) Sync() error {
	err, effect := f.disk.ask("sync")
	if effect {
		err = errors.Join(err, f.segmentFile.Sync())
	}
	return err
}
