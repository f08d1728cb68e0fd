package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"

	"modernc.org/sqlite"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

const (
	// maxGroup bounds the callers that share a transaction, and so how long the first of them waits for the others.
	maxGroup = 256
	// checkpointPages is how many pages go to the write-ahead log before it is copied into the file (4 MiB).
	checkpointPages = 1000
)

// write is one caller's part of a transaction that another leads. The caller runs its own function when it is its turn, so
// that a panic in it is the caller's.
type write struct {
	turn chan *tx   // the leader lends the transaction, or nil if it could not go on with it
	ran  chan error // the caller says how its function ended
	done chan error // the leader says how the commit ended
}

// errAbandoned stands for a function that did not return: it panicked or ended its goroutine.
var errAbandoned = errors.New("the function given to the store did not return")

// write has fn write through the transaction of the moment and returns once that is durable: one that another caller leads, or
// else its own, so that a caller who is alone waits for nobody but the disk. A ctx that ends before the caller's turn takes the
// request back; later it has no effect, as the outcome would be unknown.
func (db *DB) write(ctx context.Context, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-db.stop:
		return store.ErrClosed
	default:
	}
	select {
	case db.lead <- struct{}{}:
		return db.writer.group(fn)
	default:
	}
	w := &write{turn: make(chan *tx), ran: make(chan error), done: make(chan error, 1)}
	select {
	case db.lead <- struct{}{}:
		return db.writer.group(fn)
	case db.writes <- w:
		return w.follow(fn)
	case <-db.stop:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *write) follow(fn func(*tx) error) error {
	if t := <-w.turn; t != nil {
		err := errAbandoned
		func() {
			defer func() { w.ran <- err }()
			err = fn(t)
		}()
	}
	return <-w.done
}

// writer is the writing connection. It belongs to whoever has put the one value into DB.lead.
type writer struct {
	db *DB
	c  *conn
	// The file and its log as they were when they were opened: should somebody remove or replace them, SQLite would go on
	// writing to files that nobody can open again.
	identity [2]os.FileInfo
	pages    int           // written when the log was last copied
	nudge    chan struct{} // tells run that the log is long
}

func newWriter(db *DB, c *conn) (*writer, error) {
	w := &writer{db: db, c: c, nudge: make(chan struct{}, 1)}
	// An empty transaction makes the log.
	for _, s := range []string{"PRAGMA foreign_keys = ON", "BEGIN IMMEDIATE", "PRAGMA user_version = " + fmt.Sprint(len(migrations)), "COMMIT"} {
		if _, err := c.exec(s); err != nil {
			return nil, err
		}
	}
	for i := range w.identity {
		fi, err := os.Stat(w.path(i))
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		w.identity[i] = fi
	}
	return w, nil
}

func (w *writer) path(i int) string {
	return w.db.file + []string{"", "-wal"}[i]
}

// run copies the log into the file when it is long, until the store is closed.
func (w *writer) run() {
	defer close(w.db.stopped)
	for {
		select {
		case <-w.nudge:
			w.db.lead <- struct{}{}
			w.checkpoint()
			<-w.db.lead
		case <-w.db.stop:
			w.db.lead <- struct{}{} // for good
			// Closing the last connection copies the log into the file and removes it.
			if err := w.c.close(); err != nil {
				w.db.log.Warn("store: closing the file", "error", err)
			}
			return
		}
	}
}

// group runs one transaction, for fn and for everybody who waits by then, and answers them. It gives the lead back.
func (w *writer) group(fn func(*tx) error) error {
	open := false
	defer func() {
		if open { // fn did not return, or the transaction failed; SQLite may have rolled back by itself, in which case this fails
			_, _ = w.c.exec("ROLLBACK")
		}
		if w.long() {
			select {
			case w.nudge <- struct{}{}:
			default:
			}
		}
		<-w.db.lead
	}()
	if _, err := w.c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	open = true
	t := &tx{c: w.c, parts: &w.db.parts}
	err := fn(t)
	if t.failed != nil && !errors.Is(err, t.failed) {
		err = errors.Join(err, t.failed) // a failure of the store the function did not pass on
	}
	if err != nil {
		return err // it is alone in the transaction
	}
	members, failure := w.members(t)
	if failure == nil {
		failure = w.commit()
	}
	if failure == nil {
		open = false
		for p, n := range t.fresh {
			w.db.parts.add(p, n)
		}
	}
	for _, m := range members {
		m.done <- failure
	}
	return failure
}

// members lets those write who wait, in the transaction that has been begun. failure is what ended it for all.
func (w *writer) members(t *tx) (members []*write, failure error) {
	for len(members) < maxGroup {
		select {
		case next := <-w.db.writes:
			err := w.member(t, next)
			switch {
			case err == nil:
				members = append(members, next)
			case ends(err):
				return append(members, next), err
			default:
				next.done <- err
			}
		default:
			return members, nil
		}
	}
	return members, nil
}

// member lets one caller write. An error of it leaves the transaction as it was before, unless ends says otherwise.
func (w *writer) member(t *tx, m *write) error {
	if _, err := w.c.exec("SAVEPOINT member"); err != nil {
		m.turn <- nil
		return fatal(err)
	}
	t.failed = nil
	fresh := maps.Clone(t.fresh)
	m.turn <- t
	err := <-m.ran
	if t.failed != nil && !errors.Is(err, t.failed) {
		err = errors.Join(err, t.failed) // a failure of the store the function did not pass on
	}
	if ends(err) {
		return err
	}
	if err != nil {
		t.fresh = fresh
		if _, undo := w.c.exec("ROLLBACK TO member"); undo != nil {
			return fatal(errors.Join(err, undo))
		}
	}
	if _, release := w.c.exec("RELEASE member"); release != nil {
		return fatal(errors.Join(err, release))
	}
	return err
}

// fatal makes an error one that ends the transaction.
func fatal(err error) error {
	if ends(err) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

func (w *writer) commit() error {
	for i, was := range w.identity {
		if is, err := os.Stat(w.path(i)); err != nil {
			return fmt.Errorf("%w: its file was removed while it was open: %w", store.ErrUnavailable, err)
		} else if !os.SameFile(was, is) {
			return fmt.Errorf("%w: %s was replaced while it was open", store.ErrUnavailable, w.path(i))
		}
	}
	_, err := w.c.exec("COMMIT")
	return err
}

// long says whether enough has been written to the log to copy it into the file.
func (w *writer) long() bool {
	st, ok := w.c.dc.(sqlite.DBStatus)
	if !ok {
		return false
	}
	pages, _, err := st.Status(sqlite.DBStatusCacheWrite, false)
	return err != nil || pages-w.pages >= checkpointPages
}

// checkpoint copies the log into the file. A failure loses nothing, the log just grows until a later one works.
func (w *writer) checkpoint() {
	if st, ok := w.c.dc.(sqlite.DBStatus); ok {
		if pages, _, err := st.Status(sqlite.DBStatusCacheWrite, false); err == nil {
			w.pages = pages
		}
	}
	if _, err := w.c.number("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
		w.db.log.Warn("store: copying the log into the file", "error", err)
	}
}

// tx is the transaction of the moment, lent to one caller after the other.
type tx struct {
	c      *conn
	parts  *partitions
	fresh  map[batch.Partition]int64 // partitions this transaction made
	failed error                     // the first failure of the store itself since the caller's turn began
}

// exec is conn.exec, remembering failures of the store, which the caller's function may swallow.
func (t *tx) exec(query string, args ...any) (int64, error) {
	n, err := t.c.exec(query, args...)
	t.note(err)
	return n, err
}

func (t *tx) note(err error) {
	if ends(err) && t.failed == nil {
		t.failed = err
	}
}

// part returns the number of a partition, making it when it is new.
func (t *tx) part(p batch.Partition) (int64, error) {
	if n, ok := t.fresh[p]; ok {
		return n, nil
	}
	n, ok, err := t.parts.find(t.c, p)
	if err != nil || ok {
		t.note(err)
		return n, err
	}
	if _, err := t.exec("INSERT INTO partitions (account, region) VALUES (?, ?)", p.Account, p.Region); err != nil {
		return 0, err
	}
	if n, err = t.c.number("SELECT last_insert_rowid()"); err != nil {
		t.note(err)
		return 0, err
	}
	if t.fresh == nil {
		t.fresh = map[batch.Partition]int64{}
	}
	t.fresh[p] = n
	return n, nil
}
