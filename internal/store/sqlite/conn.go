package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/batchbox/batchbox/internal/store"
)

// conn is one connection with its prepared statements, used by one goroutine at a time. It speaks to the driver without
// database/sql: that costs about as much as the small statements used here, and its pool would spread statements over
// connections.
type conn struct {
	file string
	dc   driver.Conn
	// idle holds the prepared statements by text that are not in use. A text has several when it was used by several
	// cursors at once.
	idle map[string][]preparedStmt
}

type preparedStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connMode says what a connection may do.
type connMode int

const (
	creating connMode = iota // read and write; makes the file
	writing
	reading
)

// dsn has every connection set its pragmas; the driver runs busy_timeout before the rest.
func dsn(file string, mode connMode, cacheKiB int) string {
	v := url.Values{}
	v.Add("_pragma", "busy_timeout("+strconv.FormatInt(busyTimeout.Milliseconds(), 10)+")")
	v.Add("_pragma", "cache_size("+strconv.Itoa(-cacheKiB)+")")
	v.Add("_pragma", "temp_store(MEMORY)")
	v.Add("_pragma", "trusted_schema(OFF)")
	switch mode {
	case creating:
		v.Set("mode", "rwc")
	case writing:
		v.Set("mode", "rw")
		v.Add("_pragma", "journal_mode(WAL)")
		v.Add("_pragma", "synchronous(FULL)")
		// The writer goroutine decides when to check-point.
		v.Add("_pragma", "wal_autocheckpoint(0)")
	case reading:
		v.Set("mode", "rw") // a reader of a write-ahead log takes part in its locking
		v.Add("_pragma", "query_only(ON)")
	}
	v.Set("_dqs", "0")
	v.Set("_error_rc", "1")
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(file), RawQuery: v.Encode()}).String()
}

func connect(ctx context.Context, file string, mode connMode, cacheKiB int) (*conn, error) {
	connector, err := sqlite.NewConnector(dsn(file, mode, cacheKiB))
	if err != nil {
		return nil, classify(file, err)
	}
	dc, err := connector.Connect(ctx)
	if err != nil {
		return nil, classify(file, err)
	}
	return &conn{file: file, dc: dc, idle: map[string][]preparedStmt{}}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, stmts := range c.idle {
		for _, s := range stmts {
			errs = append(errs, s.Close())
		}
	}
	c.idle = nil
	return classify(c.file, errors.Join(append(errs, c.dc.Close())...))
}

func (c *conn) take(query string) (preparedStmt, error) {
	if free := c.idle[query]; len(free) > 0 {
		c.idle[query] = free[:len(free)-1]
		return free[len(free)-1], nil
	}
	s, err := c.dc.Prepare(query)
	if err != nil {
		return nil, classify(c.file, err)
	}
	p, ok := s.(preparedStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the sqlite driver's %T lacks the context methods", s), s.Close())
	}
	return p, nil
}

// maxIdle bounds the statements of one text that are kept.
const maxIdle = 8

func (c *conn) release(query string, s preparedStmt) error {
	if free := c.idle[query]; len(free) < maxIdle {
		c.idle[query] = append(free, s)
		return nil
	}
	return classify(c.file, s.Close())
}

// exec runs a prepared statement and returns the number of rows it changed. Statements are short, and a context that can
// end costs a goroutine each, so none is passed: what may be long is taken in pieces by the callers.
func (c *conn) exec(query string, args ...any) (int64, error) {
	s, err := c.take(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), named(args))
	var n int64
	if err == nil {
		n, err = res.RowsAffected()
	}
	return n, errors.Join(classify(c.file, err), c.release(query, s))
}

// script runs statements that are not worth keeping prepared, and stops between them when ctx ends.
func (c *conn) script(ctx context.Context, text string) error {
	ex, ok := c.dc.(driver.ExecerContext)
	if !ok {
		return fmt.Errorf("the sqlite driver's %T can not run scripts", c.dc)
	}
	_, err := ex.ExecContext(ctx, text, nil)
	return classify(c.file, err)
}

// cursor walks the result of a query. It must be closed.
type cursor struct {
	c     *conn
	query string
	stmt  preparedStmt
	rows  driver.Rows
	row   []driver.Value // the current row; its byte slices belong to the reader of the row
}

func (c *conn) open(query string, args ...any) (*cursor, error) {
	s, err := c.take(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), named(args))
	if err != nil {
		return nil, errors.Join(classify(c.file, err), c.release(query, s))
	}
	return &cursor{c: c, query: query, stmt: s, rows: rows, row: make([]driver.Value, len(rows.Columns()))}, nil
}

// next reads the next row; it is false at the end.
func (cur *cursor) next() (bool, error) {
	err := cur.rows.Next(cur.row)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, classify(cur.c.file, err)
}

func (cur *cursor) close() error {
	err := cur.rows.Close()
	return errors.Join(classify(cur.c.file, err), cur.c.release(cur.query, cur.stmt))
}

func (cur *cursor) int(i int) int64   { v, _ := cur.row[i].(int64); return v }
func (cur *cursor) text(i int) string { v, _ := cur.row[i].(string); return v }

// blob is never nil: an empty value comes back as empty.
func (cur *cursor) blob(i int) []byte {
	if v, ok := cur.row[i].([]byte); ok && v != nil {
		return v
	}
	return []byte{}
}

// each calls fn for every row of a query until it returns false.
func (c *conn) each(fn func(cur *cursor) (bool, error), query string, args ...any) (err error) {
	cur, err := c.open(query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cur.close()) }()
	for {
		ok, err := cur.next()
		if err != nil || !ok {
			return err
		}
		if more, err := fn(cur); err != nil || !more {
			return err
		}
	}
}

// one calls fn for the first row of a query; it is false if there is none.
func (c *conn) one(fn func(cur *cursor), query string, args ...any) (found bool, err error) {
	err = c.each(func(cur *cursor) (bool, error) {
		found = true
		fn(cur)
		return false, nil
	}, query, args...)
	return found, err
}

// number runs a query for one integer, 0 if there is no row.
func (c *conn) number(query string, args ...any) (n int64, err error) {
	_, err = c.one(func(cur *cursor) { n = cur.int(0) }, query, args...)
	return n, err
}

func named(args []any) []driver.NamedValue {
	if len(args) == 0 {
		return nil
	}
	vs := make([]driver.NamedValue, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case []byte:
			if v == nil {
				a = []byte{} // a nil slice would be NULL
			}
		}
		vs[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return vs
}

// classify puts the store's error kinds around SQLite's, by result code (https://www.sqlite.org/rescode.html).
func classify(file string, err error) error {
	var se *sqlite.Error
	if err == nil || !errors.As(err, &se) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrDamaged) {
		return err
	}
	switch se.Code() & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_NOMEM, lib.SQLITE_PERM,
		lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL, lib.SQLITE_NOLFS:
		return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, file, err)
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: %s: %w", store.ErrDamaged, file, err)
	}
	return fmt.Errorf("%s: %w", file, err)
}

// ends says whether an error of this kind may have ended the transaction it happened in.
func ends(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrDamaged)
}
