package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/batchbox/batchbox/internal/fsys"
)

// BackupDir is DB.Backup of the store in a data directory, whether or not an engine has it open. The file may not be in the
// data directory, whose own store it could replace.
func BackupDir(ctx context.Context, dir, file string) error {
	inside, err := sameDir(dir, filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("backup to %s: %w", file, err)
	}
	if inside {
		return fmt.Errorf("backup to %s: that is in the data directory itself; name a file elsewhere", file)
	}
	return attach(ctx, dir, func(db *DB, _ int64) error { return db.Backup(ctx, file) })
}

// ExportDir is DB.Export of the store in a data directory, whether or not an engine has it open.
func ExportDir(ctx context.Context, dir string, w io.Writer) error {
	return attach(ctx, dir, func(db *DB, version int64) error {
		if version != int64(len(migrations)) {
			return fmt.Errorf("store: %s has version %d, and this program writes version %d; an engine that is started on it brings it up to date",
				db.file, version, len(migrations))
		}
		return db.Export(ctx, w)
	})
}

// attach opens the store in dir as a reader, without the data directory's lock: SQLite's own keep it apart from a writer.
func attach(ctx context.Context, dir string, fn func(db *DB, version int64) error) (err error) {
	file, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	size, err := examine(file)
	if err != nil {
		return err
	}
	if size == 0 {
		return fmt.Errorf("store: there is none in %s", dir)
	}
	db := &DB{file: file, files: fsys.OS, log: slog.New(slog.DiscardHandler), stop: make(chan struct{})}
	db.readers.init(file, 1)
	defer func() { err = errors.Join(err, db.readers.close()) }()
	var version int64
	if err := db.read(ctx, func(c *conn) (err error) {
		if version, err = c.number("PRAGMA user_version"); err != nil {
			return err
		}
		return c.recognise(version, len(migrations))
	}); err != nil {
		return err
	}
	return fn(db, version)
}

func sameDir(a, b string) (bool, error) {
	fa, err := os.Stat(a)
	if errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("there is no data directory %s", a)
	}
	if err != nil {
		return false, err
	}
	fb, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(fa, fb), nil
}
