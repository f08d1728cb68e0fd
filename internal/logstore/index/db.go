package index

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/batchbox/batchbox/internal/fsys"
	"github.com/batchbox/batchbox/internal/store"
)

// schemaVersion is kept in the file's user_version. A file of another version is thrown away and made again from the
// segments.
const schemaVersion = 1

// schema: a segment is indexed in blocks, runs of its records of about blockBytes. Blocks are numbered in the order they
// were indexed, and that is the order of a stream's events. A chunk is what one stream has in one block: its records
// are those between start and end that refer to definition. group_blocks says the same for whole groups, for searches.
const schema = `
CREATE TABLE segments (
	id INTEGER PRIMARY KEY, owner TEXT NOT NULL, n INTEGER NOT NULL,
	uid INTEGER NOT NULL,      -- the random id in the file's header
	indexed INTEGER NOT NULL,  -- the offset up to which it has been indexed
	done INTEGER NOT NULL,     -- 1: nothing can come after that
	newest INTEGER NOT NULL,   -- ms; the last ingestion
	dropped INTEGER NOT NULL,  -- 1: pruned, the file is to be removed
	UNIQUE (owner, n));
CREATE TABLE blocks (
	id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL);
CREATE INDEX blocks_by_segment ON blocks (segment, start);
CREATE TABLE streams (
	id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, name TEXT NOT NULL,
	created INTEGER NOT NULL,
	oldest INTEGER NOT NULL, newest INTEGER NOT NULL, ingested INTEGER NOT NULL, -- ms, -1 while it has no event
	kept INTEGER NOT NULL,     -- the segment that says the stream is to be kept without events; 0 if none does
	latest INTEGER NOT NULL,   -- the newest segment with a record of it
	UNIQUE (grp, name));
CREATE INDEX streams_by_time ON streams (grp, newest, name);
CREATE TABLE chunks (
	stream INTEGER NOT NULL, block INTEGER NOT NULL,
	definition INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
	events INTEGER NOT NULL, bytes INTEGER NOT NULL, oldest INTEGER NOT NULL, newest INTEGER NOT NULL,
	PRIMARY KEY (stream, block)) WITHOUT ROWID;
CREATE INDEX chunks_by_block ON chunks (block);
CREATE TABLE group_blocks (
	grp INTEGER NOT NULL, block INTEGER NOT NULL,
	bytes INTEGER NOT NULL, oldest INTEGER NOT NULL, newest INTEGER NOT NULL,
	PRIMARY KEY (grp, block)) WITHOUT ROWID;
`

const indexFile = "index.db"

// busyTimeoutMS is how long a statement waits for another connection's lock.
const busyTimeoutMS = 10_000

// database is the open index: one connection that writes, used under Store.indexing, and a few that read.
type database struct {
	writer  *conn
	readers chan *conn // holds those not in use; a nil one is still to be opened
	file    string
}

const maxReaders = 4

// openDatabase opens the index in dir, making it if it is not there. fresh says that it has to be filled from the
// beginning: it was not there, is of another version or can't be read.
func openDatabase(ctx context.Context, files fsys.FS, dir string, ephemeral bool) (db *database, fresh bool, err error) {
	file := filepath.Join(dir, indexFile)
	db, version, err := tryDatabase(ctx, file, ephemeral)
	if err == nil && version == schemaVersion {
		return db, false, nil
	}
	if err != nil && !damaged(err) {
		return nil, false, err
	}
	if db != nil {
		if err := db.close(); err != nil {
			return nil, false, err
		}
	}
	if err := removeDatabase(files, dir); err != nil {
		return nil, false, err
	}
	if db, _, err = tryDatabase(ctx, file, ephemeral); err != nil {
		return nil, false, err
	}
	err = db.writer.script(ctx, "BEGIN IMMEDIATE;"+schema+"PRAGMA user_version="+strconv.Itoa(schemaVersion)+";COMMIT;")
	if err != nil {
		return nil, false, errors.Join(err, db.close())
	}
	return db, true, nil
}

func tryDatabase(ctx context.Context, file string, ephemeral bool) (*database, int64, error) {
	mode := durable
	if ephemeral {
		mode = volatile
	}
	w, err := connect(ctx, file, mode)
	if err != nil {
		return nil, 0, err
	}
	version, err := w.number("PRAGMA user_version")
	if err != nil {
		return nil, 0, errors.Join(err, w.close())
	}
	db := &database{writer: w, file: file, readers: make(chan *conn, maxReaders)}
	for range maxReaders {
		db.readers <- nil
	}
	return db, version, nil
}

func removeDatabase(files fsys.FS, dir string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := files.Remove(filepath.Join(dir, indexFile+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("log index: %w", err)
		}
	}
	return nil
}

// read runs fn with a connection of its own; what fn reads is one state of the index.
func (db *database) read(ctx context.Context, fn func(*conn) error) (err error) {
	var c *conn
	select {
	case c = <-db.readers:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { db.readers <- c }()
	if c == nil {
		if c, err = connect(ctx, db.file, reading); err != nil {
			return err
		}
	}
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.exec("COMMIT")) }()
	return fn(c)
}

// close waits for readers to finish.
func (db *database) close() error {
	var errs []error
	for range maxReaders {
		if c := <-db.readers; c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(append(errs, db.writer.close())...)
}

// damaged says whether an error means that the file is no index that can be used.
func damaged(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	code := se.Code() & 0xff
	return code == lib.SQLITE_CORRUPT || code == lib.SQLITE_NOTADB
}

// conn is a connection with its prepared statements, used by one goroutine at a time. It speaks to the driver without
// database/sql, which would cost as much again as these small statements do.
type conn struct {
	dc    driver.Conn
	stmts map[string]*stmt
}

type stmt struct {
	driver.Stmt
	query driver.StmtQueryContext
	exec  driver.StmtExecContext
	args  []driver.NamedValue
	inUse bool
}

// connMode is what a connection is for.
type connMode int

const (
	reading  connMode = iota
	durable           // writing; a power cut leaves a consistent file
	volatile          // writing; it need not
)

func connect(ctx context.Context, file string, mode connMode) (*conn, error) {
	v := url.Values{}
	v.Add("_pragma", "busy_timeout("+strconv.Itoa(busyTimeoutMS)+")")
	v.Add("_pragma", "temp_store(MEMORY)")
	v.Add("_pragma", "trusted_schema(OFF)")
	if mode != reading {
		// The index can be made again from the segments: a power cut may cost its latest rows, but not its consistency.
		level := "synchronous(NORMAL)"
		if mode == volatile {
			level = "synchronous(OFF)"
		}
		v.Add("_pragma", level)
		v.Add("_pragma", "journal_mode(WAL)")
		v.Add("_pragma", "cache_size(-8192)")
		v.Set("mode", "rwc")
	} else {
		v.Add("_pragma", "query_only(ON)")
		v.Add("_pragma", "cache_size(-2048)")
		v.Set("mode", "rw")
	}
	v.Set("_error_rc", "1")
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(file), RawQuery: v.Encode()}).String()
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, wrap(err)
	}
	dc, err := connector.Connect(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	return &conn{dc: dc, stmts: map[string]*stmt{}}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.dc.Close())...)
}

// script runs statements that are not worth keeping prepared.
func (c *conn) script(ctx context.Context, text string) error {
	ex, ok := c.dc.(driver.ExecerContext)
	if !ok {
		return fmt.Errorf("log index: the driver's %T can't run scripts", c.dc)
	}
	_, err := ex.ExecContext(ctx, text, nil)
	return wrap(err)
}

// wrap says that an error is the index's, and of what kind.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_NOMEM, lib.SQLITE_PERM,
			lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
			return fmt.Errorf("log index: %w: %w", store.ErrUnavailable, err)
		}
	}
	return fmt.Errorf("log index: %w", err)
}

// prepare returns the statement of a text. Texts are constants, so there are few.
func (c *conn) prepare(text string, args []any) (*stmt, error) {
	s := c.stmts[text]
	if s == nil {
		ds, err := c.dc.Prepare(text)
		if err != nil {
			return nil, wrap(err)
		}
		q, ok1 := ds.(driver.StmtQueryContext)
		e, ok2 := ds.(driver.StmtExecContext)
		if !ok1 || !ok2 {
			return nil, errors.Join(fmt.Errorf("log index: the driver's %T lacks the context methods", ds), ds.Close())
		}
		s = &stmt{Stmt: ds, query: q, exec: e}
		c.stmts[text] = s
	}
	if s.inUse {
		return nil, fmt.Errorf("log index: statement used within itself: %s", text)
	}
	s.args = s.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case bool:
			a = int64(0)
			if v {
				a = int64(1)
			}
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s, nil
}

func (c *conn) exec(text string, args ...any) error {
	_, err := c.change(text, args...)
	return err
}

// change runs a statement and says how many rows it changed. Statements are short, and a context that can end costs a
// goroutine each, so none is passed.
func (c *conn) change(text string, args ...any) (int64, error) {
	s, err := c.prepare(text, args)
	if err != nil {
		return 0, err
	}
	res, err := s.exec.ExecContext(context.Background(), s.args)
	if err != nil {
		return 0, wrap(err)
	}
	n, err := res.RowsAffected()
	return n, wrap(err)
}

// row is the row a query stands on. Its columns are integers and texts; NULL reads as zero.
type row []driver.Value

func (r row) int(i int) int64   { v, _ := r[i].(int64); return v }
func (r row) text(i int) string { v, _ := r[i].(string); return v }

// each calls fn for every row until it returns false.
func (c *conn) each(fn func(row) (bool, error), text string, args ...any) (err error) {
	s, err := c.prepare(text, args)
	if err != nil {
		return err
	}
	rows, err := s.query.QueryContext(context.Background(), s.args)
	if err != nil {
		return wrap(err)
	}
	s.inUse = true
	defer func() {
		s.inUse = false
		err = errors.Join(err, wrap(rows.Close()))
	}()
	r := make(row, len(rows.Columns()))
	for {
		switch err := rows.Next(r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return wrap(err)
		}
		if more, err := fn(r); err != nil || !more {
			return err
		}
	}
}

// one calls fn for the first row, and says whether there was one.
func (c *conn) one(fn func(row), text string, args ...any) (found bool, err error) {
	err = c.each(func(r row) (bool, error) {
		found = true
		fn(r)
		return false, nil
	}, text, args...)
	return found, err
}

// number runs a query for one integer; 0 if there is no row.
func (c *conn) number(text string, args ...any) (n int64, err error) {
	_, err = c.one(func(r row) { n = r.int(0) }, text, args...)
	return n, err
}

// transaction runs fn on the writer.
func (db *database) transaction(fn func(*conn) error) error {
	c := db.writer
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := fn(c); err != nil {
		return errors.Join(err, c.exec("ROLLBACK"))
	}
	if err := c.exec("COMMIT"); err != nil {
		return errors.Join(err, c.exec("ROLLBACK"))
	}
	return nil
}
