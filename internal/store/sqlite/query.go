package sqlite

import (
	"context"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/engine"
)

// jobColumns of jobs j and job_specs s are what jobOf reads.
const (
	jobColumns     = "j.seq, j.id, j.queue, j.name, j.definition, j.share, j.status, j.created_at, j.stopped_at, j.state, s.spec"
	jobColumnCount = 11
	childColumns   = "seq, idx, status, state"
)

// jobOf reads jobColumns; the partition is the caller's to fill.
func jobOf(cur *cursor) engine.JobRecord {
	return engine.JobRecord{
		Seq: cur.int(0), ID: cur.text(1), Queue: cur.text(2), Name: cur.text(3), Definition: cur.text(4), Share: cur.text(5),
		Status: batch.Status(cur.int(6)), CreatedAt: cur.int(7), StoppedAt: cur.int(8), State: cur.blob(9), Spec: cur.blob(10),
	}
}

func childOf(cur *cursor) engine.ChildRecord {
	return engine.ChildRecord{Seq: cur.int(0), Index: int(cur.int(1)), Status: batch.Status(cur.int(2)), State: cur.blob(3)}
}

// Job implements engine.Store.
func (db *DB) Job(ctx context.Context, p batch.Partition, id string) (rec engine.JobRecord, ok bool, err error) {
	err = db.read(ctx, func(c *conn) error {
		part, known, err := db.parts.find(c, p)
		if err != nil || !known {
			return err
		}
		ok, err = c.one(func(cur *cursor) { rec = jobOf(cur) },
			"SELECT "+jobColumns+" FROM jobs j JOIN job_specs s ON s.seq = j.seq WHERE j.part = ? AND j.id = ?", part, id)
		rec.Partition = p
		return err
	})
	if err != nil || !ok {
		return engine.JobRecord{}, false, err
	}
	return rec, true, nil
}

// Child implements engine.Store.
func (db *DB) Child(ctx context.Context, seq int64, index int) (rec engine.ChildRecord, ok bool, err error) {
	err = db.read(ctx, func(c *conn) error {
		ok, err = c.one(func(cur *cursor) { rec = childOf(cur) },
			"SELECT "+childColumns+" FROM children WHERE seq = ? AND idx = ?", seq, index)
		return err
	})
	return rec, ok && err == nil, err
}

// ListChildren implements engine.Store.
func (db *DB) ListChildren(ctx context.Context, q engine.ChildQuery) ([]engine.ChildRecord, error) {
	var recs []engine.ChildRecord
	err := db.read(ctx, func(c *conn) error {
		return c.each(func(cur *cursor) (bool, error) {
			recs = append(recs, childOf(cur))
			return true, nil
		}, "SELECT "+childColumns+" FROM children WHERE seq = ? AND idx >= ? AND (1 << status) & ? ORDER BY idx LIMIT ?",
			q.Seq, q.From, statusMask(q.Statuses), limitOf(q.Limit))
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}

// statusMask has the bit of each status set, all of them for none.
func statusMask(statuses []batch.Status) int64 {
	if len(statuses) == 0 {
		return -1
	}
	var m int64
	for _, s := range statuses {
		m |= 1 << s
	}
	return m
}

// limitOf is the LIMIT of a query: zero does not restrict.
func limitOf(n int) int {
	if n <= 0 {
		return -1
	}
	return n
}
