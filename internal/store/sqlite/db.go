package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/store"
)

// FileName is the store's file in its data directory. SQLite keeps a -wal and a -shm file beside it.
const FileName = "batchbox.db"

const (
	// busyTimeout bounds the wait for a lock that another program (a sqlite3 shell, say) holds on the file.
	busyTimeout = 5 * time.Second
	// The page caches, filled on demand.
	writerCacheKiB = 16 << 10
	readerCacheKiB = 4 << 10
	// checkOnOpen is the size up to which the whole file is checked when it is opened; a larger one is checked where it is
	// read, and by Check.
	checkOnOpen = 4 << 20
)

// Options of Open.
type Options struct {
	// Logger gets what no caller can be told, such as a check-point that failed; nil discards it.
	Logger *slog.Logger

	files fsys.FS // fsys.OS if nil; tests put failing ones here
}

// DB is an open store. Its methods may be called from many goroutines.
type DB struct {
	file  string
	log   *slog.Logger
	files fsys.FS

	writer  *writer
	lead    chan struct{} // holds a value while somebody uses the writer
	writes  chan *write   // those who wait while another leads
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when the writing connection is
	closing sync.Once

	readers readerPool
	parts   partitions
}

var (
	_ engine.Store = (*DB)(nil)
	_ store.Docs   = (*DB)(nil)
)

// Open opens the store in dir, or makes it, and brings an older version's file up to date. The caller holds the lock of
// the data directory (package dirlock). A file that is not a store, is damaged or was written by a newer version is left
// as it is and refused, with an error that names it.
func Open(ctx context.Context, dir string, opts Options) (*DB, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.files == nil {
		opts.files = fsys.OS
	}
	if err := makeDir(opts.files, dir); err != nil {
		return nil, err
	}
	file, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	size, err := examine(file)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		// For its owner alone, whatever the umask: it holds secrets. SQLite gives the files beside it the same mode.
		f, err := opts.files.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	// A commit needs the data and the size of the log on disk, not its time stamps. Where there is no fdatasync, fsync it is.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := migrate(ctx, file, size, migrations); err != nil {
		return nil, err
	}
	w, err := connect(ctx, file, writing, writerCacheKiB)
	if err != nil {
		return nil, err
	}
	db := &DB{
		file:    file,
		log:     opts.Logger,
		files:   opts.files,
		lead:    make(chan struct{}, 1),
		writes:  make(chan *write),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	db.readers.init(file, max(4, runtime.GOMAXPROCS(0)))
	if db.writer, err = newWriter(db, w); err != nil {
		return nil, errors.Join(err, w.close())
	}
	go db.writer.run()
	return db, nil
}

// File is the absolute path of the store's file.
func (db *DB) File() string { return db.file }

// Close waits for the write under way and for readers, and closes the file. Later calls return store.ErrClosed.
func (db *DB) Close() error {
	var err error
	db.closing.Do(func() {
		close(db.stop)
		<-db.stopped
		err = db.readers.close()
	})
	return err
}

// makeDir makes a directory whose name survives a power cut.
func makeDir(files fsys.FS, dir string) error {
	if fi, err := os.Stat(dir); err == nil {
		if !fi.IsDir() {
			return fmt.Errorf("store: data directory %s is not a directory", dir)
		}
		return nil
	}
	if err := fsys.MakeDir(files, dir, 0o700); err != nil {
		return fmt.Errorf("store: make data directory: %w", err)
	}
	return nil
}

// examine looks at the files before SQLite does, for the cases where SQLite would silently start afresh. It returns the
// size of the store, 0 for a new one.
func examine(file string) (size int64, err error) {
	fi, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, fmt.Errorf("store: %w", err)
	case !fi.Mode().IsRegular():
		return 0, fmt.Errorf("store: %s is not a file", file)
	default:
		size = fi.Size()
	}
	if size == 0 {
		if wal, err := os.Stat(file + "-wal"); err == nil && wal.Size() > 0 {
			return 0, fmt.Errorf("%w: %s is missing or empty, but its log %s-wal is there; put the file back, or move the log away to start afresh",
				store.ErrDamaged, file, file)
		}
		return 0, nil
	}
	if size < 512 {
		return 0, fmt.Errorf("%w: %s has only %d bytes", store.ErrDamaged, file, size)
	}
	return size, nil
}
