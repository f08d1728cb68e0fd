package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
	"github.com/batchbox/batchbox/internal/store"
)

// Events returns up to limit entries of the event journal of all partitions with an ID greater than after, ascending.
// An entry that was pruned is left out, so a reader that was away too long sees a gap in the IDs.
func (db *DB) Events(ctx context.Context, after int64, limit int) ([]engine.EventRecord, error) {
	var recs []engine.EventRecord
	err := db.read(ctx, func(c *conn) error {
		return c.each(func(cur *cursor) (bool, error) {
			recs = append(recs, engine.EventRecord{
				ID: cur.int(0), Partition: batch.Partition{Account: cur.text(1), Region: cur.text(2)}, Time: cur.int(3), Body: cur.blob(4),
			})
			return true, ctx.Err()
		}, "SELECT id, account, region, time, body FROM events JOIN partitions USING (part) WHERE id > ? ORDER BY id LIMIT ?", after, limitOf(limit))
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}

// LastEvent is the greatest ID of the event journal, 0 if it is empty.
func (db *DB) LastEvent(ctx context.Context) (id int64, err error) {
	err = db.read(ctx, func(c *conn) error {
		id, err = c.number("SELECT coalesce(max(id), 0) FROM events")
		return err
	})
	return id, err
}

// Size is what the store takes on disk, in bytes.
type Size struct {
	File int64 // batchbox.db
	Log  int64 // the write-ahead log beside it
	// Used is the part of File that holds something; the rest is filled before the file grows.
	Used int64
}

// Size measures the store's files.
func (db *DB) Size(ctx context.Context) (s Size, err error) {
	err = db.read(ctx, func(c *conn) error {
		s.Used, err = used(c)
		return err
	})
	for _, f := range []struct {
		path string
		size *int64
	}{{db.file, &s.File}, {db.file + "-wal", &s.Log}} {
		fi, statErr := os.Stat(f.path)
		if statErr != nil {
			err = errors.Join(err, fmt.Errorf("store: %w", statErr))
			continue
		}
		*f.size = fi.Size()
	}
	return s, err
}

func used(c *conn) (int64, error) {
	var vs [3]int64
	for i, pragma := range []string{"page_count", "freelist_count", "page_size"} {
		var err error
		if vs[i], err = c.number("PRAGMA " + pragma); err != nil {
			return 0, err
		}
	}
	return (vs[0] - vs[1]) * vs[2], nil
}

// Counts says how much of what is stored, over all partitions.
type Counts struct {
	Jobs, Unfinished, Children, Resources, Docs, Events int64
}

// Counts counts. It reads an index of every table, about 50 ms for a million jobs.
func (db *DB) Counts(ctx context.Context) (n Counts, err error) {
	err = db.read(ctx, func(c *conn) error {
		for _, q := range []struct {
			n    *int64
			text string
		}{
			{&n.Jobs, "SELECT count(*) FROM jobs"},
			{&n.Children, "SELECT count(*) FROM children"},
			{&n.Resources, "SELECT count(*) FROM resources"},
			{&n.Docs, "SELECT count(*) FROM docs"},
			{&n.Events, "SELECT count(*) FROM events"},
		} {
			if err := ctx.Err(); err != nil {
				return err
			}
			if *q.n, err = c.number(q.text); err != nil {
				return err
			}
		}
		seqs, err := unfinished(c)
		n.Unfinished = int64(len(seqs))
		return err
	})
	return n, err
}

// Check reads the whole file and returns an error that wraps store.ErrDamaged if anything in it is not as it should be.
func (db *DB) Check(ctx context.Context) error {
	return db.read(ctx, func(c *conn) error {
		if err := c.check(ctx, "PRAGMA integrity_check(10)"); err != nil {
			return err
		}
		return c.each(func(cur *cursor) (bool, error) {
			return false, fmt.Errorf("%w: %s: a row of %s refers to a row of %s that is not there", store.ErrDamaged, c.file, cur.text(0), cur.text(2))
		}, "PRAGMA foreign_key_check")
	})
}

// check runs one of SQLite's own checks, which answers "ok" or a line for each fault.
func (c *conn) check(ctx context.Context, pragma string) error {
	var faults []string
	if err := c.each(func(cur *cursor) (bool, error) {
		faults = append(faults, strings.Join(strings.Fields(cur.text(0)), " "))
		return true, ctx.Err()
	}, pragma); err != nil {
		return err
	}
	if len(faults) == 1 && faults[0] == "ok" {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", store.ErrDamaged, c.file, strings.Join(faults, "; "))
}

// Backup writes a copy of the store as it is now to file, which appears whole or not at all and replaces what was there.
// The copy is a store of its own: put it into a data directory as batchbox.db to use it. Writers are not held up.
func (db *DB) Backup(ctx context.Context, file string) (err error) {
	dir := filepath.Dir(file)
	tmp, err := db.files.MkdirTemp(dir, ".batchbox-backup-")
	if err != nil {
		return fmt.Errorf("backup to %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, db.files.RemoveAll(tmp)) }()
	copied := filepath.Join(tmp, FileName)
	failed := func(err error) error { return fmt.Errorf("backup to %s: %w", file, err) }
	if err := db.files.Do("vacuum", copied, func() error { return db.vacuumInto(ctx, copied) }); err != nil {
		return failed(err)
	}
	f, err := db.files.OpenFile(copied, os.O_RDONLY, 0)
	if err != nil {
		return failed(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return failed(err)
	}
	if err := db.files.Rename(copied, file); err != nil {
		return failed(err)
	}
	if err := db.files.SyncDir(dir); err != nil {
		return failed(err)
	}
	return nil
}

// vacuumInto copies over a connection of its own, which the end of ctx may interrupt.
func (db *DB) vacuumInto(ctx context.Context, file string) (err error) {
	select {
	case <-db.stop:
		return store.ErrClosed
	default:
	}
	c, err := connect(ctx, db.file, writing, readerCacheKiB)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.script(ctx, "VACUUM INTO '"+strings.ReplaceAll(file, "'", "''")+"'")
}
