package store

import "errors"

// The kinds of failure a store reports, for errors.Is. Each error that wraps one names the file and what the system said.
var (
	// ErrUnavailable: nothing of the change was kept, because the disk is full, failing, read-only or gone. The same store
	// works again, without being opened again, once the cause is removed.
	ErrUnavailable = errors.New("the store can not write or read its file")
	// ErrDamaged: the file's content is not what was written. Nothing is repaired by leaving things out.
	ErrDamaged = errors.New("the store's file is damaged")
	// ErrNewer: the file was written by a later version of the program.
	ErrNewer = errors.New("the store's file was written by a newer version")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
)
