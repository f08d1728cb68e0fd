package logstore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultSegmentBytes = 64 << 20
	defaultSegmentAge   = 24 * time.Hour
	// maxRecordBytes is where Append closes a record and begins another.
	maxRecordBytes = 128 << 10
	// maxKnownStreams bounds the writer's memory of which streams the current segment defines. When it is full the writer
	// forgets them all; a stream that is defined twice in a segment costs a few bytes, nothing else.
	maxKnownStreams = 8192
)

// WriterOptions change what a Writer does. The zero value is what production uses.
type WriterOptions struct {
	// SegmentBytes is the size from which a segment is closed and another begun; 64 MiB if zero. SegmentAge is the age from
	// which the same happens, so that old output can be pruned where little is written; 24 h if zero.
	SegmentBytes int64
	SegmentAge   time.Duration
	// Now is the clock events' ingestion times are read from; time.Now if nil.
	Now func() time.Time
	// Ephemeral makes nothing durable: Sync does nothing. It is for engines whose data ends with them.
	Ephemeral bool

	disk disk // osDisk; tests put failing ones here
}

// disk is what a Writer asks of the file system.
type disk interface {
	// create makes a segment's file, which must not exist, and locks it: the lock says that the file is being written to,
	// and goes when the process does.
	create(path string) (segmentFile, error)
	syncDir(dir string) error
}

// segmentFile is what a Writer does with a file.
type segmentFile interface {
	Name() string
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }

// Close ends the lock, which closing alone would leave to a program that is just being started: it has the file until it runs.
func (f osFile) Close() error {
	err := os.NewSyscallError("flock", unix.Flock(int(f.Fd()), unix.LOCK_UN))
	return errors.Join(err, f.File.Close())
}

type osDisk struct{}

func (osDisk) create(path string) (segmentFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(&os.PathError{Op: "flock", Path: path, Err: err}, os.Remove(path), f.Close())
	}
	return osFile{f}, nil
}

func (osDisk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Writer appends events to segments of its own. It is safe for concurrent use. Several Writers may have one owner: each
// writes to files of its own.
type Writer struct {
	dir, owner string
	opts       WriterOptions

	mu      sync.Mutex
	closed  bool
	f       segmentFile // nil until something is appended, and after a failure that the segment could not be repaired from
	size    int64
	created time.Time
	n       uint32              // number of the last segment begun; 0 if none yet
	known   map[StreamKey]int64 // offset of the definition in f
	buf     []byte
	// appended counts bytes over all segments; unsynced are the segments with bytes not known to be durable, f the last.
	appended int64
	unsynced []segmentFile
	newFile  bool // the directory has an entry not known to be durable

	syncing *syncRun // the one under way
	synced  int64    // appended at the start of the last successful sync
}

// syncRun is one fdatasync that several callers wait for.
type syncRun struct {
	done   chan struct{}
	covers int64
	err    error
}

var errWriterClosed = errors.New("log writer is closed")

// OpenWriter prepares to append under dir, which is created if it is not there. owner names the kind of process
// ("supervisor", "engine") in the file names: lower-case letters and digits. No file is made before the first append.
func OpenWriter(dir, owner string, opts WriterOptions) (*Writer, error) {
	if owner == "" || strings.Trim(owner, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return nil, fmt.Errorf("log writer: owner %q is not made of lower-case letters and digits", owner)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("log writer: %w", err)
	}
	if opts.SegmentBytes <= 0 {
		opts.SegmentBytes = defaultSegmentBytes
	}
	if opts.SegmentAge <= 0 {
		opts.SegmentAge = defaultSegmentAge
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.disk == nil {
		opts.disk = osDisk{}
	}
	return &Writer{dir: dir, owner: owner, opts: opts, known: map[StreamKey]int64{}}, nil
}

// OpenStream records that a stream exists, so that it is seen before it has an event.
func (w *Writer) OpenStream(key StreamKey) error {
	return w.open(Definition{Key: key, CreatedMS: w.opts.Now().UnixMilli(), Opened: true})
}

// KeepStream records that a stream exists since createdMS, and is to be kept when its events are gone.
func (w *Writer) KeepStream(key StreamKey, createdMS int64) error {
	return w.open(Definition{Key: key, CreatedMS: createdMS, Opened: true, Kept: true})
}

func (w *Writer) open(d Definition) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.prepare(d.Key); err != nil {
		return err
	}
	w.define(d)
	if err := w.flush(); err != nil {
		return fmt.Errorf("opening log stream %s of %s: %w", d.Key.Stream, d.Key.Group, err)
	}
	return nil
}

// Append appends events to a stream in the order given. It returns when the operating system has them: they survive the
// end of this process, and after Sync a power cut. On an error none of events is kept.
func (w *Writer) Append(key StreamKey, events []Event) error {
	for i := range events {
		if len(events[i].Message) > MaxMessageBytes {
			return fmt.Errorf("log stream %s: message of %d bytes; at most %d are kept", key.Stream, len(events[i].Message), MaxMessageBytes)
		}
	}
	return w.appendBatch(key, len(events), func(b []byte, i int, previous int64) ([]byte, int64) {
		e := &events[i]
		return appendEvent(b, e.Timestamp-previous, e.Message), e.Timestamp
	})
}

// appendBatch is Append for events in any form: encode appends event i to b and returns its timestamp.
func (w *Writer) appendBatch(key StreamKey, n int, encode func(b []byte, i int, previous int64) ([]byte, int64)) error {
	if n == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.prepare(key); err != nil {
		return err
	}
	ingested := w.opts.Now().UnixMilli()
	definition, ok := w.known[key]
	if !ok {
		definition = w.define(Definition{Key: key, CreatedMS: ingested})
	}
	for i := 0; i < n; {
		start := len(w.buf)
		w.buf = appendEventsHead(beginRecord(w.buf), definition, ingested)
		body := len(w.buf)
		first, previous := i, ingested
		for i < n && (i == first || len(w.buf)-body < maxRecordBytes) {
			w.buf, previous = encode(w.buf, i, previous)
			i++
		}
		binary.LittleEndian.PutUint32(w.buf[body-4:], uint32(i-first))
		endRecord(w.buf, start)
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("appending to log stream %s of %s: %w", key.Stream, key.Group, err)
	}
	return nil
}

// prepare readies the buffer and a segment that has room.
func (w *Writer) prepare(key StreamKey) error {
	if w.closed {
		return errWriterClosed
	}
	if err := checkKey(key); err != nil {
		return err
	}
	w.buf = w.buf[:0]
	if w.f != nil && (w.size >= w.opts.SegmentBytes || w.opts.Now().Sub(w.created) >= w.opts.SegmentAge) {
		w.seal()
	}
	if w.f == nil {
		if err := w.create(); err != nil {
			return err
		}
	}
	return nil
}

func checkKey(key StreamKey) error {
	if key.Account == "" || key.Region == "" || key.Group == "" || key.Stream == "" {
		return fmt.Errorf("log stream %+v: a name is missing", key)
	}
	if n := len(key.Account) + len(key.Region) + len(key.Group) + len(key.Stream); n > maxDefinitionBytes/2 {
		return fmt.Errorf("log stream: names of %d bytes in all; at most %d are kept", n, maxDefinitionBytes/2)
	}
	return nil
}

// define adds a definition to the buffer and returns its offset.
func (w *Writer) define(d Definition) int64 {
	off := w.size + int64(len(w.buf))
	w.buf = appendDefinition(w.buf, d)
	if len(w.known) >= maxKnownStreams {
		clear(w.known)
	}
	w.known[d.Key] = off // gone with the segment if the buffer can't be written
	return off
}

// flush writes the buffer behind the segment's end. If that fails, the segment is cut back to where it ended before and
// not written to again: a reader that has seen what was cut off can tell by the size alone.
func (w *Writer) flush() error {
	n, err := w.f.WriteAt(w.buf, w.size)
	if err != nil {
		err = errors.Join(err, w.f.Truncate(w.size))
		w.seal()
		return err
	}
	w.size += int64(n)
	w.appended += int64(n)
	if cap(w.buf) > 4*maxRecordBytes {
		w.buf = nil
	}
	return nil
}

// create begins the next segment.
func (w *Writer) create() error {
	if w.n == 0 {
		names, err := ListSegments(w.dir)
		if err != nil {
			return fmt.Errorf("log writer: %w", err)
		}
		for _, name := range names {
			if name.Owner == w.owner {
				w.n = max(w.n, name.N)
			}
		}
	}
	name := SegmentName{Owner: w.owner, N: w.n + 1}
	var f segmentFile
	var err error
	for {
		f, err = w.opts.disk.create(filepath.Join(w.dir, name.String()))
		if !errors.Is(err, os.ErrExist) {
			break
		}
		name.N++
	}
	if err != nil {
		return fmt.Errorf("log writer: %w", err)
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	w.created = w.opts.Now()
	header := appendHeader(nil, binary.LittleEndian.Uint64(id[:]), w.created.UnixMilli())
	if _, err = f.WriteAt(header, 0); err != nil {
		err = fmt.Errorf("log writer: beginning segment %s: %w", name, err)
		return errors.Join(err, os.Remove(f.Name()), f.Close())
	}
	w.f, w.size, w.n = f, headerLen, name.N
	w.appended += headerLen
	w.unsynced = append(w.unsynced, f)
	w.newFile = true
	clear(w.known)
	return nil
}

// seal ends the current segment. Its file is closed by the next sync.
func (w *Writer) seal() { w.f = nil }

// Sync makes everything appended before the call durable. Callers share: one fdatasync serves all who wait for it.
func (w *Writer) Sync() error {
	w.mu.Lock()
	want := w.appended
	for {
		if w.synced >= want {
			w.mu.Unlock()
			return nil
		}
		run := w.syncing
		if run == nil {
			break
		}
		w.mu.Unlock()
		<-run.done
		if run.err != nil && run.covers >= want {
			return run.err
		}
		w.mu.Lock()
	}
	run := &syncRun{done: make(chan struct{}), covers: w.appended}
	w.syncing = run
	files, current, newFile := w.unsynced, w.f, w.newFile
	w.unsynced, w.newFile = nil, false
	if current != nil {
		w.unsynced = []segmentFile{current}
	}
	w.mu.Unlock()

	left, newFile, err := w.syncFiles(files, current, newFile)

	w.mu.Lock()
	w.syncing, run.err = nil, err
	if err == nil {
		w.synced = run.covers
	} else {
		w.unsynced = append(left, w.unsynced...)
		w.newFile = w.newFile || newFile
	}
	w.mu.Unlock()
	close(run.done)
	return err
}

// syncFiles syncs files and, if newFile, the directory. Files other than current are closed once they are durable; left
// are those that are not, to be tried again.
func (w *Writer) syncFiles(files []segmentFile, current segmentFile, newFile bool) (left []segmentFile, dirLeft bool, err error) {
	for _, f := range files {
		if ferr := w.syncFile(f); ferr != nil {
			err = errors.Join(err, fmt.Errorf("log writer: syncing %s: %w", filepath.Base(f.Name()), ferr))
			if f != current {
				left = append(left, f)
			}
			continue
		}
		if f != current {
			err = errors.Join(err, f.Close())
		}
	}
	if newFile && !w.opts.Ephemeral {
		if derr := w.opts.disk.syncDir(w.dir); derr != nil {
			return left, true, errors.Join(err, fmt.Errorf("log writer: syncing %s: %w", w.dir, derr))
		}
	}
	return left, false, err
}

func (w *Writer) syncFile(f segmentFile) error {
	if w.opts.Ephemeral {
		return nil
	}
	return f.Sync()
}

// Close makes everything appended durable and closes the segment. Appending to a closed Writer is an error.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.seal()
	w.appended++ // so that there is something to sync, and the file is closed
	w.mu.Unlock()
	err := w.Sync()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.unsynced {
		err = errors.Join(err, f.Close())
	}
	w.unsynced = nil
	return err
}
