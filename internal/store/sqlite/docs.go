package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
)

// View implements store.Docs.
func (db *DB) View(ctx context.Context, fn func(store.Reader) error) error {
	return db.read(ctx, func(c *conn) error { return fn(docReader{c, &db.parts}) })
}

// Update implements store.Docs. fn runs on the caller's goroutine and must not write through the store again.
func (db *DB) Update(ctx context.Context, fn func(store.Writer) error) error {
	return db.write(ctx, func(t *tx) error { return fn(docWriter{t}) })
}

type docReader struct {
	c     *conn
	parts *partitions
}

func (r docReader) Get(p batch.Partition, kind, key string, v any) (bool, error) {
	part, ok, err := r.parts.find(r.c, p)
	if err != nil || !ok {
		return false, err
	}
	return getDoc(r.c, part, kind, key, v)
}

func (r docReader) List(p batch.Partition, kind, prefix string, fn func(key string, raw []byte) (bool, error)) error {
	part, ok, err := r.parts.find(r.c, p)
	if err != nil || !ok {
		return err
	}
	return listDocs(r.c, part, kind, prefix, prefix, fn)
}

type docWriter struct{ t *tx }

func (w docWriter) Get(p batch.Partition, kind, key string, v any) (bool, error) {
	part, err := w.t.part(p)
	if err != nil {
		return false, err
	}
	ok, err := getDoc(w.t.c, part, kind, key, v)
	w.t.note(err)
	return ok, err
}

func (w docWriter) List(p batch.Partition, kind, prefix string, fn func(key string, raw []byte) (bool, error)) error {
	part, err := w.t.part(p)
	if err != nil {
		return err
	}
	// fn may write, so it is not called while a statement walks the table, but between one handful and the next.
	for from, first := prefix, true; ; first = false {
		docs, err := w.handful(part, kind, prefix, from, first)
		if err != nil {
			return err
		}
		for _, d := range docs {
			if more, err := fn(d.key, d.raw); err != nil || !more {
				return err
			}
			from = d.key
		}
		if len(docs) < handful {
			return nil
		}
	}
}

const handful = 64

type doc struct {
	key string
	raw []byte
}

// handful reads some documents with the prefix, from a key on, with or without it.
func (w docWriter) handful(part int64, kind, prefix, from string, inclusive bool) ([]doc, error) {
	var docs []doc
	err := listDocs(w.t.c, part, kind, prefix, from, func(key string, raw []byte) (bool, error) {
		if inclusive || key != from {
			docs = append(docs, doc{key, raw})
		}
		return len(docs) < handful, nil
	})
	w.t.note(err)
	return docs, err
}

func (w docWriter) Put(p batch.Partition, kind, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store: encode %s %q: %w", kind, key, err)
	}
	part, err := w.t.part(p)
	if err != nil {
		return err
	}
	_, err = w.t.exec(`INSERT INTO docs (part, kind, key, value) VALUES (?, ?, ?, ?)
		ON CONFLICT (part, kind, key) DO UPDATE SET value = excluded.value`, part, kind, key, raw)
	return err
}

func (w docWriter) Delete(p batch.Partition, kind, key string) (bool, error) {
	part, err := w.t.part(p)
	if err != nil {
		return false, err
	}
	n, err := w.t.exec("DELETE FROM docs WHERE part = ? AND kind = ? AND key = ?", part, kind, key)
	return n > 0, err
}

func getDoc(c *conn, part int64, kind, key string, v any) (bool, error) {
	var raw []byte
	ok, err := c.one(func(cur *cursor) { raw = cur.blob(0) },
		"SELECT value FROM docs WHERE part = ? AND kind = ? AND key = ?", part, kind, key)
	if err != nil || !ok {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("%s: document %s %q: %w", c.file, kind, key, err)
	}
	return true, nil
}

// listDocs walks the keys with the prefix from a key on. The keys compare by bytes, so those with a prefix are together.
func listDocs(c *conn, part int64, kind, prefix, from string, fn func(key string, raw []byte) (bool, error)) error {
	return c.each(func(cur *cursor) (bool, error) {
		key := cur.text(0)
		if len(key) < len(prefix) || key[:len(prefix)] != prefix {
			return false, nil
		}
		return fn(key, cur.blob(1))
	}, "SELECT key, value FROM docs WHERE part = ? AND kind = ? AND key >= ? ORDER BY key", part, kind, from)
}
