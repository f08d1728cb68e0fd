// Package sqlite keeps engine.Store and store.Docs in one SQLite file, batchbox.db, in a data directory.
//
// There is one writer: a goroutine that owns the only writing connection. Callers that want to write at the same moment
// share one transaction and one sync of the disk (group commit); each is answered after the COMMIT, which with a
// write-ahead log and synchronous=FULL means after the sync. A savepoint around each caller's part lets one fail alone.
// Readers have connections of their own and see the last committed state.
//
// Nothing in this process may open and close batchbox.db other than through this package: closing any descriptor of the
// file drops the POSIX locks SQLite holds on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
package sqlite
