// Package store names what the services around Batch keep: small JSON documents, found by kind and key within an account
// and region. The engine's own, larger needs are in engine.Store; internal/store/sqlite implements both on one database.
package store

import (
	"context"

	"github.com/batchbox/batchbox/internal/batch"
)

// Docs is a transactional document store. IAM, which knows no region, uses a Partition with an empty Region.
type Docs interface {
	// View runs fn on a consistent snapshot.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn in the one write transaction of the moment and returns after it is durable. If fn returns an error,
	// nothing of it is kept and that error is returned. fn must be quick: every other writer waits.
	Update(ctx context.Context, fn func(Writer) error) error
}

// Reader reads documents.
type Reader interface {
	// Get decodes the document into v (a pointer); false if there is none.
	Get(p batch.Partition, kind, key string, v any) (bool, error)
	// List calls fn for each document of kind whose key starts with prefix, in ascending key order (bytes); raw is valid
	// during the call only. fn returns false to stop. In an Update fn may write; whether a document it adds or deletes ahead
	// of the walk is still shown is not defined.
	List(p batch.Partition, kind, prefix string, fn func(key string, raw []byte) (bool, error)) error
}

// Writer writes documents as well.
type Writer interface {
	Reader
	Put(p batch.Partition, kind, key string, v any) error
	// Delete reports whether there was such a document.
	Delete(p batch.Partition, kind, key string) (bool, error)
}
